"""The network of steps and containers: what each mode reaches, what none does, how names are found, what is left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.outside import ADDRESS, Outside, outside
from tests.support.program import Pybuild
from tests.support.user import interpreter
from tests.support.waiting import wait_for

pytestmark = pytest.mark.root
SERVER = f"{ADDRESS} 8080"

# Every way to a service on this machine's loopback that an address, a socket option or a raw frame may be.
ATTACKS = """
import socket, struct
LOCAL = ("127.0.0.1", "10.0.2.2", "10.0.2.3", "10.0.4.2", "10.0.4.3", "10.0.4.100", "0.0.0.0", "127.0.0.53")
def quietly(act):
    try:
        act()
    except OSError:
        pass
def connect(address, bound):
    with socket.socket() as s:
        s.settimeout(0.3)
        if bound:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"tap0")
        s.connect((address, 8081))
        print(s.recv(20).decode())
def send(address, bound):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        if bound:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"tap0")
        s.sendto(b"x", (address, 8081))
for address in LOCAL:
    for bound in (False, True):
        quietly(lambda: connect(address, bound))
        quietly(lambda: send(address, bound))
def abstract():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("\\0pybuild-test")
        print(s.recv(20).decode())
quietly(abstract)

# The gateway answers ARP; frames to it with any address inside.
def checksum(data):
    data += b"\\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
source = socket.inet_aton("10.0.2.100")
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as raw:
    raw.bind(("tap0", 0))
    own = raw.getsockname()[4]
    raw.settimeout(3)
    ask = b"\\0\\1\\10\\0\\6\\4\\0\\1" + own + source + b"\\0" * 6 + socket.inet_aton("10.0.2.2")
    raw.send(b"\\xff" * 6 + own + b"\\x08\\x06" + ask)
    while True:
        answer = raw.recv(2000)
        if answer[12:14] == b"\\x08\\x06" and answer[20:22] == b"\\0\\2":
            gateway = answer[22:28]
            break
    for address in (*LOCAL, "203.0.113.1"):
        target = socket.inet_aton(address)
        for protocol in (17, 6):
            if protocol == 17:
                body = struct.pack("!HHHH", 5555, 8081, 9, 0) + b"x"
            else:
                body = struct.pack("!HHIIBBHHH", 5556, 8081, 1, 0, 5 << 4, 2, 64000, 0, 0)
                sum_ = checksum(source + target + struct.pack("!BBH", 0, 6, len(body)) + body)
                body = body[:16] + struct.pack("!H", sum_) + body[18:]
            head = struct.pack("!BBHHHBBH4s4s", 69, 0, 20 + len(body), 1, 0, 64, protocol, 0, source, target)
            head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
            raw.send(gateway + own + b"\\x08\\x00" + head + body)
# What was sent before this answer has been dealt with.
with socket.create_connection(("203.0.113.1", 8080), 10) as s:
    print(s.recv(20).decode().strip())
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    with outside(tmp_path_factory.mktemp("outside") / "machine") as made:
        yield made


@pytest.fixture
def inside(machine: Outside, pybuild: Pybuild) -> Pybuild:
    """The program on that machine, with a base."""
    pybuild.base()
    return machine.enter(pybuild)


def of_machine(machine: Outside) -> dict[int, str]:
    """The processes in the machine's mount namespace but for itself and its first: pybuild and all it started."""
    own = os.readlink(f"/proc/{machine.pid}/ns/mnt")
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if "slirp4netns" in command or os.readlink(path / "ns/mnt") == own:
                parents = (path / "status").read_text()
                found[int(path.name)] = f"{command} {re.findall('PPid:.*', parents)}"
        except OSError:
            continue
    found.pop(machine.pid, None)
    return found


# --- what is reached -------------------------------------------------------------------------------


def test_the_default_network_reaches_what_the_machine_reaches_by_its_name_server(inside: Pybuild) -> None:
    """The server listens on loopback, where a step cannot go, so a forwarder asks it."""
    text = f"""FROM base
RUN nc {SERVER} </dev/null > /reached && nslookup -type=a some.name > /name
RUN cat /sys/class/net/tap0/mtu /etc/resolv.conf > /seen
"""
    built = inside.build(text, "-t", "app").ok()
    assert "warning" not in built.err.lower()
    shown = inside.shell("app", "cat /reached /name /seen; nc " + SERVER + " </dev/null")
    assert shown.startswith("outside\n")
    assert shown.endswith("outside\n"), "a container's network is that of a step"
    assert "203.0.113.7" in shown
    assert "65520\nnameserver 10.0.4.3\n" in shown


