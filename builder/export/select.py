"""`--output` → an exporter: a table."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from builder.errors import UsageError
from builder.export import docker, oci, tree
from builder.export.base import STDOUT, Export, Exporter

# type → exporter, and the options it takes besides `dest`
FORMATS: Mapping[str, tuple[Exporter, tuple[str, ...]]] = {
    "oci": (oci.export_oci, oci.OPTIONS),
    "docker": (docker.export_docker, docker.OPTIONS),
    "tar": (tree.export_tar, tree.OPTIONS),
    "local": (tree.export_local, tree.OPTIONS),
}


class Output(Struct, frozen=True):
    """A chosen exporter with its destination and options."""

    kind: str
    destination: str
    options: Mapping[str, str]

    def write(self, export: Export) -> None:
        """Export."""
        FORMATS[self.kind][0](export, self.destination, self.options)


def parse(text: str) -> Output:
    """Read `type=oci,dest=FILE,…`; a bare path is a local directory, `-` a tar to standard output (as in buildx).

    Raises UsageError.
    """
    if text == STDOUT:
        return Output("tar", STDOUT, {})
    if "=" not in text:
        return Output("local", text, {})
    pairs = dict(_pair(part, text) for part in text.split(","))
    kind = pairs.pop("type", "")
    if kind not in FORMATS:
        raise UsageError(f"--output {text}: type={kind} is not known", hint=f"use type={'|'.join(FORMATS)}")
    destination = pairs.pop("dest", STDOUT)
    unknown = [name for name in pairs if name not in FORMATS[kind][1]]
    if unknown:
        known = ", ".join(("dest", *FORMATS[kind][1]))
        raise UsageError(f"--output {text}: type={kind} has no option {unknown[0]!r}", hint=f"it has {known}")
    return Output(kind, destination or STDOUT, pairs)


def _pair(part: str, text: str) -> tuple[str, str]:
    name, equals, value = part.partition("=")
    if not equals:
        raise UsageError(f"--output {text}: {part!r} is not NAME=VALUE")
    return name.strip(), value
