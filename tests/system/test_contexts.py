"""Build contexts that are no directory of this machine, named contexts, and what `context ls` says of them."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.program import Pybuild
from tests.support.rootfs import directory, member, tar
from tests.support.web import Repository, Site, site

RECIPE = b"FROM scratch\nCOPY . /all/\n"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "repositories") as found:
        yield found


def files(pybuild: Pybuild, *arguments: str, input: bytes | None = None) -> dict[str, str]:
    """What an image built with these arguments holds: files' text and links' targets."""
    pybuild("build", "-o", "type=tar,dest=flat.tar", *arguments, input=input)
    assert os.listdir(pybuild.root / "tmp") == []
    found = {}
    with tarfile.open(pybuild.work / "flat.tar") as archive:
        for entry in archive:
            file = archive.extractfile(entry) if entry.isreg() else None
            if not entry.isdir():
                found[entry.name] = entry.linkname if file is None else file.read().decode(errors="replace")
    return found


# --- the main context ----------------------------------------------------------------------------


def archive(*more: tuple[tarfile.TarInfo, bytes]) -> bytes:
    return tar(
        directory("./"),
        member("./Buildfile", RECIPE),
        member("./other/recipe", b"FROM scratch\nCOPY dir /\n"),
        member("./dir/file", b"in", uid=1234, mode=0o604),
        member("./.dockerignore", b"dir\n"),
        *more,
    )


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_an_archive_on_standard_input(pybuild: Pybuild, pack: object) -> None:
    data = pack(archive())  # type: ignore[operator]
    assert files(pybuild, "-", input=data) == {
        "all/Buildfile": RECIPE.decode(),
        "all/other/recipe": "FROM scratch\nCOPY dir /\n",
        "all/dir/file": "in",
        "all/.dockerignore": "dir\n",
    }
    with tarfile.open(pybuild.work / "flat.tar") as flat:
        packed = flat.getmember("all/dir/file")
        assert (packed.uid, packed.gid, packed.mode) == (0, 0, 0o604)
    assert files(pybuild, "-f", "other/recipe", "-", input=data) == {"file": "in"}
    pybuild.file("mine", "FROM scratch\nCOPY dir/file /mine\n")
    assert files(pybuild, "-f", str(pybuild.work / "mine"), "-", input=data) == {"mine": "in"}


def test_the_same_archive_again_is_cached(pybuild: Pybuild) -> None:
    pybuild("build", "-", input=archive())
    again = pybuild.try_("build", "--progress", "plain", "-", input=gzip.compress(archive()))
    assert again.returncode == 0
    assert "1 of 1 steps cached" in again.stderr


def test_a_buildfile_on_standard_input_has_no_context(pybuild: Pybuild) -> None:
    pybuild.file("here", "x")
    assert files(pybuild, "-", input=b"FROM scratch\nCOPY <<f /f\ntext\nf\n") == {"f": "text\n"}
    missing = pybuild.try_("build", "-", input=b"FROM scratch\nCOPY here /\n")
    assert missing.returncode == 4
    assert "<stdin>:2" in missing.stderr
    assert pybuild.try_("build", "-f", "other", "-", input=b"FROM scratch\n").returncode == 2
    assert pybuild.try_("build", "-f", "-", "-", input=b"FROM scratch\n").returncode == 2
    assert pybuild.try_("build", "-f", "missing", "-", input=archive()).returncode == 4


def test_links_of_an_archive_lead_nowhere_else(pybuild: Pybuild, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    up = "../" * 20 + str(secret).lstrip("/")
    links = (
        member("absolute", kind=tarfile.SYMTYPE, link=str(secret)),
        member("relative", kind=tarfile.SYMTYPE, link=up),
        member("Linked", kind=tarfile.SYMTYPE, link=str(secret)),
    )
    assert files(pybuild, "-", input=archive(*links))["all/absolute"] == str(secret)
    for name in ("absolute", "relative"):
        recipe = member("Buildfile", f"FROM scratch\nCOPY {name} /\n".encode())
        assert pybuild.try_("build", "-", input=tar(*links, recipe)).returncode == 4
    refused = pybuild.try_("build", "-f", "Linked", "-", input=archive(*links))
    assert refused.returncode == 4
    assert "secret" not in refused.stderr


@pytest.mark.parametrize(
    "entry",
    [
        member("../out", b"x"),
        member("through/x", b"x"),
        member("hard", kind=tarfile.LNKTYPE, link="../../etc/passwd"),
    ],
    ids=lambda entry: entry[0].name,
)
def test_an_archive_writes_nowhere_else(pybuild: Pybuild, entry: tuple[tarfile.TarInfo, bytes]) -> None:
    link = member("through", kind=tarfile.SYMTYPE, link="/")
    built = pybuild.try_("build", "-", input=archive(link, entry))
    assert built.returncode == 5, built.stderr
    assert os.listdir(pybuild.root / "tmp") == []


def test_an_absolute_name_of_an_archive_lies_in_it(pybuild: Pybuild) -> None:
    assert files(pybuild, "-", input=archive(member("/absolute", b"x")))["all/absolute"] == "x"
    assert not os.path.lexists("/absolute")


def test_what_a_crash_left_of_a_context_is_swept(pybuild: Pybuild) -> None:
    data = archive()
    pybuild("build", "-", input=data)
    left = pybuild.root / "tmp" / "active-0123456789abcdef"
    (left / "files").mkdir(parents=True)
    (left / "files" / "x").write_text("x")
    left.with_suffix(".lock").touch()
    pybuild("build", "--no-cache", "-", input=data)
    assert os.listdir(pybuild.root / "tmp") == []


def test_a_url_is_an_archive_or_a_buildfile(pybuild: Pybuild, web: Site) -> None:
    packed = web.put("/context.tar.gz", gzip.compress(archive()), headers={"ETag": '"a"'})
    single = web.put("/recipe", "FROM scratch\nCOPY . /\n")
    assert files(pybuild, packed)["all/dir/file"] == "in"
    assert files(pybuild, "-f", "other/recipe", packed) == {"file": "in"}
    assert web.sent("/context.tar.gz") == 1
    assert files(pybuild, single) == {"context": "FROM scratch\nCOPY . /\n"}
    assert pybuild.try_("build", web.url + "/none").returncode == 8


def test_a_git_reference_is_a_context(pybuild: Pybuild, web: Site) -> None:
    repository = Repository(web)
    repository.commit({"Buildfile": RECIPE.decode(), "sub/Buildfile": "FROM scratch\nCOPY . /sub\n", "sub/f": "one"})
    repository("branch", "old")
    repository.commit({"sub/f": "two"})
    url = repository.url
    assert files(pybuild, url)["all/sub/f"] == "two"
    assert files(pybuild, f"{url}#old:sub") == {"sub/Buildfile": "FROM scratch\nCOPY . /sub\n", "sub/f": "one"}
    assert files(pybuild, "-f", "sub/Buildfile", url)["sub/sub/f"] == "two"
    assert "all/.git/HEAD" in files(pybuild, "--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1", url)
    assert pybuild.try_("build", f"{url}#old:none").returncode == 4


def test_a_context_that_is_nothing_is_an_error(pybuild: Pybuild) -> None:
    assert "does not exist" in pybuild.try_("build", "./none").stderr
    pybuild.file("file", "")
    assert "is no directory" in pybuild.try_("build", "./file").stderr


# --- named contexts ------------------------------------------------------------------------------


def named(pybuild: Pybuild, buildfile: str, *contexts: str) -> dict[str, str]:
    pybuild.file("Buildfile", buildfile)
    options = [word for context in contexts for word in ("--build-context", context)]
    return files(pybuild, *options, ".")


def test_a_directory_is_a_context_with_an_ignore_file_of_its_own(pybuild: Pybuild) -> None:
    pybuild.file("lib/a.txt", "a")
    pybuild.file("lib/b.log", "b")
    pybuild.file("lib/.dockerignore", "*.log\n.dockerignore\n")
    pybuild.file(".dockerignore", "*.txt\n")
    pybuild.base()
    recipe = "FROM base AS run\nRUN --mount=from=lib,target=/m cp -r /m /out\nFROM scratch\nCOPY --from=lib . /c/\n"
    found = named(pybuild, f"{recipe}COPY --from=run /out /r/\n", "lib=lib")
    assert found == {"c/a.txt": "a", "r/a.txt": "a"}
    assert named(pybuild, "FROM lib\nCOPY --from=lib a.txt /b.txt\n", "lib=lib") == {"a.txt": "a", "b.txt": "a"}
    hidden = pybuild.try_(
        "build", "--build-context", "lib=lib", "-f", "-", ".", input=b"FROM lib\nCOPY --from=lib b.log /\n"
    )
    assert hidden.returncode == 4
    assert "lib/.dockerignore:1 (*.log)" in hidden.stderr


def test_only_what_is_named_of_a_context_counts(pybuild: Pybuild) -> None:
    pybuild.file("lib/used", "1")
    pybuild.file("lib/unused", "1")
    recipe = "FROM scratch\nCOPY --from=lib used /\n"
    assert pybuild.build(recipe, "--build-context", "lib=lib").ok().ran
    pybuild.file("lib/unused", "2")
    assert pybuild.build(recipe, "--build-context", "lib=lib").ok().ran == []
    pybuild.file("lib/used", "2")
    assert pybuild.build(recipe, "--build-context", "lib=lib").ok().ran


def test_a_context_takes_the_place_of_a_stage(pybuild: Pybuild) -> None:
    pybuild.file("lib/f", "from the context")
    recipe = "FROM missing AS Made\nRUN false\nFROM made\nCOPY --from=made f /again\nCOPY --from=0 f /third\n"
    text = "from the context"
    assert named(pybuild, recipe, "made=lib") == {"f": text, "again": text, "third": text}
    assert named(pybuild, "FROM missing AS made\nRUN false\n", "made=lib") == {"f": text}


def test_a_context_takes_the_place_of_an_image(pybuild: Pybuild) -> None:
    """Names compare as images' names do; `docker-image://scratch` is no files at all."""
    pybuild.file("f", "x")
    pybuild.build("FROM scratch\nCOPY f /mine\nENV A=1\nONBUILD COPY f /triggered\n", "-t", "mine").ok()
    recipe = """FROM alpine AS a
FROM docker.io/library/debian:latest AS b
FROM nothing AS c
COPY f /n
FROM mine
COPY --from=a / /a$A/
COPY --from=b / /b/
COPY --from=c / /c/
COPY --from=alpine:3 /mine /d
COPY --from=nothing / /e/
"""
    assert named(
        pybuild,
        recipe,
        "docker.io/library/alpine:latest=docker-image://mine",
        "debian=docker-image://docker.io/library/mine:latest",
        "nothing=docker-image://scratch",
        "alpine:3=docker-image://mine",
        "mine:3.18=docker-image://none",
    ) == {
        "mine": "x",
        "triggered": "x",
        "a1/mine": "x",
        "a1/triggered": "x",
        "b/mine": "x",
        "b/triggered": "x",
        "c/n": "x",
        "d": "x",
    }


