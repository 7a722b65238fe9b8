"""Makes a container of an image, and runs it in the foreground."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import NotFoundError, UsageError
from builder.image.config import ImageConfig
from builder.image.descriptor import Layer
from builder.request import RunRequest, Volume
from builder.runtime.config import configured, keep
from builder.runtime.contain import contain
from builder.runtime.containers import Container, Containers, new
from builder.runtime.hands import in_hand
from builder.runtime.spec import keep_spec, kept_spec
from builder.sandbox.launcher import Call, Launcher
from builder.sandbox.network.names import parse_names
from builder.sandbox.network.slots import Networks
from builder.sandbox.spec import BindMount, FileMount, Network, StepResult, StepSpec
from builder.snapshots.receive import remove
from builder.snapshots.tree import ensure

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# --security-opt, as Docker takes it
_NO_NEW_PRIVILEGES = ("no-new-privileges", "no-new-privileges=true", "no-new-privileges:true")
SECURITY_OPTIONS = (*_NO_NEW_PRIVILEGES, "seccomp=unconfined", "seccomp=builtin")


class Attach(Protocol):
    """What gives a container's command its input and output, and waits for it."""

    def __call__(self, begin: Callable[[tuple[int, int, int]], Call[StepResult]], spec: StepSpec) -> StepResult:
        """Have `begin` start what `spec` says with three descriptors; gives how it ended."""
        ...


def created(
    request: RunRequest,
    image_id: Digest,
    config: ImageConfig,
    layers: tuple[Layer, ...],
    launcher: Launcher,
    root: Path,
) -> tuple[Container, int]:
    """Make the container that is asked for; gives it and its lock. Raises UsageError for what cannot be meant so."""
    command = argv(request, config)
    ensure(launcher, root, layers)
    containers = Containers(root)
    made = new(request.name, request.image, image_id, command, tuple(layer.diff_id for layer in layers))
    container = replace(made, remove=request.remove, interactive=request.interactive)
    spec = spec_of(request, config, command, container.id)
    lock = containers.create(container)
    try:
        keep(containers.path(container), configured(request, config))
        keep_spec(containers.path(container), spec)
    except BaseException:
        delete(launcher, root, container)
        os.close(lock)
        raise
    return container, lock


def run_attached(
    container: Container,
    lock: int,
    launcher: Launcher,
    networks: Networks,
    root: Path,
    attach: Attach,
    *,
    seconds: float = 0,
) -> tuple[StepResult, StepSpec]:
    """Run a container in the foreground, its input and output in the hands of `attach`; gives how it ended.

    It may take so many `seconds`, 0 any. One that could never be run is removed.
    """
    containers = Containers(root)
    path = containers.path(container)
    stack = tuple(map(Digest.parse, container.layers))
    try:
        spec = replace(kept_spec(path), timeout=seconds)
        with networks.joined(spec) as joined:
            result = attach(lambda stdio: launcher.call(contain, stdio, root, str(path), joined, stack), spec)
        containers.end(container, lock, result.status, oom_killed=result.memory_kills > 0)
    except BaseException:
        if container.ended is None:
            delete(launcher, root, container)
        raise
    if container.remove:
        delete(launcher, root, container)
    return result, spec


def delete(launcher: Launcher, root: Path, container: Container) -> None:
    """Remove a container and its files, once nobody has them in hand."""
    path = Containers(root).path(container)
    with suppress(NotFoundError), in_hand(path, alone=True):
        remove(launcher, root, (str(path),))


def argv(request: RunRequest, config: ImageConfig) -> tuple[str, ...]:
    """What is run: entrypoint and command, the request's before the image's. Raises UsageError for nothing."""
    whole = configured(request, config)
    found = (*(whole.entrypoint or ()), *(whole.cmd or ()))
    if not found:
        raise UsageError("no command: the image names none", hint="put one after the image's name")
    return found


def spec_of(request: RunRequest, config: ImageConfig, command: tuple[str, ...], identifier: str) -> StepSpec:
    """The container as a step of the sandbox."""
    hostname = request.hostname or identifier[:12]
    env = {"PATH": _PATH, "HOSTNAME": hostname, **({"TERM": "xterm"} if request.terminal else {})}
    env |= {**dict(config.env), **dict(request.env)}
    name = FileMount("/etc/hostname", f"{hostname}\n".encode())
    return StepSpec(
        argv=command,
        env=tuple(env.items()),
        cwd=request.workdir or config.working_dir or "/",
        user=config.user if request.user is None else request.user,
        hostname=hostname,
        network=Network(request.network),
        names=parse_names(request.add_hosts, request.dns, request.dns_search, request.dns_options),
        mounts=(name, *map(_bind, request.volumes)),
        read_only_root=request.read_only,
        terminal=request.terminal,
        platform=str(config.platform),
        resources=request.resources,
        unfiltered="seccomp=unconfined" in request.security,
        no_new_privileges=any(option in _NO_NEW_PRIVILEGES for option in request.security),
    )


def _bind(volume: Volume) -> BindMount:
    source = os.path.abspath(volume.source)
    if not os.path.exists(source):
        os.makedirs(source)  # as Docker's -v does
    return BindMount(source, volume.target, volume.read_only)
