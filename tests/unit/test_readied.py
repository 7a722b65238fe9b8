"""Threads that read into the same types for the first time, in a process of their own, which must not crash."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

PROGRAM = dedent(
    """
    from __future__ import annotations

    import sys
    import threading

    import msgspec

    from builder.readied import readied

    sys.setswitchinterval(1e-6)


    class Leaf(msgspec.Struct):
        x: int | None = None
        y: list[str] | None = None


    class Branch(msgspec.Struct):
        leaf: Leaf
        z: dict[str, int]
        other: Leaf | None = None


    class Tree(msgspec.Struct):
        a: int
        branch: Branch
        more: tuple[Branch, ...] = ()


    def read() -> None:
        begin.wait()
        for _ in range(20):
            assert msgspec.json.decode(data, type=readied(Tree)).a == 1
            assert msgspec.json.decode(b"[{}]", type=readied(list[Leaf])) == [Leaf()]


    data = b'{"a":1,"branch":{"leaf":{},"z":{}}}'
    begin = threading.Barrier(6)
    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    """
)


def test_threads_may_read_into_a_type_at_once() -> None:
    for _ in range(3):
        ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stderr) == (0, "")