def test_an_ordinary_user_takes_everything_from_everywhere(as_user: Pybuild, web: Site) -> None:
    repository = Repository(web)
    repository.commit({"program*": "#!"})
    url = web.put("/f", "url")
    recipe = f"FROM scratch\nADD {url} {repository.url} dir /\n"
    done = as_user.try_("build", "-t", "app", "-", input=archive(member("./Buildfile", recipe.encode())))
    assert done.returncode == 0, done.stderr
    as_user("save", "-o", "app.tar", "app")
    assert os.listdir(as_user.root / "tmp") == []
    built = as_user.try_("build", "-", input=archive(member("./private", b"", mode=0)))
    assert built.returncode == 5
    assert "private cannot be read" in built.stderr


def test_an_oci_layout_is_a_context(pybuild: Pybuild) -> None:
    pybuild.file("f", "x")
    pybuild.build("FROM scratch\nCOPY f /mine\n", "-o", "type=oci,dest=layout.tar", "-t", "mine:v1").ok()
    layout = pybuild.work / "deep" / "layout"
    layout.mkdir(parents=True)
    subprocess.run(["tar", "xf", pybuild.work / "layout.tar", "-C", layout], check=True)
    digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    found = named(
        pybuild,
        "FROM one\nCOPY --from=two /mine /2\nCOPY --from=three /mine /3\n",
        "one=oci-layout://deep/layout",
        "two=oci-layout://deep/layout:v1",
        f"three=oci-layout://{layout}@{digest}",
    )
    assert found == {"mine": "x", "2": "x", "3": "x"}
    pybuild.file("Buildfile", "FROM base\n")
    for suffix in (":v2", "@sha256:" + "0" * 64):
        assert pybuild.try_("build", "--build-context", f"base=oci-layout://deep/layout{suffix}", ".").returncode == 4


