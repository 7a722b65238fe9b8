"""Buildfile.lock: what builds keep to, what is drift, what moves; and builds that ask nobody."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builder.digest import Digest
from builder.image.descriptor import Descriptor
from builder.image.manifest import Index, IndexEntry
from builder.image.mediatypes import OCI_INDEX, OCI_MANIFEST
from builder.image.platform import Platform, host
from tests.support.program import Pybuild
from tests.support.registry import FakeRegistry, Page, Registry
from tests.support.web import Repository, Site, site

OUTDATED = 10


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Pybuild:
    """A store with images `one` and `two`, which differ in a file, and `both`, an index of `one` for two platforms."""
    directory = tmp_path_factory.mktemp("source")
    pybuild = Pybuild(directory / "store", directory)
    pybuild.base()
    for name in ("one", "two"):
        pybuild.build(f"FROM base\nRUN echo {name} > /which\n", "-t", name).ok()
    return pybuild


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with Registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


class Remote:
    """A registry whose tag `app:1` means `one`, in a repository of the test's own."""

    def __init__(self, source: Pybuild, registry: Registry, path: str) -> None:
        self._source, self._registry, self._path = source, registry, path
        self.name = f"{registry.address}/{path}/app:1"
        self.move("one")

    def move(self, image: str, tag: str = "1") -> None:
        self._registry.push(f"oci:{self._source.root}:{image}:latest", f"{self._path}/app:{tag}")

    @property
    def digest(self) -> str:
        return str(Digest.of(self._registry.manifest(f"{self._path}/app:1")))


@pytest.fixture
def remote(source: Pybuild, running: Registry, tmp_path: Path) -> Remote:
    return Remote(source, running, tmp_path.name.lower().replace("_", "-").strip("-"))


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "repositories") as found:
        yield found


def lock_of(pybuild: Pybuild, name: str = "Buildfile.lock") -> dict[str, Any]:
    return tomllib.loads((pybuild.work / name).read_text())


# --- images ----------------------------------------------------------------------------------------


def test_a_build_keeps_to_the_lock_when_the_tag_moves(pybuild: Pybuild, remote: Remote) -> None:
    text = f"FROM {remote.name}\nRUN cat /which > /seen\n"
    pybuild.file("Buildfile", text)
    first = remote.digest
    said = pybuild("lock")
    assert said == f"+ image {remote.name}  {first[:19]}\nBuildfile.lock: 1 pin\n"
    (name,) = lock_of(pybuild)["image"]
    assert (name, lock_of(pybuild)["image"][name]["digest"]) == (remote.name, first)
    remote.move("two")
    for options in ((), ("--locked",), ("--pull",)):
        built = pybuild.build(text, "-t", "made", *options).ok()
        assert "kept to Buildfile.lock: 1 source as locked" in built.err
        assert pybuild.shell("made", "cat /seen") == "one\n"
    # Nothing has moved the lock, and nothing but --update does.
    assert pybuild("lock") == "Buildfile.lock: 1 pin\n"
    checked = pybuild.try_("lock", "--check")
    assert checked.returncode == OUTDATED
    moved = f"  image {remote.name}  {first[:19]} → {remote.digest[:19]}\n"
    assert checked.stdout == f"{moved}Buildfile.lock: 1 pin, outdated\n"
    assert pybuild("lock", "--update") == f"{moved}Buildfile.lock: 1 pin\n"
    assert pybuild("lock", "--check") == "Buildfile.lock: 1 pin, up to date\n"
    assert pybuild.build(text, "-t", "made").ok().ran == ["RUN cat /which > /seen"]
    assert pybuild.shell("made", "cat /seen") == "two\n"


