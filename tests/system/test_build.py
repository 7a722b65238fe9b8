"""Whole builds: what steps see, what layers hold, what is cached."""

from __future__ import annotations

import json
import os
import subprocess
import time

import pytest

from tests.support.program import Pybuild


@pytest.fixture
def based(pybuild: Pybuild) -> Pybuild:
    pybuild.base()
    return pybuild


def config(pybuild: Pybuild, image: str) -> dict[str, object]:
    return json.loads(pybuild("inspect", image))[0]["Config"]


def test_a_step_sees_what_it_should(based: Pybuild) -> None:
    based.build(
        """FROM base
ARG ARGUMENT=arg
ENV VARIABLE=env
WORKDIR /work/dir
USER alice
RUN id > /tmp/id; pwd > /tmp/pwd; env | sort > /tmp/env; hostname > /tmp/hostname; umask > /tmp/umask
""",
        "-t",
        "app",
    ).ok()
    assert based.shell("app", "cat /tmp/id") == "uid=1000(alice) gid=1000(alice) groups=50(staff),1000(alice)\n"
    assert based.shell("app", "cat /tmp/pwd") == "/work/dir\n"
    assert based.shell("app", "cat /tmp/env").splitlines() == [
        "ARGUMENT=arg",
        "HOME=/home/alice",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PWD=/work/dir",
        "SHLVL=1",
        "VARIABLE=env",
    ]
    assert based.shell("app", "cat /tmp/hostname /tmp/umask") == "buildkitsandbox\n0022\n"


def test_a_step_is_isolated(based: Pybuild) -> None:
    """Namespaces of its own, Docker's default capabilities, a small /dev, nothing of the host."""
    built = based.build(
        """FROM base
RUN echo pid $$; ls /proc | grep -c '^[0-9]*$'
RUN grep -E '^Cap(Prm|Eff|Bnd|Inh|Amb)' /proc/self/status
RUN ls /dev | sort | tr '\\n' ' '
RUN for ns in mnt pid ipc uts cgroup; do readlink /proc/self/ns/$ns; done
RUN touch /sys/x 2>&1 || true; touch /proc/sys/kernel/x 2>&1 || true; cat /proc/kcore | wc -c
RUN ls -l /proc/self/fd | grep -c ' -> '
RUN wc -l < /proc/self/mountinfo; grep -c ' / / ' /proc/self/mountinfo
USER alice
RUN grep -E '^Cap(Eff|Prm|Amb)' /proc/self/status
"""
    ).ok()
    lines = [line.split(" ", 2)[2] for line in built.err.splitlines() if line.startswith("#") and line.count(" ") >= 2]
    text = "\n".join(lines)
    assert "CapBnd:\t00000000a80425fb" in text
    assert "CapEff:\t00000000a80425fb" in text
    assert text.count("CapInh:\t0000000000000000") == 1
    assert text.count("CapEff:\t0000000000000000") == 1  # alice has none
    assert "console" not in text
    for device in [
        "fd",
        "full",
        "mqueue",
        "null",
        "ptmx",
        "pts",
        "random",
        "shm",
        "stderr",
        "stdin",
        "stdout",
        "tty",
        "urandom",
        "zero",
    ]:
        assert f"{device} " in text
    for namespace in ("mnt", "pid", "ipc", "uts", "cgroup"):
        own = os.readlink(f"/proc/self/ns/{namespace}")
        assert f"{namespace}:[" in text
        assert own not in text
    assert "/sys/x: Read-only file system" in text
    assert "/proc/sys/kernel/x: " in text


@pytest.mark.parametrize("place", ["/node", "/dev/node", "/dev/shm/node", "/mnt/node", "/cache/node"])
def test_a_step_opens_no_device_but_those_of_its_dev(based: Pybuild, place: str) -> None:
    """It may make nodes (mknod is one of Docker's capabilities), also of this machine's disks."""
    built = based.build(
        "FROM base\nRUN --mount=type=tmpfs,target=/mnt --mount=type=cache,target=/cache "
        f"echo fine > /dev/null && mknod {place} c 1 5 && head -c 1 {place}\n"
    )
    assert built.status == 1
    assert f"{place}: Permission denied" in built.err


@pytest.mark.parametrize("network", ["default", "host", "none"])
def test_networks(based: Pybuild, network: str) -> None:
    based.build(
        f"FROM base\nRUN --network={network} readlink /proc/self/ns/net > /net; ls /sys/class/net > /devices\n",
        "--allow",
        "network.host",
        "-t",
        "app",
    ).ok()
    own = os.readlink("/proc/self/ns/net") + "\n"
    assert (based.shell("app", "cat /net") == own) == (network == "host")
    if network != "host":
        assert based.shell("app", "cat /devices").split() == (["lo"] if network == "none" else ["lo", "tap0"])


