"""What one machine has built another does not build: caches that are shared, and what goes wrong with them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from builder.remotecache import document, entries
from builder.remotecache.entries import Entry, Fact, Said, Step
from tests.support.program import Built, Pybuild
from tests.support.registry import Registry
from tests.support.web import site

TEXT = """FROM base AS build
COPY src /src
RUN cat /src/* > /all; date > /noise
FROM base
WORKDIR /app
COPY conf /conf
RUN --mount=type=bind,from=build,source=/src,target=/m cat /conf /m/b > /used
COPY --from=build /all /all
CMD ["cat", "/all"]
"""
BUILD = ["COPY src /src", "RUN cat /src/* > /all; date > /noise"]
REST = [
    "COPY conf /conf",
    "RUN --mount=type=bind,from=build,source=/src,target=/m cat /conf /m/b > /used",
    "COPY --from=build /all /all",
]


@pytest.fixture
def a(pybuild: Pybuild) -> Pybuild:
    """The first machine."""
    pybuild.base()
    pybuild("save", "-o", "base.tar", "base")
    pybuild.file("src/a", "a")
    pybuild.file("src/b", "b")
    pybuild.file("conf", "c")
    pybuild.file(".dockerignore", "*.tar\ncache\n")
    return pybuild


def other(program: Pybuild, name: str = "other") -> Pybuild:
    """Another machine with the same files and the same base image."""
    new = replace(program, root=program.root.with_name(name))
    new("load", "-i", "base.tar")
    return new


@pytest.fixture
def b(a: Pybuild) -> Pybuild:
    return other(a)


def image(program: Pybuild, name: str = "app") -> str:
    return str(json.loads(program("inspect", name))[0]["Id"])


def blobs(program: Pybuild) -> set[str]:
    return {path.name for path in (program.root / "blobs/sha256").iterdir()}


TO, FROM = ("--cache-to", "type=local,dest=cache,mode=max"), ("--cache-from", "type=local,src=cache")


def steps(cache: Path) -> dict[str, Step]:
    """The steps in a cache of one shard, by key."""
    return {name.hex: entry for name, entry in known(cache).items() if isinstance(entry, Step)}


def known(cache: Path) -> dict[entries.Digest, Entry]:
    contents = index(cache)
    (shard,) = contents.shards.values()
    return entries.decoded((cache / "blobs/sha256" / shard.entries.digest.hex).read_bytes())


def index(cache: Path) -> document.Contents:
    (entry,) = json.loads((cache / "index.json").read_text())["manifests"]
    return document.parse((cache / "blobs/sha256" / entry["digest"].removeprefix("sha256:")).read_bytes())


def poison(cache: Path, change: Callable[[Entry], Entry]) -> None:
    """Rewrite all entries of a cache of one shard, as who may write there can."""

    def put(data: bytes) -> document.Descriptor:
        digest = document.Digest.of(data)
        (cache / "blobs/sha256" / digest.hex).write_bytes(data)
        return document.Descriptor("", digest, len(data))

    changed = {name: change(entry) for name, entry in known(cache).items()}
    config = put(entries.encoded(changed))
    manifest = put(document.shard_manifest(config, changed))
    data = put(document.to_json(document.Contents(0, {0: document.Shard(manifest, config)})))
    file = cache / "index.json"
    named = json.loads(file.read_text())
    named["manifests"][0].update(digest=str(data.digest), size=data.size)
    file.write_text(json.dumps(named))


def steps_with(**changes: Any) -> Callable[[Entry], Entry]:
    """What changes steps, and nothing else."""
    return lambda entry: msgspec.structs.replace(entry, **changes) if isinstance(entry, Step) else entry


def test_nothing_runs_on_another_machine_and_the_image_is_the_same(a: Pybuild, b: Pybuild) -> None:
    a.build(TEXT, "-t", "app", *TO).ok()
    built = b.build(TEXT, "-t", "app", *FROM).ok()
    assert built.ran == []
    assert built.err.count("CACHED (remote)") == 6
    assert image(a) == image(b)
    assert b.shell("app", "cat /all /used") == "abcb"
    again = b.build(TEXT, "-t", "app").ok()
    assert set(again.ran) <= set(BUILD), "what the image is made of is here now"


def test_only_what_is_needed_is_fetched(a: Pybuild, b: Pybuild) -> None:
    a.build(TEXT, "-t", "app", *TO).ok()
    before = blobs(b)
    b.build(TEXT, "-t", "app", *FROM).ok()
    layers = {step.blob.digest.hex() for step in steps(a.work / "cache").values() if step.blob}
    assert len(layers) == 6
    assert len(layers & (blobs(b) - before)) == 4, "the image's own, none of the stage"


def test_one_changed_file_runs_what_depends_on_it(a: Pybuild, b: Pybuild) -> None:
    a.build(TEXT, "-t", "app", *TO).ok()
    b.file("conf", "changed")
    assert b.build(TEXT, "-t", "app", *FROM).ok().ran == REST
    assert b.shell("app", "cat /all /used") == "abchangedb"
    c = other(a, "third")
    c.file("conf", "c")
    c.file("src/a", "A")
    assert c.build(TEXT, "-t", "app", *FROM).ok().ran == [*BUILD, *REST[1:]]
    assert c.shell("app", "cat /all /used") == "Abcb"


def test_with_mode_min_the_image_is_found_and_other_layers_are_made_when_they_are_needed(
    a: Pybuild, b: Pybuild
) -> None:
    a.build(TEXT, "-t", "app", "--cache-to", "type=local,dest=cache").ok()
    assert sum(step.blob is not None for step in steps(a.work / "cache").values()) == 4
    assert b.build(TEXT, "-t", "app", *FROM).ok().ran == []
    assert image(a) == image(b)
    c = other(a, "third")
    c.file("conf", "changed")
    built = c.build(TEXT, "-t", "app", *FROM).ok()
    assert set(built.ran) == {*BUILD, *REST}, "what the mount shows is in no cache"
    assert "WARNING" not in built.err
    assert c.shell("app", "cat /all /used") == "abchangedb"


def test_a_plan_knows_what_others_have_and_fetches_nothing(a: Pybuild, b: Pybuild) -> None:
    a.build(TEXT, "-t", "app", *TO).ok()
    before = blobs(b)
    plan = json.loads(b("plan", "--json", *FROM, "."))
    assert not plan["runs"]
    assert [step["fate"] for step in plan["steps"]] == ["cached", *["remote"] * 2, "cached", *["remote"] * 4]
    b.file("conf", "changed")
    plan = json.loads(b("plan", "--json", *FROM, "."))
    assert [step["fate"] for step in plan["steps"]][4:] == ["remote", "run", "depends", "depends"]
    assert blobs(b) == before


def test_a_cache_is_added_to_by_whoever_builds(a: Pybuild, b: Pybuild) -> None:
    both = (*TO, *FROM)
    a.build(TEXT, "-t", "app", *both).ok()
    b.file("conf", "changed")
    assert b.build(TEXT, "-t", "app", *both).ok().ran == REST
    c = other(a, "third")
    assert c.build(TEXT, "-t", "app", *FROM).ok().ran == []
    c = other(a, "fourth")
    c.file("conf", "c")
    assert c.build(TEXT, "-t", "app", *FROM).ok().ran == []
    before = (a.work / "cache/index.json").read_bytes()
    assert c.build(TEXT, "-t", "app", *both).ok().ran == []
    assert (a.work / "cache/index.json").read_bytes() == before, "there was nothing new"


def test_what_a_failed_build_has_made_is_shared(a: Pybuild, b: Pybuild) -> None:
    text = "FROM base\nRUN echo one > /one\nRUN false\n"
    assert a.build(text, *TO).status == 1
    built = b.build(text, *FROM)
    assert built.status == 1
    assert built.cached == ["RUN echo one > /one"]


def test_a_step_that_is_never_cached_is_not_shared(a: Pybuild, b: Pybuild) -> None:
    text = "FROM base\nRUN --cache=never date > /now\nRUN echo x > /x\n"
    a.build(text, *TO).ok()
    assert len(steps(a.work / "cache")) == 1
    a.file("secret", "s")
    text = "FROM base\nRUN --mount=type=secret,id=s cat /run/secrets/s | wc -c > /length\n"
    secret = ("--secret", "id=s,src=secret,cachekey=true")
    a.build(text, *secret, "--cache-to", "type=local,dest=cache2").ok()
    assert steps(a.work / "cache2") == {}
    assert b.build(text, *secret, "--cache-from", "type=local,src=cache2").ok().ran != []


def test_how_long_a_result_is_good_counts_from_when_it_was_made(a: Pybuild, b: Pybuild) -> None:
    text = "FROM base\nRUN --cache=ttl=1h date > /now\n"
    a.build(text, *TO).ok()
    assert b.build(text, *FROM).ok().ran == []
    poison(a.work / "cache", steps_with(created=1e9))
    assert other(a, "third").build(text, *FROM).ok().ran != []


def test_no_cache_asks_nobody(a: Pybuild, b: Pybuild) -> None:
    a.build(TEXT, "-t", "app", *TO).ok()
    assert len(b.build(TEXT, "-t", "app", "--no-cache", *FROM).ok().ran) == 6
    refused = b.try_("build", "--paranoid", *FROM, ".")
    assert refused.returncode == 2
    assert "leave one of them out" in refused.stderr


def test_under_an_epoch_nothing_runs_and_the_image_is_the_same(a: Pybuild, b: Pybuild) -> None:
    epoch = ("--source-date-epoch", "1000000000")
    a.build(TEXT, "-t", "app", *epoch, *TO).ok()
    assert b.build(TEXT, "-t", "app", *epoch, *FROM).ok().ran == []
    assert image(a) == image(b)


def test_cache_mounts_come_along(a: Pybuild, b: Pybuild) -> None:
    text = "FROM base\nARG N\nRUN --mount=type=cache,id=pip,target=/c echo $N >> /c/log; cat /c/log > /seen\n"
    carry = ("--cache-to", "type=local,dest=cache,mounts=pip,other", "--cache-from", "type=local,src=cache,mounts=pip")
    a.build(text, "-t", "app", "--build-arg", "N=1", *carry).ok()
    told = b.build(text, "-t", "app", "--build-arg", "N=2", *carry).ok()
    assert "the cache mount pip is that of" in told.err
    assert b.shell("app", "cat /seen").split() == ["1", "2"]
    a.build(text, "-t", "app", "--build-arg", "N=3", *carry).ok()
    assert a.shell("app", "cat /seen").split() == ["1", "3"], "what is here stays"
    c = other(a, "third")
    assert "that of" in c.build(text, "-t", "app", "--build-arg", "N=4", *carry).ok().err
    assert c.shell("app", "cat /seen").split() == ["1", "3", "4"]
    (mount,) = index(a.work / "cache").mounts.values()
    blobs = a.work / "cache/blobs/sha256"
    for pack in json.loads((blobs / mount.manifest.digest.hex).read_bytes())["layers"]:
        (blobs / pack["digest"].removeprefix("sha256:")).write_bytes(b"x" * pack["size"])
    d = other(a, "fourth")
    built = d.build(text, "-t", "app", "--build-arg", "N=5", *carry).ok()
    assert "the cache mount pip is not taken" in built.err
    assert d.shell("app", "cat /seen").split() == ["5"]


def test_a_build_for_several_platforms_is_one_cache(a: Pybuild, b: Pybuild) -> None:
    text = "FROM --platform=$BUILDPLATFORM base AS make\nARG TARGETARCH\nRUN echo $TARGETARCH > /arch\n"
    text += "FROM scratch\nCOPY --from=make /arch /arch\n"
    both = ("--platform", "linux/amd64,linux/arm64", "-t", "app")
    a.build(text, *both, *TO).ok()
    assert b.build(text, *both, *FROM).ok().ran == []
    assert b("images", "-q", "--no-trunc") != ""


# --- what goes wrong -----------------------------------------------------------------------------


def fails_nothing(program: Pybuild, told: str, *arguments: str) -> Built:
    """A build that ends well, and says one time what is wrong."""
    built = program.build(TEXT, "-t", "app", *arguments).ok()
    assert [told in line for line in built.err.splitlines() if line.startswith("WARNING")] == [True], built.err
    assert program.shell("app", "cat /all /used") == "abcb"
    return built


def test_a_damaged_layer_is_made_again(a: Pybuild, b: Pybuild) -> None:
    a.build(TEXT, "-t", "app", *TO).ok()
    for step in steps(a.work / "cache").values():
        assert step.blob is not None
        path = a.work / "cache/blobs/sha256" / step.blob.digest.hex()
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    fails_nothing(b, "is not used", *FROM)
    assert b("cache", "verify") is not None


def test_a_lost_layer_is_made_again(a: Pybuild, b: Pybuild) -> None:
    a.build(TEXT, "-t", "app", *TO).ok()
    for step in steps(a.work / "cache").values():
        assert step.blob is not None
        (a.work / "cache/blobs/sha256" / step.blob.digest.hex()).unlink()
    fails_nothing(b, "has no blob", *FROM)


def test_a_layer_that_is_another_than_it_says_is_not_used(a: Pybuild, b: Pybuild) -> None:
    a.build(TEXT, "-t", "app", *TO).ok()
    shutil.copytree(a.work / "cache", a.work / "copy")
    own = next(s for s in steps(a.work / "cache").values() if s.blob)
    poison(a.work / "cache", steps_with(blob=own.blob))
    fails_nothing(b, "is not used", *FROM)
    poison(a.work / "copy", steps_with(content_id=b"?" * 32))
    fails_nothing(other(a, "third"), "is another than it says", "--cache-from", "type=local,src=copy")


def test_steps_that_are_none_are_not_believed(a: Pybuild, b: Pybuild) -> None:
    a.build(TEXT, "-t", "app", *TO).ok()
    poison(a.work / "cache", lambda entry: Said(1, "x"))
    built = b.build(TEXT, "-t", "app", *FROM).ok()
    assert len(built.ran) == 6
    assert b.shell("app", "cat /all /used") == "abcb"


@pytest.mark.parametrize("spoil", ["index.json", "entries"])
def test_a_cache_of_nonsense_is_left_alone(a: Pybuild, b: Pybuild, spoil: str) -> None:
    a.build(TEXT, "-t", "app", *TO).ok()
    cache = a.work / "cache"
    name = spoil if spoil == "index.json" else f"blobs/sha256/{index(cache).shards[0].entries.digest.hex}"
    (cache / name).write_text("<html>it works</html>")
    built = fails_nothing(b, "is not used", *FROM)
    assert len(built.ran) == 6


def test_a_cache_that_cannot_be_written_is_told_or_fails_where_that_is_wanted(a: Pybuild) -> None:
    a.file("cache/photo.jpg", "")
    fails_nothing(a, "the cache is not written", *TO)
    built = a.build(TEXT, "-t", "app", "--cache-to", "type=local,dest=cache,ignore-error=false")
    assert built.status == 2
    assert "no image layout" in built.err
    assert a.build(TEXT, "--cache-to", "type=gha").status == 2


def test_what_takes_longer_to_fetch_than_to_make_is_made(a: Pybuild, b: Pybuild) -> None:
    text = "FROM base\nCOPY big /big\nRUN cat /big | wc -c > /length\n"
    a.file("big", bytes(1 << 20))
    a.build(text, "-t", "app", *TO).ok()
    cache = a.work / "cache"

    def grown(entry: Entry) -> Entry:
        if not isinstance(entry, Step) or entry.blob is None or entry.size < 1 << 20:
            return entry
        return msgspec.structs.replace(entry, blob=msgspec.structs.replace(entry.blob, size=10 << 30))

    poison(cache, grown)
    built = b.build(text, "-t", "app", *FROM).ok()
    assert set(built.ran) == {"COPY big /big"}, "its layer says it has 10 GB"
    assert "WARNING" not in built.err
    assert image(a) != image(b)
    assert b.shell("app", "cat /length").strip() == "1048576"


def test_an_ordinary_user_shares_caches(as_user: Pybuild) -> None:
    as_user.base()
    as_user("save", "-o", "base.tar", "base")
    as_user.file("src/a", "a")
    as_user.file("src/b", "b")
    as_user.file("conf", "c")
    as_user.build(TEXT, "-t", "app", *TO).ok()
    b = other(as_user)
    assert b.build(TEXT, "-t", "app", *FROM).ok().ran == []
    assert image(b) == image(as_user)


def test_two_at_once_lose_nothing(a: Pybuild) -> None:
    machines = [other(a, f"m{n}") for n in range(3)]
    started = []
    for n, machine in enumerate(machines):
        a.file(f"f{n}/Buildfile", f"FROM base\nRUN echo {n} > /n\n")
        started.append(machine.start("build", "-f", f"f{n}/Buildfile", *TO, "."))
    assert [process.wait() for process in started] == [0, 0, 0]
    for process in started:
        process.communicate()
    assert len(steps(a.work / "cache")) == 3
    left = other(a, "left")
    shutil.copytree(a.work / "cache", a.work / "copy")
    for n in range(3):
        assert left.build(f"FROM base\nRUN echo {n} > /n\n", "--cache-from", "type=local,src=copy").ok().ran == []


# --- from the network ----------------------------------------------------------------------------


def test_the_file_of_a_url_is_not_sent_to_know_that_it_is_the_same(a: Pybuild, b: Pybuild, tmp_path: Path) -> None:
    with site(tmp_path / "none") as found:
        url = found.put("/tool", "content", age=3600)
        text = f"FROM base\nADD {url} /tool\nRUN cat /tool > /copy\n"
        a.build(text, "-t", "app", *TO).ok()
        assert b.build(text, "-t", "app", *FROM).ok().ran == []
        assert found.sent("/tool") == 1
        assert b.shell("app", "cat /copy") == "content"
        found.put("/tool", "changed", age=1800)
        assert len(other(a, "third").build(text, "-t", "app", *FROM).ok().ran) == 2
        assert found.sent("/tool") == 2


def test_who_says_of_a_url_what_is_not_so_is_not_believed(a: Pybuild, b: Pybuild, tmp_path: Path) -> None:
    with site(tmp_path / "none") as found:
        url = found.put("/tool", "content", age=3600)
        text = f"FROM base\nADD {url} /tool\n"
        a.build(text, "-t", "app", *TO).ok()
        digest = document.Digest.of(b"content").hex

        def lie(entry: Entry) -> Entry:
            if isinstance(entry, Said):
                return msgspec.structs.replace(entry, value=entry.value.replace(digest, "0" * 64))
            return entry

        poison(a.work / "cache", lie)
        b.build(text, "-t", "app", *FROM).ok()
        assert b.shell("app", "cat /tool") == "content"


# --- in a registry -------------------------------------------------------------------------------


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    (tmp_path / "registry").mkdir()
    with Registry(tmp_path / "registry") as registry:
        yield registry


def test_a_registry_shares_what_was_built(a: Pybuild, b: Pybuild, registry: Registry) -> None:
    name = f"{registry.address}/app:cache"
    a.build(TEXT, "-t", "app", "--cache-to", f"type=registry,ref={name},mode=max").ok()
    assert b.build(TEXT, "-t", "app", "--cache-from", name).ok().ran == []
    assert image(a) == image(b)
    c = other(a, "third")
    c.file("conf", "changed")
    assert c.build(TEXT, "--cache-from", name, "--cache-to", f"ref={name},mode=max").ok().ran == REST
    assert other(a, "fourth").build(TEXT, "--cache-from", name).ok().ran == []
    nothing = other(a, "fifth").build(TEXT, "--cache-from", f"{registry.address}/app:other").ok()
    assert "is empty yet" in nothing.err


def test_a_registry_that_is_not_there_is_told_once(a: Pybuild) -> None:
    fails_nothing(a, "is not used", "--cache-from", "localhost:1/app:cache")
    a("cache", "prune", "--all", "--force")
    fails_nothing(a, "is not written", "--cache-to", "localhost:1/app:cache")


def test_a_cache_lies_in_an_image(a: Pybuild, b: Pybuild, registry: Registry) -> None:
    a.build(TEXT, "-o", "type=oci,tar=false,dest=layout", "-t", "app", "--cache-to", "type=inline").ok()
    registry.push("oci:" + str(a.work / "layout") + ":app:latest", "app:v1")
    name = f"{registry.address}/app:v1"
    assert b.build(TEXT, "-t", "app", "--cache-from", name).ok().ran == []
    assert image(a) == image(b)
    c = other(a, "third")
    c.file("conf", "changed")
    assert set(c.build(TEXT, "--cache-from", name).ok().ran) == {*BUILD, *REST}
    c.file("conf", "c")
    registry.push(f"docker-archive:{a.work / 'base.tar'}", "base:v1")
    fails_nothing(other(a, "fourth"), "without a cache in it", "--cache-from", f"{registry.address}/base:v1")


def test_a_base_image_stays_where_it_is_until_its_files_are_needed(a: Pybuild, registry: Registry) -> None:
    registry.push(f"docker-archive:{a.work / 'base.tar'}", "base:v1")
    text = TEXT.replace("FROM base", f"FROM {registry.address}/base:v1")
    a.build(text, "-t", "app", *TO).ok()
    b = replace(a, root=a.root.with_name("empty"))
    plan = json.loads(b("plan", "--json", *FROM, "."))
    assert [step["fate"] for step in plan["steps"]] == ["remote"] * 8
    built = b.build(text, *FROM, "-o", "type=cacheonly").ok()
    assert built.ran == []
    assert b("images", "-q") == ""
    assert not list((b.root / "blobs/sha256").iterdir()), "nothing was needed"
    assert b.build(text, "-t", "app", *FROM).ok().ran == []
    assert image(a) == image(b)
    assert f"{registry.address}/base" in b("images")
    c = replace(a, root=a.root.with_name("empty2"))
    c.file("conf", "changed")
    assert c.build(text, "-t", "app", *FROM).ok().ran == REST
    assert c.shell("app", "cat /all /used") == "abchangedb"
    c.file("conf", "c")


def test_who_lies_about_a_base_image_gains_nothing(a: Pybuild, registry: Registry) -> None:
    registry.push(f"docker-archive:{a.work / 'base.tar'}", "base:v1")
    text = TEXT.replace("FROM base", f"FROM {registry.address}/base:v1")
    a.build(text, "-t", "app", *TO).ok()

    def lie(entry: Entry) -> Entry:
        return msgspec.structs.replace(entry, content_id=b"?" * 32) if isinstance(entry, Fact) else entry

    poison(a.work / "cache", lie)
    b = replace(a, root=a.root.with_name("empty"))
    b.build(text, "-t", "app", *FROM).ok()
    assert b.shell("app", "cat /all /used") == "abcb"
    assert b("cache", "verify") is not None


def test_layers_are_compressed_as_asked(a: Pybuild, b: Pybuild) -> None:
    a.build(TEXT, "-t", "app", "--cache-to", "type=local,dest=cache,mode=max,compression=gzip").ok()
    assert {step.blob and step.blob.compression for step in steps(a.work / "cache").values()} == {"gzip"}
    assert b.build(TEXT, "-t", "app", *FROM).ok().ran == []
    assert image(a) == image(b)
    a.build(TEXT, "-t", "app", *TO).ok()
    assert {step.blob and step.blob.compression for step in steps(a.work / "cache").values()} == {"gzip"}
    a.build(TEXT, "-t", "app", "--cache-to", "type=local,dest=cache,mode=max,compression=zstd").ok()
    assert {step.blob and step.blob.compression for step in steps(a.work / "cache").values()} == {"zstd"}


def test_what_is_exported_of_a_step_is_fetched(a: Pybuild, b: Pybuild) -> None:
    a.build(TEXT, "-t", "app", *TO).ok()
    assert b.build(TEXT, *FROM, "-o", "type=cacheonly", "--step-export", "build:/all:out").ok().ran == []
    assert (b.work / "out").read_text() == "ab"