def test_an_index_is_pinned_with_the_manifest_of_each_platform(
    pybuild: Pybuild, source: Pybuild, running: Registry, remote: Remote
) -> None:
    repository = remote.name.partition("/")[2].rpartition(":")[0]
    other = "arm64" if host().architecture != "arm64" else "amd64"
    manifests = {}
    for image, architecture in (("one", host().architecture), ("two", other)):
        remote.move(image, architecture)
        data = running.manifest(f"{repository}:{architecture}")
        manifests[f"linux/{architecture}"] = Descriptor(OCI_MANIFEST, Digest.of(data), len(data))
    index = Index(tuple(IndexEntry(d, Platform.parse(p)) for p, d in manifests.items())).to_json()
    running.put_manifest(repository, "many", index, OCI_INDEX)
    name = f"{remote.name.rpartition(':')[0]}:many"
    pybuild.file(
        "Buildfile", f"FROM --platform=linux/{other} {name} AS other\nFROM {name}\nCOPY --from=other /which /\n"
    )
    pybuild("lock")
    pin = lock_of(pybuild)["image"][name]
    assert pin["digest"] == str(Digest.of(index))
    assert pin["platforms"] == {platform: str(d.digest) for platform, d in manifests.items()}
    assert lock_of(pybuild)["platforms"] == [str(host())]
    running.put_manifest(repository, "many", running.manifest(f"{repository}:{other}"), OCI_MANIFEST)
    text = f"FROM {name}\nRUN cat /which > /seen\n"
    pybuild.build(text, "-t", "made", "--locked").ok()
    assert pybuild.shell("made", "cat /seen") == "one\n"
    # A lock that lies.
    path = pybuild.work / "Buildfile.lock"
    told = path.read_text()
    ours, theirs = (str(manifests[p].digest) for p in (str(host()), f"linux/{other}"))
    path.write_text(told.replace(ours, "?").replace(theirs, ours).replace("?", theirs))
    lies = pybuild.build(text)
    assert (lies.status, "the lock contradicts itself" in lies.err) == (5, True), lies.err
    assert f'| "{host()}" = "{theirs}"' in lies.err
    # All platforms that were asked for stay those of the lock, until others are.
    pybuild("lock", "--platform", f"linux/{other},{host()}", "--update")
    assert lock_of(pybuild)["platforms"] == [f"linux/{other}", str(host())]
    assert "no platform" not in pybuild("lock")
    assert lock_of(pybuild)["platforms"] == [f"linux/{other}", str(host())]


@pytest.mark.parametrize("platforms", [(), ("--platform", "linux/amd64,linux/arm64")], ids=["image", "index"])
def test_what_was_pushed_from_here_is_pinned_as_the_registry_has_it(
    pybuild: Pybuild, running: Registry, tmp_path: Path, platforms: tuple[str, ...]
) -> None:
    """Layers are packed otherwise there than in the store that pushed them: other digests, for the same image."""
    name = f"{running.address}/{tmp_path.name.lower().replace('_', '-').strip('-')}/own:1"
    pybuild.file("own", "mine\n")
    pybuild.build("FROM scratch\nCOPY own /which\n", *platforms, "-t", name, "--push").ok()
    pybuild.file("Buildfile", f"FROM {name}\nCOPY own /again\n")
    pybuild("lock")
    pushed = Digest.of(running.manifest(name.partition("/")[2]))
    assert lock_of(pybuild)["image"][name]["digest"] == str(pushed)
    elsewhere = pybuild.on(tmp_path / "elsewhere")
    for program in (pybuild, elsewhere, pybuild):
        program("build", "--locked", "--source-date-epoch", "1", "-t", "made", ".")
        assert program("cat", "made:/which") == "mine\n"
    assert pybuild("inspect", "-f", "{{.Id}}", "made") == elsewhere("inspect", "-f", "{{.Id}}", "made")


def test_a_lock_covers_all_stages_and_names_filled_in(pybuild: Pybuild, remote: Remote) -> None:
    repository, _, _ = remote.name.rpartition(":")
    for tag in ("2", "3", "4"):
        remote.move("two", tag)
    pybuild.file(
        "Buildfile",
        f"ARG TAG=1\nFROM {repository}:$TAG AS first\nFROM {repository}:2 AS aside\nFROM first\n"
        f"COPY --from={repository}:3 /which /\nRUN --mount=from={repository}:4,target=/m cat /m/which\n",
    )
    pybuild("lock")
    assert sorted(lock_of(pybuild)["image"]) == [f"{repository}:{tag}" for tag in "1234"]
    said = pybuild("lock", "--target", "first", "--add", "--build-arg", "TAG=4")
    assert said == "Buildfile.lock: 4 pins\n"
    said = pybuild("lock", "--target", "aside")
    assert [line[:7] for line in said.splitlines()[:-1]] == ["- image"] * 3
    assert list(lock_of(pybuild)["image"]) == [f"{repository}:2"]
    assert pybuild.try_("build", "--target", "aside", "--locked", ".").returncode == 0


