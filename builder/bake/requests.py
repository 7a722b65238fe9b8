"""A target as the request of a build."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from typing import Any

from builder.bake import entries
from builder.bake.project import TARGET
from builder.bake.target import Target
from builder.errors import UsageError
from builder.graph.scope import EPOCH_ARG
from builder.image import pulling
from builder.image.platform import host
from builder.request import BuildRequest
from builder.sandbox.spec import Resources

# The platform of this machine, whatever that is.
_LOCAL = "local"
# Before a directory of this machine, where a bake file may come from elsewhere.
CWD = "cwd://"


def request_of(
    target: Target,
    limits: Callable[..., Resources],
    look_up: Callable[[str], str | None],
    **common: Any,
) -> BuildRequest:
    """What is built for `target`. `limits` reads shm-size and ulimits; `common` is the same for all targets.

    Raises UsageError for what a target cannot be.
    """
    context, file = where(target)
    inline = target.get("dockerfile-inline")
    return BuildRequest(
        context=context,
        file=file,
        inline=inline,
        tags=tuple(target.get("tags", ())),
        target=target.get("target", ""),
        build_args=_arguments(target, look_up),
        labels=tuple(_pairs(target, "labels").items()),
        attest=_texts(target, "attest"),
        outputs=_texts(target, "output"),
        annotations=tuple(target.get("annotations", ())),
        no_cache=bool(target.get("no-cache")),
        no_cache_filter=tuple(target.get("no-cache-filter", ())),
        pull=_policy(target.get("pull")),
        network=target.get("network") or "default",
        add_hosts=tuple(f"{host}={address}" for host, address in _pairs(target, "extra-hosts").items()),
        platform=",".join(str(host()) if one == _LOCAL else one for one in target.get("platforms", ())),
        contexts={n: local(v) for n, v in _pairs(target, "contexts").items() if not v.startswith(TARGET)},
        secrets=_texts(target, "secret"),
        ssh=_texts(target, "ssh"),
        allow=tuple(target.get("entitlements", ())),
        cache_from=_texts(target, "cache-from"),
        cache_to=_texts(target, "cache-to"),
        resources=limits(
            shm_size=target.get("shm-size", ""),
            ulimits=tuple(target.get("ulimits", ())),
            **{name.replace("-", "_"): value for name, value in target.get("resources", {}).items()},
        ),
        **common,
    )


def targets_in(target: Target) -> dict[str, str]:
    """The contexts of a target that are other targets, by name."""
    found = _pairs(target, "contexts").items()
    return {name: value.removeprefix(TARGET) for name, value in found if value.startswith(TARGET)}


def where(target: Target) -> tuple[str, str | None]:
    """The build context, and the Buildfile as `--file` names it; None where it is looked for. Raises UsageError."""
    context, file = target.get("context", ".") or ".", target.get("dockerfile") or None
    if "-" in (context, file):
        raise UsageError(f"the target {target.name} cannot be read from standard input")
    if not remote(context):
        context = posixpath.normpath(local(context) or ".")
    if file is None or remote(context):
        return context, file if file is None or not file.startswith(CWD) else posixpath.abspath(local(file))
    if file.startswith(CWD):
        return context, posixpath.normpath(local(file))
    return context, posixpath.normpath(posixpath.join(context, file))


def local(path: str) -> str:
    """`path` without the mark of a directory of this machine."""
    return path.removeprefix(CWD)


def remote(place: str) -> bool:
    """Whether a context is elsewhere: a URL or a git reference."""
    return not place.startswith(CWD) and ("://" in place or place.startswith(("git@", "github.com/")))


def _arguments(target: Target, look_up: Callable[[str], str | None]) -> dict[str, str]:
    found = _pairs(target, "args")
    epoch = look_up(EPOCH_ARG)
    return found if EPOCH_ARG in found or not epoch else {**found, EPOCH_ARG: epoch}


def _policy(said: bool | str | None) -> str:
    if isinstance(said, str):
        return said
    return pulling.ALWAYS if said else pulling.MISSING


def _pairs(target: Target, key: str) -> dict[str, str]:
    found: Mapping[str, str | None] = target.get(key, {})
    return {name: value for name, value in found.items() if value is not None}


def _texts(target: Target, key: str) -> tuple[str, ...]:
    return tuple(entries.text(key, entry) for entry in target.get(key, ()))
