"""The table of other builders' flags in docs/cli.md, held against what the program has, and what it refuses.

The lists of flags in tests/cases/flags are those of docker 28 without BuildKit, buildx 0.30, buildah 1.42 and podman 5,
without their help.
"""

from __future__ import annotations

import pytest

from builder.cli import absent
from builder.cli.build import build
from builder.cli.containers import run
from builder.errors import UsageError
from tests.arch.test_docs import CLI, code, rows, sections
from tests.support.golden import CASES
from tests.unit.cli.test_aliases import asked

ABSENT = absent.ABSENT["build"]
BUILDERS = ("docker", "buildx", "buildah", "podman")
TABLE = [row for row in rows(sections(CLI, "##")["Flags of other builders"]) if row[0].startswith("`-")]
OWN = {name for option in build.params for name in option.opts}
LISTS = {name: (CASES / "flags" / f"{name}.txt").read_text().split() for name in BUILDERS}


def test_every_flag_of_each_builder_has_its_row() -> None:
    told = {code(row[0])[-1]: row[1].split(", ") for row in TABLE}
    flags = sorted({flag for flags in LISTS.values() for flag in flags})
    assert [code(row[0])[-1] for row in TABLE] == flags
    assert told == {flag: [name for name in BUILDERS if flag in LISTS[name]] for flag in flags}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: str(code(row[0])[-1]))
def test_a_flag_is_here_or_is_refused_with_the_reason(row: list[str]) -> None:
    names, here, said = code(row[0]), row[2], row[3]
    if here == "not here":
        (name,) = names
        assert said == "; ".join(ABSENT[name])
        with pytest.raises(UsageError) as refused:
            asked(f"{name}=1")
        assert refused.value.message == f"{name} is not here: {ABSENT[name][0]}"
        assert refused.value.hint == ABSENT[name][1]
    else:
        assert here == "same" or (here == "differs" and said)
        assert set(names) <= OWN


def test_no_reason_is_left_over() -> None:
    assert set(ABSENT) == {code(row[0])[-1] for row in TABLE if row[2] == "not here"}
    assert not set(ABSENT) & OWN


@pytest.mark.parametrize("flag", absent.ABSENT["run"])
def test_a_flag_that_docker_run_has_is_refused_with_the_reason(flag: str) -> None:
    with pytest.raises(UsageError, match=f"{flag} is not here: .") as refused:
        run.make_context("run", [flag, "1", "image"])
    assert refused.value.hint