def test_drift_is_an_error_with_a_diff_and_asks_nobody(pybuild: Pybuild, remote: Remote, web: Site) -> None:
    repository, _, _ = remote.name.rpartition(":")
    url = web.put("/file", "content")
    text = f"FROM {remote.name}\nADD {url} /\n"
    bare = pybuild.build(text, "--locked")
    assert bare.status == 2
    assert "Buildfile.lock is not there, and --locked takes nothing else" in bare.err
    assert f'    +[image."{remote.name}"]  (Buildfile:1)\n    +[url."{url}"]  (Buildfile:2)\n' in bare.err
    assert "hint: pybuild lock" in bare.err
    pybuild("lock")
    pybuild.build(text, "--locked").ok()
    web.asked.clear()
    drifted = pybuild.build(
        f"FROM {repository}:9\nADD {url} /\nADD {url}2 /\nADD https://a.example/x.git#v1 /x/\n", "--locked"
    )
    assert drifted.status == 2
    assert (
        "Buildfile.lock does not say all that is needed, and --locked takes nothing else\n"
        '    +[git."https://a.example/x.git#v1"]  (Buildfile:4)\n'
        f'    -[image."{remote.name}"]\n'
        f'    +[image."{repository}:9"]  (Buildfile:1)\n'
        f'    +[url."{url}2"]  (Buildfile:3)\n'
    ) in drifted.err
    assert web.asked == []
    lax = pybuild.build(f"FROM {remote.name}\nADD {url} /\nADD {web.put('/new', 'new')} /\n").ok()
    assert "/new is not in Buildfile.lock, and taken as found" in lax.err
    # Another target names less; that is no drift.
    pybuild.build(f"FROM {remote.name}\n", "--locked").ok()


def test_what_is_no_name_needs_no_pin(pybuild: Pybuild, remote: Remote, source: Pybuild, web: Site) -> None:
    pinned = f"{remote.name.rpartition(':')[0]}@{remote.digest}"
    url = web.put("/file", "content")
    checksum = Digest.of(b"content")
    commit = Repository(web).commit({"a": "1"})
    source.build("FROM one\n", "-o", f"type=oci,tar=false,dest={pybuild.work}/layout").ok()
    pybuild.base("mine")
    (identity,) = pybuild("images", "-q").split()
    text = (
        f"FROM {pinned}\nADD --checksum={checksum} {url} /\nADD {web.url}/git/project.git#{commit} /g/\n"
        f"COPY --from={identity} /bin /b\nCOPY --from=layout /which /w\n"
    )
    pybuild.file("Buildfile", text)
    contexts = ("--build-context", "layout=oci-layout://./layout")
    said = pybuild("lock", *contexts)
    assert said.startswith("Buildfile.lock: 0 pins; 5 more need none: ")
    assert identity in said
    pybuild.build(text, "--locked", *contexts).ok()


def test_an_image_no_registry_has_is_pinned_to_the_store(pybuild: Pybuild, remote: Remote, as_user: Pybuild) -> None:
    name = f"{remote.name.rpartition('/')[0]}/mine:1"
    text = f"FROM {name}\nRUN true\n"
    pybuild.base(name)
    pybuild.file("Buildfile", text)
    locked = pybuild.try_("lock", "--progress", "plain")
    assert f"{name} is pinned to what the store has; the pin is good for this store only" in locked.stderr
    assert lock_of(pybuild)["image"][name]["local"] is True
    pybuild.build(text, "--locked").ok()
    as_user.file("Buildfile.lock", (pybuild.work / "Buildfile.lock").read_bytes())
    elsewhere = as_user.build(text)
    assert elsewhere.status == 4
    assert f"only the store that {name} was locked in has its image sha256:" in elsewhere.err
    assert "--> Buildfile.lock:6" in elsewhere.err
    # It stays so when everything is moved on, without a registry being asked.
    pybuild.base("other")
    pybuild("tag", "other", name)
    assert "→" in pybuild("lock", "--update", "--progress", "quiet")
    assert lock_of(pybuild)["image"][name]["local"] is True
    pybuild.file("Buildfile", f"FROM {name}2\n")
    absent = pybuild.try_("lock")
    assert (absent.returncode, "the store has none either" in absent.stderr) == (4, True), absent.stderr


