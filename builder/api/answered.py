"""Builds that are answered by what is remembered of the same build (store/answers); `api/remember` is what remembers.

What is asked are the words of the command line, as they are, with all that gives them a meaning: where and by whom they
are said, the environment, files with settings, the program and the machine. So nobody has to know here what any of them
means. Imports as little as it can, as store/answers does.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator, Sequence

from builder.config.places import contents
from builder.store.answers import Answer, fingerprint, given
from builder.store.root import default_path
from builder.store.stamp import stamp
from builder.version import __version__

# As typing's, which would take long to load: for type checkers alone.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from builder.sources.context import Context

# Raised when the same build is told of in other words.
_FORM = 1
# How the names begin of variables that this program reads, or what it is made of; tests/arch/test_environment.py sees
# to it that there are no others. Shells and CI services have many more, which change from one build to the next.
READ = (
    "PYBUILD_", "_PYBUILD_", "XDG_", "DOCKER_", "BUILDKIT_", "REGISTRY_AUTH_FILE", "SOURCE_DATE_EPOCH", "HOME", "PATH",
    "TMPDIR", "PYTHON", "LC_", "LANG", "TZ", "TERM", "COLUMNS", "LINES", "NO_COLOR",
    "CLICOLOR", "FORCE_COLOR", "GITHUB_ACTIONS", "GITLAB_CI",
)  # fmt: skip
_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Asked:
    """A build that is asked for in `words`: its `key`, and the contexts that were `walked` to see if it is known."""

    __slots__ = ("_settings", "_words", "key", "walked")

    def __init__(self, words: Sequence[str]) -> None:
        self._settings = contents()
        self._words, self.key = words, asked(words, self._settings)
        self.walked: list[Context] = []

    def answer(self) -> Answer | None:
        """What it comes to, if that is known, and all it depends on is as it was: then the cache records were used.

        Otherwise `walked` are contexts that have changed: the build need not walk them again.
        """
        try:
            return given(_root(self._words), self.key, self._hold)
        except (OSError, sqlite3.Error, ValueError):
            return None  # the build itself will tell what is wrong, if it meets it

    def stands(self) -> bool:
        """Whether files with settings are still as they were when this was asked: the build has read them later."""
        return contents() == self._settings

    def _hold(self, proofs: bytes) -> bool:
        # lazy: only for a build with files of a context; walking it takes longer
        from builder.sources.proven import hold

        return hold(proofs, self.walked)


def asked(words: Sequence[str], settings: Sequence[tuple[str, bytes]]) -> bytes:
    """The hash of `words` and all that gives them a meaning; `settings` are files, see config/places."""
    variables = {name: value for name, value in os.environ.items() if counts(name, words)}
    outputs = [_columns(stream) for stream in (sys.stdout, sys.stderr)]
    program = (_FORM, __version__, _state(), os.uname().machine)
    who = (os.geteuid(), os.getcwd(), outputs)
    return fingerprint(program, *who, tuple(words), sorted(variables.items()), settings)


def _columns(stream: TextIO | None) -> int:
    """How many columns the terminal has that a stream goes to; -1 where that is none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns if stream is not None and stream.isatty() else -1
    except OSError:  # it has gone
        return 0


def counts(name: str, words: Sequence[str]) -> bool:
    """Whether a variable can give `words` another meaning: such as is read, or that a word may name (--build-arg)."""
    return name.startswith(READ) or name.lower().endswith("_proxy") or any(name in word for word in words)


def _root(words: Sequence[str]) -> str:
    """The store that `words` seem to name. With another than they do there is no answer to them in it."""
    found = default_path()
    for word, following in zip(words, (*words[1:], ""), strict=True):
        if word == "--root":
            found = following
        elif word.startswith("--root="):
            found = word.removeprefix("--root=")
    return os.path.abspath(found)


def _state() -> object:
    """What tells one state of the program from another, which may have the same version."""
    if not os.path.exists(f"{_HERE}/../pyproject.toml"):
        return stamp(__file__)  # all was put there at once
    return sorted((*_sources(_HERE), *_sources(f"{_HERE}/../grammar")))


def _sources(directory: str) -> Iterator[tuple[str, int]]:
    for entry in os.scandir(directory):
        if entry.name.endswith((".py", ".lark")):
            yield entry.path, entry.stat().st_mtime_ns
        elif entry.name != "__pycache__" and entry.is_dir():
            yield from _sources(entry.path)