def test_urls_and_repositories_are_contexts(pybuild: Pybuild, web: Site) -> None:
    repository = Repository(web)
    repository.commit({"f": "git", "d/g": "git"})
    url = web.put("/some/name", "url")
    recipe = "FROM tree\nCOPY --from=file context /url\nCOPY --from=tree d /\n"
    found = named(pybuild, recipe, f"tree={repository.url}", f"file={url}")
    assert found == {"f": "git", "d/g": "git", "g": "git", "url": "url"}
    assert named(pybuild, "FROM file\n", f"file={url}") == {"context": "url"}


@pytest.mark.parametrize(
    ("context", "status"),
    [
        ("lib=none", 4),
        ("lib=Buildfile", 4),
        ("lib", 2),
        ("=lib", 2),
        ("scratch=lib", 2),
        ("UPPER=lib", 2),
        ("lib=docker-image://UPPER", 2),
        ("lib=target:other", 4),
    ],
)
def test_a_context_that_cannot_be_meant_is_refused(pybuild: Pybuild, context: str, status: int) -> None:
    pybuild.file("lib/f", "x")
    pybuild.file("Buildfile", "FROM scratch\nCOPY lib /\n")
    assert pybuild.try_("build", "--build-context", context, ".").returncode == status


def test_the_history_of_an_image_from_a_context_fits_its_layers(pybuild: Pybuild) -> None:
    pybuild.file("lib/f", "x")
    pybuild.build("FROM lib\nENV A=1\nCOPY lib /\n", "--build-context", "lib=lib", "-t", "app").ok()
    assert len(json.loads(pybuild("inspect", "app"))[0]["RootFS"]["Layers"]) == 2
    history = json.loads(pybuild("history", "--format", "json", "app"))
    assert [bool(row["size"]) for row in history] == [True, False, True]