def test_where_no_registry_answers_the_store_does(pybuild: Pybuild) -> None:
    with FakeRegistry(token="a") as refusing:
        refusing.token_page = Page(b"{}", 401)
        name = f"{refusing.address}/mine:1"
        pybuild.base(name)
        pybuild.file("Buildfile", f"FROM {name}\n")
        refused = pybuild.try_("lock", "--progress", "plain")
    assert "is pinned to what the store has; the pin is good for this store only" in refused.stderr
    assert lock_of(pybuild)["image"][name]["local"] is True
    (pybuild.work / "Buildfile.lock").unlink()
    unreachable = pybuild.try_("lock", "--progress", "plain")
    assert f"{name} is pinned to what the store has\n" in unreachable.stderr
    assert "local" not in lock_of(pybuild)["image"][name]
    # What is to be the newest must be asked for.
    for options in (("--update",), ("--check",)):
        assert pybuild.try_("lock", *options).returncode == 8


# --- URLs and repositories -------------------------------------------------------------------------


def test_a_url_must_give_what_it_gave(pybuild: Pybuild, web: Site) -> None:
    url = web.put("/file", "one")
    text = f"FROM scratch\nADD {url} /\n"
    pybuild.file("Buildfile", text)
    secret = url.replace("http://", "http://user:hidden@")
    pybuild("lock")
    assert lock_of(pybuild)["url"] == {
        url: {"digest": str(Digest.of(b"one")), "date": lock_of(pybuild)["url"][url]["date"]}
    }
    first = pybuild.build(text, "-q").ok().out
    web.put("/file", "two")
    web.asked.clear()
    assert pybuild.build(text, "-q").ok().out == first
    assert web.asked == []
    wrong = pybuild.build(text, "--no-cache", "--root", str(pybuild.work / "empty"))
    assert wrong.status == 5
    assert "gives another file than the one asked for" in wrong.err
    assert "--> Buildfile.lock:6:1" in wrong.err
    assert f"pybuild lock --update={url}" in wrong.err
    assert pybuild.try_("lock", "--check").returncode == OUTDATED
    pybuild("lock", "--update", url)
    assert pybuild.build(text, "-q").ok().out != first
    # Credentials are not written.
    pybuild.file("Buildfile", text.replace(url, secret))
    assert "hidden" not in pybuild("lock")
    assert "hidden" not in (pybuild.work / "Buildfile.lock").read_text()


@pytest.mark.parametrize("kept", [False, True])
def test_a_branch_stays_at_its_commit(pybuild: Pybuild, web: Site, kept: bool) -> None:
    repository = Repository(web)
    first = repository.commit({"file": "one"})
    flag = "--keep-git-dir " if kept else ""
    text = f"FROM scratch\nADD {flag}{repository.url}#main /\n"
    pybuild.file("Buildfile", text)
    pybuild("lock")
    ((name, pin),) = lock_of(pybuild)["git"].items()
    assert (name, pin["commit"], pin["ref"]) == (f"{repository.url}#main", first, "refs/heads/main")
    second = repository.commit({"file": "two"})
    pybuild.build(text, "-o", "type=local,dest=out", "--locked").ok()
    assert (pybuild.work / "out/file").read_text() == "one"
    if kept:
        command = ["git", "-c", "safe.directory=*", "-C", str(pybuild.work / "out"), "rev-parse", "main"]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == first
    web.asked.clear()
    assert pybuild.build(text, "--locked").ok().ran == []
    assert web.asked == []
    assert pybuild("lock", "--update", repository.url).splitlines()[0].endswith(f"{first[:12]} → {second[:12]}")
    pybuild.build(text, "-o", "type=local,dest=out").ok()
    assert (pybuild.work / "out/file").read_text() == "two"


