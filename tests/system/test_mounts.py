"""RUN's mounts, network and security as steps of real builds meet them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.program import Built, Pybuild

SECRET = "correct-horse-battery-staple"


@pytest.fixture
def based(pybuild: Pybuild) -> Pybuild:
    pybuild.base()
    return pybuild


def printed(built: Built) -> list[str]:
    """What the commands of a build printed, in order of the steps, without numbers and times."""
    lines = [line.split(" ", 2) for line in built.ok().err.splitlines() if line.startswith("#")]
    return [words[2] for words in lines if len(words) == 3 and words[1].replace(".", "", 1).isdigit()]


def layers(pybuild: Pybuild, image: str) -> list[str]:
    found: list[str] = json.loads(pybuild("inspect", image))[0]["RootFS"]["Layers"]
    return found


KEPT = ("-t", "app", "-o", "type=docker,dest=image.tar")


def listings(pybuild: Pybuild) -> list[list[str]]:
    """The names in each layer of an image built with KEPT."""
    with tarfile.open(pybuild.work / "image.tar") as archive:
        manifest = json.load(archive.extractfile("manifest.json"))[0]  # type: ignore[arg-type]
        blobs = [archive.extractfile(name).read() for name in manifest["Layers"]]  # type: ignore[union-attr]
    return [tarfile.open(fileobj=io.BytesIO(blob)).getnames() for blob in blobs]


# --- bind ----------------------------------------------------------------------------------------


def test_the_context_is_seen_as_its_ignore_file_says_and_cannot_be_written(based: Pybuild) -> None:
    based.file("file", "content", 0o640)
    based.file("*odd*", "odd")
    based.file("sub/seen", "seen")
    based.file("sub/hidden", SECRET)
    (based.work / "sub/out").symlink_to("/etc/passwd")
    based.file(".dockerignore", "Buildfile\n.dockerignore\nsub/hidden\n")
    built = based.build(
        """FROM base
WORKDIR /w
RUN --mount=target=/ctx find /ctx | sort; stat -c '%a %u:%g' /ctx /ctx/file; readlink /ctx/sub/out
RUN --mount=target=/ctx if echo x > /ctx/file; then echo written; fi
RUN --mount=source=sub,target=here ls here
RUN --mount=source=*odd*,target=/made/for/it cat /made/for/it && echo
RUN --mount=target=/ctx,rw echo new > /ctx/file && rm -r /ctx/sub && ls /ctx && cat /ctx/file
"""
    )
    assert [line for line in printed(built) if "Read-only" not in line] == [
        "/ctx", "/ctx/*odd*", "/ctx/file", "/ctx/sub", "/ctx/sub/out", "/ctx/sub/seen",
        "755 0:0", "640 0:0", "/etc/passwd",
        "out", "seen",
        "odd",
        "*odd*", "file", "new",
    ]  # fmt: skip
    assert (based.work / "file").read_text() == "content"
    assert (based.work / "sub/seen").exists()


def test_stages_and_images_are_seen_with_their_owners_and_cannot_be_changed(based: Pybuild) -> None:
    built = based.build(
        """FROM base AS files
