"""Hit or miss: what a vertex is looked up by, and whether the store has its layer."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence, Set
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from builder import spans
from builder.digest import Digest
from builder.errors import PybuildError
from builder.graph.vertex import BaseImage, GitTree, Keyed, Run, UrlFile, Vertex, VertexId, inputs
from builder.image.descriptor import Layer
from builder.keys.preimage import key_of, preimage
from builder.solve import mounts, ops
from builder.solve.result import Stack
from builder.solve.worker import Worker
from builder.sources.context import Context
from builder.sources.remotes import Remotes
from builder.sources.secrets import Secrets
from builder.store.memo import TAKEN
from builder.store.open import Store
from builder.store.records import CacheRecord

if TYPE_CHECKING:
    from builder.solve.remote import Remote

# In nanoseconds.
_SECOND = 10**9
_HEX = re.compile("[0-9a-f]{64}")


class Reason(StrEnum):
    """Why a look-up missed."""

    ABSENT = "absent"  # there is no record of the key
    LOST = "lost"  # there is, but its layer is no longer in the store
    EXPIRED = "expired"  # there is, but it is older than the step lets it be (RUN --cache=ttl=)
    VOLATILE = "volatile"  # nobody looked: the step is to run in every build (RUN --cache=never)
    REFUSED = "refused"  # nobody looked: the user asked for a run (--no-cache and its like)


class Sought(Struct, frozen=True):
    """What a vertex is looked up by: its key and that key's pre-image; and what it takes from outside the graph.

    `listings` are lists of what it takes of other vertices, by digest: of those that were found out just now.
    """

    key: Digest
    image: bytes
    chosen: tuple[ops.Outside, ...]
    listings: tuple[tuple[Digest, bytes], ...] = ()


class Unsettled(Struct, frozen=True):
    """A vertex that cannot be looked up yet: nobody knows what `picks` take of their vertices, whose stacks are given.

    `taken` has what is known of such parts; `marks` are what stands for secrets.
    """

    vertex: Vertex
    chains: dict[int, Digest]
    chosen: tuple[ops.Outside, ...]
    taken: dict[Keyed, Digest]
    marks: tuple[tuple[str, str], ...]
    picks: tuple[tuple[ops.Pick, Stack], ...]

    def sought(self) -> Sought:
        """What to look it up by, now that all is known."""
        outside = [selection.digest for selection in self.chosen]
        image = preimage(self.vertex, self.chains, outside, self.taken, self.marks)
        return Sought(key_of(image), image, self.chosen)


class Hit(Struct, frozen=True):
    """A record whose layer is in the store; with `remote`, another machine's, whose layer can be fetched maybe."""

    record: CacheRecord
    layer: Layer
    remote: bool = False