def test_a_remote_context_is_pinned_by_a_lock_here(pybuild: Pybuild, web: Site) -> None:
    repository = Repository(web)
    repository.commit({"Buildfile": "FROM scratch\nCOPY file /\n", "file": "one"})
    refused = pybuild.try_("lock", repository.url)
    assert (refused.returncode, "--lock-file FILE" in refused.stderr) == (2, True)
    pybuild("lock", "--lock-file", "here.lock", repository.url)
    repository.commit({"file": "two"})
    build = ("build", "-o", "type=local,dest=out", repository.url)
    pybuild(*build, "--lock-file", "here.lock", "--locked")
    assert (pybuild.work / "out/file").read_text() == "one"
    pybuild(*build)
    assert (pybuild.work / "out/file").read_text() == "two"
    absent = pybuild.try_(*build, "--lock-file", "none.lock")
    assert (absent.returncode, "none.lock does not exist" in absent.stderr) == (4, True)


def test_a_lock_inside_a_remote_context_is_used(pybuild: Pybuild, web: Site) -> None:
    url = web.put("/file", "one")
    repository = Repository(web)
    pybuild.file("Buildfile", f"FROM scratch\nADD {url} /\n")
    pybuild("lock")
    files = {name: (pybuild.work / name).read_text() for name in ("Buildfile", "Buildfile.lock")}
    repository.commit(files)
    web.put("/file", "two")
    built = pybuild.try_("build", "--progress", "plain", "--root", str(pybuild.work / "empty"), repository.url)
    assert (built.returncode, "--> Buildfile.lock:" in built.stderr) == (5, True), built.stderr
    # A link in it leads nowhere.
    repository("rm", "--quiet", "Buildfile.lock")
    repository.commit({"Buildfile.lock": "->/etc/passwd"})
    assert "root:" not in pybuild.try_("build", "--locked", repository.url).stderr


def test_a_buildfile_from_standard_input_has_its_lock_where_one_says(pybuild: Pybuild, web: Site) -> None:
    text = f"FROM scratch\nADD {web.put('/file', 'one')} /\n".encode()
    for arguments in (("-f", "-", "."), ("-",)):
        refused = pybuild.try_("lock", *arguments, input=text)
        assert (refused.returncode, "standard input" in refused.stderr) == (2, True)
        pybuild("lock", "--lock-file", "here.lock", *arguments, input=text)
        pybuild("build", "--lock-file", "here.lock", "--locked", *arguments, input=text)


def test_named_contexts_are_pinned(pybuild: Pybuild, remote: Remote, web: Site) -> None:
    repository = Repository(web)
    commit = repository.commit({"file": "one"})
    url = web.put("/file", "one")
    contexts = [
        f"--build-context=image=docker-image://{remote.name}",
        f"--build-context=tree={repository.url}",
        f"--build-context=url={url}",
    ]
    text = "FROM image\nCOPY --from=tree file /tree\nCOPY --from=url context /url\nRUN cat /which /tree /url > /seen\n"
    pybuild.file("Buildfile", text)
    pybuild("lock", *contexts)
    lock = lock_of(pybuild)
    assert [list(lock[kind]) for kind in ("image", "git", "url")] == [[remote.name], [repository.url], [url]]
    assert lock["git"][repository.url]["commit"] == commit
    remote.move("two")
    repository.commit({"file": "two"})
    pybuild.build(text, "-t", "made", "--locked", *contexts).ok()
    assert pybuild.shell("made", "cat /seen") == "one\noneone"


def test_an_index_of_this_store_is_pinned(pybuild: Pybuild) -> None:
    pybuild.build("FROM scratch\nCOPY Buildfile /\n", "--platform=linux/amd64,linux/arm64", "-t", "a.example/both").ok()
    text = "FROM a.example/both\nCOPY Buildfile /more\n"
    pybuild.file("Buildfile", text)
    pybuild("lock", "--offline", "--platform", "linux/arm64,linux/amd64")
    pin = lock_of(pybuild)["image"]["a.example/both:latest"]
    assert list(pin["platforms"]) == ["linux/amd64", "linux/arm64"]
    assert pin["digest"] not in pin["platforms"].values()
    # Another image gets the name.
    both = ("--platform=linux/amd64,linux/arm64", "-t", "a.example/both")
    pybuild.build("FROM scratch\nCOPY Buildfile /other\n", *both).ok()
    options = ("--offline", "--platform=linux/arm64", "-o", "type=local,dest=out")
    pybuild.build(text, "--locked", *options).ok()
    assert sorted(os.listdir(pybuild.work / "out")) == ["Buildfile", "more"]


