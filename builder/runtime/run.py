"""Runs a container: the image's layers under one writable top, in the sandbox."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from builder.digest import Digest
from builder.errors import HostError, NotFoundError, UsageError
from builder.image.config import ImageConfig
from builder.image.descriptor import Layer
from builder.layers.copyop import make_directory
from builder.linux.syscalls import umount
from builder.request import RunRequest, Volume
from builder.runtime.attach import attached, signals
from builder.runtime.config import configured, keep
from builder.runtime.containers import Container, Containers
from builder.runtime.hands import in_hand
from builder.sandbox.launcher import Call, Launcher
from builder.sandbox.network.names import parse_names
from builder.sandbox.network.slots import Networks
from builder.sandbox.run import run_step
from builder.sandbox.spec import BindMount, FileMount, Network, StepResult, StepSpec
from builder.snapshots.active import Snapshots, mount_overlay, own_mounts
from builder.snapshots.receive import remove
from builder.snapshots.tree import ensure
from builder.store.blobs import store_errors
from builder.store.open import FILTERS

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# --security-opt, as Docker takes it
_NO_NEW_PRIVILEGES = ("no-new-privileges", "no-new-privileges=true", "no-new-privileges:true")
SECURITY_OPTIONS = (*_NO_NEW_PRIVILEGES, "seccomp=unconfined", "seccomp=builtin")


def run(
    request: RunRequest,
    image_id: Digest,
    config: ImageConfig,
    layers: tuple[Layer, ...],
    launcher: Launcher,
    networks: Networks,
    root: Path,
) -> int:
    """Run a container in the foreground with this process's own input and output; returns its exit status."""
    command = argv(request, config)
    if request.terminal and request.interactive and not os.isatty(0):
        raise UsageError("the input device is not a TTY", hint="leave -t away")
    ensure(launcher, root, layers)
    containers = Containers(root)
    diff_ids = tuple(layer.diff_id for layer in layers)
    with (
        signals() as pass_on,
        containers.created(request.name, request.image, image_id, command, diff_ids) as container,
    ):
        try:
            keep(containers.path(container), configured(request, config))
            spec = spec_of(request, config, command, container.id)
            with networks.joined(spec) as joined:
                status = _attached(launcher, root, container, joined, diff_ids, request, pass_on)
            ended = msgspec.structs.replace(container, status=status, ended=time.time())
            containers.write(ended)
        except BaseException:
            delete(launcher, root, container)
            raise
        if request.remove:
            delete(launcher, root, container)
        return status


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


def _attached(
    launcher: Launcher,
    root: Path,
    container: Container,
    spec: StepSpec,
    stack: tuple[Digest, ...],
    request: RunRequest,
    pass_on: Callable[[Call[StepResult]], None],
) -> int:
    path = str(Containers(root).path(container))
    return attached(
        lambda stdio: launcher.call(_contain, stdio, root, path, spec, stack),
        pass_on,
        interactive=request.interactive,
        own_terminal=request.terminal,
    ).status


# --- in the launcher's child ---------------------------------------------------------------------


def _contain(root: Path, path: str, spec: StepSpec, stack: tuple[Digest, ...]) -> StepResult:
    with store_errors(root):
        for name in ("upper", "work", "root", "empty"):
            os.mkdir(f"{path}/{name}", 0o755)
    own_mounts()
    lowers = Snapshots(root).lowers(stack) or (f"{path}/empty",)
    mount_overlay(lowers, f"{path}/root", f"{path}/upper", f"{path}/work")
    try:
        # Docker makes a missing working directory; in a read-only container it must be there.
        if not spec.read_only_root:
            make_directory(f"{path}/root", spec.cwd, "")
        return run_step(spec, f"{path}/root", root / FILTERS)
    except FileNotFoundError as error:
        raise HostError(f"cannot start the container: {error}") from error
    finally:
        with suppress(OSError):
            umount(f"{path}/root")
