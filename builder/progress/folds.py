"""Markers by which CI services fold a log, and by which they put what is told of a line beside it.

Nothing a step prints may be taken for one: whoever writes lines of steps asks `harmless`.
"""

from __future__ import annotations

import time
from typing import Protocol


class Folds(Protocol):
    """The markers of a service, as lines."""

    def begin(self, number: int, head: str) -> list[str]:
        """What comes now, up to `end`, belongs to step `number`; `head` is shown of it when it is folded."""
        ...

    def end(self) -> list[str]:
        """The step has nothing more to say now."""
        ...

    def warning(self, message: str, place: str) -> list[str]:
        """A warning of `place`, `FILE:LINE` or empty. No lines where the service knows no such."""
        ...

    def error(self, message: str, place: str) -> list[str]:
        """Likewise, of what ended the build."""
        ...

    def harmless(self, line: str) -> str:
        """A line of a step's output, as something that is no marker."""
        ...


def folds(service: str) -> Folds:
    """Those of `github` or `gitlab`."""
    return GitHub() if service == "github" else GitLab()


class GitHub:
    """Workflow commands of GitHub Actions: lines that begin with `::`; of an older kind, `##[` anywhere in a line."""

    def begin(self, number: int, head: str) -> list[str]:
        """See Folds."""
        return [f"::group::{_data(head)}"]

    def end(self) -> list[str]:
        """See Folds."""
        return ["::endgroup::"]

    def warning(self, message: str, place: str) -> list[str]:
        """See Folds."""
        return [_annotation("warning", message, place)]

    def error(self, message: str, place: str) -> list[str]:
        """See Folds."""
        return [_annotation("error", message, place)]

    def harmless(self, line: str) -> str:
        """See Folds."""
        bare = line.lstrip()
        return (f"{line[: -len(bare)]}: {bare[1:]}" if bare.startswith("::") else line).replace("##[", "## [")


class GitLab:
    """Sections of a job's log; what is in the escape sequences is told apart from output by them alone."""

    def __init__(self) -> None:
        self._turns = 0
        self._name = ""

    def begin(self, number: int, head: str) -> list[str]:
        """See Folds. Each section needs a name of its own, also where a step goes on."""
        self._turns += 1
        self._name = f"pybuild_{self._turns}_step_{number}"
        return [f"\x1b[0Ksection_start:{int(time.time())}:{self._name}\r\x1b[0K{head}"]

    def end(self) -> list[str]:
        """See Folds."""
        return [f"\x1b[0Ksection_end:{int(time.time())}:{self._name}\r\x1b[0K"]

    def warning(self, message: str, place: str) -> list[str]:
        """See Folds."""
        return []

    def error(self, message: str, place: str) -> list[str]:
        """See Folds."""
        return []

    def harmless(self, line: str) -> str:
        """See Folds. What is cleaned has no sequence that begins or ends a section; older readers ask for none."""
        return line.replace("section_start:", "section_start :").replace("section_end:", "section_end :")


def _annotation(kind: str, message: str, place: str) -> str:
    path, colon, line = place.rpartition(":")
    where = f" file={_property(path)},line={line}" if colon and line.isdigit() else ""
    return f"::{kind}{where}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
