"""Rows, headings and documents as values of templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from builder.template.values import Fields, Pairs, listed


class _LabelHeadings(Pairs):
    """The heading of labels, of which each has one of its own."""

    def __str__(self) -> str:
        return "LABELS"

    def get(self, name: str, default: Any = None) -> str:
        return _label_heading(name)


# Functions that leave a heading as it is (docker/cli, templates.HeaderFunctions)
UNCHANGED: Mapping[str, Callable[..., Any]] = {
    name: lambda text, *_: text for name in ("json", "lower", "upper", "title")
} | {"truncate": lambda text, _: text}


def fields(values: Mapping[str, Any], labels: Mapping[str, str] | None, text: Callable[[str], str]) -> Fields:
    """A row's fields, each string as `text` gives it; with labels also `.Label "name"`."""
    told = {name: text(value) if isinstance(value, str) else value for name, value in values.items()}
    if labels is None:
        return Fields(told)
    known = Pairs((name, text(value)) for name, value in labels.items())
    return Fields({**told, "Labels": known}, {"Label": lambda name: known.get(name, "")})


def headings(names: Mapping[str, str], *, labels: bool) -> Fields:
    """The headings of a row's fields."""
    return Fields({**names, "Labels": _LabelHeadings()}, {"Label": _label_heading}) if labels else Fields(names)


def _label_heading(name: str) -> str:
    """As Docker's: `com.example.build-date` is headed `build date`."""
    return name.rpartition(".")[2].replace("-", " ").replace("_", " ")


def document(value: Any, maps: Sequence[str], text: Callable[[str], str]) -> Any:
    """A JSON document, each string as `text` gives it.

    A template may ask for what is there, and for anything below fields named in `maps`.
    """
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Mapping):
        told = {name: document(each, maps, text) for name, each in value.items()}
        return Fields({name: dict(each) if name in maps and each is not None else each for name, each in told.items()})
    return [document(each, maps, text) for each in value] if listed(value) else value
