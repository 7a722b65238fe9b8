"""What a container runs as, kept so that it can be started again and joined."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from builder.errors import NotFoundError
from builder.linux.files import write_atomically
from builder.readied import readied
from builder.sandbox.spec import StepSpec

_NAME = "spec.json"


def keep_spec(path: Path, spec: StepSpec) -> None:
    """Keep `spec` in the container's directory `path`, for its owner alone: variables may be secret."""
    # Words may hold bytes that are no text: json, unlike msgspec, writes their lone surrogates.
    write_atomically(f"{path}/{_NAME}", json.dumps(msgspec.to_builtins(spec)).encode(), 0o600)


def kept_spec(path: Path) -> StepSpec:
    """The spec of the container in the directory `path`. Raises NotFoundError where there is none."""
    try:
        return msgspec.convert(json.loads((path / _NAME).read_bytes()), readied(StepSpec))
    except FileNotFoundError:
        raise NotFoundError("how the container was run is not known (any more)") from None
