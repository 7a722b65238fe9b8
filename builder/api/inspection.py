"""`inspect`: all that is known of an image or a container, under Docker's names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from builder.api.chosen import specification
from builder.api.containers import row_of
from builder.api.images import inspect as inspect_image
from builder.api.session import Session
from builder.errors import NotFoundError, UsageError
from builder.image.config import ImageConfig
from builder.runtime.config import kept
from builder.runtime.containers import ContainerRow, Containers
from builder.sandbox.spec import BindMount, StepSpec

# Docker's way to say never
_NEVER = "0001-01-01T00:00:00Z"


def inspect(session: Session, text: str, kind: str = "", platform: str = "") -> dict[str, Any]:
    """What there is of `text`, of a `kind` (`image` or `container`) or of any: a container of that name comes first.

    Raises NotFoundError; UsageError for what means several.
    """
    named = any(text in (each.name, each.id) for each in Containers(session.store.root).all())
    if kind == "container" or (not kind and named):
        return _container(session, text)
    try:
        return inspect_image(session, text, platform)
    except NotFoundError:
        if kind:
            raise
        try:
            return _container(session, text)
        except (NotFoundError, UsageError):
            pass
        raise


def _container(session: Session, text: str) -> dict[str, Any]:
    found = Containers(session.store.root)
    row = row_of(found, found.find(text))
    try:
        config: ImageConfig | None = kept(found.path(row.container))
    except NotFoundError:
        config = None
    begun = found.begun(row.container) if row.state == "running" else None
    return inspected(row, config, specification(found, row), 0 if begun is None else begun.running.first.pid)


def inspected(row: ContainerRow, config: ImageConfig | None, spec: StepSpec | None, pid: int) -> dict[str, Any]:
    """All that is known of a container, under Docker's names; `config` and `spec` are None before it has them.

    `pid` is that of its process 1, 0 when it does not run.
    """
    container = row.container
    path, *arguments = container.command or ("",)
    return {
        "Id": container.id,
        "Created": _time(container.created),
        "Path": path,
        "Args": arguments,
        "State": {
            "Status": row.state,
            "Running": row.state == "running",
            "Paused": False,
            "Restarting": False,
            "OOMKilled": container.oom_killed,
            "Dead": row.state == "dead",
            "Pid": pid,
            "ExitCode": container.status or 0,
            "Error": "",
            "StartedAt": _time(row.started or container.started),
            "FinishedAt": _time(container.ended),
        },
        "Image": container.image_id,
        "Name": f"/{container.name}",
        "Platform": "linux",
        "HostConfig": _host(container.remove, spec),
        "Mounts": _mounts(spec),
        "NetworkSettings": {"Networks": {}, "Ports": {}, "IPAddress": ""},
        "Config": {
            **({} if config is None else config.document().get("config", {})),
            "Image": container.image,
            "Hostname": "" if spec is None else spec.hostname,
            "Tty": spec is not None and spec.terminal,
            "OpenStdin": container.interactive,
        },
    }


def _host(remove: bool, spec: StepSpec | None) -> dict[str, Any]:
    if spec is None:
        return {"AutoRemove": remove}
    limits = spec.resources
    return {
        "AutoRemove": remove,
        "NetworkMode": str(spec.network),
        "ReadonlyRootfs": spec.read_only_root,
        "Binds": [
            f"{m.source}:{m.target}{':ro' if m.read_only else ''}" for m in spec.mounts if isinstance(m, BindMount)
        ],
        "Memory": limits.memory,
        "MemorySwap": limits.memory_swap,
        "NanoCpus": round(limits.cpus * 10**9),
        "PidsLimit": limits.pids,
        "ShmSize": limits.shm_size,
    }


def _mounts(spec: StepSpec | None) -> list[dict[str, Any]]:
    mounts = () if spec is None else spec.mounts
    return [
        {
            "Type": "bind",
            "Source": mount.source,
            "Destination": mount.target,
            "Mode": "ro" if mount.read_only else "",
            "RW": not mount.read_only,
        }
        for mount in mounts
        if isinstance(mount, BindMount)
    ]


def _time(seconds: float | None) -> str:
    """RFC 3339 with microseconds."""
    if seconds is None:
        return _NEVER
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