def test_a_name_server_that_is_elsewhere_is_asked_itself(tmp_path: Path, pybuild: Pybuild) -> None:
    pybuild.base()
    resolv = f"search one.test two.test\nnameserver 127.0.0.1\nnameserver {ADDRESS}\noptions ndots:2\n"
    with outside(tmp_path / "machine", resolv=resolv) as made:
        shown = made.enter(pybuild).shell("base", "cat /etc/resolv.conf; nslookup -type=a some.name.")
    assert f"nameserver {ADDRESS}\nsearch one.test two.test\noptions ndots:2\n" in shown
    assert "203.0.113.8" in shown


def test_no_step_reaches_the_machines_loopback_nor_its_abstract_sockets(inside: Pybuild, machine: Outside) -> None:
    python = Path(os.path.realpath(interpreter()))
    inside.file("python", python.read_bytes(), 0o755)  # not pybuild's own, which is refused
    inside.file("attacks.py", ATTACKS)
    shown = ("/usr:/usr", "/lib:/lib", "/lib64:/lib64", "./attacks.py:/attacks.py", "./python:/python")
    volumes = [word for volume in shown for word in ("-v", f"{volume}:ro")]
    home = f"PYTHONHOME={python.parents[1]}"
    before = machine.touched
    assert inside("run", "--rm", *volumes, "-e", home, "base", "/python", "/attacks.py") == "outside\n"
    assert machine.touched == before

    hosts = inside("run", "--rm", "--network", "host", "base", "nc", "127.0.0.1", "8081")
    assert hosts == "loopback\n", "the servers answer whom they can hear"
    wait_for(lambda: machine.touched == [*before, "tcp"])


def test_no_network_is_loopback_alone(inside: Pybuild) -> None:
    text = f"FROM base\nRUN ls /sys/class/net; nc {SERVER} </dev/null; echo ended $?; cat /etc/resolv.conf\n"
    built = inside.build(text, "--network", "none").ok()
    seen = re.findall(r"^#\d+ \d+\.\d+ (.*)$", built.err, re.MULTILINE)
    assert seen == ["lo", f"nc: can't connect to remote host ({ADDRESS}): Network is unreachable", "ended 1"]


def test_the_hosts_network_is_what_it_is_and_must_be_granted(inside: Pybuild) -> None:
    script = "grep -o near: /proc/net/dev; nc 127.0.0.1 8081 </dev/null; cat /etc/resolv.conf"
    text = f"FROM base\nRUN --network=host {script}\n"
    refused = inside.build(text)
    assert refused.status == 3
    assert "--allow network.host" in refused.err
    granted = inside.build(text, "--allow", "network.host").ok()
    for line in ("near:", "loopback", "nameserver 127.0.0.53"):
        assert re.search(rf"^#\d+ \d+\.\d+ {line}$", granted.err, re.MULTILINE)


def test_steps_that_run_at_once_do_not_hear_each_other(inside: Pybuild) -> None:
    """Both listen on the same port of all addresses, and each hears only itself."""
    step = """RUN --mount=type=cache,target=/meet <<EOF
  nc -ll -p 7000 -e echo {own} & touch /meet/{own}
  for i in $(seq 300); do test -e /meet/{other} && break; sleep 0.1; done
  test -e /meet/{other} || exit 9
  until nc 127.0.0.1 7000 > /heard; do sleep 0.1; done
EOF
"""
    stages = [
        f"FROM base AS {own}\n" + step.format(own=own, other=other) for own, other in (("one", "two"), ("two", "one"))
    ]
    text = "".join(stages) + "FROM base\nCOPY --from=one /heard /one\nCOPY --from=two /heard /two\n"
    inside.build(text, "-t", "app").ok()
    assert inside.shell("app", "cat /one /two") == "one\ntwo\n"


def test_a_network_is_used_again_but_not_after_an_insecure_step(inside: Pybuild) -> None:
    show = "readlink /proc/self/ns/net"
    text = f"""FROM base
RUN {show} > /1
RUN {show} > /2
RUN --security=insecure ip address add 10.9.9.9/32 dev tap0; {show} > /3
RUN {show} > /4; ip address > /addresses
"""
    inside.build(text, "-t", "app", "--allow", "security.insecure").ok()
    first, second, third, fourth = inside.shell("app", "cat /1 /2 /3 /4").split()
    assert first == second == third != fourth
    assert "10.9.9.9" not in inside.shell("app", "cat /addresses")


