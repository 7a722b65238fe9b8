"""Containers: run, listed, removed."""

from __future__ import annotations

from msgspec import Struct

from builder.api.session import Session
from builder.errors import UsageError
from builder.image.platform import host
from builder.image.reference import Reference
from builder.request import RunRequest
from builder.runtime import run as runtime
from builder.runtime.containers import Container, Containers
from builder.sources.resolver import ImageResolver
from builder.store.images import StoredImage


class ContainerRow(Struct, frozen=True):
    """A container and whether it runs."""

    container: Container
    running: bool


def run(session: Session, request: RunRequest) -> int:
    """Run a container in the foreground; returns its command's exit status."""
    for option in request.security:
        if option not in runtime.SECURITY_OPTIONS:
            raise UsageError(
                f"--security-opt {option} is not known", hint="use no-new-privileges or seccomp=unconfined"
            )
    images = session.store.images
    image = _image(session, request.image)
    layers = images.layers(image.manifest.digest)
    with session.store.leases.layers(layer.diff_id for layer in layers):
        worker = session.worker()
        config, root = images.config(image), session.store.root
        return runtime.run(request, image.config, config, layers, worker.launcher, worker.networks, root)


def _image(session: Session, text: str) -> StoredImage:
    found = session.store.images.lookup(text)
    if found is not None:
        return found
    Reference.parse(text)
    with session.store.leases.everything():
        base = ImageResolver(session.ingest, ".", session.emit).base(text, host())
    return session.store.images.by_manifest(base.manifest)


def containers(session: Session) -> list[ContainerRow]:
    """Every container, newest first."""
    found = Containers(session.store.root)
    return [ContainerRow(c, found.running(c)) for c in found.all()]


def remove(session: Session, text: str) -> str:
    """Remove a container that does not run; gives its name."""
    found = Containers(session.store.root)
    container = found.find(text)
    if found.running(container):
        raise UsageError(f"container {container.name} is running", hint="end it first")
    runtime.delete(session.launcher(), session.store.root, container)
    return text
