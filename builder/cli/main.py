"""Where the program `pybuild` begins: a build that is known is answered here, all else is done by cli/program.

Of a build that is wholly cached most time would go into starting: into imports, and into reading words whose meaning
has not changed. So what such a build came to is remembered (api/answered), and nothing else is loaded for it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

from builder.cli.words import COMPLETE, asks_to_build, with_default_command
from builder.version import told

# As typing's, which would take long to load: for type checkers alone.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.api.answered import Asked


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program with `arguments`, None for those of the process, and exit; see cli/program."""
    words, build = sys.argv[1:] if arguments is None else arguments, None
    if arguments is None:
        if words == ["--version"]:
            _end("", told(), 0)
        if words[:1] == [COMPLETE]:
            # lazy: asked by shells alone
            from builder.cli.complete import main as complete

            complete(words[1:])
            _end("", "", 0)
        build = _unknown(with_default_command(words))
    # lazy: click takes as long as all there is above
    from builder.cli.program import run

    try:
        run(words, build)
    except SystemExit as ended:
        # lazy: click has loaded it
        import threading

        if arguments is not None or threading.active_count() > 1 or not isinstance(ended.code, int):
            raise
        _end("", "", ended.code)


def _unknown(words: Sequence[str]) -> Asked | None:
    """The build that `words` ask for, if that is what they do; with the answer, where it is known, the program ends."""
    if not asks_to_build(words) or "PYBUILD_POINT" in os.environ:
        return None
    began = time.monotonic()
    # lazy: SQLite, which other commands may not need
    from builder.api.answered import Asked

    try:
        build = Asked(words)
        answer = build.answer()
    except KeyboardInterrupt:
        _end("pybuild: canceled\n", "", 130)
        raise
    except OSError:  # the directory it is asked in is gone
        return None
    if answer is not None:
        seconds = f"{time.monotonic() - began:.1f}s\n" if answer.shown else ""
        _end(answer.shown + seconds, answer.said, 0)
    return build


def _end(shown: str, said: str, status: int) -> None:
    """Write, and end at once: nothing is left to be put away, and the interpreter would clear its memory for 7 ms."""
    try:
        for stream, text in ((sys.stderr, shown), (sys.stdout, said)):
            if stream is not None:  # it is where the caller has closed it
                stream.write(text)
                stream.flush()
    except OSError:  # whoever read it has gone
        status = status or 1
    os._exit(status)
