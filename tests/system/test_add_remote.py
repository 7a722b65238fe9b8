"""ADD of URLs and git references, from servers on loopback."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import stat
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.program import Pybuild
from tests.support.rootfs import member, tar
from tests.support.web import Repository, Site, site


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "repositories") as found:
        yield found


class Item(NamedTuple):
    """An entry of a layer. `content` is the target of a link."""

    content: str
    mode: int
    uid: int
    gid: int
    mtime: float


def layers(pybuild: Pybuild, buildfile: str, *options: str) -> list[dict[str, Item]]:
    """The entries of each layer of an image built from scratch, without directories."""
    pybuild.build(buildfile, "-o", "type=oci,dest=image.tar,compression=uncompressed", *options).ok()
    with tarfile.open(pybuild.work / "image.tar") as image:
        index = json.loads(_file(image, "index.json"))
        manifest = json.loads(_blob(image, index["manifests"][0]["digest"]))
        return [_entries(_blob(image, layer["digest"])) for layer in manifest["layers"] or ()]


def _file(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


def _blob(image: tarfile.TarFile, digest: str) -> bytes:
    return _file(image, f"blobs/sha256/{digest.partition(':')[2]}")


def _entries(data: bytes) -> dict[str, Item]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for entry in archive:
            if not entry.isdir():
                content = _file(archive, entry.name).decode(errors="replace") if entry.isreg() else entry.linkname
                found[entry.name] = Item(content, entry.mode, entry.uid, entry.gid, entry.mtime)
    return found


def contents(layer: dict[str, Item]) -> dict[str, str]:
    return {name: item.content for name, item in layer.items()}


# --- URLs ----------------------------------------------------------------------------------------


def test_a_url_is_a_file_named_as_its_path_ends(pybuild: Pybuild, web: Site) -> None:
    old = {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
    web.put("/dir/a file*.txt", "one", headers=old)
    web.put("/dir/", "no name of its own")
    web.put("/", "root")
    web.put("/q", "query")
    added, named = layers(
        pybuild,
        f'FROM scratch\nADD ["{web.url}/dir/a%20file*.txt", "{web.url}/dir/", "{web.url}/", "/d/"]\n'
        f"ADD --chmod=644 --chown=5:6 {web.url}/q?x=/y /as\n",
    )
    assert contents(added) == {"d/a file*.txt": "one", "d/dir": "no name of its own", "d/__unnamed__": "root"}
    entry = added["d/a file*.txt"]
    assert (entry.mode, entry.uid, entry.gid, entry.mtime) == (0o600, 0, 0, 1445412480)
    assert added["d/dir"].mtime == 0
    assert (named["as"].mode, named["as"].uid, named["as"].gid) == (0o644, 5, 6)


def test_sources_of_all_kinds_make_one_layer_in_their_order(pybuild: Pybuild, web: Site) -> None:
    repository = Repository(web)
    repository.commit({"same": "git", "only-git": "git"})
    url = web.put("/same", "url")
    pybuild.file("same", "local")
    pybuild.file("other", "local")
    pybuild.file("box.tar", tar(member("unpacked", b"archive")))
    mixed = f"ADD same {url} other {repository.url} box.tar <<inline /d/\ntext\ninline\n"
    (last,) = layers(pybuild, f"FROM scratch\n{mixed}")
    assert contents(last) == {
        "d/same": "git",
        "d/other": "local",
        "d/only-git": "git",
        "d/unpacked": "archive",
        "d/inline": "text\n",
    }
    (url_last,) = layers(pybuild, f"FROM scratch\nADD {repository.url} same {url} /d/\n")
    assert contents(url_last)["d/same"] == "url"


def test_archives_from_urls_are_unpacked_only_when_asked(pybuild: Pybuild, web: Site) -> None:
    url = web.put("/box.tar", tar(member("in/file", b"packed")))
    kept, unpacked = layers(pybuild, f"FROM scratch\nADD {url} /\nADD --unpack=true {url} /x\n")
    assert list(kept) == ["box.tar"]
    assert contents(unpacked) == {"x/in/file": "packed"}


@pytest.mark.parametrize(
    "headers", [{"ETag": '"v1"'}, {"ETag": 'W/"v1"'}, {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}]
)
def test_what_has_not_changed_is_not_sent_again(pybuild: Pybuild, web: Site, headers: dict[str, str]) -> None:
    url = web.put("/f", "first", headers=headers)
    recipe = f"FROM scratch\nADD {url} /f\n"
    assert pybuild.build(recipe).ok().ran
    assert pybuild.build(recipe).ok().ran == []
    assert web.sent("/f") == 1
    assert web.asked[-1] == ("GET", "/f", 304)
    web.put("/f", "second", headers={"ETag": '"v2"', "Last-Modified": "Wed, 21 Oct 2015 07:28:01 GMT"})
    (layer,) = layers(pybuild, recipe)
    assert contents(layer) == {"f": "second"}


def test_a_file_just_changed_is_asked_for_again(pybuild: Pybuild, web: Site) -> None:
    """Its Last-Modified counts whole seconds: another change may hide in the same one."""
    url = web.put("/f", "first", age=0)
    recipe = f"FROM scratch\nADD {url} /f\n"
    pybuild.build(recipe).ok()
    web.pages["/f"].body = b"again"
    (layer,) = layers(pybuild, recipe)
    assert contents(layer) == {"f": "again"}


def test_a_server_that_ignores_conditions_is_believed_its_etag(pybuild: Pybuild, web: Site) -> None:
    url = web.put("/f", "first", headers={"ETag": '"v1"'}, conditional=False)
    recipe = f"FROM scratch\nADD {url} /f\n"
    pybuild.build(recipe).ok()
    assert pybuild.build(recipe).ok().ran == []


def test_equal_content_is_a_hit_wherever_it_comes_from(pybuild: Pybuild, web: Site) -> None:
    first, second = web.put("/a/f", "same"), web.put("/b/f", "same", age=1000)
    pybuild.build(f"FROM scratch\nADD {first} /f\n").ok()
    assert pybuild.build(f"FROM scratch\nADD {second} /f\n").ok().ran == []


def test_a_checksum_is_checked_and_spares_the_question(pybuild: Pybuild, web: Site) -> None:
    url = web.put("/f", "content")
    right, wrong = (f"sha256:{hashlib.sha256(text).hexdigest()}" for text in (b"content", b"other"))
    (layer,) = layers(pybuild, f"FROM scratch\nARG SUM={right}\nADD --checksum=$SUM {url} /f\n")
    assert contents(layer) == {"f": "content"}
    asked = len(web.asked)
    assert pybuild.build(f"FROM scratch\nADD --checksum={right} {url} /f\n").ok().ran == []
    assert len(web.asked) == asked
    refused = pybuild.build(f"FROM scratch\nADD --checksum={wrong} {url} /f\n", "-t", "app")
    assert refused.status == 5
    assert wrong in refused.err
    assert right in refused.err
    assert "Buildfile:2" in refused.err
    assert "app" not in pybuild("images")


def test_redirects_are_followed_and_credentials_stay(pybuild: Pybuild, web: Site, tmp_path: Path) -> None:
    with site(tmp_path / "none") as other:
        target = other.put("/moved/new-name", "moved")
        web.put("/old", b"", status=302, headers={"Location": target}, user="me:secret word")
        url = web.url.replace("//", "//me:secret%20word@") + "/old"
        (layer,) = layers(pybuild, f"FROM scratch\nADD {url} /d/\n", "-t", "app")
        assert contents(layer) == {"d/old": "moved"}
        assert web.seen[-1] == "Basic bWU6c2VjcmV0IHdvcmQ="
        assert other.seen == [None]
    shown = pybuild("history", "app") + pybuild("inspect", "app") + pybuild("cache", "ls", "--format", "json")
    assert "secret" not in shown


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ({"status": 401, "body": b""}, "refused to you (status 401)"),
        ({"status": 403, "body": b"no"}, "refused to you (status 403)"),
        ({"status": 404, "body": b"no"}, "nothing at"),
        ({"status": 418, "body": b"tea"}, "status 418"),
        ({"status": 302, "headers": {"Location": "file:///etc/passwd"}, "body": b""}, "redirects to file:, which"),
        ({"status": 302, "headers": {"Location": "/page"}, "body": b""}, "redirects without end"),
        ({"body": b"half", "promised": 9}, "broke off"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_a_server_does_not_give_is_an_error(
    pybuild: Pybuild, web: Site, page: dict[str, object], said: str
) -> None:
    url = web.put("/page", **page)  # type: ignore[arg-type]
    built = pybuild.build(f"FROM scratch\nADD {url.replace('//', '//u:pass@')} /f\n")
    assert built.status == 8
    assert said in built.err
    assert "Buildfile:2" in built.err
    assert "u:pass" not in built.err.split("\n  2 |")[0]
    assert os.listdir(pybuild.root / "tmp") == []


def test_a_server_that_is_not_there_is_an_error(pybuild: Pybuild) -> None:
    built = pybuild.build("FROM scratch\nADD http://127.0.0.1:1/f /f\n")
    assert built.status == 8
    assert "http://127.0.0.1:1/f cannot be fetched" in built.err


# --- git -----------------------------------------------------------------------------------------


@pytest.fixture
def repository(web: Site) -> Repository:
    found = Repository(web)
    found.commit({"file": "first", "program*": "#!", "sub/inner": "deep", "link": "->file", "sub/out": "->../../.."})
    found("tag", "light")
    found("tag", "--annotate", "--message", "x", "heavy")
    found("branch", "feature/x")
    found.commit({"file": "second"})
    return found


def test_a_git_reference_is_its_tree(pybuild: Pybuild, repository: Repository) -> None:
    first, url = repository("rev-parse", "light"), repository.url
    references = {
        url: "second",
        f"{url}#main": "second",
        f"{url}#light": "first",
        f"{url}#refs/tags/heavy": "first",
        f"{url}#feature/x": "first",
        f"{url}#{first}": "first",
        f"{url}?branch=main": "second",
        f"{url}?tag=heavy&checksum={first[:9]}": "first",
        f"{url}?commit={first}": "first",
    }
    recipe = "FROM scratch\n" + "".join(f"ADD {reference} /{i}/\n" for i, reference in enumerate(references))
    found = layers(pybuild, recipe)
    for number, (layer, wanted) in enumerate(zip(found, references.values(), strict=True)):
        files = {name.removeprefix(f"{number}/"): entry for name, entry in layer.items()}
        assert files["file"].content == wanted
        assert set(files) == {"file", "program", "sub/inner", "link", "sub/out"}
        assert [files[name].mode for name in ("file", "program")] == [0o644, 0o755]
        assert {(entry.uid, entry.gid, entry.mtime) for entry in files.values()} == {(0, 0, 1577836800)}


def test_a_directory_of_a_repository(pybuild: Pybuild, repository: Repository) -> None:
    url = repository.url
    one, two = layers(pybuild, f"FROM scratch\nADD {url}#main:sub /a\nADD {url}?subdir=/sub /b\n")
    assert set(one) == {"a/inner", "a/out"}
    assert set(two) == {"b/inner", "b/out"}
    for subdir in ("file", "../..", "sub/out"):
        built = pybuild.build(f"FROM scratch\nADD {url}#main:{subdir} /a\n")
        assert built.status == 4
        assert "has no directory" in built.err
        assert os.listdir(pybuild.root / "tmp") == []


def test_a_repository_is_fetched_again_only_when_its_ref_moves(
    pybuild: Pybuild, repository: Repository, web: Site
) -> None:
    recipe = f"FROM scratch\nADD {repository.url}#main /a\n"
    pybuild.build(recipe).ok()
    web.asked.clear()
    assert pybuild.build(recipe).ok().ran == []
    assert not [path for method, path, _ in web.asked if method == "POST" and "receive" in path]
    assert len(web.asked) <= 2  # what there is, and which of it is wanted
    repository.commit({"file": "third"})
    (layer,) = layers(pybuild, recipe)
    assert layer["a/file"].content == "third"
    web.asked.clear()
    commit = repository("rev-parse", "HEAD")
    assert pybuild.build(f"FROM scratch\nADD {repository.url}#{commit} /a\n").ok().ran == []
    assert web.asked == []


def test_submodules_come_along(pybuild: Pybuild, repository: Repository, web: Site) -> None:
    inner, middle = Repository(web, "inner.git"), Repository(web, "middle.git")
    inner.commit({"innermost": "x"})
    middle("-c", "protocol.allow=always", "submodule", "--quiet", "add", "../inner.git", "in")
    middle.commit({"mid": "y"})
    repository("-c", "protocol.allow=always", "submodule", "--quiet", "add", middle.url, "mod")
    repository.commit({})
    with_, without = layers(
        pybuild, f"FROM scratch\nADD {repository.url} /a\nADD {repository.url}?submodules=false /b\n"
    )
    assert {"a/mod/mid", "a/mod/in/innermost"} <= set(with_)
    assert not [name for name in (*with_, *without) if "/.git/" in name or name.endswith("/.git")]
    assert not [name for name in without if name.startswith("b/mod")]


def test_a_submodule_does_not_read_this_machine(pybuild: Pybuild, repository: Repository, tmp_path: Path) -> None:
    private = Repository(Site("none", tmp_path / "private"), "secret.git")
    private.commit({"secret": "s"})
    repository("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(private.path), "mod")
    repository.commit({})
    built = pybuild.build(f"FROM scratch\nADD {repository.url} /a\n")
    assert built.status == 8
    assert "not allowed" in built.err


def test_a_repository_is_kept_when_asked(pybuild: Pybuild, repository: Repository) -> None:
    url = repository.url.replace("//", "//u:word@")
    by_flag, by_query = layers(
        pybuild,
        f"FROM scratch\nADD --keep-git-dir=true {url}#light /a\nADD {url}?tag=heavy&keep-git-dir=1 /b\n",
        "-o",
        "type=local,dest=out",
    )
    for name, layer in (("a", by_flag), ("b", by_query)):
        assert f"{name}/.git/HEAD" in layer
        assert not [path for path, item in layer.items() if "u:word" in item.content]
        work = pybuild.work / "out" / name
        owner = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
        said = subprocess.run(
            ["git", "log", "--format=%H"], cwd=work, env={**os.environ, **owner}, capture_output=True, text=True
        )
        assert said.stdout.strip() == repository("rev-parse", "light")
        assert stat.S_IMODE((work / "program").stat().st_mode) == 0o755


@pytest.mark.parametrize(
    ("suffix", "status", "said"),
    [
        ("#nowhere", 4, "no ref 'nowhere'"),
        ("#" + "0" * 40, 8, "0000"),
        ("?branch=main&checksum=0123456", 5, "0123456"),
        ("?tag=a&branch=b", 3, "either a tag or a branch"),
        ("#--upload-pack=touch", 3, "not a git reference"),
    ],
)
def test_what_a_repository_does_not_have(
    pybuild: Pybuild, repository: Repository, suffix: str, status: int, said: str
) -> None:
    built = pybuild.build(f"FROM scratch\nADD {repository.url}{suffix} /a\n")
    assert built.status == status, built.err
    assert said in built.err
    assert "Buildfile:2" in built.err
    assert os.listdir(pybuild.root / "tmp") == []


def test_a_repository_that_is_not_there(pybuild: Pybuild, web: Site) -> None:
    built = pybuild.build(f"FROM scratch\nADD {web.url.replace('//', '//u:pass@')}/git/none.git /a\n")
    assert built.status == 4
    assert "u:pass" not in built.err.split("\n  2 |")[0]


def test_a_server_of_plain_files_does_too(pybuild: Pybuild, repository: Repository, web: Site) -> None:
    """Without git behind it a server knows no shallow history and gives no single commit."""
    repository("update-server-info")
    for path in (repository.path / ".git").rglob("*"):
        if path.is_file():
            web.put(f"/plain.git/{path.relative_to(repository.path / '.git')}", path.read_bytes())
    (layer,) = layers(pybuild, f"FROM scratch\nADD {web.url}/plain.git#light /a\n")
    assert layer["a/file"].content == "first"


@pytest.mark.parametrize("suffix", ["", "#" + "0" * 40], ids=["looked up", "fetched"])
def test_an_interrupt_ends_git_too(pybuild: Pybuild, web: Site, suffix: str) -> None:
    stalls = threading.Event()
    url = web.put("/stalled.git/info/refs", b"", promised=100, stalls=stalls).removesuffix("/info/refs")
    pybuild.file("Buildfile", f"FROM scratch\nADD {url}{suffix} /a\n")
    process = pybuild.start("build", "--progress", "plain", ".")
    try:
        while not web.seen and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert url not in _command_lines()
    finally:
        stalls.set()
        process.kill()
        process.communicate()
    assert os.listdir(pybuild.root / "tmp") == []


def _command_lines() -> str:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            found.append(Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace"))
    return "\n".join(found)
