"""`Lookups`: variables that note which names a word asked for. Given to lang.words in the place of plain ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class Lookups(Mapping[str, str]):
    """A view of `values`. `used` and `unset` are the names asked for so far, in order: those it has, and the others."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.used: dict[str, None] = {}
        self.unset: dict[str, None] = {}

    def __getitem__(self, name: str) -> str:
        found = name in self._values
        (self.used if found else self.unset)[name] = None
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
