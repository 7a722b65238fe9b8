"""What a shared cache becomes when a build adds to it. Pure but for the reading of shards, which is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest
from builder.remotecache.document import Contents, Shard, bits_for, number
from builder.remotecache.entries import Entry, Step

# More are not kept: those that were of use last stay.
MOST = 200_000
# Into a shard goes no more: it must fit into what a registry takes as a manifest, with its layers.
MOST_IN_SHARD = 4096

Shards = dict[int, dict[Digest, Entry]]


class Merged(Struct, frozen=True):
    """What must be written: the entries of shards by number. `whole`: no other shard stays; else `bits` are as before.

    A shard that is to be as it was is left out.
    """

    bits: int
    shards: Shards
    whole: bool


def merged(
    there: Contents, read: Callable[[Shard], Mapping[Digest, Entry]], new: Mapping[Digest, Entry], today: int, keep: int
) -> Merged:
    """What must be written so that `new` is in the cache `there`, whose shards `read` reads.

    Entries that were not of use for `keep` days go, as shards are written; with 0, all but `new`. When there are more
    entries than that many shards are for, all are written.
    """
    if not keep:
        bits = bits_for(len(new))
        return Merged(bits, _split(new, bits), whole=True)
    shards: Shards = {}
    for place, added in _split(new, there.bits).items():
        old = read(there.shards[place]) if place in there.shards else {}
        if differs(old, added):
            joined = {name: _joined(old.get(name), entry) for name, entry in added.items()}
            shards[place] = _current({**old, **joined}, today, keep)
    # The other shards are about as full as these.
    about = sum(map(len, shards.values())) * (1 << there.bits) // max(1, len(shards))
    bits = bits_for(min(about, MOST))
    if bits <= there.bits:
        return Merged(there.bits, shards, whole=False)
    for place, shard in there.shards.items():
        if place not in shards:
            shards[place] = _current(read(shard), today, keep)
    everything = {name: entry for shard in shards.values() for name, entry in shard.items()}
    return Merged(bits, _split(everything, bits), whole=True)


def differs(old: Mapping[Digest, Entry], new: Mapping[Digest, Entry]) -> bool:
    """Whether `new` says more than `old`, but that it was of use again on the next day."""
    return any(_joined(old.get(name), entry) != old.get(name) for name, entry in new.items())


def _joined(old: Entry | None, new: Entry) -> Entry:
    """`new` in the place of `old`. A layer that was there is kept where it is the same, and a day is no reason."""
    if isinstance(old, Step) and isinstance(new, Step) and new.blob is None and old.diff_id == new.diff_id:
        new = replace(new, blob=old.blob)
    if old is not None and replace(new, used=old.used) == old and new.used <= old.used + 1:
        return old
    return new


def _current(shard: Mapping[Digest, Entry], today: int, keep: int) -> dict[Digest, Entry]:
    # A day later: that it was of use on the next one is not written down.
    found = {name: entry for name, entry in shard.items() if entry.used + keep + 1 >= today}
    if len(found) <= MOST_IN_SHARD:
        return found
    newest = sorted(found, key=lambda name: (found[name].used, name), reverse=True)[:MOST_IN_SHARD]
    return {name: found[name] for name in newest}


def _split(entries: Mapping[Digest, Entry], bits: int) -> Shards:
    shards: Shards = {}
    for name, entry in entries.items():
        shards.setdefault(number(name, bits), {})[name] = entry
    return shards
