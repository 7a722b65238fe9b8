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
    BuildDone("sha256:0", 3, 1, 2.5),
]
PLAIN = """
#1 FROM base
#1 DONE 0.0s

#2 [a 2/3] COPY x y
#2 CACHED (local)

#3 [a 3/3] RUN make
#3 CACHED (remote)

#4 [b 2/2] RUN test

#5 [c 2/3] RUN long
#4 0.500 printed
#4 DONE 1.2s

#6 [c 3/3] RUN false
#6 ERROR: exit code: 1
#5 CANCELED

#7 [b 2/2] RUN once

#7 [b 2/2] RUN once
#7 CACHED (local)

#8 [docs] FROM base AS docs
#8 SKIPPED (not needed)
WARNING: Buildfile:3: something
tagged x

built sha256:0 (3 cached, 1 ran) in 2.5s
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
built sha256:0 (3 cached, 1 ran) in 2.5s
"""


@pytest.mark.parametrize(("kind", "expected"), [("plain", PLAIN), ("tty", TTY), ("quiet", "")])
def test_each_state_has_its_word(kind: str, expected: str) -> None:
    out = io.StringIO()
    shown = renderer(kind, out)
    for event in EVENTS:
        shown(event)
    shown.close()
    lasting = [line for line in out.getvalue().splitlines() if not line.startswith(("▶", " "))]
    assert "".join(f"{line}\n" for line in lasting if line or kind == "plain") == expected
