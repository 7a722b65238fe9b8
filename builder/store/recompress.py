"""Layers in other compressions than the store's own: each made once, and remembered (store/compressed).

The blobs go before cached steps do (store/gc, api/cap): making one takes as long as reading its layer.
"""

from __future__ import annotations

from collections.abc import Callable

from builder import spans
from builder.digest import Digest, HashingWriter
from builder.errors import CanceledError
from builder.events import Emit, Meter, Work, ignore
from builder.image.descriptor import Descriptor, Layer
from builder.image.mediatypes import compression_of, layer_type
from builder.layers import compress
from builder.layers.compress import Form
from builder.points import point
from builder.store.blobs import store_errors
from builder.store.locks import key_lock
from builder.store.open import Store
from builder.threads import Beside

_CHUNK = 1 << 20
# How many pieces wait to be compressed, at most.
_AHEAD = 4


def compressed(
    store: Store, layer: Layer, form: Form, canceled: Callable[[], bool] = lambda: False, emit: Emit = ignore
) -> Descriptor:
    """The blob of `layer` in `form`, in the store; it has no annotations. The same layer gives the same blob.

    The layer's own blob where that is in the form already, whatever level it was made with if `form` names none.
    Of several processes that ask at once one makes it; `emit` is told how far that is. Needs a `working` lease. Raises
    BadInputError for a damaged blob, StoreError where there is no room, CanceledError when `canceled` says so.
    """
    own = compression_of(layer.blob.media_type)
    if own == form.compression and form.level is None:
        return Descriptor(layer_type(own), layer.blob.digest, layer.blob.size)
    with key_lock(store.root, Digest.of(f"compressed {layer.diff_id} {form}".encode()), canceled):
        known = store.compressed.get(layer.diff_id, form)
        if known is not None and store.blobs.claimed(known.digest) and store.blobs.holds(known):
            store.compressed.add(layer.diff_id, form, known)  # it is wanted again, if it was to go
            return known
        meter = Meter(emit, Work.COMPRESS, layer.diff_id.short, layer.size)
        made = _made(store, layer, form, canceled, meter)
        meter.end()
        store.compressed.add(layer.diff_id, form, made)
    return made


def _made(store: Store, layer: Layer, form: Form, canceled: Callable[[], bool], meter: Meter) -> Descriptor:
    with spans.span("compress") as now, store_errors(store.root), store.blobs.writer() as file:
        hashing = HashingWriter(now.into("write", file))
        writer = compress.writer(form.compression, hashing, form.level)
        source = store.blobs.open(layer.blob)
        beside = Beside(writer.write, _AHEAD)
        try:
            plain = compress.Whole(compress.reader(compression_of(layer.blob.media_type), source))
            while data := plain.read(_CHUNK):
                if canceled():
                    raise CanceledError("canceled")
                beside.put(data)
                meter.add(len(data))
            source.drain()  # so that the blob is checked to its end
            beside.end()
        finally:
            beside.stop()
        writer.finish()
        digest = hashing.digest()
        point("compressed:written")
        file.commit(digest)
    return Descriptor(layer_type(form.compression), digest, hashing.size)
