"""`doctor`, the tiers it names, and PYBUILD_TIER, which takes another than the best."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.program import Pybuild
from tests.support.registry import FakeRegistry


def diagnosis(pybuild: Pybuild, **env: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(pybuild("doctor", "--json", **env))
    return found


def test_root_is_of_the_first_tier(pybuild: Pybuild) -> None:
    found = diagnosis(pybuild)
    assert found["tier"] == 1
    assert found["refused"] == []
    names = [line["name"] for line in found["lines"]]
    assert {"kernel", "store", "isolation", "layers", "network", "system calls", "limits", "platforms"} <= set(names)
    text = pybuild("doctor")
    assert text.startswith("tier 1\n")
    assert "filtered by libseccomp" in text


def test_ordinary_users_are_of_the_second_and_the_third(as_user: Pybuild) -> None:
    assert diagnosis(as_user)["tier"] == 2
    third = diagnosis(as_user, PYBUILD_TIER="one-id")
    assert third["tier"] == 3
    (isolation,) = [line for line in third["lines"] if line["name"] == "isolation"]
    assert isolation["better"] == ["PYBUILD_TIER is one-id: unset PYBUILD_TIER"]


def test_a_tier_that_is_none_or_cannot_be_is_refused(pybuild: Pybuild, as_user: Pybuild) -> None:
    done = pybuild.try_("doctor", PYBUILD_TIER="best")
    assert done.returncode == 2
    assert "use root, ranges or one-id" in done.stderr
    done = as_user.try_("doctor", PYBUILD_TIER="root")
    assert done.returncode == 2
    assert "not root with CAP_SYS_ADMIN" in done.stderr


# The first RUN makes /proc, /sys and /dev, with the time of its own.
TEXT = """FROM base
RUN true
RUN rm -r /home && mkdir /home && echo new > /home/n && chown 1000:50 /home/n && touch -d @1600000000 /home/n /home
RUN cat /proc/self/uid_map > /map
"""


def test_root_may_ask_for_a_user_namespace(pybuild: Pybuild) -> None:
    pybuild.base()
    pybuild.build(TEXT, "-t", "plain").ok()
    built = pybuild.build(TEXT, "-t", "apart", "--no-cache", PYBUILD_TIER="ranges").ok()
    assert built.ran
    assert pybuild.shell("plain", "cat /map").split() == ["0", "0", "4294967295"]
    assert pybuild.shell("apart", "cat /map").split() == ["0", "0", "65536"]
    plain, apart = (json.loads(pybuild("inspect", name))[0]["RootFS"]["Layers"] for name in ("plain", "apart"))
    assert plain[2] == apart[2]


def test_each_kind_of_ids_has_files_of_its_own(pybuild: Pybuild) -> None:
    """Deletions and owners are written otherwise: what one tier unpacked is not what another sees."""
    pybuild.base()
    pybuild.build(TEXT, "-t", "app").ok()
    script = "ls /home; stat -c %u:%g /home/n"
    for tier in ("root", "ranges", "one-id", "root"):
        seen = pybuild("run", "--rm", "--entrypoint", "", "app", "sh", "-c", script, PYBUILD_TIER=tier)
        assert seen.split() == ["n", "1000:50"], tier


def test_files_in_use_are_not_taken_away(pybuild: Pybuild) -> None:
    pybuild.base()
    process = pybuild.start("run", "--rm", "base", "sh", "-c", "echo ready; sleep 600")
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        done = pybuild.try_("run", "--rm", "base", "true", PYBUILD_TIER="ranges")
        assert done.returncode == 125
        assert "is in use with other IDs (real)" in done.stderr
    finally:
        process.terminate()
        process.communicate()
    pybuild("run", "--rm", "base", "true", PYBUILD_TIER="ranges")


def test_root_without_capabilities_has_a_user_namespace(pybuild: Pybuild) -> None:
    """As in a container that is given no more than Docker's default."""
    pybuild.base()
    weak = Pybuild(pybuild.root, pybuild.work, ("setpriv", "--bounding-set", "-sys_admin", *pybuild.prefix))
    assert diagnosis(weak)["tier"] == 2
    assert weak("run", "--rm", "base", "cat", "/proc/self/uid_map").split() == ["0", "0", "65536"]


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("max_user_namespaces", "sysctl -w user.max_user_namespaces=15000"),
        ("max_mnt_namespaces", "sysctl -w user.max_mnt_namespaces=15000"),
    ],
)
def test_a_host_that_forbids_namespaces_is_refused_with_the_fix(as_user: Pybuild, limit: str, message: str) -> None:
    """In a user namespace of the test's own, where its limit holds and the machine's stays as it is."""
    as_user.base()
    script = f'echo 0 > /proc/sys/user/{limit} && exec "$@"'
    prefix = (
        *as_user.prefix[:5],
        "unshare",
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        script,
        "sh",
        *as_user.prefix[5:],
    )
    shut = Pybuild(as_user.root, as_user.work, prefix, {**as_user.env, "PYBUILD_TIER": "one-id"})
    done = shut.try_("doctor")
    assert done.returncode == 7, done.stderr
    assert message in done.stdout
    assert "tier 4" in done.stdout
    done = shut.try_("run", "--rm", "base", "true")
    assert done.returncode == 125


# --- projects --------------------------------------------------------------------------------------


def findings(pybuild: Pybuild, *words: str) -> tuple[int, list[tuple[Any, ...]]]:
    """The exit status, and file, line, severity and kind of all that is not of the machine."""
    done = pybuild.try_("doctor", "--json", *words)
    found = json.loads(done.stdout)["findings"]
    return done.returncode, [(f["file"], f["line"], f["severity"], f["kind"]) for f in found if f["file"]]


def test_base_images_are_looked_for_where_they_would_be_had(pybuild: Pybuild) -> None:
    pybuild("import", "--from-host", "sh", "here")
    pybuild.file("p/Dockerfile", "FROM here\nRUN true\n")
    with FakeRegistry() as registry:
        pybuild.file("p/web.Dockerfile", f"FROM {registry.address}/nothing:1\n")
        status, found = findings(pybuild, "p")
        assert (status, found) == (1, [("web.Dockerfile", 1, "error", "image")])
        assert [asked.path for asked in registry.asked] == ["/v2/nothing/manifests/1"]
        assert findings(pybuild, "--offline", "p") == (0, [])
    status, found = findings(pybuild, "p")
    assert (status, found) == (0, [("web.Dockerfile", 1, "warning", "image")]), "it cannot be reached"


def test_findings_are_shown_by_file_and_obey_nobody(pybuild: Pybuild) -> None:
    pybuild.file("p/\x1b[2Jred.sh", "docker build --nonsense .\n")
    pybuild.file("p/Dockerfile", "# syntax=a\x1b]0;b\x07\nFROM scratch\n")
    done = pybuild.try_("doctor", "--offline", "p")
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert "\n     1  error   pybuild build has no option --nonsense\n" in done.stdout
    assert done.stdout.endswith("1 note\n") or "2 errors, 0 warnings" in done.stdout


def test_what_is_no_project_is_told(pybuild: Pybuild) -> None:
    for words in (("nowhere",), (".",)):
        done = pybuild.try_("doctor", *words)
        assert done.returncode == 4, done.stderr
