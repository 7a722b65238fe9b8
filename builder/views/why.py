"""Why the steps of a build ran: the journal's misses, each followed down to its root cause.

A step that missed because what it stands on has changed is not explained by that: the step below is asked in turn,
until one is found that differs by itself, or a base image does. A step below that missed too is explained as itself;
one that was cached is compared with the record that the earlier one stood on.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest
from builder.graph.remote import redacted
from builder.keys.diff import Difference, decoded, differences, stands_on
from builder.lang.secretnames import names_secret
from builder.solve.journal import Build, Facts
from builder.solve.journal import Step as JournalStep
from builder.store.listings import Listings
from builder.store.records import Records

WITHHELD = "(withheld)"
_IMAGE = "image:"


class Cause(Struct, frozen=True):
    """A step on the way down to the root cause: the first that differs of it, or the reason it ran for without that."""

    place: str
    name: str
    reason: str = ""
    difference: Difference | None = None


class Compared(Struct, frozen=True):
    """The record a step was compared with; `created` in seconds since the epoch."""

    key: str
    place: str
    name: str
    created: float


class Why(Struct, frozen=True):
    """One step of a build.

    `reason` is empty for a step that was cached; else `inputs` (see `differences`), `never-built`, `no-cache`,
    `evicted` (`at`, in seconds since the epoch, `by` gc or prune), `lost` (its layer was gone), or another word of the
    look-up. `because` leads from what it stands on to the root cause. `unchanged`: it ran, and made what the record it
    is compared with had made. `after` are the steps it stands on that ran, though it was cached.
    """

    number: int
    place: str
    stage: str
    name: str
    state: str
    key: str
    reason: str = ""
    differences: tuple[Difference, ...] = ()
    because: tuple[Cause, ...] = ()
    compared: Compared | None = None
    at: float = 0.0
    by: str = ""
    unchanged: bool = False
    after: tuple[str, ...] = ()


# What the look-up calls its reasons, and what people are told.
_REASONS = {"refused": "no-cache"}


def why(build: Build, facts: Mapping[int, Facts], records: Records, listings: Listings) -> list[Why]:
    """Every step of `build` that has a key, as they stand in the Buildfile. `facts` as solve/journal reads them."""
    return _Explaining(build, facts, records, listings).steps()


class _Side(Struct, frozen=True):
    """A step as it was at one time: its pre-image and the identities of what it stood on."""

    preimage: str
    inputs: tuple[str, ...]


class _Explaining:
    def __init__(self, build: Build, facts: Mapping[int, Facts], records: Records, listings: Listings) -> None:
        self._build, self._facts, self._records = build, facts, records
        self._steps = {step.number: step for step in build.steps}
        self._listings = listings

    def steps(self) -> list[Why]:
        return [
            self._step(step, facts)
            for step in sorted(self._build.steps, key=lambda step: (step.line, step.number))
            if (facts := self._facts.get(step.number)) and facts.identity and not facts.identity.startswith(_IMAGE)
        ]

    def _step(self, step: JournalStep, facts: Facts) -> Why:
        found = Why(step.number, self._place(step), step.stage, step.name, step.state, facts.identity)
        miss = facts.miss
        if step.state == "cached" or miss is None:
            return replace(found, after=self._ran_below(facts))
        earlier = miss.earlier
        if earlier is not None:
            place = f"{earlier.buildfile}:{earlier.line}"
            found = replace(
                found,
                compared=Compared(earlier.key, place, earlier.name, earlier.created),
                unchanged=bool(facts.content) and facts.content == earlier.content,
            )
        differ, because = self._differences(facts), self._because(facts)
        reason = _REASONS.get(miss.reason, miss.reason)
        if reason == "absent":
            reason = "evicted" if miss.at else "inputs" if differ else "never-built"
        told = tuple(shown(d, facts.arguments) for d in differ)
        return replace(found, reason=reason, differences=told, because=because, at=miss.at, by=miss.by)

    def _place(self, step: JournalStep) -> str:
        return f"{self._build.buildfile}:{step.line}" if step.line else self._build.buildfile

    def _ran_below(self, facts: Facts) -> tuple[str, ...]:
        below = (self._steps[number] for number in facts.inputs if number in self._steps)
        return tuple(step.name for step in below if step.state == "done")

    # --- what differs --------------------------------------------------------------------------

    def _differences(self, facts: Facts) -> tuple[Difference, ...]:
        miss = facts.miss
        if miss is None or miss.earlier is None:
            return ()
        return self._compared(miss.earlier.preimage, miss.preimage)

    def _compared(self, before: str, after: str) -> tuple[Difference, ...]:
        return differences(decoded(before), decoded(after), self._listing_of)

    def _listing_of(self, digest: str) -> bytes | None:
        algorithm, _, digits = digest.partition(":")
        return self._listings.get(Digest(digits)) if algorithm == "sha256" and len(digits) == 64 else None

    # --- the root cause ------------------------------------------------------------------------

    def _because(self, facts: Facts) -> tuple[Cause, ...]:
        """From what a step stands on to the root cause; nothing where it differs by itself."""
        causes: list[Cause] = []
        miss = facts.miss
        if miss is None or miss.earlier is None:
            return ()
        before, after = _Side(miss.earlier.preimage, miss.earlier.inputs), miss.preimage
        differ = self._compared(before.preimage, after)
        while differ and (step := self._input(differ[0], before, after, facts)) is not None:
            number, identity = step
            facts = self._facts[number]
            if facts.identity.startswith(_IMAGE):
                causes.append(self._base(number, identity))
                break
            sides = self._sides(facts, identity)
            differ = () if sides is None else self._compared(sides[0].preimage, sides[1])
            if facts.miss and facts.content and facts.miss.earlier and facts.content == facts.miss.earlier.content:
                differ = tuple(d for d in differ if d.input == "below")  # it made the same: the reason lies deeper
            causes.append(self._cause(number, differ))
            if sides is None:
                break
            before, after = sides
        return tuple(causes)

    def _input(self, first: Difference, before: _Side, after: str, facts: Facts) -> tuple[int, str] | None:
        """The number of the step a difference comes from, and what stood there before; None when it is the step's own.

        Changed on both sides means an input of both: one that was added or removed is the step's own doing.
        """
        wanted = (first.input, first.name)
        if first.input not in ("below", "source") or first.change != "changed":
            return None
        now = dict(zip(stands_on(decoded(after)), facts.inputs, strict=False))
        then = dict(zip(stands_on(decoded(before.preimage)), before.inputs, strict=False))
        number = now.get(wanted, 0)
        return (number, then.get(wanted, "")) if number in self._facts else None

    def _sides(self, facts: Facts, identity: str) -> tuple[_Side, str] | None:
        """What to compare a step below with, and its own pre-image; None when the records are gone."""
        if facts.miss is not None:
            earlier = facts.miss.earlier
            return None if earlier is None else (_Side(earlier.preimage, earlier.inputs), facts.miss.preimage)
        then, now = self._record(identity), self._record(facts.identity)
        return None if then is None or now is None else (then, now.preimage)

    def _record(self, identity: str) -> _Side | None:
        record = self._records.get(Digest(identity)) if len(identity) == 64 else None
        return None if record is None else _Side(record.preimage.decode(errors="replace"), record.inputs)

    def _cause(self, number: int, differ: tuple[Difference, ...]) -> Cause:
        step, facts = self._steps[number], self._facts[number]
        reason = ""
        if facts.miss is not None and not differ:
            reason = _REASONS.get(facts.miss.reason, facts.miss.reason)
            if reason == "absent":
                reason = "evicted" if facts.miss.at else "never-built"
        first = shown(differ[0], facts.arguments) if differ else None
        return Cause(self._place(step), step.name, reason, first)

    def _base(self, number: int, identity: str) -> Cause:
        step = self._steps[number]
        (name, digest), (_, old) = map(_image, (self._facts[number].identity, identity))
        return Cause(self._place(step), step.name, "", Difference("base", name, "changed", old, digest))


def _image(identity: str) -> tuple[str, str]:
    """Name and digest of a base; neither when it is none."""
    name, _, digest = identity.removeprefix(_IMAGE).rpartition("@")
    return (name, digest) if identity.startswith(_IMAGE) else ("", "")


def shown(difference: Difference, arguments: tuple[str, ...]) -> Difference:
    """As it may be shown: variables called what they are, secrets and passwords in URLs withheld."""
    before, after = redacted(difference.before), redacted(difference.after)
    if difference.input != "variable":
        return replace(difference, before=before, after=after)
    if names_secret(difference.name):
        before, after = (WITHHELD if text else "" for text in (before, after))
    kind = "argument" if difference.name in arguments else "variable"
    return replace(difference, input=kind, before=before, after=after)