# --- what a build would read ---------------------------------------------------------------------


@pytest.fixture
def project(pybuild: Pybuild) -> Pybuild:
    pybuild.file(".dockerignore", "# nothing of these\n*.md\nsrc/**/*.o\nbuild\n!build/keep\n")
    for name in ("README.md", "src/main.c", "src/a/x.o", "src/a/x.c", "build/drop", "build/keep", "unused"):
        pybuild.file(name, name)
    pybuild.file("lib/f", "lib")
    pybuild.file(
        "Buildfile",
        "FROM scratch AS other\nCOPY unused /\nFROM scratch\nCOPY src /src\nCOPY build src/m* /\n"
        "RUN --mount=target=/in,source=src/a true\nCOPY --from=lib . /\n",
    )
    return pybuild


def test_the_files_a_build_reads_are_listed(project: Pybuild) -> None:
    contexts = ("--build-context", "lib=lib")
    rows = json.loads(project("context", "ls", ".", *contexts, "--format", "json"))
    assert [(r["context"], r["path"], r["size"], r["taken_by"]) for r in rows] == [
        ("", "build/keep", 10, ["Buildfile:5"]),
        ("", "src/a/x.c", 9, ["Buildfile:4", "Buildfile:6"]),
        ("", "src/main.c", 10, ["Buildfile:4", "Buildfile:5"]),
        ("lib", "f", 3, ["Buildfile:7"]),
    ]
    assert project("context", "ls", *contexts, "--size").splitlines() == [
        "PATH         SIZE   TAKEN BY",
        "build/keep   10B    Buildfile:5",
        "src/a/x.c    9B     Buildfile:4, Buildfile:6",
        "src/main.c   10B    Buildfile:4, Buildfile:5",
        "lib:f        3B     Buildfile:7",
        "total        32B",
    ]
    assert "unused" in project("context", "ls", "--target", "other")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("README.md", "README.md is hidden by .dockerignore:2 (*.md)"),
        ("./src/a/../a/x.o", "src/a/x.o is hidden by .dockerignore:3 (src/**/*.o)"),
        ("src/a/x.c", "src/a/x.c: it is taken by Buildfile:4, Buildfile:6"),
        ("build/drop", "build/drop is hidden by .dockerignore:4 (build)"),
        ("build", "build is hidden by .dockerignore:4 (build), but not all in it: it is taken by Buildfile:5"),
        ("unused", "unused: nothing in the Buildfile takes it"),
        ("none", "none is not there"),
    ],
)
def test_why_a_path_is_read_or_not(project: Pybuild, path: str, said: str) -> None:
    assert project("context", "ls", "--build-context", "lib=lib", "--why", path).strip() == said


def test_a_source_that_is_hidden_says_by_what(project: Pybuild) -> None:
    built = project.build("FROM scratch\nCOPY src/a/x.o /\n")
    assert built.status == 4
    assert "src/a/x.o is hidden from the build by .dockerignore:3 (src/**/*.o)" in built.err
    assert "Buildfile:2" in built.err
    own = project.file("Buildfile.dockerignore", "src\n")
    assert "Buildfile.dockerignore:1 (src)" in project.build("FROM scratch\nCOPY src/main.c /\n").err
    own.unlink()
    assert "did you mean src/main.c?" in project.build("FROM scratch\nCOPY src/mian.c /\n").err