def test_a_commit_that_is_gone_is_told_with_its_line(pybuild: Pybuild, web: Site) -> None:
    repository = Repository(web)
    repository.commit({"file": "one"})
    text = f"FROM scratch\nADD {repository.url} /\n"
    pybuild.file("Buildfile", text)
    pybuild("lock")
    path = pybuild.work / "Buildfile.lock"
    path.write_text(re.sub(r'commit = "\w+"', f'commit = "{"a" * 40}"', path.read_text()))
    gone = pybuild.build(text)
    assert gone.status in (4, 8), gone.err
    assert "--> Buildfile.lock:6:1" in gone.err


# --- the file --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda t: t.replace("version = 1", "version = 2"), "Buildfile.lock:3:1"),
        (lambda t: t.replace("sha256:", "sha256:0"), "Buildfile.lock:7:1"),
        (lambda t: t.replace("digest", "digset"), "Buildfile.lock:7:1"),
        (lambda t: t + "<<<<<<< mine\n", "Buildfile.lock:9:1"),
        (lambda t: t + t.partition("\n\n")[2], "Buildfile.lock:"),
    ],
)
def test_a_damaged_lock_is_an_error_with_its_line(pybuild: Pybuild, web: Site, damage: Any, said: str) -> None:
    text = f"FROM scratch\nADD {web.put('/file', 'one')} /\n"
    pybuild.file("Buildfile", text)
    pybuild("lock")
    path = pybuild.work / "Buildfile.lock"
    path.write_text(damage(path.read_text()))
    for done in (pybuild.try_("build", "."), pybuild.try_("lock")):
        assert done.returncode == 3, done.stderr
        assert said in done.stderr
    pybuild.build(text, "--no-lock").ok()
    path.unlink()
    path.mkdir()
    assert pybuild.try_("build", ".").returncode == 2


def test_options_that_contradict_each_other(pybuild: Pybuild) -> None:
    for options in (("--no-lock", "--locked"), ("--no-lock", "--lock-file", "x"), ("--offline", "--pull")):
        assert pybuild.build("FROM scratch\n", *options).status == 2
    for options in (("--check", "--update"), ("--check", "--add"), ("--update", "nothing")):
        assert pybuild.try_("lock", *options).returncode in (2, 4)


def test_locks_written_at_once_are_whole(pybuild: Pybuild, web: Site) -> None:
    urls = [web.put(f"/{n}", str(n)) for n in range(20)]
    pybuild.file("Buildfile", "FROM scratch\n" + "".join(f"ADD {url} /\n" for url in urls))
    both = [pybuild.start("lock", "--update") for _ in range(2)]
    for process in both:
        process.communicate()
        assert process.returncode == 0
    assert len(lock_of(pybuild)["url"]) == len(urls)
    assert sorted(path.name for path in pybuild.work.iterdir()) == ["Buildfile", "Buildfile.lock"]


# --- offline ---------------------------------------------------------------------------------------


@pytest.fixture
def alone(pybuild: Pybuild) -> Pybuild:
    """The program on the same store, in a network namespace without interfaces."""
    return Pybuild(
        pybuild.root, pybuild.work, prefix=("unshare", "--user", "--map-root-user", "--net", *pybuild.prefix)
    )


GUARD = """
import os, sys

def guard(event, args):
    asks = event == "socket.getaddrinfo" or (event == "subprocess.Popen" and "git" in os.path.basename(str(args[0])))
    if asks or (event in ("socket.connect", "socket.sendto") and isinstance(args[1], tuple)):
        os.write(2, f"asked: {event} {args}\\n".encode())
        os._exit(99)

sys.addaudithook(guard)
"""


