"""Cache mounts in the hands of a user: listed, entered, removed, carried from store to store."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from builder.digest import Digest
from builder.image.cachemount import PACK, About, Contents, PackFacts, manifest
from builder.image.descriptor import Descriptor
from builder.image.manifest import Index, IndexEntry
from builder.image.mediatypes import OCI_MANIFEST
from builder.layers.compress import packed
from builder.layers.entry import Entry, Kind
from builder.layers.tarwrite import header
from tests.support.program import Pybuild
from tests.support.registry import Registry
from tests.support.waiting import wait_for

FILL = """FROM base
RUN --mount=type=cache,id=pip,target=/c mkdir -p /c/d && cd /c && seq 9 > d/numbers && chown 7:8 d && chmod 750 d \
    && ln d/numbers twin && ln -s d/numbers link && chmod 4755 twin && mkfifo pipe
"""
LOOK = """FROM base
ARG TIME
RUN --mount=type=cache,id=pip,target=/c cd /c && ls -ln --full-time . d && cat twin && [ d/numbers -ef twin ]
"""


@pytest.fixture
def based(pybuild: Pybuild) -> Pybuild:
    pybuild.base()
    return pybuild


@pytest.fixture
def other(pybuild: Pybuild, tmp_path: Path) -> Pybuild:
    """The same user with another store."""
    found = Pybuild(tmp_path / "other", pybuild.work)
    found.base()
    return found


def listed(pybuild: Pybuild, *filters: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        pybuild("cache", "mount", "ls", "--format", "json", *(word for f in filters for word in ("--filter", f)))
    )
    return found


def seen(pybuild: Pybuild) -> list[str]:
    """What a step sees in the cache mount."""
    lines = pybuild.build(LOOK, "--no-cache").ok().err.splitlines()
    return [line.split(" ", 2)[2] for line in lines if line.startswith("#") and line.split(" ")[1][:1].isdigit()]


def text(pybuild: Pybuild, script: str, cache: str = "pip") -> str:
    return pybuild("cache", "mount", "shell", "--image", "base", cache, "-c", script)


# --- looked at -------------------------------------------------------------------------------------


def test_they_are_listed_with_where_they_are_used(based: Pybuild) -> None:
    assert based("cache", "mount", "ls").split() == [
        "CACHE", "ID", "NAME", "TARGET", "SHARING", "SIZE", "FILES", "LAST", "USED", "IN", "USE",
    ]  # fmt: skip
    based.build(FILL + "RUN --mount=type=cache,target=/apt,sharing=locked touch /apt/x\n").ok()
    based.build("FROM base\n\nRUN --mount=type=cache,id=pip,target=/elsewhere,sharing=private false\n")
    pip, apt = listed(based)
    assert (apt["Name"], apt["Files"], apt["InUse"], apt["Owner"], apt["Mode"]) == ("/apt", 1, False, "0:0", "755")
    assert [(use["Place"], use["Target"], use["Sharing"]) for use in pip["UsedBy"]] == [
        ("Buildfile:3", "/elsewhere", "private"), ("Buildfile:2", "/c", "shared"),
    ]  # fmt: skip
    assert time.time() - 60 < pip["Created"] <= pip["LastUsed"] <= time.time()
    assert pip["Size"] >= 4096 * 3
    lines = based("cache", "mount", "ls").splitlines()
    assert lines[1].split()[:4] == [pip["ID"][:12], "pip", "/elsewhere,/c", "private,shared"]
    assert based("cache", "mount", "ls", "-q").split() == [pip["ID"][:12], apt["ID"][:12]]
    assert based("cache", "mount", "ls", "-q", "--no-trunc").split() == [pip["ID"], apt["ID"]]
    shown = based("cache", "mount", "show", pip["ID"][:6])
    assert "Used by:    Buildfile:3 at /elsewhere, private" in shown
    assert "Begins:     empty, mode 755, owner 0:0" in shown
    assert json.loads(based("cache", "mount", "show", "--format", "json", "pip"))["ID"] == pip["ID"]


def test_the_list_is_filtered_as_asked(based: Pybuild) -> None:
    based.build(FILL + "RUN --mount=type=cache,target=/apt,sharing=locked touch /apt/x\n").ok()
    for filters, names in (
        (("id=ip",), ["pip"]),
        (("target=/apt",), ["/apt"]),
        (("sharing=locked", "sharing=shared"), ["/apt", "pip"]),
        (("sharing=locked", "target=/c"), []),
        (("in-use=true",), []),
        (("in-use=false", "id=apt"), ["/apt"]),
    ):
        assert [row["Name"] for row in listed(based, *filters)] == names
    for wrong in ("colour=red", "id", "in-use=maybe"):
        done = based.try_("cache", "mount", "ls", "-f", wrong)
        assert done.returncode == 2
        assert f"--filter {wrong} is not known" in done.stderr


def test_what_is_not_there_or_not_clear_is_said(based: Pybuild) -> None:
    based.build(
        "FROM base\nRUN --mount=type=cache,id=x,target=/c true\nRUN --mount=type=cache,id=x,target=/c,mode=700 true\n"
    ).ok()
    for words in (("show", "nothing"), ("rm", "nothing"), ("export", "nothing", "f"), ("shell", "nothing", "-c", ":")):
        done = based.try_("cache", "mount", *words)
        assert "there is no cache mount nothing" in done.stderr
        assert done.returncode == (125 if words[0] == "shell" else 4)
    done = based.try_("cache", "mount", "show", "x")
    assert done.returncode == 2
    assert "2 cache mounts are called x" in done.stderr
    name = listed(based)[0]["ID"][:12]
    assert name in done.stderr
    assert based("cache", "mount", "rm", name).startswith(f"Removed: {name} x, 4.1kB freed")


# --- entered ---------------------------------------------------------------------------------------


def test_a_shell_sees_and_changes_it(based: Pybuild) -> None:
    based.build(FILL).ok()
    assert text(based, "pwd; cat twin; stat -c '%u:%g %a' d; id -u") == f"/c\n{NUMBERS}7:8 750\n0\n"
    assert text(based, "echo more >> twin; tail -1 d/numbers") == "more\n"
    assert based("cache", "mount", "shell", "--target", "/new", "pip", "--", "cat", "/new/d/numbers").endswith("more\n")
    of_image = ("--image", "base", "-e", "WORD=hello", "pip", "-c", "echo $WORD; ls -1; ls /bin/busybox")
    assert based("cache", "mount", "shell", *of_image) == "hello\nd\nlink\npipe\ntwin\n/bin/busybox\n"
    done = based.try_("cache", "mount", "shell", "pip", input=b"touch typed\nexit 3\n")
    assert done.returncode == 3
    assert "typed" in text(based, "ls")
    for words, said in ((("--image", "none"), "none"), (("--target", "c"), "is not an absolute path")):
        done = based.try_("cache", "mount", "shell", *words, "pip", "-c", ":")
        assert done.returncode == 125
        assert said in done.stderr


NUMBERS = "".join(f"{n}\n" for n in range(1, 10))


# --- carried ---------------------------------------------------------------------------------------


def carried_by_file(one: Pybuild, other: Pybuild, *name: str) -> None:
    one("cache", "mount", "export", "pip", "pip.tar")
    other("cache", "mount", "import", "pip.tar", *name)


def carried_by_directory(one: Pybuild, other: Pybuild, *name: str) -> None:
    one("cache", "mount", "export", "pip", "made/cache/")
    other("cache", "mount", "import", "made/cache", *name)


def carried_by_pipe(one: Pybuild, other: Pybuild, *name: str) -> None:
    with subprocess.Popen(
        one.command("cache", "mount", "export", "pip", "-"), cwd=one.work, env={**os.environ, **one.env},
        stdout=subprocess.PIPE,
    ) as sender:  # fmt: skip
        done = subprocess.run(
            other.command("cache", "mount", "import", "-", *name), cwd=other.work, env={**os.environ, **other.env},
            stdin=sender.stdout, capture_output=True, check=True,
        )  # fmt: skip
    assert sender.returncode == 0
    assert b"Imported: " in done.stdout


def test_a_step_in_another_store_sees_what_was_there_whichever_way_it_went(based: Pybuild, other: Pybuild) -> None:
    based.build(FILL).ok()
    expected, (name,) = seen(based), [row["ID"] for row in listed(based)]
    assert any("rwsr-xr-x    2 0        0" in line for line in expected)
    assert any("drwxr-x---    2 7        8" in line for line in expected)
    for way in (carried_by_file, carried_by_directory, carried_by_pipe):
        way(based, other)
        assert seen(other) == expected
        assert other("cache", "mount", "rm", name)


def test_archives_are_the_same_and_layouts_that_others_read(based: Pybuild, other: Pybuild) -> None:
    based.build(FILL).ok()
    carried_by_file(based, other)
    other("cache", "mount", "export", "pip", "again.tar")
    assert (other.work / "again.tar").read_bytes() == (other.work / "pip.tar").read_bytes()
    based("cache", "mount", "export", "pip", "layout/")
    layout = based.work / "layout"
    index = json.loads((layout / "index.json").read_bytes())
    assert index["manifests"][0]["annotations"]["pybuild.cachemount.id"] == "pip"
    manifest = json.loads(blob(layout, index["manifests"][0]["digest"]))
    packs = b"".join(blob(layout, layer["digest"]) for layer in manifest["layers"])
    done = subprocess.run(["tar", "--zstd", "-tvf", "-"], input=packs, capture_output=True, check=True)
    assert b"drwxr-x--- 7/8" in done.stdout
    with tarfile.open(based.work / "pip.tar") as archive:
        assert sorted(archive.getnames()) == sorted(
            str(path.relative_to(layout)) for path in layout.rglob("*") if path.is_file()
        )


def blob(layout: Path, digest: str) -> bytes:
    return (layout / "blobs" / digest.replace(":", "/")).read_bytes()


def many(pybuild: Pybuild) -> None:
    """5,000 files of 4 KiB in the cache mount, which cannot be compressed."""
    pybuild.build("FROM base\nRUN --mount=type=cache,id=pip,target=/c true\n").ok()
    top = first(pybuild)
    for number in range(5000):
        path = top / str(number % 50) / f"f{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(os.urandom(4096))


def test_what_has_not_changed_is_neither_written_nor_unpacked(based: Pybuild, other: Pybuild) -> None:
    many(based)
    said = based.try_("cache", "mount", "export", "pip", "ci/").stderr
    assert said.startswith("20.8MB written; "), said
    before = set(os.listdir(based.work / "ci/blobs/sha256"))
    other("cache", "mount", "import", "ci", "pip")
    text(based, "echo new > 7/f107")
    last = based.try_("cache", "mount", "export", "pip", "ci/").stderr
    new = set(os.listdir(based.work / "ci/blobs/sha256")) - before
    sizes = [(based.work / "ci/blobs/sha256" / name).stat().st_size for name in new]
    assert sum(sizes) < 2_000_000, "config, manifest, and the pack of the file (and of its directory)"
    assert f"{len(list(before))}" not in last
    assert len(os.listdir(based.work / "ci/blobs/sha256")) == len(before), "what it no longer needs is gone"
    inode = "ls -i 20/f120; ls -i 7/f107"
    unchanged, changed = text(other, inode).splitlines()
    done = other.try_("cache", "mount", "import", "ci", "pip")
    assert 1 <= int(done.stderr.split()[0]) <= 3, done.stderr
    assert text(other, inode).splitlines()[0] == unchanged
    assert text(other, inode).splitlines()[1] != changed
    assert text(other, "cat 7/f107") == "new\n"
    assert other.try_("cache", "mount", "import", "ci", "pip").stderr.startswith("0 of ")
    assert based.try_("cache", "mount", "export", "pip", "ci/").stderr.startswith("0B written")


def test_a_directory_holds_several_and_an_id_says_which(based: Pybuild, other: Pybuild) -> None:
    based.build(FILL + "RUN --mount=type=cache,target=/apt echo apt > /apt/x\n").ok()
    for name in ("pip", "/apt"):
        based("cache", "mount", "export", name, "ci/")
    done = other.try_("cache", "mount", "import", "ci")
    assert done.returncode == 4
    assert "it has /apt, pip" in done.stderr
    other("cache", "mount", "import", "ci", "/apt")
    assert [row["Name"] for row in listed(other)] == ["/apt"]
    assert text(other, "cat x", "/apt") == "apt\n"
    based("cache", "mount", "export", "pip", "ci/")
    other("cache", "mount", "import", "ci", "pip")
    assert text(other, "cat x", "/apt") == "apt\n"
    # One alone may become another.
    based("cache", "mount", "export", "pip", "pip.tar")
    other("cache", "mount", "import", "pip.tar", "renamed")
    other("cache", "mount", "import", "pip.tar", listed(other, "id=/apt")[0]["ID"][:12])
    assert text(other, "cat twin", "renamed") == text(other, "cat twin", "/apt") == NUMBERS


def test_other_programs_carry_them_as_they_carry_images(based: Pybuild, other: Pybuild, tmp_path: Path) -> None:
    based.build(FILL + "RUN --mount=type=cache,target=/apt echo apt > /apt/x\n").ok()
    based("cache", "mount", "export", "pip", "mine/")
    (tmp_path / "registry").mkdir()
    with Registry(tmp_path / "registry") as registry:
        for option, source, target in (
            ("--dest-tls-verify=false", "oci:mine", f"docker://{registry.address}/pip"),
            ("--src-tls-verify=false", f"docker://{registry.address}/pip", "oci:theirs:tag"),
        ):
            subprocess.run(["skopeo", "copy", "-q", option, source, target], cwd=based.work, check=True)
    other("cache", "mount", "import", "theirs")
    assert text(other, "cat twin") == text(other, "cat d/numbers") == NUMBERS
    based("cache", "mount", "export", "/apt", "theirs/")
    other("cache", "mount", "import", "theirs", "/apt")
    other("cache", "mount", "import", "theirs", "pip")
    assert [row["Name"] for row in listed(other)] == ["pip", "/apt"]


def test_import_replaces_or_merges(based: Pybuild) -> None:
    based.build(FILL).ok()
    based("cache", "mount", "export", "pip", "pip.tar")
    change = "echo own > own; echo other > d/numbers; rm link; mkdir -p e/f; touch e/f/g"
    text(based, change)
    based("cache", "mount", "import", "--merge", "pip.tar", "pip")
    assert text(based, "find . | sort; cat own twin") == (
        ".\n./d\n./d/numbers\n./e\n./e/f\n./e/f/g\n./link\n./own\n./pipe\n./twin\nown\n" + NUMBERS
    )
    based("cache", "mount", "import", "pip.tar", "pip")
    assert text(based, "find . | sort") == ".\n./d\n./d/numbers\n./link\n./pipe\n./twin\n"


def test_the_example_for_ci_works(based: Pybuild, other: Pybuild) -> None:
    page = (Path(__file__).parents[2] / "docs/cache.md").read_text()
    script = page.partition("```sh ci\n")[2].partition("```")[0]
    assert script.count("pybuild") == 3
    based.file("Buildfile", FILL.replace("mkdir -p /c/d", "ls /c; test ! -e /c/d && mkdir -p /c/d"))
    for runner in (based, other):
        if runner is other:
            other.file(
                "Buildfile", "FROM base\nRUN --mount=type=cache,id=pip,target=/c cat /c/twin && touch /c/second\n"
            )
        env = {**os.environ, "PATH": f"{Path(runner.prefix[0]).parent}:{os.environ['PATH']}"}
        subprocess.run(
            ["sh", "-ec", script], cwd=runner.work, env={**env, "PYBUILD_ROOT": str(runner.root)}, check=True
        )
    based("cache", "mount", "import", "ci-cache", "pip")
    assert "second" in text(based, "ls")


# --- as an ordinary user ---------------------------------------------------------------------------


def test_an_ordinary_user_and_root_carry_to_each_other(based: Pybuild, as_user: Pybuild) -> None:
    as_user.base()
    as_user.build(FILL).ok()
    expected = seen(as_user)
    assert any("drwxr-x---    2 7        8" in line for line in expected)
    as_user("cache", "mount", "export", "pip", "pip.tar")
    based("cache", "mount", "import", str(as_user.work / "pip.tar"))
    assert seen(based) == expected
    as_user("cache", "mount", "rm", "pip")
    with (as_user.work / "pip.tar").open("rb") as file:
        as_user("cache", "mount", "import", "-", input=file.read())
    assert seen(as_user) == expected
    assert as_user("cache", "mount", "shell", "pip", "-c", "stat -c %u:%g d; touch new") == "7:8\n"
    as_user("cache", "mount", "export", "pip", "kept/")
    as_user("cache", "mount", "export", "pip", "kept/")
    assert (as_user.work / "kept/index.json").stat().st_uid == as_user.work.stat().st_uid
    assert as_user("cache", "mount", "rm", "pip").endswith("freed\n")
    assert listed(as_user) == []
    assert not list((as_user.root / "cachemounts").iterdir())


def test_owners_are_kept_where_they_are_only_recorded(based: Pybuild, as_user: Pybuild) -> None:
    from tests.support.user import without_ids

    based.build(FILL).ok()
    based("cache", "mount", "export", "pip", str(as_user.work / "pip.tar"))
    (as_user.work / "pip.tar").chmod(0o644)
    lone = without_ids(as_user)
    lone.base()
    lone("cache", "mount", "import", "pip.tar")
    assert seen(lone) == seen(based)
    assert text(lone, "stat -c %u:%g d") == "7:8\n"
    lone("cache", "mount", "export", "pip", "again.tar")
    assert (as_user.work / "again.tar").read_bytes() == (as_user.work / "pip.tar").read_bytes()


# --- side by side ----------------------------------------------------------------------------------


@pytest.fixture
def held(based: Pybuild) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts a build whose step has a cache mount until the file `end` is in it; gives its process."""
    builds: list[subprocess.Popen[bytes]] = []

    def start(sharing: str) -> subprocess.Popen[bytes]:
        based.file(
            "Held",
            f"FROM base\nRUN --mount=type=cache,id=pip,target=/c,sharing={sharing} touch /c/begun; "
            "while [ ! -e /c/end ]; do sleep 0.05; done; rm /c/end /c/begun; touch /c/done\n",
        )
        builds.append(based.start("build", "--no-cache", "--progress", "plain", "-f", "Held", "."))
        directory = based.root / "cachemounts" / listed(based)[0]["ID"] / "0"
        wait_for((directory / "begun").exists)
        return builds[-1]

    yield start
    for build in builds:
        if build.poll() is None:
            build.send_signal(signal.SIGINT)
        build.communicate(timeout=20)