# --- names -----------------------------------------------------------------------------------------


def test_hosts_and_name_servers_of_ones_own(inside: Pybuild) -> None:
    options = (
        "--add-host", "one.test=192.0.2.7", "--add-host", "six:[2001:db8::1]", "--add-host", "me=host-gateway",
        "--dns", ADDRESS, "--dns-search", "corp.test", "--dns-option", "ndots:3",
    )  # fmt: skip
    text = """FROM base
RUN cat /etc/hosts /etc/resolv.conf > /seen; nslookup -type=a some.name > /name
RUN grep -w me /etc/hosts && nc me 8080 </dev/null > /me || true
"""
    inside.build(text, "-t", "app", *options).ok()
    kept = inside.shell("app", "cat /seen /name /me")
    assert "192.0.2.7\tone.test\n2001:db8::1\tsix\n203.0.113.1\tme\n" in kept
    assert f"nameserver {ADDRESS}\nsearch corp.test\noptions ndots:3\n" in kept
    assert "203.0.113.8" in kept
    assert kept.endswith("outside\n")
    assert inside.build(text, "-t", "app", *options).ok().ran == []
    assert inside.build(text, "-t", "app", *options[:-4]).ok().ran == [], "who is asked for names is in no key"
    assert inside.build(text, "-t", "app", "--add-host", "one.test=192.0.2.8").ok().ran, "hosts are, as in BuildKit"

    shown = inside.shell("base", "cat /etc/hosts /etc/resolv.conf", *options)
    assert "192.0.2.7\tone.test\n" in shown
    assert "search corp.test\n" in shown


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--add-host", "name", "not NAME=ADDRESS"),
        ("--add-host", "name=here", "no IP address"),
        ("--add-host", "a b=192.0.2.1", "not NAME=ADDRESS"),
        ("--dns", "resolver.test", "no IP address"),
        ("--dns-search", "a\nnameserver 192.0.2.1", "not one word"),
    ],
)
def test_what_cannot_be_meant_is_refused(pybuild: Pybuild, option: str, value: str, words: str) -> None:
    built = pybuild.build("FROM scratch\n", option, value)
    assert built.status == 2
    assert words in built.err


def test_a_proxy_on_loopback_is_warned_of_once(inside: Pybuild) -> None:
    text = "FROM base\nRUN echo 1\nRUN echo 2\n"
    built = inside.build(text, "--build-arg", "http_proxy=http://127.0.0.1:3128").ok()
    assert built.err.count("http_proxy is on this machine's loopback") == 1
    cached = inside.build(text, "--build-arg", "http_proxy=http://127.0.0.1:3128").ok()
    assert "loopback" not in cached.err


# --- programs --------------------------------------------------------------------------------------


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """A directory in which `slirp4netns` writes down that it is asked, and is the real one then."""
    directory = tmp_path / "bin"
    directory.mkdir()
    (directory / "slirp4netns").write_text(f'#!/bin/sh\necho >> {directory}/asked\nexec /usr/bin/slirp4netns "$@"\n')
    (directory / "slirp4netns").chmod(0o755)
    return directory


def test_what_works_is_found_out_once(inside: Pybuild, asked: Path) -> None:
    path = f"{asked}:{os.environ['PATH']}"
    counts = []
    for number in (1, 2):
        inside.build(f"FROM base\nRUN echo {number}\n", PATH=path).ok()
        counts.append((asked / "asked").read_text().count("\n"))
    assert counts == [4, 6], "two programs make a network: one that is tried and thrown away, then one a build"


def test_a_program_that_hangs_is_given_up(inside: Pybuild, asked: Path) -> None:
    """Then the next is taken; that it hangs is remembered."""
    (asked / "slirp4netns").write_text("#!/bin/sh\nexec sleep 1000\n")
    path = f"{asked}:{os.environ['PATH']}"
    # Bounded: with Debian's pasta the end of a connection now and then does not come, or what was said comes again.
    built = inside.build(f"FROM base\nRUN timeout 20 nc {SERVER} </dev/null | head -n 1\n", PATH=path).ok()
    assert " outside\n" in built.err
    assert "warning" not in built.err.lower()
    assert re.search(
        "network +of a step's own, by pasta .*\n +! slirp4netns does not work: .* did not start within 5 seconds\n",
        inside("doctor", PATH=path),
    )
    assert not subprocess.run(["pgrep", "-f", "sleep 1000"], capture_output=True, check=False).stdout


