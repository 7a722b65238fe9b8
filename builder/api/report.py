"""The report of a build: one page of HTML, made when the build has ended, however that is."""

from __future__ import annotations

import time
from collections.abc import Sequence

from builder.api.timings import Output
from builder.linux.started import process_began
from builder.spans import Span
from builder.views.report.heard import Heard
from builder.views.timings import Timings


def reported(path: str, heard: Heard) -> Output:
    """The page at `path`, of the build that `heard` listens to."""

    def encode(recorded: Sequence[Span], found: Timings, error: BaseException | None) -> bytes:
        # lazy: jinja2, when the build has ended
        from builder.views.report.page import page

        began = time.time() - (time.monotonic_ns() - process_began()) / 1e9
        return page(heard.report(began, recorded, found, error)).encode(errors="backslashreplace")

    return Output("--report", path, encode)
