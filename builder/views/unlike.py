"""How two layers that should be the same differ: the first entry they do not agree on, and what that may come from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from difflib import unified_diff
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest, HashingWriter, Reader
from builder.layers.dating import dated
from builder.layers.entry import Entry, Kind
from builder.layers.tarread import read_entries
from builder.visible import visible

# Gives the plain tar of a layer, from its beginning.
Tar = Callable[[], Reader]

# How much of a file is looked at for a difference in its text, and how much of that is shown.
_LOOKED_AT = 256 << 10
_MOST_LINES, _LONGEST_LINE = 8, 100
_PIECE = 1 << 20
_TIME = re.compile(
    r"\b\d\d:\d\d(:\d\d)?\b|\b20\d\d-\d\d-\d\d|\b1[6-9]\d{8}(\d{3})?\b|\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b|\b20[2-9]\d\b"
)
TIME_HINT = "it has the time of the build in it: have it made from SOURCE_DATE_EPOCH (ARG SOURCE_DATE_EPOCH)"


class Unlike(Struct, frozen=True):
    """The first entry of two layers that differs. `what` of it does: of `kind`, `content`, `mode`, `owner`, `time`,
    `link`, `device`, `attributes`; or `order`, or `missing` where one has it alone.

    `first` and `second` are what it is in each, in words; `diff` the lines of its text that differ, with `-` and `+`.
    `count` is how many entries differ. `hint` is what that may come from; empty where nothing tells.
    """

    path: str
    what: tuple[str, ...]
    first: str = ""
    second: str = ""
    diff: tuple[str, ...] = ()
    hint: str = ""
    count: int = 1


# The digests of a file in both layers, where they differ.
Pairs = frozenset[tuple[Digest, Digest]]


def unlike(first: Tar, second: Tar, epoch: int | None, since: tuple[int, int]) -> tuple[Unlike, Pairs] | None:
    """How two layers differ under `epoch` (see layers/dating), and all pairs of files; None when they do not."""
    a, b = (tuple(_entries(tar(), epoch, began)) for tar, began in zip((first, second), since, strict=True))
    if a == b:
        return None
    known = ({_name(e): e for e in a}, {_name(e): e for e in b})
    differing = [name for name in known[0].keys() | known[1].keys() if known[0].get(name) != known[1].get(name)]
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    here = [_name(entries[at]) for entries in (a, b) if at < len(entries)]
    name = next((n for n in here if n in differing), here[0])
    found = Unlike(f"/{name[0]}", (), count=max(1, len(differing)))
    alike = len(known[0]) == len(known[1])
    return (
        _first(found, known[0].get(name), known[1].get(name), (first, second), alike=alike),
        frozenset(_pair(known[0].get(name), known[1].get(name)) for name in differing) - {_NO_PAIR},
    )


def _first(found: Unlike, one: Entry | None, other: Entry | None, tars: tuple[Tar, Tar], *, alike: bool) -> Unlike:
    if one is None or other is None:
        hint = "a name that is another one each time" if alike else ""
        return replace(found, what=("missing",), first=_described(one), second=_described(other), hint=hint)
    if one == other:
        return replace(found, what=("order",), hint="the entries are the same, in another order")
    return _explained(replace(found, what=tuple(_aspects(one, other))), one, other, *tars)


_NO_PAIR = (Digest.of(b""), Digest.of(b""))


def _pair(one: Entry | None, other: Entry | None) -> tuple[Digest, Digest]:
    if one is None or other is None or not (one.digest and other.digest) or one.digest == other.digest:
        return _NO_PAIR
    return one.digest, other.digest


def _name(entry: Entry) -> tuple[str, bool]:
    return entry.path, entry.kind is Kind.OPAQUE


def _entries(tar: Reader, epoch: int | None, since: int) -> Iterator[Entry]:
    for entry, data in read_entries(tar):
        found = entry if epoch is None else dated(entry, epoch, since)
        if entry.kind is Kind.FILE:
            state = HashingWriter(_Nowhere())
            while piece := data.read(_PIECE):
                state.write(piece)
            found = replace(found, digest=state.digest())
        yield found


class _Nowhere:
    def write(self, data: bytes, /) -> int:
        return len(data)


def _aspects(one: Entry, other: Entry) -> Iterator[str]:
    if one.kind is not other.kind:
        yield "kind"
    elif (one.size, one.digest) != (other.size, other.digest):
        yield "content"
    for name, fields in (
        ("mode", ("mode",)),
        ("owner", ("uid", "gid")),
        ("time", ("mtime",)),
        ("link", ("link",)),
        ("device", ("device",)),
        ("attributes", ("xattrs",)),
    ):
        if any(getattr(one, field) != getattr(other, field) for field in fields):
            yield name


def _described(entry: Entry | None) -> str:
    if entry is None:
        return ""
    size = f" of {entry.size} bytes" if entry.kind is Kind.FILE else ""
    return f"{entry.kind}{size}"


def _explained(found: Unlike, one: Entry, other: Entry, first: Tar, second: Tar) -> Unlike:
    if "content" in found.what:
        a, b = _content(first(), one), _content(second(), other)
        return replace(_content_explained(found, a, b), first=_described(one), second=_described(other))
    said = [", ".join(_value(entry, what) for what in found.what) for entry in (one, other)]
    hint = "a time that the step has set itself" if "time" in found.what else ""
    return replace(found, first=said[0], second=said[1], hint=hint)


def _value(entry: Entry, what: str) -> str:
    match what:
        case "mode":
            return f"mode {entry.mode:04o}"
        case "owner":
            return f"owner {entry.uid}:{entry.gid}"
        case "time":
            return f"time {entry.mtime}"
        case "link":
            return f"link to {_shown(entry.link)}"
        case "device":
            return f"device {entry.device[0]}:{entry.device[1]}"
        case "attributes":
            return "attributes " + " ".join(f"{name}={Digest.of(value).hex[:12]}" for name, value in entry.xattrs)
        case _:
            return _described(entry)


# --- content -------------------------------------------------------------------------------------


def _content(tar: Reader, wanted: Entry) -> bytes:
    """The beginning of what is in a file of a layer."""
    for entry, data in read_entries(tar):
        if entry.path == wanted.path and entry.kind is Kind.FILE:
            return data.read()[:_LOOKED_AT]
    return b""


def _content_explained(found: Unlike, a: bytes, b: bytes) -> Unlike:
    texts = _text(a), _text(b)
    if texts[0] is None or texts[1] is None:
        return replace(found, diff=(_first_byte(a, b),), hint=_binary_hint(found.path, a, b))
    one, other = texts[0].splitlines(), texts[1].splitlines()
    lines = [line for line in unified_diff(one, other, n=0, lineterm="") if not line.startswith(("---", "+++", "@@"))]
    cut = len(lines) > _MOST_LINES
    shown = [_shown(line) for line in islice(lines, _MOST_LINES)]
    return replace(found, diff=(*shown, *(["…"] if cut else [])), hint=_text_hint(one, other, lines))


def _text(data: bytes) -> str | None:
    if b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _shown(text: str) -> str:
    """A line as it may be printed anywhere."""
    safe = visible(text)
    return safe if len(safe) <= _LONGEST_LINE else f"{safe[: _LONGEST_LINE - 1]}…"


def _text_hint(one: Sequence[str], other: Sequence[str], lines: Sequence[str]) -> str:
    if sorted(one) == sorted(other):
        return "the same lines in another order: sort them"
    removed, added = ([line[1:] for line in lines if line[:1] == sign] for sign in "-+")
    if sorted(" ".join(removed).split()) == sorted(" ".join(added).split()):
        return "the same words in another order: sort them"
    if any(_TIME.search(line) for line in removed) and any(_TIME.search(line) for line in added):
        return TIME_HINT
    return ""


def _first_byte(a: bytes, b: bytes) -> str:
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    if at == len(a) == len(b):
        return f"not text; the first {at} bytes are the same"
    return f"not text; they differ from byte {at} on: {a[at : at + 8].hex(' ')} | {b[at : at + 8].hex(' ')}"


def _binary_hint(path: str, a: bytes, b: bytes) -> str:
    if path.endswith(".pyc"):
        return "compiled Python has the time of its source in it, unless it sees SOURCE_DATE_EPOCH (ARG)"
    if a[:2] == b[:2] == b"\x1f\x8b" and a[4:8] != b[4:8]:
        return "gzip keeps the time of its input: gzip -n does not"
    if a[257:262] == b[257:262] == b"ustar":
        return "a tar keeps times and the order of directories: --mtime, --sort=name"
    if a[:7] == b[:7] == b"!<arch>":
        return "an archive of objects keeps times and owners: ar D does not"
    if sorted(a) == sorted(b):
        return "the same bytes in another order"
    return ""
