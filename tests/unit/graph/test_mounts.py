from __future__ import annotations

import pytest

from builder.errors import BuildfileError
from builder.graph.vertex import (
    BaseImage,
    BindMount,
    CacheMount,
    Run,
    RunMount,
    Scratch,
    SecretMount,
    SshMount,
    TmpfsMount,
    VertexId,
    Workdir,
)
from tests.unit.graph.test_lower import Images, lowered, runs


def run(flags: str, before: str = "") -> Run:
    return runs(lowered(f"FROM base AS early\nFROM base\n{before}\nRUN {flags} x"))[-1]


def mount(text: str, before: str = "") -> RunMount:
    (found,) = run(f"--mount={text}", before).mounts
    return found


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("target=/a", BindMount("/a", "")),
        ("target=a/../b/", BindMount("/w/b", "")),
        ("target=//a//b", BindMount("/a/b", "")),
        ("source=/s/./t", BindMount("/w", "s/t")),
        ("target=/a,source=../../s", BindMount("/a", "s")),
        ("target=/$name,source=${name}/s", BindMount("/value", "value/s")),
        ("target=/a,rw", BindMount("/a", "", writable=True)),
        ("target=/a,from=early", BindMount("/a", "", VertexId(0))),
        ("target=/a,from=EARLY,src=s", BindMount("/a", "s", VertexId(0))),
        ("target=/a,from=0", BindMount("/a", "", VertexId(0))),
        ("type=cache,target=/c/", CacheMount("/c", "/c")),
        ("type=cache,target=c/../d/", CacheMount("/w/d", "d")),
        (
            "type=cache,id=$name,target=/c,sharing=private,ro,mode=700,uid=1,gid=2",
            CacheMount("/c", "value", "private", read_only=True, mode=0o700, uid=1, gid=2),
        ),
        ("type=cache,target=/c,from=early,source=/s", CacheMount("/c", "/c", origin=VertexId(0), source="s")),
        ("type=cache,target=/c,mode=37777", CacheMount("/c", "/c", mode=0o7777)),
        ("type=tmpfs,target=/t,size=1k", TmpfsMount("/t", 1024)),
        ("type=secret,id=a/token", SecretMount("a/token", "/run/secrets/token")),
        ("type=secret,target=s/t", SecretMount("t", "/w/s/t")),
        ("type=secret,source=$name", SecretMount("value", "/run/secrets/value")),
        ("type=secret,id=t,env=TOKEN", SecretMount("t", "", "TOKEN")),
        ("type=secret,id=t,env=TOKEN,target=/t", SecretMount("t", "/t", "TOKEN")),
        (
            "type=secret,id=t,required,mode=0440,uid=1,gid=2",
            SecretMount("t", "/run/secrets/t", "", required=True, mode=0o440, uid=1, gid=2),
        ),
        ("type=ssh", SshMount("default", "/run/buildkit/ssh_agent.0")),
        ("type=ssh,id=a,target=s,required,uid=7", SshMount("a", "/w/s", required=True, uid=7)),
    ],
)
def test_a_mount_is(text: str, meant: RunMount) -> None:
    assert mount(text, "WORKDIR /w\nENV name=value") == meant


def test_an_image_is_a_source_and_so_is_nothing() -> None:
    images = Images()
    graph = lowered("FROM base\nRUN --mount=from=tools,target=/t --mount=from=scratch,target=/s,rw x", images)
    tools, scratch = (m.origin for m in runs(graph)[0].mounts if isinstance(m, BindMount))
    assert tools is not None
    assert scratch is not None
    found = graph.vertices[tools]
    assert isinstance(found, BaseImage)
    assert found.reference == "tools"
    assert isinstance(graph.vertices[scratch], Scratch)


def test_a_stage_that_a_mount_names_is_needed_and_others_are_not() -> None:
    graph = lowered("FROM base AS a\nRUN in-a\nFROM base AS b\nRUN in-b\nFROM base\nRUN --mount=from=a,target=/a x")
    assert [r.argv[-1] for r in runs(graph)] == ["in-a", "x"]


def test_a_trigger_may_mount_a_stage_of_its_child() -> None:
    images = Images(on_build=("RUN --mount=from=files,target=/f trigger",))
    graph = lowered("FROM scratch AS files\nWORKDIR /made\nFROM base", images)
    (bind,) = runs(graph)[0].mounts
    assert isinstance(bind, BindMount)
    assert bind.origin is not None
    assert isinstance(graph.vertices[bind.origin], Workdir)


def test_agents_are_counted_and_the_first_is_the_steps() -> None:
    step = run("--mount=type=ssh,id=a --mount=type=tmpfs,target=/t --mount=type=ssh,id=b")
    targets = [m.target for m in step.mounts]
    assert targets == ["/run/buildkit/ssh_agent.0", "/t", "/run/buildkit/ssh_agent.1"]
    assert dict(step.env)["SSH_AUTH_SOCK"] == "/run/buildkit/ssh_agent.0"
    assert dict(run("--mount=type=ssh,target=/s").env)["SSH_AUTH_SOCK"] == "/s"
    assert dict(run("--mount=type=ssh", "ENV SSH_AUTH_SOCK=/own").env)["SSH_AUTH_SOCK"] == "/own"
    assert "SSH_AUTH_SOCK" not in dict(run("").env)


def test_modes_of_network_and_security() -> None:
    assert (run("").network, run("").security) == ("default", "sandbox")
    assert run("--network=none").network == "none"
    assert run("--security=insecure").security == "insecure"


def test_history_does_not_show_mounts() -> None:
    graph = lowered("FROM base\nRUN --mount=type=secret,id=s --network=none x")
    assert graph.targets[0].config.history[-1].created_by == "RUN /bin/sh -c x # buildkit"


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("target=/", "/ x"),
        ("target=/a/..", "/a/.."),
        ("type=cache", "type=cache"),
        ("type=secret,id=/", "type=secret"),
        ("type=secret,id=s,target=/", "/ x"),
        ("target=/a,from=$x", "from=$x"),
        ("target=/a,colour=red", "colour=red"),
        ("target=/a,source=${x:?is needed}", "${x:?is"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(text: str, near: str) -> None:
    with pytest.raises(BuildfileError) as caught:
        lowered(f"FROM base\nRUN --mount={text} x")
    where = caught.value.where
    assert where is not None
    assert where.line == 2
    assert where.source[where.column - 1 :].startswith(near)


def test_a_later_stage_cannot_be_mounted() -> None:
    with pytest.raises(BuildfileError, match="does not come before") as caught:
        lowered("FROM base AS a\nRUN --mount=from=late,target=/a x\nFROM base AS late\nFROM a")
    assert caught.value.where is not None
    assert caught.value.where.line == 2
