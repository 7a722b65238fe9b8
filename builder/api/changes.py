"""What containers changed: shown, committed as images, copied in and out."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from builder.api.running import outside
from builder.api.session import Session
from builder.digest import Digest
from builder.errors import BadInputError, NotFoundError, UsageError
from builder.image.descriptor import Layer
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.runtime import commit as committing
from builder.runtime import control
from builder.runtime import copy as copying
from builder.runtime.config import kept
from builder.runtime.containers import Container, Containers
from builder.runtime.copy import Copied, Files
from builder.runtime.hands import in_hand
from builder.runtime.placing import sides
from builder.sandbox.enter import show_root
from builder.solve.result import keep_places_of_base


def diff(session: Session, text: str) -> list[tuple[str, str]]:
    """(A, C or D, path) of each change of a container, sorted by path. Raises NotFoundError."""
    try:
        containers, container = _found(session, text)
    except NotFoundError as error:
        if session.store.images.lookup(text) is not None:
            error.hint = f"it is an image: pybuild diff {text} IMAGE compares it with another"
        raise
    path = containers.path(container)
    with in_hand(path), session.store.leases.layers(_stack(container)):
        return committing.shown(session.launcher(), session.store.root, path, _stack(container))


def commit(
    session: Session,
    text: str,
    name: str = "",
    *,
    change: Sequence[str] = (),
    author: str = "",
    message: str = "",
    pause: bool = False,
) -> Digest:
    """Make an image of a container's files and config, called `name`; gives its ID. The container stays as it is.

    Raises UsageError for what `change` must not say, and for a `pause` of a container that runs.
    """
    names = (Reference.parse(name).tagged(),) if name else ()
    containers, container = _found(session, text)
    path = containers.path(container)
    if pause and containers.running(container):
        raise UsageError("a running container cannot be paused", hint="stop it, or commit it with --pause=false")
    with session.store.leases.working(), in_hand(path):
        config, stack = kept(path), _stack(container)
        now = time.time()
        committing.committed(config, None, change, author, message, now)  # what is wrong with it comes first
        layer = committing.packed(session.launcher(), session.store.root, path, stack)
        layers = [_layer(session, diff_id) for diff_id in stack]
        if layer is not None:
            session.store.layers.add(layer)
            layers.append(layer)
        whole = committing.committed(config, layer, change, author, message, now)
        made = session.ingest.assembled(whole.to_json(), layers, names).config
        keep_places_of_base(session.store, Digest.parse(container.image_id), made)
        return made


def export(session: Session, text: str, destination: str, platform: str = "") -> None:
    """Write the files of a container, or of an image, as one tar; `-` is standard output. Raises NotFoundError.

    While a container runs, each file it changed is taken as it is when its turn comes.
    """
    # lazy: only for this
    from builder.export.base import written
    from builder.export.tree import write_tree

    with session.store.leases.working(), written(destination) as out:
        write_tree(session.launcher(), session.store.root, _layers(session, text, platform), out)


def _layers(session: Session, text: str, platform: str) -> tuple[Layer, ...]:
    """The layers of the container, or else of the image, that `text` names: of a container one more, if it has any."""
    try:
        containers, container = _found(session, text)
    except NotFoundError as error:
        images = session.store.images
        image = images.lookup(text, Platform.parse(platform) if platform else None)
        if image is None:
            raise NotFoundError(
                f"there is no container and no image {text}", hint="pybuild ps -a and pybuild images list them"
            ) from error
        images.claim(image)
        return images.layers(image.manifest.digest)
    path, stack = containers.path(container), _stack(container)
    with in_hand(path):
        changed = committing.packed(session.launcher(), session.store.root, path, stack)
    layers = tuple(_layer(session, diff_id) for diff_id in stack)
    return layers if changed is None else (*layers, changed)


def copy(session: Session, source: str, destination: str, *, keep: bool = False, follow: bool = False) -> Copied:
    """Copy files between a container and this machine; `-` is a tar on standard input or output."""
    taken, given = sides(source, destination, str(Path.cwd()))
    if taken.stream and sys.stdin.isatty():
        raise UsageError("an archive is not read from a terminal", hint="redirect the input")
    if given.stream and sys.stdout.isatty():
        raise UsageError("an archive is not written to a terminal", hint="redirect the output")
    work = copying.copy_out if taken.container else copying.copy_in
    with _files(session, taken.container or given.container) as files:
        return work(session.launcher(), files, taken, given, keep=keep, follow=follow)


@contextmanager
def _files(session: Session, text: str) -> Iterator[Files]:
    containers, container = _found(session, text)
    path, stack = containers.path(container), _stack(container)
    with session.store.leases.layers(stack):
        # Alone: a second mount of the same top is undefined, so whoever starts it waits.
        with in_hand(path, alone=True):
            if not containers.running(container):
                yield Files(session.store.root, path, stack)
                return
        with in_hand(path):
            root = _running_root(session, container)
            try:
                yield Files(session.store.root, path, stack, root)
            finally:
                os.close(root)


def _running_root(session: Session, container: Container) -> int:
    """A descriptor of the root of a container that runs."""
    launcher = outside()
    try:
        call = launcher.call(show_root, None, control.running(session.store.root, container))
        root = call.receive_fd()
        call.result()
        return root
    finally:
        launcher.close()


def _found(session: Session, text: str) -> tuple[Containers, Container]:
    containers = Containers(session.store.root)
    return containers, containers.find(text)


def _stack(container: Container) -> tuple[Digest, ...]:
    return tuple(map(Digest.parse, container.layers))


def _layer(session: Session, diff_id: Digest) -> Layer:
    layer = session.store.layer(diff_id)
    if layer is None:
        raise BadInputError(f"layer {diff_id} of the container is not in the store", hint="load its image again")
    return layer