RUN mkdir -m 750 /data && echo one > /data/one && ln -s /data /link && chown 7:8 /data/one
FROM base
RUN --mount=from=files,target=/f stat -c '%a' /f/data; cat /f/data/one; if touch /f/x; then echo written; fi
RUN --mount=from=files,source=/link/one,target=/one cat /one; stat -c '%u:%g' /one
RUN --mount=from=files,source=data,target=/d,rw echo two > /d/two; rm /d/one; ls /d
RUN --mount=from=0,source=data,target=/d ls /d
RUN --mount=from=base,source=/etc,target=/e head -c 4 /e/passwd; echo
RUN --mount=from=scratch,target=/s,rw touch /s/x; ls /s
RUN --mount=from=files,target=/f --mount=type=tmpfs,target=/f/tmp --mount=target=/f/tmp/in ls /f/tmp/in
"""
    )
    assert [line for line in printed(built) if "Read-only" not in line] == [
        "750", "one", "one", "7:8", "two", "one", "root", "x", "Buildfile",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("source=nothere,target=/a", "nothere is not in the build context"),
        ("source=no[t]here,target=/a", "no[t]here is not in the build context"),
        ("source=hidden,target=/a", ".dockerignore:1"),
        ("from=scratch,source=nothere,target=/a", "/nothere is not in the stage or image it is mounted from"),
        ("type=cache,from=made,source=f,target=/a", "a cache mount is a directory, and /f is none"),
        ("from=made,target=/dev/null/x", "cannot be a mount target: /dev/null is no directory"),
        ("from=made,source=f,target=/etc", "a file cannot be mounted on /etc, which is a directory"),
        ("from=made,target=/etc/resolv.conf", "a directory cannot be mounted on /etc/resolv.conf, which is a file"),
        ("target=/a,colour=red", "no key 'colour'"),
    ],
)
def test_a_mount_that_cannot_be_is_an_error_at_its_line(pybuild: Pybuild, flags: str, said: str) -> None:
    pybuild.file("hidden", "")
    pybuild.file(".dockerignore", "hidden")
    built = pybuild.build(f'FROM scratch AS made\nCOPY <<f /\nf\nFROM scratch\nRUN --mount={flags} ["x"]\n')
    assert built.status in (3, 4, 5), built.err
    assert said in built.err
    assert "Buildfile:5" in built.err


# --- cache ---------------------------------------------------------------------------------------


def test_a_cache_outlives_builds_and_is_in_no_layer(based: Pybuild) -> None:
    text = """FROM base
ARG TURN
RUN --mount=type=cache,target=/var/cache/x echo turn $TURN >> /var/cache/x/log; cat /var/cache/x/log
RUN --mount=type=cache,target=/elsewhere,id=/var/cache/x,ro cat /elsewhere/log; if touch /elsewhere/y; then echo; fi
RUN --mount=type=cache,target=/var/cache/x,id=other ls /var/cache/x
RUN ls /var || true
"""
    first = printed(based.build(text, "--build-arg", "TURN=1", "-t", "app"))
    assert [line for line in first if line.startswith("turn")] == ["turn 1"] * 2
    second = based.build(text, "--build-arg", "TURN=2", *KEPT)
    assert [line for line in printed(second) if line.startswith("turn")] == ["turn 1", "turn 2"] * 2
    assert based.build(text, "--build-arg", "TURN=2", "-t", "app").ok().ran == []
    assert "No such file" in " ".join(first)
    assert not [name for names in listings(based) for name in names if "var" in name]
    kinds = {row["kind"]: row["count"] for row in json.loads(based("cache", "du", "--format", "json"))}
    assert kinds["cache mounts"] == 2
    about = [json.loads(path.read_text())["id"] for path in (based.root / "cachemounts").glob("*/cache.json")]
    assert sorted(about) == ["/var/cache/x", "other"]


def test_how_a_cache_begins(based: Pybuild) -> None:
    built = based.build(
        """FROM base AS files
RUN mkdir -p /seed/in && echo seed > /seed/in/f && chown -R 5:6 /seed/in && chmod 2750 /seed/in
FROM base
RUN --mount=type=cache,target=/c stat -c '%a %u:%g' /c
RUN --mount=type=cache,target=/c,uid=1000,gid=50,mode=1770 stat -c '%a %u:%g' /c
RUN --mount=type=cache,target=/c,from=files,source=/seed/in stat -c '%a %u:%g' /c /c/f; cat /c/f; echo more >> /c/f
RUN --mount=type=cache,target=/c,from=files,source=/seed/in cat /c/f
RUN --mount=type=cache,target=/c,from=files ls /c/seed
USER alice
RUN --mount=type=cache,target=/c,uid=1000,gid=50,mode=1770 touch /c/mine && ls /c
"""
    )
    assert printed(built) == [
        "755 0:0", "1770 1000:50", "2750 5:6", "644 5:6", "seed", "seed", "more", "in", "mine",
    ]  # fmt: skip


def test_who_shares_a_cache(based: Pybuild) -> None:
    """Two steps that are surely both under way: they meet in one cache, and look who else is in the other."""
    stage = """FROM base AS {me}-{sharing}