@pytest.fixture
def watched(pybuild: Pybuild, tmp_path: Path) -> Pybuild:
    """The program on the same store, which ends when it asks for a name, connects to a host or runs git."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard/sitecustomize.py").write_text(GUARD)
    return Pybuild(pybuild.root, pybuild.work, env={"PYTHONPATH": str(tmp_path / "guard")})


def test_offline_all_that_is_missing_is_told_at_once(alone: Pybuild) -> None:
    text = (
        "FROM one.example/a AS a\nADD https://two.example/b /\nADD https://three.example/c.git#d /d/\n"
        "FROM four.example/e\nCOPY --from=a / /\nCOPY --from=five.example/f / /\n"
    )
    built = alone.build(text, "--offline")
    assert built.status == 4
    assert (
        "    image one.example/a:latest  (Buildfile:1)\n    image four.example/e:latest  (Buildfile:4)\n"
        "    image five.example/f:latest  (Buildfile:6)\n    URL https://two.example/b  (Buildfile:2)\n"
        "    repository https://three.example/c.git#d  (Buildfile:3)\n"
    ) in built.err
    assert alone.build(text, PYBUILD_OFFLINE="1").err == built.err
    locked = alone.try_("lock", "--offline")
    assert (locked.returncode, locked.stderr.count("\n    ")) == (4, 5), locked.stderr
    assert alone.try_("plan", "--offline", ".").returncode == 4


def test_offline_a_build_takes_what_is_remembered(
    pybuild: Pybuild, alone: Pybuild, watched: Pybuild, remote: Remote, web: Site
) -> None:
    repository = Repository(web)
    repository.commit({"g": "git"})
    text = f"FROM {remote.name}\nADD {web.put('/file', 'one')} /\nADD {repository.url}#main /g/\nRUN cat /which /file\n"
    online = pybuild.build(text, "-q").ok()
    web.put("/file", "two")
    repository.commit({"g": "moved"})
    web.asked.clear()
    assert watched.try_("lock", "--check").returncode == 99  # the guard works
    for program in (alone, watched):
        assert program.build(text, "-q", "--offline").ok().out == online.out
    # Steps that have to run again have what they take.
    again = watched.build(text.replace("ADD h", "ADD --chmod=644 h"), "--offline").ok()
    assert (len(again.ran), "as locked" in again.err) == (3, False)
    # What is to be fetched anew is told before a step runs, all of it.
    fresh = watched.build(f"{text}ADD --checksum={Digest.of(b'x')} {web.url}/x /\n", "--offline", "--no-cache")
    assert (fresh.status, fresh.ran) == (4, [])
    assert f"    repository {repository.url}#main  (Buildfile:3)\n    URL {web.url}/x  (Buildfile:5)\n" in fresh.err
    # What is no step's has not been kept.
    context = watched.try_("build", "--offline", repository.url)
    assert (context.returncode, "is not asked under --offline" in context.stderr) == (4, True)
    alone.file("Buildfile", text)
    said = alone("lock", "--offline")
    assert said.endswith("Buildfile.lock: 3 pins\n")
    assert web.asked == []
    assert lock_of(pybuild)["url"].popitem()[1]["digest"] == str(Digest.of(b"one"))


def test_offline_what_needs_a_registry_is_refused(alone: Pybuild) -> None:
    alone.file("Buildfile", "FROM scratch\nLABEL a=b\n")
    alone("build", "-t", "localhost:1/made", ".")
    for command in (
        ("pull", "localhost:1/other"),
        ("push", "localhost:1/made"),
        ("login", "localhost:1", "-u", "name", "-p", "password"),
        ("run", "--rm", "localhost:1/other"),
        ("build", "-t", "localhost:1/made", "-o", "type=registry", "."),
    ):
        done = alone.try_(*command, PYBUILD_OFFLINE="1")
        assert (done.returncode, "none is asked under --offline" in done.stderr) == (
            125 if command[0] == "run" else 2,
            True,
        ), (command, done.stderr)
    # A cache is never needed.
    alone.file("Buildfile", "FROM scratch\nCOPY Buildfile /\n")
    cached = alone.try_("build", "--offline", "--cache-from", "type=registry,ref=localhost:1/cache", ".")
    assert (cached.returncode, "is not used: this needs a registry" in cached.stderr) == (0, True), cached.stderr
