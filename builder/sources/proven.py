"""Proofs that build contexts are as they were, kept with what whole builds came to (store/answers)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from builder.errors import PybuildError
from builder.readied import readied
from builder.sources import buildfile
from builder.sources.context import Context
from builder.sources.fixed import Reading
from builder.sources.selection import Proof
from builder.store.stats import StatTable


class Proven(Struct, frozen=True, array_like=True):
    """What was taken of the context in `directory`, whose ignore file goes with `buildfile`, read as `git` or not."""

    directory: str
    buildfile: str
    git: bool
    proofs: tuple[Proof, ...]


class _NoTable(StatTable):
    """A stat index that nobody asks: to see whether a proof holds, no file is read."""

    def __init__(self) -> None: ...


def encoded(contexts: Iterable[Proven]) -> bytes:
    """As bytes. Raises UnicodeEncodeError for names that are not UTF-8."""
    return msgspec.msgpack.encode(list(contexts))


def hold(data: bytes, walked: list[Context]) -> bool:
    """Whether all that was `encoded` is still so. Contexts that are not come into `walked`. Raises OSError."""
    return all(_holds(context, walked) for context in msgspec.msgpack.decode(data, type=readied(list[Proven])))


def _holds(proven: Proven, walked: list[Context]) -> bool:
    try:
        ignore = buildfile.ignore_rules(proven.directory, proven.buildfile)
    except PybuildError:
        return False  # the build will tell
    context = Context(proven.directory, ignore, _NoTable(), Reading(proven.git))
    if all(context.still(proof) for proof in proven.proofs):
        return True
    walked.append(context)
    return False
