"""What is offered while a command line is written: `pybuild __complete SHELL WORD…`, which shells ask at each tab.

Where the word stands is found by cli/place, the words for it by cli/offers. Scripts for the shells: cli/completion.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Sequence

# What may go into a command line as it is: a Buildfile or a store may be anybody's.
_SAFE = re.compile(r"[\w./:@=,+%~-]+")
# A word that ends so is not done: no space comes after it.
_OPEN = ("=", ":", "/", ",", ".")


def main(words: Sequence[str]) -> None:
    """Print what a shell asks for, by `bash LINE BREAKS`, `zsh WORD…` or `fish WORD…`; nothing where it cannot."""
    try:
        shell, *line = words
        lines = list(_bash(*line) if shell == "bash" else _offered(line))
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
    except Exception:  # whatever it is: nobody has asked for an error in the middle of a line
        return


def _offered(line: Sequence[str], drop: int = 0) -> Iterator[str]:
    """A line for each offer: its kind, the whole word but for `drop` characters, and what is said of it."""
    # lazy: they load click's commands
    from builder.cli.offers import offers
    from builder.cli.place import place
    from builder.cli.program import pybuild

    found = place(pybuild, line)
    if found is None:
        return
    for offer in dict.fromkeys(offers(found)):
        word = found.before + offer.word
        if offer.kind:
            yield f"{offer.kind}\t{word[drop:]}\t"
        elif word.startswith(line[-1]) and _SAFE.fullmatch(word):
            yield f"{'open' if word.endswith(_OPEN) else 'word'}\t{word[drop:]}\t{_said(offer.said)}"


def _said(text: str) -> str:
    line = " ".join(text.split())
    line = "".join(c for c in line if c.isprintable())
    return line if len(line) <= 60 else f"{line[:59]}…"


def _bash(line: str, breaks: str) -> Iterator[str]:
    """Bash has the line as it is, and replaces only what stands after the last of the characters it breaks words at."""
    words = split(line)[1:]
    at = max((words[-1].rfind(char) for char in breaks if char in "=:@"), default=-1) + 1
    yield from _offered(words, at)


def split(line: str) -> list[str]:
    """The words of a line that may end within quotes; the last is empty where it ends with a space."""
    for closing in ("", "'", '"'):
        try:
            words = shlex.split(line + closing)
        except ValueError:
            continue
        return [*words, ""] if not closing and line[-1:].isspace() else words
    return [""]