RUN --mount=type=cache,target=/meet --mount=type=cache,target=/c,id={sharing},sharing={sharing} \\
    touch /c/{me} /meet/{me}-{sharing}; until [ -e /meet/{other}-{sharing} ]; do sleep 0.02; done; \\
    ls /c > /{me}-{sharing}
"""
    stages, copies = "", ""
    for sharing in ("shared", "private"):
        for me, other in ("ab", "ba"):
            stages += stage.format(me=me, other=other, sharing=sharing)
            copies += f"COPY --from={me}-{sharing} /{me}-{sharing} /\n"
    based.build(f"{stages}FROM base\n{copies}", "-t", "app").ok()
    assert based.shell("app", "cat /a-shared /b-shared").split() == ["a", "b", "a", "b"]
    assert based.shell("app", "cat /a-private /b-private").split() == ["a", "b"]


def test_a_locked_cache_is_one_builds_at_a_time(based: Pybuild) -> None:
    based.file(
        "Locked",
        """FROM base
ARG ME
RUN --mount=type=cache,target=/c,sharing=locked mkdir /c/busy && sleep 0.3 && rmdir /c/busy && echo $ME >> /c/log
RUN --mount=type=cache,target=/c,sharing=locked sort /c/log | tr '\\n' ' '
""",
    )
    builds = [based.start("build", "-f", "Locked", "--build-arg", f"ME={me}", ".") for me in ("a", "b", "c")]
    for process in builds:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err.decode()
    done = based.try_("build", "--progress", "plain", "-f", "Locked", "--build-arg", "ME=d", ".")
    assert "a b c d" in done.stderr


def test_waiting_for_a_locked_cache_can_be_interrupted(based: Pybuild) -> None:
    based.file("Locked", "FROM base\nARG ME\nRUN --mount=type=cache,target=/c,sharing=locked touch /c/$ME; sleep 60\n")
    first = based.start("build", "-f", "Locked", "--build-arg", "ME=a", ".")
    try:
        wait_for(lambda: list((based.root / "cachemounts").glob("*/0/a")), first)
        second = based.start("build", "--progress", "plain", "-f", "Locked", "--build-arg", "ME=b", ".")
        assert second.stderr is not None
        assert any(b"RUN" in line for line in second.stderr)
        second.send_signal(signal.SIGINT)
        second.communicate(timeout=30)
        assert second.returncode == 130
        assert first.poll() is None
        assert not list((based.root / "cachemounts").glob("*/0/b"))
    finally:
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=30)


def wait_for(question: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    while not question():
        assert process.poll() is None, "it ended before"
        time.sleep(0.02)


# --- tmpfs ---------------------------------------------------------------------------------------


def test_a_tmpfs_has_its_size_and_the_mode_of_what_it_covers(based: Pybuild) -> None:
    built = based.build(
        """FROM base
RUN mkdir -m 700 /own && echo x > /own/f
RUN --mount=type=tmpfs,target=/own,size=64k stat -c '%a' /own; ls /own; df -k /own | tail -n 1 | awk '{print $2}'
RUN --mount=type=tmpfs,target=/new stat -c '%a' /new; cp /bin/busybox /new/sh; /new/sh -c 'echo runs'
RUN --mount=type=tmpfs,target=/own,size=64k if cp /bin/busybox /own; then echo fits; fi
RUN ls /own
"""
    )
    assert [line for line in printed(built) if "No space" not in line] == ["700", "64", "1777", "runs", "f"]


# --- secret --------------------------------------------------------------------------------------


def test_a_secret_is_seen_by_its_step_and_kept_nowhere(based: Pybuild) -> None:
    based.file("token", SECRET)
    text = """FROM base
