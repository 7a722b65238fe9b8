"""`Share`: a shared cache that a build writes. Layers are uploaded as steps finish; the index is replaced at the end.

A registry has no compare-and-swap: the name is asked for right before it is moved, and when it stands for another
index than the one that was merged with, that is merged with, too (decision 26).
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from queue import SimpleQueue
from typing import Protocol, TypeGuard

from msgspec.structs import replace

from builder.digest import Digest, Reader
from builder.errors import BadInputError, CanceledError, NotFoundError, PybuildError, UsageError
from builder.events import Emit, Note, Warned
from builder.image.descriptor import Descriptor
from builder.image.mediatypes import OCI_INDEX, OCI_MANIFEST, compression_of
from builder.remotecache import document, entries, patience
from builder.remotecache.document import EMPTY, ENTRIES, Contents, Mount, Shard, shard_manifest, to_json
from builder.remotecache.entries import DAY, Entry, Packed, Step
from builder.remotecache.merging import merged
from builder.remotecache.options import MAX, Target
from builder.remotecache.patience import Patience
from builder.remotecache.place import AtPlace, Place
from builder.remotecache.reading import shard_of
from builder.remotecache.trust import Keys

# Uploads of layers at the same time.
_THREADS = 3
# A thread that waits for a network may hear of the end late: then it is not waited for.
_LEAVING = 1.0
# How often others may come first before the name is moved whatever it stands for.
_TRIES = 8


class Content(Protocol):
    """A layer that is to be uploaded."""

    def blob(self) -> Descriptor:
        """The blob it is uploaded as, made now if need be. Raises PybuildError."""
        ...

    def open(self, blob: Descriptor) -> AbstractContextManager[Reader]:
        """A reader of that. Raises PybuildError."""
        ...


# Puts cache mounts to a place where those given are, by name; see Share.finish.
PutMounts = Callable[[Place, Mapping[str, Mount], Callable[[], None]], Mapping[str, Mount]]


class Share(AtPlace):
    """The cache `target`, at the place that `opened` gives. Used by several threads; raises nothing but in `finish`."""

    def __init__(self, target: Target, opened: Callable[[], Place], emit: Emit, keys: Keys) -> None:
        super().__init__(target.text, opened)
        self.target = target
        self._emit, self._keys = emit, keys
        self._entries: dict[Digest, Entry] = {}
        self._mounts: dict[str, Mount] = {}
        self._sent: dict[Digest, Packed] = {}
        self._queue: SimpleQueue[tuple[Digest, Content] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._error: PybuildError | None = None
        self._stopped = self._closed = False
        self._patience = Patience(patience.STALLED, lambda: None)

    # --- while the build goes on ---------------------------------------------------------------------

    def add(self, name: Digest, entry: Entry) -> None:
        """Have the entry in the cache."""
        with self._lock:
            self._entries[name] = entry

    def wants(self, *, in_result: bool) -> bool:
        """Whether the layer of a step is to be in the cache, one of the image or another."""
        return in_result or self.target.mode == MAX

    def send(self, diff_id: Digest, content: Content) -> None:
        """Upload a layer in the background. Only once no process is forked any more (sandbox/launcher)."""
        with self._lock:
            if self._error is not None or diff_id in self._sent:
                return
            if len(self._threads) < _THREADS:
                thread = threading.Thread(target=self._upload, name=f"cache-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
        self._queue.put((diff_id, content))

    def stop(self) -> None:
        """Upload nothing more; what was not written by now is not."""
        with self._lock:
            if self._closed:
                return
            self._stopped = self._closed = True
            place = self._place
        if place is not None and self._threads:
            place.cancel()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(_LEAVING)
        if place is not None:
            place.close()

    def _upload(self) -> None:
        while (given := self._queue.get()) is not None:
            if not self._stopped and self._error is None:
                self._sent_now(*given)

    def _sent_now(self, diff_id: Digest, content: Content) -> None:
        try:
            blob = content.blob()
            with Patience(patience.STALLED, self.place.cancel) as watched:
                self.place.put(blob, lambda: watched.opened(content.open(blob)))
        except NotFoundError:
            return  # it was not there any more: the cache says what the step made, and has no layer
        except CanceledError:
            self._stopped = True  # another upload says why
            return
        except PybuildError as error:
            self._leave(error)
            return
        except Exception as error:
            if self._stopped:
                return  # what it worked with is gone
            self._leave(PybuildError(f"{type(error).__name__}: {error}"))
            raise
        with self._lock:
            self._sent[diff_id] = Packed.of(blob, compression_of(blob.media_type))

    def _leave(self, error: PybuildError) -> None:
        with self._lock:
            if self._error is None:
                self._error = error
                if not self.target.strict:
                    self._emit(Warned(f"the cache is not written to {self.name}: {error.message}"))

    # --- at the end ----------------------------------------------------------------------------------

    def finish(self, late: Mapping[Digest, Content], put_mounts: PutMounts = lambda place, there, moved: {}) -> None:
        """Upload what is left and move the name. `late` has layers, by diff ID: those that are not there are uploaded.

        `put_mounts` puts cache mounts where others are already, and gives those that are new; it says when something
        has moved. Raises PybuildError for a strict target alone.
        """
        try:
            with self._failing(), self._patient():
                if self.target.mounts:
                    self._mounts.update(put_mounts(self.place, self._there()[0].mounts, self._patience.moved))
            with self._failing(), self._patient():
                self._send_late(late)
            for _ in self._threads:
                self._queue.put(None)
            for thread in self._threads:
                thread.join()
            with self._failing():
                if self._error is None and not self._stopped:
                    with self._patient():
                        self._publish()
        finally:
            self.stop()
        if self._error is not None and self.target.strict:
            raise self._error

    @contextmanager
    def _patient(self) -> Iterator[None]:
        with Patience(patience.STALLED, self.place.cancel) as self._patience:
            yield

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except PybuildError as error:
            self._leave(error)

    def _send_late(self, late: Mapping[Digest, Content]) -> None:
        if not late:
            return
        there, _ = self._there()
        shards: dict[int, Mapping[Digest, Entry]] = {}
        for name, entry in self._entries.items():
            if not isinstance(entry, Step) or entry.layer.diff_id not in late:
                continue
            number = there.number(name)
            if number not in shards:
                shards[number] = self._shard(there.shards[number]) if number in there.shards else {}
            known, diff_id = shards[number].get(name), entry.layer.diff_id
            if isinstance(known, Step) and known.diff_id == entry.diff_id and self._will_do(known.blob):
                self._sent[diff_id] = known.blob
            else:
                self.send(diff_id, late[diff_id])

    def _will_do(self, blob: Packed | None) -> TypeGuard[Packed]:
        """Whether a layer that is there as `blob` need not be uploaded."""
        form = self.target.form
        return blob is not None and (form is None or form.compression == blob.compression)

    def _publish(self) -> None:
        new = {name: self._whole(entry) for name, entry in self._entries.items()}
        for attempt in range(_TRIES + 1):
            there, digest = self._there()
            today = int(time.time()) // DAY
            found = merged(there, self._shard, new, today, self.target.keep)
            mounts = {**there.mounts, **self._mounts}
            if not found.shards and mounts == there.mounts and digest is not None:
                return
            shards = {} if found.whole else dict(there.shards)
            shards.update((number, self._put_sound(shard, new)) for number, shard in found.shards.items())
            data = to_json(self._keys.signed(Contents(found.bits, shards, mounts)))
            if self.place.point(data, OCI_INDEX, digest, force=attempt == _TRIES):
                self._emit(Note(f"wrote the cache {self.name}"))
                return
        raise PybuildError("what is written does not stay, however often it is tried")

    def _whole(self, entry: Entry) -> Entry:
        if not isinstance(entry, Step):
            return entry
        return replace(entry, blob=self._sent.get(entry.layer.diff_id))

    def _there(self) -> tuple[Contents, Digest | None]:
        """What the name stands for now. What cannot be read or trusted is not merged with; an image is not replaced."""
        found = self.place.read()
        if found is None:
            return Contents(), None
        digest = Digest.of(found[0])
        if not document.is_cache(found[0]):
            raise UsageError(f"{self.name} is something else than a cache", hint="use another name for the cache")
        try:
            contents = document.parse(found[0])
            self._keys.check(contents)
        except BadInputError as error:
            self._emit(Note(f"the cache {self.name} is written anew: {error.message}"))
            return Contents(), digest
        return contents, digest

    def _shard(self, shard: Shard) -> Mapping[Digest, Entry]:
        """The entries of a shard; none of one that is lost or damaged."""
        self._patience.moved()
        try:
            return shard_of(self.place, shard)
        except (NotFoundError, BadInputError):
            return {}

    def _put_sound(self, shard: Mapping[Digest, Entry], new: Mapping[Digest, Entry]) -> Shard:
        """Put a shard. A registry refuses one whose layers it has lost: then what others have put in it goes."""
        try:
            return self._put(shard)
        except PybuildError:
            own = {name: self._there_still(entry) for name, entry in shard.items() if name in new}
            if own == shard:
                raise
            return self._put(own)

    def _there_still(self, entry: Entry) -> Entry:
        if isinstance(entry, Step) and entry.blob is not None and not self.place.has(entry.blob.descriptor):
            return replace(entry, blob=None)
        return entry

    def _put(self, shard: Mapping[Digest, Entry]) -> Shard:
        self._patience.moved()
        data = entries.encoded(shard)
        config = Descriptor(ENTRIES, Digest.of(data), len(data))
        self.place.put(config, lambda: _held(data))
        manifest = shard_manifest(config, shard)
        self.place.put(Descriptor("", Digest.of(EMPTY), len(EMPTY)), lambda: _held(EMPTY))
        self.place.put_manifest(manifest, OCI_MANIFEST)
        return Shard(Descriptor(OCI_MANIFEST, Digest.of(manifest), len(manifest)), config)


@contextmanager
def _held(data: bytes) -> Iterator[Reader]:
    yield io.BytesIO(data)
