"""What this machine lets pybuild do, and what would let it do more."""

from __future__ import annotations

import os

from msgspec import Struct

from builder.api.session import Session
from builder.sandbox import platforms, probe
from builder.sandbox.network.probe import Answer
from builder.sandbox.network.programs import version
from builder.sandbox.platforms import How, Runnable
from builder.sandbox.refusals import Refusal
from builder.sandbox.tiers import Tier
from builder.snapshots.active import chosen


class Line(Struct, frozen=True):
    """One thing looked at: what is used, and what would be better, with the change that brings it."""

    name: str
    used: str
    better: tuple[str, ...] = ()


class Diagnosis(Struct, frozen=True):
    """What `pybuild doctor` found out. `tier` from 1 (root) to 4 (steps cannot run); `refused` is what forbids them.

    `platforms` are those whose steps can run.
    """

    tier: int
    refused: tuple[str, ...]
    lines: tuple[Line, ...]
    platforms: tuple[str, ...] = ()


_TIERS = {
    Tier.ROOT: "root, with overlayfs",
    Tier.RANGES: "a user namespace with a range of IDs",
    Tier.ONE_ID: "a user namespace with one ID; other owners are emulated and recorded",
    Tier.NONE: "none: steps cannot run here, nor containers",
}


def diagnosis(session: Session) -> Diagnosis:
    """Look at this machine, as the user that asks. Starts what a build would start, and ends it again."""
    found = probe.findings(session.launcher)
    known = platforms.runnable()
    usable = [platform for platform in known if _usable(platform, found.tier)]
    lines = [
        Line("kernel", f"{os.uname().release} {os.uname().machine}"),
        Line("store", str(session.store.root)),
        Line("isolation", _TIERS[found.tier], tuple(map(_said, found.better))),
        *([] if found.tier is Tier.NONE else _working(session)),
        Line("system calls", *_filter(found.filter)),
        Line("limits", *_limits(found.limits)),
        _platforms(usable, [platform for platform in known if platform not in usable]),
    ]
    runs = tuple(str(each.platform) for each in usable)
    return Diagnosis(found.tier, tuple(map(_said, found.refusals)), tuple(lines), runs)


def _said(refusal: Refusal) -> str:
    return f"{refusal.what}: {refusal.fix}" if refusal.fix else refusal.what


def _working(session: Session) -> list[Line]:
    """How files and networks of steps are made, each found out by making some."""
    worker = session.worker()
    assembler = worker.launcher.call(chosen, None, session.store.root).result()
    reasons = tuple(f"{name} does not work: {why}" for name, why in assembler.refused)
    return [Line("layers", f"put together by {assembler.name}", reasons), _network(worker.networks.answer())]


def _network(found: Answer) -> Line:
    """How steps reach the network, and why not by the other program."""
    if found.program is None:
        return Line("network", "the host's own, for want of a program that makes others", (found.hint(),))
    reasons = tuple(f"{name} does not work: {why}" for name, why in found.reasons)
    program = f"{found.program.name} {version(found.program)}".strip()
    return Line("network", f"of a step's own, by {program} (started in {found.seconds:.2f} s)", reasons)


def _filter(version: str) -> tuple[str, tuple[str, ...]]:
    if version:
        return f"filtered by libseccomp {version}", ()
    return "cannot be filtered, so nothing runs", ("libseccomp is not installed: apt-get install libseccomp2",)


def _limits(controllers: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    missing = sorted({"memory", "cpu", "cpuset", "pids"} - set(controllers))
    advice = (f"no control groups for {', '.join(missing)}: systemd-run --user --scope -p Delegate=yes pybuild …",)
    return ", ".join(controllers) or "none", advice if missing else ()


def _usable(platform: Runnable, tier: Tier) -> bool:
    """Whether its steps run here. Emulators that are only installed do for whoever has a namespace to use."""
    return platform.how is not How.REGISTRABLE or tier in (Tier.RANGES, Tier.ONE_ID)


def _platforms(usable: list[Runnable], missing: list[Runnable]) -> Line:
    advice = f"not registered with binfmt_misc: the emulators of {_named(missing)}; a build for one says how"
    return Line("platforms", _named(usable), (advice,) if missing else ())


def _named(found: list[Runnable]) -> str:
    return ", ".join(str(p.platform) for p in found)