class Lookup(Struct, frozen=True):
    """Looks vertices up in `store`, but for those `ignored`. `paranoid`: what is found is read and checked.

    What is not there is looked up in the caches of `remote`, if there are any.
    """

    store: Store
    vertices: Sequence[Vertex]
    contexts: Mapping[str, Context]
    remotes: Remotes
    secrets: Secrets
    ignored: Set[int]
    paranoid: bool = False
    remote: Remote | None = None

    def sought(self, vertex: Vertex, stack_of: Callable[[VertexId], Stack]) -> Sought | Unsettled:
        """What to look `vertex` up by, its inputs being solved. Hashes files, asks servers, and raises what they do."""
        chains: dict[int, Digest] = {v: stack_of(v).chain for v in inputs(vertex)}
        chosen = ops.outside(vertex, self.contexts, self.remotes)
        taken: dict[Keyed, Digest] = {}
        missing: list[tuple[ops.Pick, Stack]] = []
        for pick in ops.picks(vertex):
            if isinstance(self.vertices[pick.source], UrlFile | GitTree):
                continue  # there is nothing in it but what is taken
            known = None if self.paranoid else self._taken(pick.chosen.name(chains[pick.source]))
            if known is None:
                missing.append((pick, stack_of(pick.source)))
            else:
                taken[pick.part] = known
        marks = mounts.marks(vertex, self.secrets, self.store.root) if isinstance(vertex, Run) else ()
        found = Unsettled(vertex, chains, chosen, taken, marks, tuple(missing))
        return found if missing else found.sought()

    def settled(self, asked: Unsettled, worker: Worker) -> Sought:
        """What to look it up by, found out by `worker`, and remembered. Raises what the worker does."""
        taken, found = dict(asked.taken), dict[Digest, bytes]()
        for stack in dict.fromkeys(stack for _, stack in asked.picks):
            picks = [pick for pick, source in asked.picks if source == stack]
            with spans.span("scan"):
                listings = worker.chosen(stack.layers, tuple(pick.chosen for pick in picks))
            for pick, listing in zip(picks, listings, strict=True):
                digest = taken[pick.part] = Digest.of(listing)
                found[digest] = listing
                name = pick.chosen.name(stack.chain)
                self.store.memo.put(TAKEN, name, bytes.fromhex(digest.hex))
                if self.remote is not None:
                    self.remote.say(TAKEN, name, digest.hex)
        return replace(replace(asked, taken=taken, picks=()).sought(), listings=tuple(found.items()))

    def find(self, vertex: int, sought: Sought, *, fresh: bool = False) -> Hit | Reason:
        """What the store has for `sought`, which is what `vertex` is looked up by, or why it is no hit.

        `fresh`: it was made in this build, and so is good for any equal step of it.
        """
        told = None if fresh else self.told(vertex)
        if told is not None:
            return told
        lifetime = None if fresh else self._lifetime(vertex)

        def good(created: float) -> bool:
            # A record of the future was made by a clock that was wrong, or is compared with one that is.
            return lifetime is None or abs(time.time() - created) * _SECOND < lifetime

        found = self._here(sought, good)
        if isinstance(found, Hit) or self.remote is None:
            return found
        record = self.remote.find(sought.key, sought.image, good)
        return found if record is None else Hit(record, self.remote.layer(record), remote=True)

    def _here(self, sought: Sought, good: Callable[[float], bool]) -> Hit | Reason:
        record = self.store.records.get(sought.key)
        if record is None:
            return Reason.ABSENT
        if not good(record.created):
            return Reason.EXPIRED
        layer = self.store.layer(record.diff_id)
        if layer is None:
            return Reason.LOST
        if self.paranoid and (record.preimage != sought.image or not self._sound(layer)):
            return Reason.LOST
        return Hit(record, layer)

    def _taken(self, name: str) -> Digest | None:
        """The digest of what is taken of a stack, if that is known."""
        known = self.store.memo.get(TAKEN, name)
        if self.remote is None:
            return None if known is None else Digest(known.hex())
        text = self.remote.said(TAKEN, name) if known is None else known.hex()
        if text is None or not _HEX.fullmatch(text):
            return None
        self.remote.say(TAKEN, name, text)
        return Digest(text)

    def here(self, stack: Stack) -> bool:
        """Whether the files of `stack` are in the store, none in another machine's cache."""
        return self.remote is None or self.remote.here(stack.layers)

    def _sound(self, layer: Layer) -> bool:
        """Whether the blob of `layer` is what its digest says. A damaged one makes room for what a run makes."""
        try:
            self.store.blobs.open(layer.blob).drain()
        except PybuildError:
            damaged = self.store.blobs.take(layer.blob.digest)
            if damaged is not None:
                damaged.unlink(missing_ok=True)
            return False
        return True

    def told(self, vertex: int) -> Reason | None:
        """Why `vertex` is to run whatever the store has; None when it may be looked up."""
        if vertex in self.ignored:
            return Reason.REFUSED
        return Reason.VOLATILE if self._lifetime(vertex) == 0 else None

    def base(self, described: BaseImage) -> Stack:
        """The layers of a base image."""
        far = None if self.remote is None else self.remote.base(described.manifest)
        stack = Stack()
        for layer in self.store.images.layers(described.manifest) if far is None else far:
            stack = stack.on_top(layer, None, None)
        return stack

    def _lifetime(self, vertex: int) -> int | None:
        described = self.vertices[vertex]
        return described.lifetime if isinstance(described, Run) else None
