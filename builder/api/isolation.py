"""What a build shows its steps of this machine, and how it isolates them otherwise, as options say."""

from __future__ import annotations

import stat
from pathlib import Path

from builder.errors import NotFoundError, UsageError, suggestion
from builder.graph.vertex import CAP_DROP, NO_HOSTS, NO_NEW_PRIVILEGES, UNFILTERED, HostPath
from builder.request import BuildRequest
from builder.runtime.run import SECURITY_OPTIONS
from builder.sandbox.caps import NUMBERS

# Permissions of a --device that mean all that a file's own modes allow.
_ALL = ("rw", "rwm")


def host_paths(request: BuildRequest) -> tuple[HostPath, ...]:
    """What --volume and --device show. Raises UsageError, and NotFoundError for what is not there."""
    found = [HostPath(str(Path(v.source).absolute()), v.target, not v.read_only) for v in request.volumes]
    for path in found:
        if not Path(path.source).exists():
            raise NotFoundError(f"--volume: {path.source} does not exist")
    return (*found, *map(_device, request.devices))


def _device(text: str) -> HostPath:
    source, target, mode = (*text.split(":", 2), "", "")[:3]
    if target in _ALL and not mode:
        target, mode = "", target
    if mode not in ("", *_ALL):
        raise UsageError(f"--device {text}: {mode} cannot be held", hint="its file's own modes say who may what")
    source = str(Path(source).resolve())  # as in buildah: the device, not a link to it
    try:
        kind = Path(source).stat().st_mode
    except OSError as error:
        raise NotFoundError(f"--device {text}: {source}: {error.strerror}") from error
    if not (stat.S_ISCHR(kind) or stat.S_ISBLK(kind)):
        raise UsageError(f"--device {text}: {source} is no device", hint="--volume shows files and directories")
    if not (target or source).startswith("/"):
        raise UsageError(f"--device {text}: {target!r} must be an absolute path")
    return HostPath(source, target or source, device=True)


def confined(request: BuildRequest) -> tuple[str, ...]:
    """What --security-opt, --cap-drop and --no-hosts say, as graph/vertex has it. Raises UsageError."""
    words = {NO_HOSTS} if request.no_hosts else set()
    for option in request.security:
        if option not in SECURITY_OPTIONS:
            hint = suggestion(option, SECURITY_OPTIONS, "use no-new-privileges or seccomp=unconfined")
            raise UsageError(f"--security-opt {option} is not known", hint=hint)
        if option != "seccomp=builtin":  # which is so anyway
            words.add(UNFILTERED if option == UNFILTERED else NO_NEW_PRIVILEGES)
    for text in request.cap_drop:
        name = text.lower().removeprefix("cap_")
        if name not in (*NUMBERS, "all"):
            hint = suggestion(name, NUMBERS)
            raise UsageError(f"--cap-drop {text} is none of those that steps have", hint=hint)
        words |= {f"{CAP_DROP}{one}" for one in (NUMBERS if name == "all" else (name,))}
    return tuple(sorted(words))
