"""What the renderers say of a step is what has become of it."""

from __future__ import annotations

import io

import pytest

from builder.events import (
    BuildDone,
    BuildStarted,
    CacheState,
    Event,
    LogLine,
    Note,
    StageSkipped,
    VertexDone,
    VertexFailed,
    VertexStarted,
    Warned,
)
from builder.progress.choose import renderer
from builder.progress.look import Look
from builder.progress.plain import spent

EVENTS: list[Event] = [
    BuildStarted(6),
    VertexDone(0, "FROM base", CacheState.DONE, 0.0),
    VertexDone(1, "[a 2/3] COPY x y", CacheState.LOCAL, 0.0),
    VertexDone(2, "[a 3/3] RUN make", CacheState.REMOTE, 0.0),
    VertexStarted(3, "[b 2/2] RUN test", 10.0),
    VertexStarted(4, "[c 2/3] RUN long", 10.0),
    LogLine(3, "printed", 10.5),
    VertexDone(3, "[b 2/2] RUN test", CacheState.DONE, 1.25),
    VertexStarted(5, "[c 3/3] RUN false", 12.0),
    VertexFailed(5, "[c 3/3] RUN false", "exit code: 1", 0.5),
    VertexFailed(4, "[c 2/3] RUN long", "canceled", 2.0, canceled=True),
    VertexStarted(6, "[b 2/2] RUN once", 12.0),
    VertexDone(6, "[b 2/2] RUN once", CacheState.LOCAL, 0.0),
    StageSkipped(-1, "[docs] FROM base AS docs", "docs", 9),
    Warned("something", "Buildfile:3"),
    Note("tagged x"),
    BuildDone("sha256:0", 3, 1, 2.5, ("hello:latest",), 12_400_000, 1_200_000, 65.0),
]
PLAIN = """
#1 FROM base
#1 DONE 0.0s

#2 [a 2/3] COPY x y
#2 CACHED (local)

#3 [a 3/3] RUN make
#3 CACHED (remote)

#4 [b 2/2] RUN test
#4 0.500 printed
#4 DONE 1.2s

#5 [c 2/3] RUN long
#5 CANCELED

#6 [c 3/3] RUN false
#6 ERROR: exit code: 1

#7 [b 2/2] RUN once
#7 CACHED (local)

#8 [docs] FROM base AS docs
#8 SKIPPED (not needed)
WARNING: Buildfile:3: something
tagged x

built sha256:0 hello:latest
12.4MB, 1.2MB of it new; 3 of 4 steps cached, 1m 05s saved; in 2.5s
"""
TTY = """✔ FROM base  0.0s
✔ [a 2/3] COPY x y  CACHED (local)
✔ [a 3/3] RUN make  CACHED (remote)
✔ [b 2/2] RUN test  1.2s
✘ [c 3/3] RUN false  0.5s
■ [c 2/3] RUN long  CANCELED
✔ [b 2/2] RUN once  CACHED (local)
- [docs] FROM base AS docs  SKIPPED (not needed)
! Buildfile:3: something
tagged x
✔ hello:latest  sha256:0
  12.4MB, 1.2MB of it new · 3 of 4 steps cached, 1m 05s saved · in 2.5s
"""
ASCII = TTY.translate(str.maketrans("✔✘■·", "+x#-"))


class Out(io.StringIO):
    """No terminal, but one whose encoding is known."""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding


@pytest.mark.parametrize(
    ("kind", "encoding", "expected"),
    [
        ("plain", "utf-8", PLAIN),
        ("tty", "utf-8", TTY),
        ("tty", "ascii", ASCII),
        ("tty", "latin-1", ASCII),
        ("tty", "no such encoding", ASCII),
        ("quiet", "utf-8", ""),
        ("none", "utf-8", ""),
    ],
)
def test_each_state_has_its_word(kind: str, encoding: str, expected: str) -> None:
    out = Out(encoding)
    shown = renderer(Look(kind), out)
    for event in EVENTS:
        shown(event)
    shown.close()
    assert out.getvalue() == expected


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "0.0s"), (59.94, "59.9s"), (59.96, "1m 00s"), (125.4, "2m 05s"), (3599.6, "1h 00m"), (7325.0, "2h 02m")],
)
def test_durations(seconds: float, said: str) -> None:
    assert spent(seconds) == said