def test_pasta_keeps_from_the_loopback_as_well(inside: Pybuild, machine: Outside, asked: Path) -> None:
    (asked / "slirp4netns").write_text("#!/bin/sh\nexit 1\n")
    inside = replace(inside, env={**inside.env, "PATH": f"{asked}:{os.environ['PATH']}"})
    test_no_step_reaches_the_machines_loopback_nor_its_abstract_sockets(inside, machine)
    assert "203.0.113.7" in inside.shell("base", "nslookup -type=a some.name")


def test_without_a_program_there_is_one_warning_and_the_hosts_network(inside: Pybuild, asked: Path) -> None:
    for name in ("slirp4netns", "pasta"):
        (asked / name).write_text("#!/bin/sh\necho no tunnel today >&2\nexit 1\n")
        (asked / name).chmod(0o755)
    path = f"{asked}:{os.environ['PATH']}"
    text = "FROM base\nRUN nc 127.0.0.1 8081 </dev/null\nRUN echo 2\n"
    built = inside.build(text, PATH=path).ok()
    assert " loopback\n" in built.err
    assert built.err.count("steps use the host's network") == 1
    assert "no tunnel today" in built.err
    for cached_or_alone in (text, "FROM base\nRUN --network=none echo 3\n"):
        assert "host's network" not in inside.build(cached_or_alone, PATH=path).ok().err
    assert " loopback\n" in inside.build(text, "--no-cache", PATH=path).ok().err


def test_a_program_that_works_no_more_is_tried_again_by_the_next_build(inside: Pybuild, asked: Path) -> None:
    text = (asked / "slirp4netns").read_text()
    (asked / "slirp4netns").write_text(text.replace("exec", f"test -e {asked}/broken && exit 1\nexec"))
    path = f"{asked}:{os.environ['PATH']}"
    step = "RUN cat /sys/class/net/tap0/mtu\n"
    for broken, warnings in ((False, 0), (True, 1), (False, 0)):
        if broken:
            (asked / "broken").touch()
        text = f"FROM base\nRUN id\n{'' if broken else step}"
        built = inside.build(text + "RUN id -u\n", "--no-cache", PATH=path)
        assert built.ok().err.count("steps use the host's network") == warnings
        (asked / "broken").unlink(missing_ok=True)


def test_a_user_who_may_not_make_tunnels_is_told_and_builds(as_user: Pybuild, tmp_path: Path) -> None:
    as_user.base()
    with outside(tmp_path / "machine", tun=0o600) as made:
        user = made.enter(as_user)
        built = user.build("FROM base\nRUN nc 127.0.0.1 8081 </dev/null\n").ok()
        assert " loopback\n" in built.err
        assert built.err.count("steps use the host's network") == 1
        assert "chmod 666 /dev/net/tun" in built.err
        assert re.search("network +the host's own.*\\n +! .*chmod 666 /dev/net/tun", user("doctor"))


def test_a_user_who_may_has_the_same_network_as_root(as_user: Pybuild, tmp_path: Path) -> None:
    as_user.base()
    with outside(tmp_path / "machine", tun=0o666) as made:
        user = made.enter(as_user)
        built = user.build(f"FROM base\nRUN nc {SERVER} </dev/null; ls /sys/class/net; id -u\n").ok()
        assert "warning" not in built.err.lower()
        assert re.findall(r"^#\d+ \d+\.\d+ (.*)$", built.err, re.MULTILINE) == ["outside", "lo", "tap0", "0"]
        test_no_step_reaches_the_machines_loopback_nor_its_abstract_sockets(user, made)


# --- what is left ----------------------------------------------------------------------------------


def test_nothing_is_left_when_pybuild_is_killed(inside: Pybuild, machine: Outside) -> None:
    inside.file("Buildfile", "FROM base\nRUN echo begun; sleep 1000\n")
    before = of_machine(machine)
    process = inside.start("build", "--progress", "plain", ".")
    with process:
        assert process.stderr is not None
        while b" begun\n" not in process.stderr.readline():
            assert process.poll() is None
        started = {pid: text for pid, text in of_machine(machine).items() if pid not in before}
        assert sum("slirp4netns" in text for text in started.values()) >= 2
        process.send_signal(signal.SIGKILL)
        wait_for(lambda: not set(started) & set(of_machine(machine)))
