from __future__ import annotations

import io
import threading
from contextlib import nullcontext

import pytest

from builder.errors import CanceledError, RegistryError
from builder.remotecache.patience import Patience


def test_who_waits_too_long_is_canceled_and_told_why() -> None:
    canceled = threading.Event()
    with pytest.raises(RegistryError, match="nothing came for 0 s"), Patience(0.05, canceled.set):
        assert canceled.wait(30)
        raise CanceledError("canceled")


def test_what_is_read_moves() -> None:
    canceled = threading.Event()
    with Patience(30.0, canceled.set) as patience:
        before = patience._last
        assert patience.reading(io.BytesIO(b"abc")).read() == b"abc"
        with patience.opened(nullcontext(io.BytesIO(b"abc"))) as reader:
            assert reader.read(2) == b"ab"
        assert patience._last > before


def test_another_s_cancellation_stays_what_it_is() -> None:
    with pytest.raises(CanceledError), Patience(30.0, lambda: None):
        raise CanceledError("canceled")


def test_nothing_is_left_running() -> None:
    with Patience(30.0, lambda: None):
        pass
    assert not [thread for thread in threading.enumerate() if thread.name == "patience"]
