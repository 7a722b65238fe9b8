"""Processes told apart by when they began."""

from __future__ import annotations

import os
import subprocess

import pytest
from msgspec.structs import replace

from builder.sandbox.running import process


def test_a_process_lives_until_it_has_ended() -> None:
    child = subprocess.Popen(["sleep", "86400"])
    try:
        found = process(child.pid)
        assert found.lives()
        assert not replace(found, start=found.start + 1).lives(), "another one with its number"
    finally:
        child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not found.lives(), "not waited for yet"
    child.wait()
    assert not found.lives()
    with pytest.raises(ProcessLookupError):
        process(child.pid)
