"""The cache: what is in it and what it takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from builder.api.session import Session
from builder.errors import NotFoundError, UsageError
from builder.store.records import CacheRecord
from builder.views.records import RecordRow as RecordRow
from builder.views.records import records as record_rows
from builder.views.usage import Usage as Usage
from builder.views.usage import items, usage

if TYPE_CHECKING:
    from builder.views.record import Shown as Shown

# The fewest digits that may stand for a key.
_FEWEST = 4


def records(session: Session, filters: Sequence[str] = ()) -> list[RecordRow]:
    """The cached steps that all of `filters` let through (KEY=VALUE, as in prune), by file and line.

    Raises UsageError.
    """
    found = record_rows(session.store.records, session.store.layers)
    if not filters:
        return found
    # lazy: it knows how to remove, too
    from builder.api.prune import parse_filters

    passes = parse_filters(filters, time.time())
    return [row for row in found if passes(row)]


def show(session: Session, key: str, *, files: bool = False) -> Shown:
    """A cached step: `key` is the beginning of its key (four digits or more), or its FILE:LINE, then the last used.

    With `files`, those its key is made of and those in its layer. Raises NotFoundError, UsageError, BadInputError.
    """
    # lazy: it reads layers, and most commands list what there is
    from builder.views.record import shown

    return shown(session.store, _record(session, key), files=files)


def disk_usage(session: Session) -> Usage:
    """What the store takes on disk; the kinds add up to du's figure."""
    return usage(session.store, session.launcher().call(items, None, session.store.root).result())


def _record(session: Session, text: str) -> CacheRecord:
    place, colon, line = text.rpartition(":")
    digits = text.removeprefix("sha256:")
    if len(digits) >= _FEWEST and not set(digits) - set("0123456789abcdef"):
        found = session.store.records.beginning(digits)
    elif colon and line.isascii() and line.isdigit():
        found = session.store.records.at(place, int(line[:9]))[:1]
    else:
        raise UsageError(f"{text} is neither a key nor FILE:LINE", hint="pybuild cache ls shows both")
    if not found:
        raise NotFoundError(f"there is no cached step {text}", hint="pybuild cache ls shows those there are")
    if len(found) > 1:
        raise UsageError(f"{text} begins the keys of several steps", hint="give more digits")
    return found[0]