def test_the_builds_network_is_the_default(based: Pybuild) -> None:
    based.build("FROM base\nRUN readlink /proc/self/ns/net > /net\n", "--network", "none", "-t", "app").ok()
    assert based.shell("app", "cat /net") != os.readlink("/proc/self/ns/net") + "\n"


def test_files_for_name_resolution_are_there_and_not_left_behind(based: Pybuild) -> None:
    based.build("FROM base\nRUN test -s /etc/hosts && test -e /etc/resolv.conf && echo ok > /ok\n", "-t", "app").ok()
    based("save", "-o", "app.tar", "app")
    listing = based_tree(based, "app")
    assert "etc/hosts" not in listing
    assert "etc/resolv.conf" not in listing
    assert "ok" in listing


def based_tree(pybuild: Pybuild, image: str) -> set[str]:
    """The paths of an image, by its flat tar."""
    pybuild.build(f"FROM {image}\n", "-o", "type=tar,dest=tree.tar").ok()
    listing = subprocess.run(
        ["tar", "tf", pybuild.work / "tree.tar"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return {name.rstrip("/") for name in listing}


def test_no_process_is_left(based: Pybuild) -> None:
    marker = f"31.{os.getpid()}"
    based.build(f"FROM base\nRUN sleep {marker} & sleep {marker} & echo started\n").ok()
    assert f"sleep\0{marker}" not in all_command_lines()


def all_command_lines() -> str:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                found.append(file.read().decode(errors="replace"))
        except OSError:
            continue
    return "\n".join(found)


def test_output_comes_live(based: Pybuild) -> None:
    based.file("Buildfile", "FROM base\nRUN echo first; sleep 3; echo last\n")
    process = based.start("build", "--progress", "plain", "-f", "Buildfile", ".")
    assert process.stderr is not None
    seen: dict[str, float] = {}
    for line in process.stderr:
        for word in ("first", "last"):
            if line.rstrip().endswith(word.encode()) and b"RUN" not in line:
                seen[word] = time.monotonic()
    assert process.wait() == 0
    assert seen["last"] - seen["first"] > 1
    assert process.stdout is not None
    process.stdout.close()
    process.stderr.close()


def test_a_failing_step_says_what_and_where_and_leaves_nothing(based: Pybuild) -> None:
    built = based.build("FROM base\nRUN echo before\nRUN echo made > /made; echo why; exit 3\n", "-t", "app")
    assert built.status == 1
    assert "did not complete successfully: exit code: 3" in built.err
    assert "Buildfile:3" in built.err
    assert "why" in built.err
    records = json.loads(based("cache", "ls", "--format", "json"))
    assert [r["place"] for r in records] == ["Buildfile:2"]
    assert "app" not in based("images")
    assert not list((based.root / "tmp").iterdir())
    again = based.build("FROM base\nRUN echo before\nRUN echo made > /made\n").ok()
    assert (again.cached, again.ran) == (["RUN echo before"], ["RUN echo made > /made"])


def test_a_killed_step_and_a_missing_program(based: Pybuild) -> None:
    assert "exit code: 137" in based.build("FROM base\nRUN kill -9 $$\n").err
    missing = based.build('FROM base\nRUN ["/no/such/program"]\n')
    assert "exit code: 127" in missing.err
    assert "no such file" in missing.err.lower()


def test_heredocs(based: Pybuild) -> None:
    based.build(
        """FROM base
ARG WHO=world
RUN <<EOT
set -e
echo "script $WHO" > /script
EOT
RUN <<EOT
#!/bin/cat
shebang
EOT
RUN cat <<EOT > /fed
fed
EOT
COPY <<expanded <<'literal' /files/
hello $WHO
expanded
hello $WHO
literal
""",
        "-t",
        "app",
    ).ok()
    assert based.shell("app", "cat /script /fed /files/expanded /files/literal") == (
        "script world\nfed\nhello world\nhello $WHO\n"
    )
    assert based.shell("app", "stat -c %a /files/expanded") == "644\n"


def test_copy(based: Pybuild) -> None:
    based.file("file", "content", 0o640)
    based.file("dir/one", "1")
    based.file("dir/sub/two", "2", 0o755)
    (based.work / "dir" / "link").symlink_to("one")
    (based.work / "link-to-dir").symlink_to("dir")
    based.file("ignored.o", "x")
    based.file(".dockerignore", "*.o\n")
    based.build(
        """FROM base
RUN mkdir -p /real && ln -s real /alias
COPY file /renamed
COPY file /into/
COPY dir /copied
COPY link-to-dir /through
COPY --chown=alice:50 --chmod=0711 dir/one /owned/x
COPY --chown=7 file /seven/
COPY [ "file", "/alias/" ]
COPY di?/o* f*e /many/
COPY . /all/
""",
        "-t",
        "app",
    ).ok()
    out = based.shell(
        "app",
        "stat -c '%n %a %u:%g' /renamed /into/file /copied/sub/two /owned/x /owned /seven /seven/file;"
        "readlink /copied/link; cat /through/one; ls /real /many; ls /all",
    )
    assert out.split("\n")[:7] == [
        "/renamed 640 0:0",
        "/into/file 640 0:0",
        "/copied/sub/two 755 0:0",
        "/owned/x 711 1000:50",
        "/owned 755 1000:50",
        "/seven 755 7:7",
        "/seven/file 640 7:7",
    ]
    assert out.split()[21:] == [
        "one", "1/many:", "file", "one", "/real:", "file", "Buildfile", "dir", "file", "link-to-dir",
    ] or "ignored.o" not in out  # fmt: skip
    assert "ignored.o" not in out


def test_copy_between_stages_keeps_owners_and_modes(based: Pybuild) -> None:
    based.build(
        """FROM base AS made
RUN mkdir /d && echo x > /d/f && chown 5:6 /d/f && chmod 4750 /d/f && ln -s f /d/l
FROM base
COPY --from=made /d /copied
COPY --from=0 /d/l /followed
""",
        "-t",
        "app",
    ).ok()
    assert based.shell("app", "stat -c '%a %u:%g' /copied/f /followed; readlink /copied/l").split() == [
        "4750", "5:6", "4750", "5:6", "f",
    ]  # fmt: skip


def test_add_unpacks_local_archives(based: Pybuild) -> None:
    tree = based.work / "tree"
    (tree / "in").mkdir(parents=True)
    (tree / "in" / "file").write_text("packed")
    for name, flag in (("plain.tar", ""), ("gz.tgz", "z"), ("xz.bin", "J"), ("bz.x", "j")):
        subprocess.run(["tar", f"c{flag}f", based.work / name, "-C", tree, "in"], check=True)
    based.file("not-an-archive.tar", "just text")
    based.build(
        "FROM base\nADD plain.tar /a/\nADD gz.tgz /b\nADD xz.bin /c\nADD bz.x /d\n"
        "ADD not-an-archive.tar /e/\nADD --unpack=false plain.tar /f/\nCOPY plain.tar /g/\n",
        "-t",
        "app",
    ).ok()
    assert based.shell("app", "cat /a/in/file /b/in/file /c/in/file /d/in/file") == "packed" * 4
    assert based.shell("app", "ls /e /f /g").split() == [
        "/e:", "not-an-archive.tar", "/f:", "plain.tar", "/g:", "plain.tar",
    ]  # fmt: skip


def test_deletions_and_replacements_across_layers(based: Pybuild) -> None:
    based.build(
        """FROM base
RUN mkdir -p /d/sub && echo 1 > /d/sub/a && echo 2 > /d/b && echo 3 > /f
RUN rm /d/b && rm -r /d/sub && mkdir /d/sub && echo new > /d/sub/c
RUN rm /f && mkdir /f && echo in > /f/x
RUN echo gone > /temporary
RUN rm /temporary
""",
        "-t",
        "app",
    ).ok()
    assert based.shell("app", "find /d /f /temporary 2>/dev/null | sort").split() == [
        "/d",
        "/d/sub",
        "/d/sub/c",
        "/f",
        "/f/x",
    ]


def test_metadata_is_in_the_config(based: Pybuild) -> None:
    based.build(
        """FROM base
LABEL a=1 "b c"=2
EXPOSE 80 53/udp
VOLUME /v
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s CMD ["true"]
USER 12:34
SHELL ["/bin/sh", "-ec"]
CMD echo hi
ONBUILD RUN echo trigger
""",
        "-t",
        "app",
        "--label",
        "c=3",
    ).ok()
    assert config(based, "app") == {
        "User": "12:34",
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "Volumes": {"/v": {}},
        "Labels": {"a": "1", "b c": "2", "c": "3"},
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5_000_000_000},
        "ArgsEscaped": True,
        "OnBuild": ["RUN echo trigger"],
        "StopSignal": "SIGINT",
        "Cmd": ["/bin/sh", "-ec", "echo hi"],
        "Shell": ["/bin/sh", "-ec"],
    }
    based.build("FROM app\nUSER root\n", "-t", "child").ok()
    assert config(based, "child").get("OnBuild") is None


def test_a_trigger_runs_in_the_child(based: Pybuild) -> None:
    based.build("FROM base\nONBUILD RUN echo trigger > /trigger\n", "-t", "parent").ok()
    assert based.build("FROM parent\n", "-t", "child").ok().ran == ["RUN echo trigger > /trigger"]
    assert based.shell("child", "cat /trigger") == "trigger\n"


def test_scratch_needs_no_base(pybuild: Pybuild) -> None:
    pybuild.file("f", "x")
    pybuild.build("FROM scratch\nCOPY f /f\n", "-t", "app").ok()
    assert based_tree(pybuild, "app") == {"f"}


def test_independent_stages_run_at_the_same_time(based: Pybuild) -> None:
    """Each waits for a sign of the other, on a directory both see: in sequence neither would ever end."""
    shared = based.work / "shared"
    shared.mkdir()
    built = based.build(
        """FROM base AS a
RUN --network=host nc -l -p 45871 -e echo from-a & sleep 0; wait; echo ok > /a
FROM base AS b
RUN --network=host until nc 127.0.0.1 45871 | grep from-a; do sleep 0.1; done; echo ok > /b
FROM base
COPY --from=a /a /
COPY --from=b /b /
""",
        "-t",
        "app",
        "--jobs",
        "2",
        "--allow",
        "network.host",
    ).ok()
    assert len(built.ran) == 4
    assert based.shell("app", "cat /a /b") == "ok\nok\n"


def test_names_id_file_and_quiet(based: Pybuild) -> None:
    built = based.build("FROM base\nCMD x\n", "-q", "-t", "one", "-t", "two:v1", "--iidfile", "id").ok()
    identifier = built.out.strip()
    assert built.err == ""
    assert (based.work / "id").read_text() == identifier
    for name in ("one", "one:latest", "two:v1"):
        assert json.loads(based("inspect", name))[0]["Id"] == identifier


@pytest.mark.parametrize("name", ["Buildfile", "Dockerfile", "Containerfile"])
def test_the_file_is_found(based: Pybuild, name: str) -> None:
    based.file(name, "FROM base\nLABEL from=" + name + "\n")
    based("build", "-t", "app", ".")
    assert config(based, "app")["Labels"] == {"from": name}


def test_the_order_in_which_it_is_looked_for_and_the_short_form(based: Pybuild) -> None:
    for name in ("Buildfile", "Dockerfile", "Containerfile"):
        based.file(name, f"FROM base\nLABEL from={name}\n")
    based("-t", "app", ".")
    assert config(based, "app")["Labels"] == {"from": "Buildfile"}
    based("-f", "Dockerfile", "-t", "app", ".")
    assert config(based, "app")["Labels"] == {"from": "Dockerfile"}
    based("build", "-f", "-", "-t", "app", ".", input=b"FROM base\nLABEL from=stdin\n")
    assert config(based, "app")["Labels"] == {"from": "stdin"}


def test_syntax_is_noted_and_arguments_come_from_the_environment(based: Pybuild) -> None:
    built = based.build(
        "# syntax=docker/dockerfile:1\nFROM base\nARG A\nARG B=default\nRUN echo $A-$B > /out\n",
        "--build-arg", "A", "--build-arg", "B=given", "--build-arg", "C=unused", "-t", "app", A="from-env",
    ).ok()  # fmt: skip
    assert "docker/dockerfile:1" in built.err
    assert "WARNING" in built.err
    assert "C" in built.err
    assert based.shell("app", "cat /out") == "from-env-given\n"


def test_graph_and_tree_are_printed(based: Pybuild) -> None:
    based.file("Buildfile", "FROM base AS a\nRUN x\nFROM scratch\nCOPY --from=a /x /y\n")
    assert "COPY --from=a /x /y" in based("graph", ".")
    assert based("graph", "--format", "dot", ".").startswith("digraph")
    graph = json.loads(based("graph", "--format", "json", "."))
    assert [v["op"] for v in graph["vertices"]] == ["baseimage", "run", "scratch", "copy"]
    tree = json.loads(based("parse", "--format", "json", "."))
    assert [i["span"][0] for i in tree["instructions"]] == [1, 2, 3, 4]
