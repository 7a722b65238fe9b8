"""The cache: what is in it and what it takes."""

from __future__ import annotations

from builder.api.session import Session
from builder.views.records import RecordRow
from builder.views.records import records as record_rows
from builder.views.usage import UsageRow, usage


def records(session: Session) -> list[RecordRow]:
    """Every cached step, by file and line."""
    return record_rows(session.store.records, session.store.layers)


def disk_usage(session: Session) -> list[UsageRow]:
    """What the store takes on disk; the rows add up to du's figure."""
    return session.launcher().call(usage, None, session.store.root).result()
