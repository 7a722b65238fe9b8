"""Waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable

# More than any wait takes on a busy machine: it ends a test that would hang.
PATIENCE = 60


def wait_for(
    condition: Callable[[], object], state: Callable[[], str] = lambda: "it did not come", seconds: float = PATIENCE
) -> None:
    """Return when `condition` holds; the test fails after `seconds`, telling the `state` of things."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, state()
        time.sleep(0.02)
