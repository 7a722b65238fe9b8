"""Why a look-up missed: found out when the step is about to run, while what it is compared with is still there.

The nearest earlier record is the one whose step has the same text, then the same line, then the same stage, then the
most equal fields, then the latest use. A record of another text counts only when no other step of this build has that
text (then it is that step's past), and it stood at the same line or on the same files: so a new line is new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any

import msgspec
from msgspec import Struct, field

from builder.digest import Digest
from builder.graph.vertex import Origin, Vertex
from builder.solve.journal import Earlier, Miss
from builder.solve.lookup import Reason, Sought
from builder.sources.selection import Selection
from builder.store.open import Store
from builder.store.records import CacheRecord


class Misses(Struct):
    """Explains the misses of one build; `made` are the keys it has recorded itself, which are nobody's past."""

    store: Store
    buildfile: str
    vertices: tuple[Vertex, ...]
    made: set[Digest]
    texts: dict[str, Set[str]] = field(default_factory=dict)

    def explain(self, sought: Sought, origin: Origin, reason: Reason) -> Miss:
        """Why `sought`, of the step at `origin`, missed. Keeps the lists of files its key is made of.

        Raises StoreError.
        """
        for selection in sought.chosen:
            if isinstance(selection, Selection):
                self.store.listings.put(selection.digest, selection.listing)
        for digest, listing in sought.listings:
            self.store.listings.put(digest, listing)
        found = self.nearest_to(sought, origin)
        eviction = self.store.evictions.of(sought.key) if reason is Reason.ABSENT else None
        return Miss(
            reason.value,
            sought.image.decode(),
            None if found is None else self._earlier(found),
            0.0 if eviction is None else eviction.at,
            "" if eviction is None else eviction.by,
        )

    def nearest_to(self, sought: Sought, origin: Origin) -> CacheRecord | None:
        """The record that `sought`, of the step at `origin`, is compared with; None when none is like it."""
        text = text_of(origin.name)
        taken = self._texts(origin.stage)
        found: CacheRecord | None = None
        for candidates in (self._near(origin, text), self._around(origin, text)):
            found = found or nearest(sought.image, origin, (c for c in candidates() if c.key not in self.made), taken)
        return found

    def _texts(self, stage: str) -> Set[str]:
        """The texts of a stage's steps."""
        if stage not in self.texts:
            self.texts[stage] = {text_of(v.origin.name) for v in self.vertices if v.origin.stage == stage}
        return self.texts[stage]

    def _near(self, origin: Origin, text: str) -> Callable[[], list[CacheRecord]]:
        return lambda: self.store.records.near(self.buildfile, origin.stage, origin.line, text)

    def _around(self, origin: Origin, text: str) -> Callable[[], list[CacheRecord]]:
        return lambda: self.store.records.around(self.buildfile, origin.stage, text)

    def _earlier(self, record: CacheRecord) -> Earlier:
        layer = self.store.layers.get(record.diff_id)
        return Earlier(
            record.key.hex,
            record.preimage.decode(),
            record.created,
            record.name,
            record.line,
            record.buildfile,
            record.stage,
            record.inputs,
            "" if layer is None else layer.content_id.hex,
        )


def text_of(name: str) -> str:
    """The name of a step without its stage and number."""
    head, bracket, text = name.partition("] ")
    return text if bracket and head.startswith("[") else name


def nearest(image: bytes, origin: Origin, candidates: Iterable[CacheRecord], taken: Set[str]) -> CacheRecord | None:
    """The record to compare a step with; None when none is like it. `taken`: the texts of its stage's steps."""
    own, text = _fields(image), text_of(origin.name)
    best: tuple[tuple[bool, bool, bool, int, float], CacheRecord] | None = None
    for record in candidates:
        fields, other = _fields(record.preimage), text_of(record.name)
        same, line = other == text, record.line == origin.line and record.stage == origin.stage
        if fields.get("op") != own.get("op") or not (
            same or (other not in taken and (line or fields.get("parent") == own.get("parent")))
        ):
            continue
        equal = sum(fields.get(name) == value for name, value in own.items())
        rank = (same, line, record.stage == origin.stage, equal, record.last_used)
        if best is None or rank > best[0]:
            best = rank, record
    return None if best is None else best[1]


def _fields(image: bytes) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(image)
    except msgspec.MsgspecError:
        return {}  # a damaged record is like nothing
    return found if isinstance(found, dict) else {}
