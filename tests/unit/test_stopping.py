from __future__ import annotations

import pytest

from builder.errors import CanceledError
from builder.stopping import Stop


def test_who_waits_is_told_once() -> None:
    stop, told = Stop(), list[str]()
    stop.then(lambda: told.append("waiting"))
    stop.check()
    assert not stop.asked
    stop.ask()
    stop.ask()
    stop.then(lambda: told.append("late"))
    assert told == ["waiting", "late"]
    assert stop.asked
    with pytest.raises(CanceledError):
        stop.check()
