"""What steps printed: the builds there are logs of, and the log of each step."""

from __future__ import annotations

from collections.abc import Iterator

from builder.api.session import Session
from builder.errors import NotFoundError, UsageError
from builder.runtime.containers import Containers
from builder.solve.journal import Build as Build
from builder.solve.journal import Step as Step
from builder.solve.journal import builds, log_path


def is_container(session: Session, text: str) -> bool:
    """Whether `text` is a container rather than a build, of which it may begin the ID."""
    try:
        Containers(session.store.root).find(text)
    except (NotFoundError, UsageError):
        return False
    return True


def listed(session: Session) -> list[Build]:
    """The builds that ran something, newest first, as far back as logs are kept."""
    return builds(session.store.root)


def find(session: Session, build: str = "", step: str = "") -> tuple[Build, tuple[Step, ...]]:
    """The steps that are asked for, and their build.

    `build` is an ID, its beginning, or `last`; empty: the last one, and of it the step that failed. `step` is a number,
    a FILE:LINE, or a part of its name; empty: all that ran. Raises NotFoundError, UsageError.
    """
    found = build_of(builds(session.store.root), build)
    ran = tuple(s for s in found.steps if s.ran)
    if step:
        return found, (step_of(found, step),)
    if build:
        return found, ran
    failed = [s for s in ran if s.state == "failed"]
    if not failed:
        raise NotFoundError(
            f"no step of the last build, {found.id}, failed", hint="pybuild logs last prints what all its steps printed"
        )
    return found, (failed[-1],)


def printed(session: Session, build: Build, step: Step) -> Iterator[bytes]:
    """What a step printed, piece by piece; nothing where it printed nothing. Raises NotFoundError when it is gone."""
    path = log_path(session.store.root, build.id, step.number)
    try:
        with path.open("rb") as file:
            while data := file.read(1 << 20):
                yield data
    except FileNotFoundError:
        return


def build_of(known: list[Build], text: str) -> Build:
    """The build of an ID, its beginning, or `last` (also empty). Raises NotFoundError, UsageError."""
    found = known[:1] if text in ("", "last") else [build for build in known if build.id.startswith(text)]
    if not found:
        what = "no build has left a log" if text in ("", "last") else f"there is no build or container {text}"
        raise NotFoundError(what, hint="pybuild logs --list shows the builds there are")
    if len(found) > 1:
        raise UsageError(f"{text} begins the IDs of several builds", hint="give more digits")
    return found[0]


def step_of(build: Build, text: str) -> Step:
    """The step of a number, a FILE:LINE, or a part of its name. Raises NotFoundError, UsageError."""
    if text.isascii() and text.isdigit():
        found = [s for s in build.steps if s.number == int(text)]
    else:
        place = [s for s in build.steps if f"{build.buildfile}:{s.line}" == text]
        found = place or [s for s in build.steps if s.name == text] or [s for s in build.steps if text in s.name]
    if not found:
        raise NotFoundError(f"build {build.id} has no step {text}", hint=f"pybuild logs --list {build.id} shows them")
    if len(found) > 1:
        names = ", ".join(f"{s.number} ({s.name})" for s in found[:4])
        raise UsageError(f"{text} means several steps: {names}", hint="give the number")
    return found[0]