def first(pybuild: Pybuild) -> Path:
    return pybuild.root / "cachemounts" / listed(pybuild)[0]["ID"] / "0"


def test_a_step_that_shares_lets_others_read_and_keeps_them_from_changing(
    based: Pybuild, other: Pybuild, held: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    based.build(FILL).ok()
    carried_by_file(based, other)
    build = held("shared")
    assert [row["InUse"] for row in listed(based)] == [True]
    assert text(based, "ls begun") == "begun\n"
    based("cache", "mount", "export", "pip", "live.tar")
    other("cache", "mount", "import", "live.tar", "live")
    assert text(other, "ls begun", "live") == "begun\n"
    for words in (("rm", "pip"), ("import", "--wait", "0s", "pip.tar", "pip")):
        done = based.try_("cache", "mount", *words)
        assert done.returncode == 6
        assert "cache mount pip is in use by a step or another command" in done.stderr
    began = time.monotonic()
    done = based.try_("cache", "mount", "import", "--wait", "1.3s", "pip.tar", "pip")
    assert done.returncode == 6
    assert 1.2 < time.monotonic() - began < 10
    assert "waiting up to 1.3 s for cache mount pip, which is in use" in done.stderr
    importer = based.start("cache", "mount", "import", "--wait", "60s", "pip.tar", "pip")
    assert importer.stderr is not None
    assert b"waiting" in importer.stderr.readline()
    text(based, "touch end")
    assert build.wait(20) == 0
    assert importer.wait(20) == 0
    importer.communicate()
    assert not (first(based) / "done").exists()
    assert "twin" in text(based, "ls")


def test_who_has_it_alone_is_waited_for(based: Pybuild, held: Callable[[str], subprocess.Popen[bytes]]) -> None:
    based.build(FILL).ok()
    build = held("locked")
    for words in (("export", "--wait", "100ms", "pip", "x.tar"), ("shell", "--wait", "0s", "pip", "-c", "true")):
        done = based.try_("cache", "mount", *words)
        assert done.returncode == (125 if words[0] == "shell" else 6)
        assert "cache mount pip is in use" in done.stderr
    assert not (based.work / "x.tar").exists()
    waiting = based.start("build", "--progress", "plain", "-f", "Buildfile", "--no-cache", ".")
    (based.work / "Buildfile").write_text(FILL)
    (first(based) / "end").touch()
    assert build.wait(20) == 0
    waiting.communicate(timeout=20)
    based("cache", "mount", "export", "pip", "x.tar")


def test_a_locked_step_says_that_it_waits(based: Pybuild, held: Callable[[str], subprocess.Popen[bytes]]) -> None:
    based.build(FILL).ok()
    held("locked")
    based.file("Wait", "FROM base\nRUN --mount=type=cache,id=pip,target=/c,sharing=locked cat /c/done && rm /c/done\n")
    waiting = based.start("build", "--progress", "plain", "-f", "Wait", ".")
    until_said(waiting, b"waiting for cache mount pip, which is in use")
    (first(based) / "end").touch()
    assert waiting.wait(20) == 0
    waiting.communicate()


def test_a_step_that_begins_while_it_is_changed_waits_and_sees_what_it_was_changed_to(based: Pybuild) -> None:
    based.build(FILL).ok()
    based.file("Look", "FROM base\nRUN --mount=type=cache,id=pip,target=/c cat /c/imported\n")
    with (first(based).parent / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert listed(based)[0]["InUse"]
        step = based.start("build", "--progress", "plain", "-f", "Look", ".")
        until_said(step, b"waiting for cache mount pip, which is in use")
        (first(based) / "imported").write_text("it is here\n")
    assert b"it is here" in step.communicate(timeout=20)[1]
    assert step.returncode == 0


def until_said(process: subprocess.Popen[bytes], words: bytes) -> None:
    """Read standard error until `words` stand there."""
    assert process.stderr is not None
    said = b""
    while words not in said:
        line = process.stderr.readline()
        assert line, said
        said += line


@pytest.mark.parametrize(("where", "new"), [("cachemount:unpacked", False), ("cachemount:swapped", True)])
def test_a_killed_import_has_changed_all_or_nothing(based: Pybuild, other: Pybuild, where: str, new: bool) -> None:
    based.build(FILL).ok()
    carried_by_file(based, other)
    text(other, "rm -r d twin; echo old > old")
    before, there = text(other, "ls -lR --full-time"), text(based, "ls -lR --full-time")
    done = other.try_("cache", "mount", "import", "pip.tar", "pip", PYBUILD_POINT=f"{where}=kill")
    assert done.returncode == 7
    assert text(other, "ls -lR --full-time") == (there if new else before)
    assert not list((other.root / "tmp").iterdir())
    assert not listed(other)[0]["InUse"]
    other("cache", "mount", "rm", "pip")
    done = other.try_("cache", "mount", "import", "pip.tar", "fresh", PYBUILD_POINT=f"{where}=kill")
    assert [row["Name"] for row in listed(other)] == (["fresh"] if new else [])
    other("cache", "mount", "import", "pip.tar", "fresh")
    assert text(other, "ls -lR --full-time", "fresh") == there
    other.try_("cache", "mount", "rm", "fresh", PYBUILD_POINT="cachemount:removing=kill")
    assert text(other, "ls -lR --full-time", "fresh") == there


def test_rm_with_force_takes_it_from_others_and_not_from_the_step_that_has_it(
    based: Pybuild, held: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    based.build(FILL).ok()
    build = held("shared")
    done = based("cache", "mount", "rm", "--force", "pip")
    assert "0B freed; " in done
    assert "more when the step that uses it ends" in done
    assert listed(based) == []
    parked = next(path for path in (based.root / "tmp").glob("active-*") if (path / "begun").exists())
    based.build("FROM base\nRUN --mount=type=cache,id=pip,target=/c [ -z $(ls /c) ]\n").ok()
    assert (parked / "twin").exists()
    (parked / "end").touch()
    assert build.wait(20) == 0
    based("cache", "mount", "ls")
    assert not list((based.root / "tmp").iterdir())


# --- bad input -------------------------------------------------------------------------------------


def test_what_is_no_archive_of_a_cache_mount_is_refused_and_changes_nothing(based: Pybuild, other: Pybuild) -> None:
    based.build(FILL).ok()
    carried_by_directory(based, other)
    before = text(other, "ls -lR --full-time; cat twin")
    layout = based.work / "made/cache"
    index = json.loads((layout / "index.json").read_bytes())
    manifest = json.loads(blob(layout, index["manifests"][0]["digest"]))
    pack = layout / "blobs" / manifest["layers"][0]["digest"].replace(":", "/")
    good = pack.read_bytes()
    text(other, "echo changed > d/numbers")
    changed = text(other, "ls -lR --full-time; cat twin")

    def refused(said: str, source: str = "made/cache", **options: Any) -> None:
        done = other.try_("cache", "mount", "import", source, "pip", **options)
        assert done.returncode in (4, 5), done.stderr
        assert said in done.stderr, done.stderr
        assert text(other, "ls -lR --full-time; cat twin") == changed
        assert not list((other.root / "tmp").iterdir())

    pack.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    refused("damaged")
    pack.write_bytes(good[:100])
    refused("")
    pack.unlink()
    refused("lacks blob")
    pack.write_bytes(good)
    refused("not an image archive", "-", input=b"nonsense")
    refused("does not exist", "nothing.tar")
    based("save", "base", "-o", "image.tar", "--format", "oci")
    refused("holds no cache mount", "image.tar")
    (layout / "index.json").write_text("{")
    refused("")
    assert before != changed


def crafted(directory: Path, tar: bytes, **said: Any) -> str:
    """An archive whose documents are right, of one pack that holds `tar`, or is `said` to be otherwise."""
    frame = packed(tar)
    facts = PackFacts(said.get("diff_id", str(Digest.of(tar))), said.get("size", len(tar)))
    config = Contents(1, About("evil"), 1, (facts,)).to_json()
    document = manifest(config, (Descriptor(PACK, Digest.of(frame), len(frame)),))
    index = Index((IndexEntry(Descriptor(OCI_MANIFEST, Digest.of(document), len(document))),))
    directory.mkdir()
    (directory / "blobs/sha256").mkdir(parents=True)
    for data in (frame, config, document):
        (directory / f"blobs/sha256/{Digest.of(data).hex}").write_bytes(data)
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (directory / "index.json").write_bytes(index.to_json())
    return str(directory)


def test_an_archive_made_to_deceive_is_refused_whole(as_user: Pybuild) -> None:
    inside = header(Entry("in", Kind.FILE, 0o644))
    cases: list[tuple[bytes, str, dict[str, Any]]] = [
        (inside + header(Entry("../../out", Kind.FILE)), "climbs out", {}),
        (inside + header(Entry("l", Kind.SYMLINK, link="/")) + header(Entry("l/tmp/out", Kind.FILE)), "leads out", {}),
        (inside + header(Entry("sda", Kind.BLOCK, device=(8, 0))), "is a device", {}),
        (inside, "is damaged: it unpacks to", {"diff_id": str(Digest.of(b""))}),
        (bytes(15 << 20), "does not hold the 1024 bytes", {"size": 1024}),
        (inside, "a pack of 33554432 bytes", {"size": 32 << 20}),
    ]
    for number, (tar, said, options) in enumerate(cases):
        source = crafted(as_user.work / f"evil{number}", tar, **options)
        done = as_user.try_("cache", "mount", "import", source)
        assert done.returncode == 5, done.stderr
        assert said in done.stderr, done.stderr
    assert listed(as_user) == []
    assert not list((as_user.root / "tmp").iterdir())
    assert not list((as_user.root / "cachemounts").iterdir())
    as_user("cache", "mount", "import", crafted(as_user.work / "good", inside))
    assert [row["Files"] for row in listed(as_user)] == [1]


def test_an_export_mends_what_is_damaged_where_it_goes(based: Pybuild, other: Pybuild) -> None:
    based.build(FILL).ok()
    carried_by_directory(based, other)
    for path in (based.work / "made/cache/blobs/sha256").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    assert other.try_("cache", "mount", "import", "made/cache").returncode == 5
    carried_by_directory(based, other, "mended")
    assert text(other, "cat twin", "mended") == NUMBERS
    (layer, *_) = [path for path in (based.work / "made/cache/blobs/sha256").iterdir() if path.stat().st_size < 300]
    layer.write_bytes(b"")
    carried_by_directory(based, other, "again")


def test_an_export_that_cannot_be_written_leaves_nothing(based: Pybuild) -> None:
    based.build(FILL).ok()
    based.file("file", "mine")
    for destination in ("file/", "nowhere/pip.tar"):
        done = based.try_("cache", "mount", "export", "pip", destination)
        assert done.returncode == 1
        assert "cannot write" in done.stderr
    done = based.try_("cache", "mount", "export", "pip", ".")
    assert done.returncode == 2
    assert ". is not empty and no image layout" in done.stderr
    assert sorted(os.listdir(based.work)) == ["Buildfile", "file"]
    assert (based.work / "file").read_text() == "mine"


def test_what_others_have_in_a_layout_stays(based: Pybuild, tmp_path: Path) -> None:
    based.build(FILL, "-t", "app", "-o", "type=oci,dest=layout,tar=false").ok()
    layout = based.work / "layout"
    before = {path: path.read_bytes() for path in layout.rglob("*") if path.is_file() and path.name != "index.json"}
    for _ in range(2):
        based("cache", "mount", "export", "pip", "layout")
        text(based, "touch another")
    assert all(path.read_bytes() == data for path, data in before.items())
    assert len(json.loads((layout / "index.json").read_bytes())["manifests"]) == 2
    new = Pybuild(tmp_path / "new", based.work)
    new("cache", "mount", "import", "layout", "pip")
    assert [row["Name"] for row in listed(new)] == ["pip"]
    done = based.try_("cache", "mount", "export", "pip", str(based.root))
    assert done.returncode == 2
    assert "is a store" in done.stderr
