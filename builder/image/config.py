"""The image config (OCI image-spec config.md, with Docker's additional fields) as a value."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from msgspec import Struct

from builder.digest import Digest
from builder.errors import BadInputError
from builder.image.platform import Platform
from builder.readied import readied

_LARGEST = 8 << 20


class History(Struct, frozen=True):
    """How one layer, or one change of the config, came about. `created` is RFC 3339."""

    created_by: str = ""
    created: str | None = None
    comment: str = ""
    author: str = ""
    empty_layer: bool = False


class Healthcheck(Struct, frozen=True):
    """How to ask a container for its health; times in nanoseconds, 0 for the default."""

    test: tuple[str, ...]
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0


class ImageConfig(Struct, frozen=True):
    """All that an image says besides its files. Pairs keep the order of first appearance.

    `entrypoint`, `cmd` and `shell` are None when unset; an empty tuple is set to nothing.
    """

    platform: Platform
    created: str | None = None
    author: str = ""
    user: str = ""
    env: tuple[tuple[str, str], ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    args_escaped: bool = False
    working_dir: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    healthcheck: Healthcheck | None = None
    on_build: tuple[str, ...] = ()
    shell: tuple[str, ...] | None = None
    history: tuple[History, ...] = ()
    diff_ids: tuple[Digest, ...] = ()

    def to_json(self) -> bytes:
        """The OCI image config, fields in a fixed order, empty ones left out."""
        return msgspec.json.encode(self.document())

    def document(self) -> dict[str, Any]:
        """The config as plain data, named as in the specification."""
        platform = self.platform
        return _present(
            {
                "architecture": platform.architecture,
                "variant": platform.variant,
                "author": self.author,
                "config": self._container(),
                "created": self.created,
                "history": [_history(h) for h in self.history],
                "os": platform.os,
            }
        ) | {"rootfs": {"type": "layers", "diff_ids": [str(d) for d in self.diff_ids]}}

    def _container(self) -> dict[str, Any]:
        return _present(
            {
                "User": self.user,
                "ExposedPorts": {port: {} for port in self.exposed_ports},
                "Env": [f"{name}={value}" for name, value in self.env],
                "Volumes": {path: {} for path in self.volumes},
                "WorkingDir": self.working_dir,
                "Labels": dict(self.labels),
                "Healthcheck": self._health(),
                "ArgsEscaped": self.args_escaped,
                "OnBuild": list(self.on_build),
                "StopSignal": self.stop_signal,
                # Set to nothing is written like not set, as Go's omitempty does.
                "Cmd": list(self.cmd or ()),
                "Entrypoint": list(self.entrypoint or ()),
                "Shell": list(self.shell or ()),
            }
        )

    def _health(self) -> dict[str, Any] | None:
        check = self.healthcheck
        if check is None:
            return None
        return _present(
            {
                "Test": list(check.test),
                "Interval": check.interval_ns,
                "Timeout": check.timeout_ns,
                "StartPeriod": check.start_period_ns,
                "StartInterval": check.start_interval_ns,
                "Retries": check.retries,
            }
        )

    @classmethod
    def from_json(cls, data: bytes) -> ImageConfig:
        """Read an image config; fields nobody here knows are dropped. Raises BadInputError."""
        if len(data) > _LARGEST:
            raise BadInputError(f"image config of {len(data)} bytes: more than {_LARGEST} are not read")
        try:
            wire = msgspec.json.decode(data, type=readied(_Wire))
            env = tuple(_pair(e) for e in wire.config.Env or ())
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadInputError(f"not an image config: {error}") from error
        inner = wire.config
        return cls(
            platform=Platform(wire.os or "linux", wire.architecture or "amd64", wire.variant or ""),
            created=wire.created,
            author=wire.author or "",
            user=inner.User or "",
            env=env,
            entrypoint=_words(inner.Entrypoint),
            cmd=_words(inner.Cmd),
            args_escaped=bool(inner.ArgsEscaped),
            working_dir=inner.WorkingDir or "",
            labels=tuple((inner.Labels or {}).items()),
            exposed_ports=tuple(inner.ExposedPorts or ()),
            volumes=tuple(inner.Volumes or ()),
            stop_signal=inner.StopSignal or "",
            healthcheck=_read_health(inner.Healthcheck),
            on_build=tuple(inner.OnBuild or ()),
            shell=_words(inner.Shell),
            history=tuple(_read_history(h) for h in wire.history or ()),
            diff_ids=tuple(Digest.parse(d) for d in wire.rootfs.diff_ids or ()),
        )


class _WireHealth(msgspec.Struct):
    Test: list[str] | None = None
    Interval: int | None = None
    Timeout: int | None = None
    StartPeriod: int | None = None
    StartInterval: int | None = None
    Retries: int | None = None


class _WireContainer(msgspec.Struct):
    User: str | None = None
    ExposedPorts: dict[str, Any] | None = None
    Env: list[str] | None = None
    Entrypoint: list[str] | None = None
    Cmd: list[str] | None = None
    Volumes: dict[str, Any] | None = None
    WorkingDir: str | None = None
    Labels: dict[str, str] | None = None
    StopSignal: str | None = None
    ArgsEscaped: bool | None = None
    OnBuild: list[str] | None = None
    Shell: list[str] | None = None
    Healthcheck: _WireHealth | None = None


class _WireHistory(msgspec.Struct):
    created: str | None = None
    created_by: str | None = None
    author: str | None = None
    comment: str | None = None
    empty_layer: bool | None = None


class _WireRootfs(msgspec.Struct):
    diff_ids: list[str] | None = None


class _Wire(msgspec.Struct):
    architecture: str | None = None
    os: str | None = None
    variant: str | None = None
    created: str | None = None
    author: str | None = None
    config: _WireContainer = msgspec.field(default_factory=_WireContainer)
    rootfs: _WireRootfs = msgspec.field(default_factory=_WireRootfs)
    history: list[_WireHistory] | None = None

    def __post_init__(self) -> None:
        for name in ("os", "architecture", "variant"):
            value = getattr(self, name)
            if value is not None and (len(value) > 64 or not value.isprintable()):
                raise ValueError(f"{name} is not a name")


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, as image configs hold it."""
    whole = int(seconds)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{int((seconds - whole) * 1e6):06d}000Z"


def _present(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value}


def _words(words: list[str] | None) -> tuple[str, ...] | None:
    return None if words is None else tuple(words)


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _history(entry: History) -> dict[str, Any]:
    return _present(
        {
            "created": entry.created,
            "created_by": entry.created_by,
            "author": entry.author,
            "comment": entry.comment,
            "empty_layer": entry.empty_layer,
        }
    )


def _read_history(wire: _WireHistory) -> History:
    return History(
        created_by=wire.created_by or "",
        created=wire.created,
        comment=wire.comment or "",
        author=wire.author or "",
        empty_layer=bool(wire.empty_layer),
    )


def _read_health(wire: _WireHealth | None) -> Healthcheck | None:
    if wire is None:
        return None
    return Healthcheck(
        test=tuple(wire.Test or ()),
        interval_ns=wire.Interval or 0,
        timeout_ns=wire.Timeout or 0,
        start_period_ns=wire.StartPeriod or 0,
        start_interval_ns=wire.StartInterval or 0,
        retries=wire.Retries or 0,
    )
