"""What may be asked of a build and of a run, in a program's own types; made into the requests that all faces share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict, TypeVar

from builder.api.resources import resources
from builder.image import pulling
from builder.request import BuildRequest, RunRequest, Volume
from builder.sandbox.spec import Resources

# A file or directory.
Path = str | os.PathLike[str]
# One, or several.
Some = str | Sequence[str]

R = TypeVar("R", BuildRequest, RunRequest)


class Limits(TypedDict, total=False):
    """What a container, or each step of a build, may use; as `docker run` takes them."""

    memory: str  # such as 512m
    memory_swap: str  # memory and swap together; -1 for any
    cpus: str | float
    cpu_shares: int
    cpu_period: int  # in microseconds
    cpu_quota: int
    cpuset_cpus: str  # such as 0-2,7
    cpuset_mems: str
    pids_limit: int
    cgroup_parent: str
    shm_size: str
    ulimits: Sequence[str]  # such as nofile=1024:2048


class BuildOptions(Limits, total=False):
    """Options of `build`, called and meant as those of `pybuild build` (docs/cli.md); lists may be one string."""

    file: Path  # the Buildfile
    target: str
    build_args: Mapping[str, str]
    source_date_epoch: int | str  # seconds, or "context"
    platforms: Some
    contexts: Mapping[str, Path]  # as --build-context
    labels: Mapping[str, str]
    annotations: Some
    outputs: Some
    push: bool
    sign_key: Path
    provenance: str
    sbom: str
    attest: Some
    squash: bool | str  # a stage
    no_cache: bool
    no_cache_filter: Some
    no_cache_step: Some
    pull: bool | Literal["always", "missing", "newer", "never"]
    cache_from: Some
    cache_to: Some
    paranoid: bool
    context_mode: Literal["as-is", "git"]
    lock_file: Path
    locked: bool
    no_lock: bool
    secrets: Mapping[str, Path] | Some  # files by their IDs, or as --secret
    ssh: Some
    allow: Some
    network: Literal["default", "host", "none"]
    add_hosts: Some
    dns: Some
    dns_search: Some
    dns_options: Some
    retry: str
    step_timeout: str
    keep_failed: int
    on_fail_export: Some
    step_export: Some
    parallelism: int  # --jobs
    base: str  # in place of the first FROM's image: --from
    env: Mapping[str, str]
    unset_env: Some
    unset_labels: Some
    omit_history: bool
    volumes: Some  # SRC:DST[:ro], for every RUN
    devices: Some
    security: Some  # as --security-opt
    cap_drop: Some
    no_hosts: bool
    ignore_file: Path
    manifest: str
    iidfile: Path
    metadata_file: Path


class RunOptions(Limits, total=False):
    """Options of `run`, called and meant as those of `pybuild run` (docs/cli.md); lists may be one string."""

    platform: str
    entrypoint: str
    env: Mapping[str, str]
    user: str
    workdir: str
    volumes: Some  # SRC:DST[:ro]
    network: Literal["default", "host", "none"]
    add_hosts: Some
    dns: Some
    dns_search: Some
    dns_options: Some
    hostname: str
    name: str
    read_only: bool
    security: Some  # as --security-opt
    oom_score_adj: int


def build_request(context: str, text: str | None, tags: Some, options: BuildOptions) -> BuildRequest:
    """What a program asks for. Raises UsageError, and TypeError for options there are none of."""
    given: dict[str, Any] = {**options}
    arguments = dict(given.pop("build_args", {}))
    if "source_date_epoch" in given:
        arguments["SOURCE_DATE_EPOCH"] = str(given.pop("source_date_epoch"))
    secrets = given.pop("secrets", ())
    if isinstance(secrets, Mapping):
        secrets = [f"id={name},src={os.fspath(path)}" for name, path in secrets.items()]
    fixed = {
        "context": context,
        "inline": text,
        "tags": _words(tags),
        "build_args": arguments,
        "secrets": _words(secrets),
        "load": True,  # whatever else becomes of it: what is returned is in the store
    }
    return _request(BuildRequest, BuildOptions, fixed, given)


def run_request(image: str, command: Sequence[str], options: RunOptions, *, interactive: bool) -> RunRequest:
    """As `build_request`."""
    fixed = {"image": image, "command": tuple(command), "interactive": interactive, "remove": "name" not in options}
    return _request(RunRequest, RunOptions, fixed, {**options})


def _words(value: Some) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _pairs(value: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(value.items())


def _pull(value: bool | str) -> str:
    return value if isinstance(value, str) else pulling.ALWAYS if value else pulling.MISSING


def _squash(value: bool | str) -> str | None:
    return value if isinstance(value, str) else "" if value else None


def _volumes(value: Some) -> tuple[Volume, ...]:
    return tuple(map(Volume.parse, _words(value)))


# How values become those of a request, by how their options are written above, and of some by their names: then with
# the name they have there. The others are as they are.
_BY_TYPE: dict[str, Callable[[Any], Any]] = {"Some": _words, "Path": os.fspath}
_BY_NAME: dict[str, tuple[Callable[[Any], Any], str]] = {
    "platforms": (lambda value: ",".join(_words(value)), "platform"),
    "contexts": (lambda value: {name: os.fspath(path) for name, path in value.items()}, "contexts"),
    "labels": (_pairs, "labels"),
    "env": (_pairs, "env"),
    "pull": (_pull, "pull"),
    "squash": (_squash, "squash"),
    "volumes": (_volumes, "volumes"),
}


def field_of(name: str) -> str:
    """What the option `name` is called in a request."""
    return _BY_NAME[name][1] if name in _BY_NAME else name


def _request(kind: type[R], options: type, fixed: dict[str, Any], given: dict[str, Any]) -> R:
    limits = {name: given.pop(name) for name in (*Limits.__annotations__, "oom_score_adj") if name in given}
    types = {name: kind.__forward_arg__ for name, kind in options.__annotations__.items()}
    fields = {}
    for name, value in given.items():
        by_type = _BY_TYPE.get(types.get(name, ""), lambda value: value)
        read, called = _BY_NAME.get(name, (by_type, name))
        fields[called] = read(value)
    return kind(**fixed, **fields, resources=_resources(limits) if limits else Resources())


def _resources(limits: dict[str, Any]) -> Resources:
    if "cpus" in limits:
        limits["cpus"] = str(limits["cpus"])
    if "ulimits" in limits:
        limits["ulimits"] = tuple(limits["ulimits"])
    return resources(**limits)
