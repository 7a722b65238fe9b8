from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from builder.api import cap
from builder.api.session import Session
from builder.config.settings import settings
from tests.support.store import layer

GB = 1 << 30


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session(tmp_path / "store") as opened:
        yield opened


def disk(monkeypatch: pytest.MonkeyPatch, total: int, free: int) -> None:
    found = SimpleNamespace(f_blocks=total // 4096, f_bavail=free // 4096, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda path: found)


def test_the_cap_is_lower_where_the_disk_is_nearly_full(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = cap.policy(settings(()))
    disk(monkeypatch, 1000 * GB, 400 * GB)
    assert cap._allowed(session, asked, 200 * GB) == 100 * GB
    disk(monkeypatch, 1000 * GB, 30 * GB)  # 20 GB are missing
    assert cap._allowed(session, asked, 90 * GB) == 70 * GB
    disk(monkeypatch, 1000 * GB, 0)
    assert cap._allowed(session, asked, 10 * GB) == 2 * GB
    disk(monkeypatch, 10 * GB, 0)
    assert cap._allowed(session, asked, 1 * GB) == 1 * GB


def test_most_builds_need_not_look(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, now = cap.policy(settings(())), time.time()
    disk(monkeypatch, 1 << 20, 1 << 20)  # a cap of 104,857 bytes

    def note(text: str) -> None:
        session.store.memo.put("gc", "look", text.encode())

    assert cap._due(session, asked, now), "nobody has looked yet"
    note(f"{now - 60} 0 104000")
    assert not cap._due(session, asked, now)
    assert cap._due(session, asked, now + 3600), "a while ago"
    assert cap._due(session, asked, now - 3600), "a clock was set back"
    layer(session.store, b"x" * 1000)
    assert cap._due(session, asked, now), "with what was added it is too much"
    note("not a note at all")
    assert cap._due(session, asked, now)
    note("1 2")
    assert cap._due(session, asked, now)
