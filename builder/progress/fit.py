"""What a terminal can show of a text: characters of its encoding, and no more of them than there are columns."""

from __future__ import annotations

from msgspec import Struct

from builder.progress.plain import clean

_TAB = 4
# Of a longer line the rest is not even looked at: no terminal has as many columns.
_MOST = 4096


class Marks(Struct, frozen=True):
    """The characters that lines begin with, and others: those a terminal can show, whose encoding is `encoding`."""

    done: str = "✔"
    failed: str = "✘"
    canceled: str = "■"
    skipped: str = "-"
    running: str = "▸"
    full: str = "━"
    empty: str = "─"
    more: str = "…"
    dot: str = "·"
    encoding: str = "utf-8"


_OURS = str.maketrans("", "", "".join(getattr(Marks(), name) for name in Marks.__struct_fields__))


def marks(encoding: str) -> Marks:
    """Those that can be written in `encoding`."""
    found = Marks()
    try:
        "".join(getattr(found, name) for name in Marks.__struct_fields__).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return Marks("+", "x", "#", "-", ">", "=", "-", "~", "-", "ascii")
    return found


def cut(text: str, columns: int, shown: Marks) -> str:
    """`text`, one line of anything, in at most so many columns; a mark tells that there is more of it."""
    text = clean(text[:_MOST]).expandtabs(_TAB).encode(shown.encoding, "replace").decode(shown.encoding)
    if width(text) <= columns:
        return text
    if _is_narrow(text):
        return text[: columns - 1] + shown.more if columns > 0 else ""
    # lazy: most text is ASCII
    from rich.cells import set_cell_size

    return set_cell_size(text, columns - 1) + shown.more if columns > 0 else ""


def width(text: str) -> int:
    """The columns that `text` takes."""
    if _is_narrow(text):
        return len(text)
    # lazy: as above
    from rich.cells import cell_len

    return cell_len(text)


def _is_narrow(text: str) -> bool:
    """Whether each of its characters surely takes a column."""
    return text.isascii() or text.translate(_OURS).isascii()