RUN --mount=type=secret,id=token wc -c < /run/secrets/token; stat -c '%a %u:%g' /run/secrets/token
RUN --mount=type=secret,id=token if echo x > /run/secrets/token; then echo written; fi
RUN --mount=type=secret,id=token,target=/root/.t,mode=0440,uid=1000,gid=50 stat -c '%a %u:%g' /root/.t
RUN --mount=type=secret,id=token,env=TOKEN echo ${#TOKEN}; ls /run 2>&1 | head -n 1
RUN --mount=type=secret,id=v,env=TOKEN,target=/t echo ${#TOKEN}; wc -c < /t
RUN --mount=type=secret,id=absent ls /run/secrets 2>&1 | head -n 1
RUN --mount=type=secret,id=absent,env=TOKEN echo ${TOKEN-unset}.
USER alice
RUN --mount=type=secret,id=token,uid=1000 wc -c < /run/secrets/token
RUN --mount=type=secret,id=token if cat /run/secrets/token; then echo read; fi
"""
    secrets = ("--secret", "id=token,src=token", "--secret", "id=v,env=VARIABLE")
    built = based.build(text, *secrets, *KEPT, VARIABLE=SECRET + "-2")
    assert [line for line in printed(built) if "denied" not in line and "Read-only" not in line] == [
        "28", "400 0:0", "440 1000:50", "28", "ls: /run: No such file or directory", "30", "30",
        "ls: /run/secrets: No such file or directory", ".", "28",
    ]  # fmt: skip
    assert SECRET not in built.err
    for place in (based.root, based.work / "image.tar"):
        found = subprocess.run(["grep", "-rlF", SECRET, place], capture_output=True, text=True, check=False)
        assert found.stdout == ""
    added = {name for names in listings(based)[1:] for name in names}
    assert added == {"dev", "proc", "sys"}
    based.file("token", "another")
    assert based.build(text, *secrets, VARIABLE="more").ok().ran == []


def test_a_secret_that_counts_runs_its_steps_again_and_is_kept_nowhere(based: Pybuild) -> None:
    based.file("token", SECRET)
    text = """FROM base
RUN --mount=type=secret,id=token md5sum < /run/secrets/token > /sum
RUN --mount=type=secret,id=other,env=OTHER echo plain
RUN echo last
"""
    secrets = ("--secret", "id=token,src=token,cachekey=true", "--secret", "id=other,env=VARIABLE")
    based.build(text, *secrets, *KEPT, VARIABLE="one").ok()
    assert based.build(text, *secrets, VARIABLE="two").ok().ran == []
    key = based.root / "local.key"
    assert (key.stat().st_mode & 0o777, key.stat().st_size) == (0o600, 32)
    for place in (based.root, based.work / "image.tar"):
        for pattern in (SECRET, hashlib.sha256(SECRET.encode()).hexdigest()):
            found = subprocess.run(["grep", "-rlF", pattern, place], capture_output=True, text=True, check=False)
            assert found.stdout == ""
    assert SECRET not in based("cache", "ls", "--format", "json")

    based.file("token", "another")
    first = "RUN --mount=type=secret,id=token md5sum < /run/secrets/token > /sum"
    assert based.build(text, *secrets, VARIABLE="one").ok().ran == [
        first,
        "RUN --mount=type=secret,id=other,env=OTHER echo plain",
        "RUN echo last",
    ]
    assert "the value of the secret token changed" in based("cache", "why", "2")
    based.file("token", SECRET)
    assert based.build(text, *secrets, VARIABLE="one").ok().ran == []
    # Without the wish it is no part of the key, and a key that was lost is made again.
    key.unlink()
    assert first in based.build(text, "--secret", "id=token,src=token", VARIABLE="one").ok().ran
    assert not key.exists()
    assert first in based.build(text, *secrets, VARIABLE="one").ok().ran
    assert key.stat().st_size == 32
    wrong = based.build(text, "--secret", "id=token,src=token,cachekey=perhaps")
    assert (wrong.status, "cachekey is true or false" in wrong.err) == (2, True)


# What only the step that needs the secret can say; all else is refused before anything is built.
STEP_ERRORS: list[Sequence[str]] = [(), ("--secret", "id=other,src=file"), ("--secret", "id=token,src=nul")]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ((), 4, "--secret id=token,src=FILE"),
        (("--secret", "id=other,src=file"), 4, "requires the secret 'token'"),
        (("--secret", "id=token,src=nothere"), 4, "nothere"),
        (("--secret", "id=token,src=large"), 5, "larger than 500 KiB"),
        (("--secret", "id=token,src=."), 2, "is a directory"),
        (("--secret", "src=file"), 2, "has no id"),
        (("--secret", "id=token,sorce=file"), 2, "did you mean source?"),
        (("--secret", "id=token,type=keyring"), 2, "no type 'keyring'"),
        (("--secret", "token"), 2, "must be key=value"),
        (("--secret", 'id=token,src="file"'), 2, "quote"),
        (("--secret", "id=token,src=nul"), 5, "holds a NUL byte"),
    ],
)
def test_a_secret_that_cannot_be_had_is_an_error(
    pybuild: Pybuild, arguments: Sequence[str], status: int, said: str
) -> None:
    for name, content in (("file", "x"), ("large", "x" * 512001), ("nul", "a\0b")):
        pybuild.file(name, content)
    built = pybuild.build('FROM scratch\nRUN --mount=type=secret,id=token,env=T,target=/t,required ["x"]\n', *arguments)
    assert built.status == status, built.err
    assert said in built.err
    assert ("Buildfile:2" in built.err) == (arguments in STEP_ERRORS)


def test_where_a_secret_is_looked_for(based: Pybuild) -> None:
    """By its id alone: a variable of that name, else a file of that name; env as a type makes the source a variable."""
    based.file("both", "file")
    based.file("FILE", "file")
    text = "FROM base\n" + "".join(
        f"RUN --mount=type=secret,id={name},env=T echo $T\n" for name in ("both", "FILE", "typed")
    )
    flags = ("--secret", "id=both", "--secret", "id=FILE", "--secret", "type=env,id=typed,src=VARIABLE")
    assert printed(based.build(text, *flags, both="variable", VARIABLE="typed")) == ["variable", "file", "typed"]


# --- ssh -----------------------------------------------------------------------------------------


@contextmanager
def agent(directory: Path, prefix: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """An ssh-agent with one key: its socket, and what `ssh-add -l` says of it."""
    place, key = directory / "agent", directory / "key"
    process = subprocess.Popen([*prefix, "ssh-agent", "-D", "-a", place], stdout=subprocess.DEVNULL)
    try:
        wait_for(place.exists, process)
        subprocess.run([*prefix, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "key", "-f", key], check=True)
        env = {**os.environ, "SSH_AUTH_SOCK": str(place)}
        subprocess.run([*prefix, "ssh-add", "-q", key], env=env, check=True)
        yield str(place), subprocess.check_output([*prefix, "ssh-add", "-l"], env=env, text=True).strip()
    finally:
        process.terminate()
        process.wait()


def test_an_agent_answers_through_a_socket_of_the_steps_own(pybuild: Pybuild) -> None:
    pybuild("import", "--from-host", "sh,ssh-add,ls,stat", "base")
    text = """FROM base
RUN --mount=type=ssh echo $SSH_AUTH_SOCK; stat -c '%a %u:%g %F' $SSH_AUTH_SOCK; ssh-add -l && ssh-add -l
RUN --mount=type=ssh,id=two,target=/a,mode=0660,uid=7,gid=8 stat -c '%a %u:%g' /a; SSH_AUTH_SOCK=/a ssh-add -l
USER 1000
RUN --mount=type=ssh ssh-add -l || true
RUN --mount=type=ssh,uid=1000 ssh-add -l
RUN --mount=type=ssh,id=absent ls $SSH_AUTH_SOCK 2>&1 || true
"""
    with agent(pybuild.work) as (place, key):
        flags = ("--ssh", "default", "--ssh", f"two={place}", *KEPT)
        built = pybuild.build(text, *flags, SSH_AUTH_SOCK=place)
        assert printed(built) == [
            "/run/buildkit/ssh_agent.0", "600 0:0 socket", key, key, "660 7:8", key,
            "Error connecting to agent: Permission denied", key,
            "ls: cannot access '/run/buildkit/ssh_agent.0': No such file or directory",
        ]  # fmt: skip
    assert not [name for names in listings(pybuild) for name in names if "buildkit" in name]
    assert pybuild.build(text, "-t", "app").ok().ran == []


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ((), 4, "pass it: --ssh default"),
        (("--ssh", "default"), 2, "SSH_AUTH_SOCK is not set"),
        (("--ssh", "default=Buildfile"), 2, "ssh-add FILE"),
        (("--ssh", "default=nothere"), 4, "nothere"),
        (("--ssh", "=x"), 2, "no id"),
        (("--ssh", "default=dead"), 7, "no SSH agent answers"),
    ],
)
def test_an_agent_that_cannot_be_had_is_an_error(
    pybuild: Pybuild, arguments: Sequence[str], status: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.chdir(pybuild.work)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind("dead")
    built = pybuild.build('FROM scratch\nRUN --mount=type=ssh,required ["x"]\n', *arguments)
    assert built.status == status, built.err
    assert said in built.err


# --- network, security, proxies ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "allow"), [("--network=host", "network.host"), ("--security=insecure", "security.insecure")]
)
def test_what_needs_an_entitlement_is_refused_without(based: Pybuild, flag: str, allow: str) -> None:
    text = f"FROM base\nRUN true\nRUN {flag} true\n"
    built = based.build(text)
    assert built.status == 3
    assert f"--allow {allow}" in built.err
    assert "Buildfile:3" in built.err
    assert built.ran == []
    assert len(based.build(text, "--allow", allow).ok().ran) == 2
    assert based.build(text).status == 3  # also when it is cached


def test_what_can_be_granted(based: Pybuild) -> None:
    """Asking for the host's network for the whole build grants it."""
    based.build("FROM base\nRUN true\n", "--network", "host").ok()
    assert based.build("FROM base\nRUN true\n", "--allow", "everything").status == 2


def test_an_insecure_step_has_what_this_process_has(based: Pybuild) -> None:
    text = """FROM base
RUN --security=insecure grep CapEff /proc/self/status; mount -t tmpfs none /mnt || mount -t tmpfs none /tmp; echo $?
RUN --security=insecure awk '$5 ~ "^/proc/" || ($5 == "/sys" && $6 ~ "ro,")' /proc/self/mountinfo
RUN --security=sandbox grep CapEff /proc/self/status; mount -t tmpfs none /tmp 2> /dev/null; echo $?
USER alice
RUN --security=insecure grep CapEff /proc/self/status; test -e /dev/kmsg; echo $?
"""
    own = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "CapEff" in line]
    lines = printed(based.build(text, "--allow", "security.insecure"))
    assert [line.split()[-1] for line in lines if "can't" not in line and "No such" not in line] == [
        *own, "0", "00000000a80425fb", "1", *own, "0" if Path("/dev/kmsg").exists() else "1",
    ]  # fmt: skip


def test_proxies_are_seen_in_both_spellings_and_kept_nowhere(based: Pybuild) -> None:
    text = "FROM base\nRUN env | grep -i proxy | sort\n"
    flags = ("--build-arg", "http_proxy=http://one", "--build-arg", "NO_PROXY=two", "--build-arg", "FTP_PROXY=")
    assert printed(based.build(text, *flags, "-t", "app")) == [
        "HTTP_PROXY=http://one", "NO_PROXY=two", "http_proxy=http://one", "no_proxy=two",
    ]  # fmt: skip
    assert based.build(text).ok().ran == []
    assert "http://one" not in based("history", "--format", "json", "app")


# --- together ------------------------------------------------------------------------------------


def test_a_layer_shows_no_trace_of_mounts(based: Pybuild) -> None:
    """With and without mounts, whose targets are missing, doing nothing gives the same layer to the last bit."""
    based.file("file", "x")
    built = based.build(
        """FROM base
RUN true
RUN --mount=target=/a/b/c --mount=source=file,target=/etc/x/file --mount=type=cache,target=/home/c \
    --mount=type=tmpfs,target=/t/t --mount=type=secret,id=s --mount=from=base,target=/f/f,rw touch /home/c/x
RUN true
RUN --mount=type=cache,target=/opt/in/cache touch /opt/in/cache/x /opt/kept
""",
        "--secret",
        "id=s,src=file",
        *KEPT,
    ).ok()
    assert len(built.ran) == 4
    found = layers(based, "app")
    assert found[2] == found[3]
    assert listings(based)[4] == ["opt", "opt/kept"]


def test_what_a_bind_shows_is_part_of_the_key(based: Pybuild) -> None:
    based.file("in/file", "one")
    based.file("beside", "one")
    text = "FROM base\nRUN --mount=source=in,target=/in cat /in/file\n"
    assert len(based.build(text).ok().ran) == 1
    based.file("beside", "two")
    assert based.build(text).ok().ran == []
    based.file("in/file", "two")
    assert printed(based.build(text)) == ["two"]


def test_mounts_work_for_an_ordinary_user(as_user: Pybuild) -> None:
    as_user("import", "--from-host", "sh,ssh-add,ls,stat,cat,touch,grep,chown", "base")
    as_user.file("file", SECRET)
    as_user.file("hidden", "x")
    as_user.file(".dockerignore", "hidden\n.dockerignore\nBuildfile\nagent\nkey*\n")
    text = """FROM base AS files
RUN echo one > /one; chown 5:6 /one
FROM base
RUN --mount=target=/ctx ls /ctx; stat -c '%u:%g' /ctx/file
RUN --mount=from=files,source=/one,target=/two,rw echo two >> /two; cat /two; stat -c '%u:%g' /two
RUN --mount=type=cache,target=/c,uid=1000,mode=0700 touch /c/x; stat -c '%a %u' /c
RUN --mount=type=tmpfs,target=/t,size=1m stat -c '%a' /t
USER 1000
RUN --mount=type=secret,id=s,uid=1000 stat -c '%s %u' /run/secrets/s
RUN --mount=type=ssh,uid=1000 ssh-add -l
"""
    with agent(as_user.work, as_user.prefix[:5] if os.geteuid() == 0 else ()) as (place, key):
        built = as_user.build(text, "--secret", "id=s,src=file", "--ssh", f"default={place}", "-t", "app")
        assert printed(built) == ["file", "0:0", "one", "two", "5:6", "700 1000", "1777", "28 1000", key]
    found = subprocess.run(["grep", "-rlF", SECRET, as_user.root], capture_output=True, text=True, check=False)
    assert found.stdout == ""
    kinds = {row["kind"]: row["count"] for row in json.loads(as_user("cache", "du", "--format", "json"))}
    assert kinds["cache mounts"] == 1
    insecure = as_user.build(
        "FROM base\nRUN --security=insecure grep CapEff /proc/self/status\n", "--allow", "security.insecure"
    )
    assert int(printed(insecure)[0].split()[1], 16) & 1 << 21  # CAP_SYS_ADMIN, in the user's own namespace
