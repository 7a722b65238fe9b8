"""RUN --retry and --timeout, and their flags of a build."""

from __future__ import annotations

import signal
import subprocess
import time

import pytest

from tests.support.program import Pybuild

# Fails until the third time it is run: what it counts by is in a cache mount, the one thing that outlives an attempt.
THIRD_TIME = """\
FROM base
RUN --retry=%s --mount=type=cache,target=/c <<EOT
if [ -e /mine ]; then echo leftover; exit 9; fi
touch /mine
echo x >> /c/count
echo "this is attempt $(wc -l < /c/count)"
[ $(wc -l < /c/count) = 3 ]
EOT
"""


def test_a_step_is_tried_again_on_a_fresh_top(pybuild: Pybuild) -> None:
    pybuild.base()
    built = pybuild.build(THIRD_TIME % "4,delay=10ms", "-t", "x").ok()
    assert "pybuild: attempt 1 of 5: exit code: 1; trying again in 10ms" in built.err
    assert "this is attempt 3" in built.err
    assert "this is attempt 4" not in built.err
    assert "leftover" not in built.err
    assert pybuild.build(THIRD_TIME % "1", "-t", "x").ok().ran == [], "it is no part of the key"


def test_the_last_failure_counts(pybuild: Pybuild) -> None:
    pybuild.base()
    built = pybuild.build("FROM base\nRUN echo once more; exit 7\n", "--retry", "2")
    assert built.status == 1
    assert built.err.count(" once more\n") == 3
    assert built.err.count("trying again\n") == 2
    assert "exit code: 7" in built.err


def test_the_flag_of_a_run_wins(pybuild: Pybuild) -> None:
    pybuild.base()
    built = pybuild.build("FROM base\nRUN --retry=0 exit 7\n", "--retry", "2")
    assert "trying again" not in built.err


def test_a_canceled_step_is_not_tried_again(pybuild: Pybuild) -> None:
    pybuild.base()
    pybuild.file("Buildfile", "FROM base\nRUN --retry=3,delay=1h echo begun; exit 1\n")
    build = pybuild.start("build", "--progress", "plain", ".")
    assert build.stderr is not None
    for line in build.stderr:
        if b"trying again in 1h" in line:
            break
    build.send_signal(signal.SIGINT)
    _, rest = build.communicate(timeout=60)
    assert build.returncode == 130
    assert b"begun" not in rest


def test_a_step_that_takes_too_long_is_ended(pybuild: Pybuild) -> None:
    pybuild.base()
    started = time.monotonic()
    built = pybuild.build("FROM base\nRUN --timeout=300ms sleep 1000 & sleep 1000\n", "--step-timeout", "1h")
    assert built.status == 1
    assert "timed out after 300ms" in built.err
    assert "is there enough memory" not in built.err
    assert time.monotonic() - started < 500


def test_one_that_takes_the_signal_and_ends_well_has_timed_out(as_user: Pybuild) -> None:
    as_user.base()
    built = as_user.build(
        "FROM base\nRUN trap 'echo asked; exit 0' TERM; sleep 1000 & wait\n", "--step-timeout", "500ms"
    )
    assert built.status == 1
    assert " asked\n" in built.err
    assert "timed out after 500ms" in built.err


def test_one_that_ignores_the_signal_is_killed(pybuild: Pybuild) -> None:
    pybuild.base()
    built = pybuild.build("FROM base\nRUN --timeout=100ms trap '' TERM; while :; do sleep 1; done\n")
    assert built.status == 1
    assert "timed out after 100ms" in built.err
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "trap '' TERM; while" not in left


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--retry", "often", "--retry: 'often' does not say how often to try again"),
        ("--step-timeout", "soon", "--step-timeout: 'soon' is not a duration"),
    ],
)
def test_flags_that_cannot_be_meant_so(pybuild: Pybuild, option: str, value: str, message: str) -> None:
    built = pybuild.build("FROM scratch\n", option, value)
    assert built.status == 2
    assert message in built.err
