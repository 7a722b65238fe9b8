"""Memory is that of what an action starts."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.memory import peak

HOLD = [sys.executable, "-c", "import time; held = b'x' * 60_000_000; time.sleep(0.3)"]


def test_it_is_that_of_all_below_and_of_nobody_else() -> None:
    with subprocess.Popen(HOLD) as other:
        assert 60e6 < peak(lambda: subprocess.run(["sh", "-c", '"$@"; :', "sh", *HOLD], check=True)) < 100e6
        other.kill()
