"""`--output` → an exporter: a table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from builder.errors import UsageError, suggestion
from builder.export import docker, oci, registry
from builder.export.annotate import Annotation, attribute
from builder.export.base import STDOUT, Export, Exporter
from builder.export.shape import Shape, boolean
from builder.image.descriptor import Descriptor
from builder.image.reference import Reference
from builder.lang.mounts import MountError, fields

# Raises UsageError for what an exporter could not write, from its destination and options.
Check = Callable[[str, Mapping[str, str]], None]


class Format(Struct, frozen=True):
    """A format: what writes it, the options it takes besides `dest`, and what finds fault with those beforehand.

    `annotated`: it takes `annotation….KEY` too. `elsewhere`: what it writes has no `dest`. `sends`: what these options
    say goes to registries.
    """

    write: Exporter
    options: tuple[str, ...]
    check: Check
    annotated: bool = False
    elsewhere: bool = False
    sends: Callable[[Mapping[str, str]], bool] = lambda options: False


def _nothing(export: Export, destination: str, options: Mapping[str, str]) -> None:
    """Write nothing: what was built is in the cache."""


# Options of what is a tree of files.
_TREE = ("platform-split",)


def _check_tree(destination: str, options: Mapping[str, str]) -> None:
    boolean(options, "platform-split")


def _check_local(destination: str, options: Mapping[str, str]) -> None:
    _check_tree(destination, options)
    if destination == STDOUT:
        raise UsageError("type=local needs dest=DIRECTORY")


def _tar(export: Export, destination: str, options: Mapping[str, str]) -> None:
    # lazy: it reads trees, which archives of layers do without
    from builder.export.tree import export_tar

    export_tar(export, destination, options)


def _local(export: Export, destination: str, options: Mapping[str, str]) -> None:
    # lazy: as above
    from builder.export.tree import export_local

    export_local(export, destination, options)


FORMATS: Mapping[str, Format] = {
    "oci": Format(oci.export_oci, oci.OPTIONS, oci.check, annotated=True),
    "docker": Format(docker.export_docker, docker.OPTIONS, docker.check, annotated=True),
    "tar": Format(_tar, _TREE, _check_tree),
    "local": Format(_local, _TREE, _check_local),
    "registry": Format(
        registry.export_registry, registry.OPTIONS, registry.check, annotated=True, elsewhere=True, sends=lambda o: True
    ),
    "image": Format(
        registry.export_registry,
        (*registry.OPTIONS, "push", "store"),
        registry.check,
        annotated=True,
        elsewhere=True,
        sends=lambda options: bool(boolean(options, "push")),
    ),
    "cacheonly": Format(_nothing, (), lambda destination, options: None, elsewhere=True),
}


class Output(Struct, frozen=True):
    """A chosen exporter with its destination and options. `loads`: the image goes into the store."""

    kind: str
    destination: str
    options: Mapping[str, str]
    loads: bool = False

    @property
    def names(self) -> tuple[Reference, ...]:
        """The names that what it writes has, where it says them itself."""
        return Shape.parse(self.options).names or ()

    def with_annotations(self, more: Sequence[Annotation]) -> Output:
        """With these annotations too, but for those it says itself; where what it writes has any."""
        if not FORMATS[self.kind].annotated:
            return self
        # A docker archive has no index, whatever else the image goes to.
        fitting = {one.attribute: one.value for one in more if self.kind != "docker" or not one.of_index}
        return replace(self, options={**fitting, **self.options})

    @property
    def place(self) -> str | None:
        """The file or directory it writes; None for what goes to none."""
        return None if self.loads or FORMATS[self.kind].elsewhere else self.destination

    @property
    def sends(self) -> bool:
        """Whether it goes to registries."""
        return FORMATS[self.kind].sends(self.options)

    @property
    def writes(self) -> bool:
        """Whether there is something to do besides keeping it in the store."""
        return self.sends or (not self.loads and self.kind != "image")

    def check(self) -> None:
        """Raises UsageError for what could not be written."""
        FORMATS[self.kind].check(self.destination, self.options)
        if self.place == STDOUT and sys.stdout.isatty():
            raise UsageError("an archive is not written to a terminal", hint="give dest=FILE, or redirect the output")

    def write(self, export: Export) -> Descriptor | None:
        """Export; gives what was written, where that is an image or an index."""
        return FORMATS[self.kind].write(export, self.destination, self.options)


def parse(text: str) -> Output:
    """Read `type=oci,dest=FILE,…`; a bare path is a local directory, `-` a tar to standard output (as in buildx).

    Raises UsageError.
    """
    if text == STDOUT:
        return Output("tar", STDOUT, {})
    if "=" not in text:
        return Output("local", text, {})
    pairs = _pairs(text)
    kind = pairs.pop("type", "")
    if kind not in FORMATS:
        everything = f"use type={'|'.join(FORMATS)}"
        raise UsageError(f"--output {text}: type={kind} is not known", hint=suggestion(kind, FORMATS, everything))
    chosen = FORMATS[kind]
    # As in buildx: a docker archive without a place is loaded.
    loads = kind == "docker" and "dest" not in pairs
    known = chosen.options if chosen.elsewhere else ("dest", *chosen.options)
    destination = pairs.pop("dest", STDOUT) if "dest" in known else STDOUT
    try:
        for name, value in pairs.items():
            if name not in known and not (chosen.annotated and attribute(name, value)):
                hint = suggestion(name, known, f"it has {', '.join(known)}" if known else "it has none")
                raise UsageError(f"type={kind} has no option {name!r}", hint=hint)
        if kind == "image":
            loads = boolean(pairs, "store") is not False
        output = Output(kind, destination or STDOUT, pairs, loads)
        output.check()
    except UsageError as error:
        raise UsageError(f"--output {text}: {error.message}", hint=error.hint) from error
    return output


def parse_all(texts: Sequence[str]) -> tuple[Output, ...]:
    """Read every --output. Raises UsageError, also for two that go to one place."""
    found = tuple(map(parse, texts))
    places = [output.place for output in found if output.place is not None]
    for place in places:
        if places.count(place) > 1:
            where = "standard output" if place == STDOUT else place
            raise UsageError(f"two outputs go to {where}", hint="give each a dest=PATH of its own")
    return found


def _pairs(text: str) -> dict[str, str]:
    try:
        parts = fields(text)
    except MountError as error:
        raise UsageError(f"--output {text}: {error.message}", hint=error.hint) from error
    found: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals and list(found)[-1:] == ["name"]:
            found["name"] += f",{part}"  # name=A,B, which buildx wants in quotation marks
            continue
        if not equals:
            raise UsageError(f"--output {text}: {part!r} is not NAME=VALUE")
        found[name.strip() if name.startswith("annotation") else name.strip().lower()] = value
    return found
