"""Where the program `pybuild` begins: a build that is known is answered here, all else is done by cli/program.

Of a build that is wholly cached most time would go into starting: into imports, and into reading words whose meaning
has not changed. So what such a build came to is remembered (api/answered), and nothing else is loaded for it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

from builder.api.answered import answered
from builder.cli.words import asks_to_build, with_default_command


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program with `arguments`, None for those of the process, and exit; see cli/program."""
    if arguments is None and "PYBUILD_POINT" not in os.environ:
        _answer(sys.argv[1:])
    # lazy: click takes as long as all there is above
    from builder.cli.program import run

    run(sys.argv[1:] if arguments is None else arguments)


def _answer(arguments: Sequence[str]) -> None:
    """End with the answer to `arguments`, if they ask for a build that is known."""
    began = time.monotonic()
    words = with_default_command(arguments)
    if not asks_to_build(words):
        return
    try:
        answer = answered(words)
    except KeyboardInterrupt:
        _end("pybuild: canceled\n", "", 130)
    else:
        if answer is not None:
            seconds = f"{time.monotonic() - began:.1f}s\n" if answer.shown else ""
            _end(answer.shown + seconds, answer.said, 0)


def _end(shown: str, said: str, status: int) -> None:
    """Write, and end at once: nothing is to be put away, and the interpreter would take a fifth of the time for it."""
    try:
        sys.stderr.write(shown)
        sys.stderr.flush()
        sys.stdout.write(said)
        sys.stdout.flush()
    except OSError:  # whoever read it has gone
        status = 1
    os._exit(status)
