"""Which images and containers a list shows, as `--filter KEY=VALUE` says in Docker's words.

Of several values of one key any will do, but of labels all have to be there; all keys have to be met.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from builder.api.durations import seconds
from builder.api.session import Session
from builder.errors import BuildfileError, NotFoundError, PybuildError, UsageError
from builder.lang.patterns import compile_match
from builder.runtime.config import kept
from builder.runtime.containers import STATES, ContainerRow, Containers
from builder.runtime.spec import kept_spec
from builder.sandbox.spec import BindMount, StepSpec
from builder.views import filters as known
from builder.views.images import NONE, ImageRow


def images(session: Session, texts: Sequence[str], rows: Sequence[ImageRow]) -> list[ImageRow]:
    """The rows that all filters let through. Raises UsageError; NotFoundError for an image to compare with."""
    wanted = known.parsed(texts, known.IMAGES)
    tests = [_image_test(session, key, values) for key, values in wanted.items()]
    return [row for row in rows if all(test(row) for test in tests)]


def _image_test(session: Session, key: str, values: Sequence[str]) -> Callable[[ImageRow], bool]:
    match key:
        case "dangling":
            allowed = {known.boolean(key, value) for value in values}
            return lambda row: (row.tag == NONE) in allowed
        case "label":
            return lambda row: _labelled(_image_labels(session, row.id), values)
        case "reference":
            return lambda row: any(_refers(value, row) for value in values)
        case "until":
            oldest = max(_until(value) for value in values)
            return lambda row: _moment(row.created) <= oldest
        case _:
            moments = [_moment(session.store.images.config(session.store.images.find(v)).created) for v in values]
            before = key == "before"
            return lambda row: any(
                _moment(row.created) < moment if before else _moment(row.created) > moment for moment in moments
            )


def _image_labels(session: Session, identity: str) -> Mapping[str, str]:
    image = session.store.images.lookup(identity)
    return {} if image is None else dict(session.store.images.config(image).labels)


def _labelled(labels: Mapping[str, str], wanted: Iterable[str]) -> bool:
    """Whether all that is wanted is there: a name, or a name with its value."""
    for text in wanted:
        name, equals, value = text.partition("=")
        if name not in labels or (equals and labels[name] != value):
            return False
    return True


def _refers(pattern: str, row: ImageRow) -> bool:
    """Whether a pattern fits a name with or without its tag (distribution/reference, FamiliarMatch)."""
    if row.tag == NONE:
        return False
    try:
        fits = compile_match(pattern)
    except BuildfileError as error:
        raise UsageError(f"--filter reference={pattern}: {error.message}") from None
    return any(fits.match(name) for name in (f"{row.repository}:{row.tag}", row.repository))


def _until(text: str) -> float:
    """A duration since, a date and time, or seconds since the epoch. Raises UsageError."""
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return time.time() - seconds(text, f"--filter until={text}")


def _moment(created: str | None) -> float:
    """Seconds since the epoch; 0 for what does not say."""
    try:
        return datetime.fromisoformat(created or "").timestamp()
    except ValueError:
        return 0.0


def containers(session: Session, texts: Sequence[str], rows: Sequence[ContainerRow]) -> list[ContainerRow]:
    """The rows that all filters let through. Raises UsageError; NotFoundError for a container to compare with."""
    wanted = known.parsed(texts, known.CONTAINERS)
    tests = [_container_test(session, key, values) for key, values in wanted.items()]
    return [row for row in rows if all(test(row) for test in tests)]


def _container_test(session: Session, key: str, values: Sequence[str]) -> Callable[[ContainerRow], bool]:
    found = Containers(session.store.root)
    match key:
        case "id":
            return lambda row: any(row.container.id.startswith(value) for value in values)
        case "name":
            patterns = [_pattern(value) for value in values]
            return lambda row: any(pattern.search(row.container.name) for pattern in patterns)
        case "label":
            return lambda row: _labelled(labels(found, row), values)
        case "status":
            for value in values:
                if value not in STATES:
                    raise UsageError(
                        f"--filter status={value}: no container is ever so", hint=f"use {', '.join(STATES)}"
                    )
            return lambda row: row.state in values
        case "exited":
            statuses = {_status(value) for value in values}
            return lambda row: row.state == "exited" and row.container.status in statuses
        case "before" | "since":
            moments = [found.find(value).created for value in values]
            if key == "before":
                return lambda row: any(row.container.created < moment for moment in moments)
            return lambda row: any(row.container.created > moment for moment in moments)
        case "ancestor":
            return _descends(session, values)
        case "network":
            return lambda row: (spec := specification(found, row)) is not None and str(spec.network) in values
        case _:
            return lambda row: any(value in paths for paths in mounts(found, row) for value in values)


def _pattern(text: str) -> re.Pattern[str]:
    """A part of a name, or a regular expression, as in Docker."""
    try:
        return re.compile(text)
    except re.error as error:
        raise UsageError(f"--filter name={text}: {error}", hint="it is a regular expression") from None


def _status(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"--filter exited={text} is not known", hint="use an exit status, such as exited=0")
    return int(text)


def labels(found: Containers, row: ContainerRow) -> Mapping[str, str]:
    """The labels of a container; none of one that is not complete."""
    try:
        return dict(kept(found.path(row.container)).labels)
    except PybuildError:
        return {}


def _descends(session: Session, values: Sequence[str]) -> Callable[[ContainerRow], bool]:
    """Whether a container is of one of these images, or of one that stands on it."""
    stacks, names, identities = [], set(values), set()
    for value in values:
        image = session.store.images.lookup(value)
        if image is not None:
            identities.add(str(image.config))
            stacks.append(tuple(str(layer.diff_id) for layer in session.store.images.layers(image.manifest.digest)))

    def test(row: ContainerRow) -> bool:
        container = row.container
        stands = any(stack and container.layers[: len(stack)] == stack for stack in stacks)
        return stands or container.image in names or container.image_id in identities

    return test


class Details(Struct, frozen=True):
    """What of a container is asked for seldom: its labels, what it has mounted and where, its network."""

    labels: Mapping[str, str]
    mounts: Sequence[tuple[str, str]]
    network: str


def details(session: Session, row: ContainerRow) -> Details:
    """The details of a container."""
    found = Containers(session.store.root)
    spec = specification(found, row)
    return Details(labels(found, row), mounts(found, row), "" if spec is None else str(spec.network))


def specification(found: Containers, row: ContainerRow) -> StepSpec | None:
    """How a container is run; None of one that is not complete."""
    try:
        return kept_spec(found.path(row.container))
    except NotFoundError:
        return None


def mounts(found: Containers, row: ContainerRow) -> list[tuple[str, str]]:
    """The paths of this machine that a container has mounted, and where."""
    spec = specification(found, row)
    return [(m.source, m.target) for m in (() if spec is None else spec.mounts) if isinstance(m, BindMount)]
