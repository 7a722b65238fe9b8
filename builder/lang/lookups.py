"""`Lookups`: variables that note which names a word asked for. Given to lang.words in the place of plain ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

# Longer names are not guessed at, nor do more than so many known ones count: guessing must not take long.
_LONGEST = 64
_MOST = 500


class Lookups(Mapping[str, str]):
    """A view of `values`. `used` are the names asked for so far that it has, in order.

    `unset` are the others, each with what `guess` took it for when it was asked for.
    """

    def __init__(self, values: Mapping[str, str], guess: Callable[[str], str]) -> None:
        self._values, self._guess = values, guess
        self.used: dict[str, None] = {}
        self.unset: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        if name in self._values:
            self.used[name] = None
        elif name not in self.unset:
            self.unset[name] = self._guess(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def nearest(word: str, known: Iterable[str]) -> str:
    """The name of `known` that `word` is misspelt for by one or two letters; empty when there is none."""
    best, found = 3, ""
    for name in islice(known, _MOST):
        if name == word or len(word) > _LONGEST:
            return ""
        distance = _distance(word, name) if abs(len(name) - len(word)) < best else best
        if distance < best:
            best, found = distance, name
    return found


def _distance(a: str, b: str) -> int:
    """Levenshtein's: how many letters must be added, left out or exchanged."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        above, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (left != right))
    return row[-1]
