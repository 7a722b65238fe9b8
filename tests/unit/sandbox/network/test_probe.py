"""Which program makes networks: asked once, remembered, asked again when something has changed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from builder.errors import HostError
from builder.sandbox.network import probe
from builder.sandbox.network.programs import FORWARDER, Link, Program

SLIRP, PASTA = Program("slirp4netns", "/bin/slirp4netns", 1), Program("pasta", "/bin/pasta", 1)


class Machine:
    """Programs of which some work; says which were asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *programs: Program, working: tuple[str, ...]) -> None:
        self.programs, self.working, self.asked = list(programs), working, list[str]()
        monkeypatch.setattr(probe, "found", lambda: self.programs)

    def make(self, program: Program) -> None:
        self.asked.append(program.name)
        if program.name not in self.working:
            raise HostError(f"{program.name} is out of order")


def test_the_first_that_works_is_taken_and_remembered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine = Machine(monkeypatch, SLIRP, PASTA, working=("pasta",))
    first = probe.answer(machine.make, tmp_path / "memory")
    assert first.program == PASTA
    assert first.reasons == (("slirp4netns", "slirp4netns is out of order"),)
    assert probe.answer(machine.make, tmp_path / "memory") == first
    assert machine.asked == ["slirp4netns", "pasta"]

    machine.programs[0] = Program("slirp4netns", "/bin/slirp4netns", 2)
    machine.working = ("slirp4netns",)
    assert probe.answer(machine.make, tmp_path / "memory").program == machine.programs[0]


def test_that_nothing_works_is_believed_for_an_hour(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine = Machine(monkeypatch, SLIRP, working=())
    now = 1e9
    monkeypatch.setattr(probe.time, "time", lambda: now)
    for seconds, asked in ((0, 1), (3599, 1), (3601, 2), (3602, 2)):
        now = 1e9 + seconds
        assert probe.answer(machine.make, tmp_path / "memory").program is None
        assert len(machine.asked) == asked


@pytest.mark.parametrize("damage", [b"", b"{", b'{"about": 1}', b"\xff"])
def test_a_damaged_memory_is_no_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage: bytes) -> None:
    machine = Machine(monkeypatch, SLIRP, working=("slirp4netns",))
    (tmp_path / "memory").write_bytes(damage)
    assert probe.answer(machine.make, tmp_path / "memory").program == SLIRP
    assert msgspec.json.decode((tmp_path / "memory").read_bytes())


def test_a_memory_that_cannot_be_kept_stops_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine = Machine(monkeypatch, SLIRP, working=("slirp4netns",))
    assert probe.answer(machine.make, tmp_path / "no" / "memory").program == SLIRP


def test_the_hint_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine = Machine(monkeypatch, working=())
    found = probe.answer(machine.make, tmp_path / "memory")
    assert found.hint() == "run as root: apt-get install slirp4netns or passt"
    machine.programs = [PASTA]
    assert "pasta: pasta is out of order" in probe.answer(machine.make, tmp_path / "memory").hint()


def test_programs_are_told_to_keep_from_the_hosts_loopback() -> None:
    outer, inner = SLIRP.command(Link.OUTER, 7), SLIRP.command(Link.INNER, 7)
    for command in (outer, inner):
        assert "--disable-host-loopback" in command
        assert command[-2:] == ["/proc/7/ns/net", "tap0"]
    assert "--disable-dns" in inner
    assert FORWARDER == "10.0.4.3"
    for link in Link:
        pasta = PASTA.command(link, 7)
        assert "--no-map-gw" in pasta
        for flag in ("-t", "-u", "-T", "-U"):
            assert pasta[pasta.index(flag) + 1] == "none"


def test_what_is_known_is_told_without_asking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine = Machine(monkeypatch, SLIRP, working=("slirp4netns",))
    assert probe.remembered(tmp_path / "memory") is None
    made = probe.answer(machine.make, tmp_path / "memory")
    assert probe.remembered(tmp_path / "memory") == made
    machine.programs = [PASTA]
    assert probe.remembered(tmp_path / "memory") is None
    assert machine.asked == ["slirp4netns"]
