"""The words that are offered at a place of a command line, found by what its option or argument is called in help.

A new command has them without a word here if it calls things as others do: IMAGE, CONTAINER, FILE, DIR, STAGE, KEY.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.api.completing import Offer, Stored
from builder.cli.lazy import LazyGroup

if TYPE_CHECKING:
    from builder.cli.place import Place

FILES, DIRECTORIES = Offer(kind="file"), Offer(kind="dir")
_PLATFORMS = (
    "linux/amd64",
    "linux/arm64",
    "linux/arm/v7",
    "linux/386",
    "linux/ppc64le",
    "linux/riscv64",
    "linux/s390x",
)
# Of options that mean something of their own
_WORDS = {
    "--output": (
        *("type=oci,dest=", "type=docker", "type=tar,dest=", "type=local,dest=", "type=registry,name="),
        *("type=image,name=", "type=cacheonly"),
    ),
    "--cache-from": ("type=registry,ref=", "type=local,src="),
    "--cache-to": ("type=registry,ref=", "type=local,dest=", "type=inline"),
    "--secret": ("id=",),
    "--ssh": ("default",),
    "--allow": ("network.host", "security.insecure"),
    "--attest": ("type=provenance,mode=max", "type=sbom"),
    "--security-opt": ("no-new-privileges", "seccomp=unconfined"),
    "--call": ("build", "check", "outline", "targets"),
    "--signal": ("TERM", "INT", "HUP", "KILL", "QUIT", "USR1", "USR2"),
    "--ulimit": ("nofile=", "nproc=", "core=", "memlock=", "stack=", "fsize="),
}
# Commands whose containers must run, or must not
_RUNNING = {"stop": True, "exec": True, "kill": True, "start": False}


def offers(place: Place) -> Iterator[Offer]:
    """The words for a place; whoever asks drops those that do not begin as the word does."""
    if place.option is not None:
        return _values(place, place.option)
    if place.argument is not None:
        return _values(place, place.argument)
    if place.word.startswith("-"):
        return _options(place)
    if isinstance(place.command, click.Group):
        return _commands(place, place.command)
    return iter(())


def _options(place: Place) -> Iterator[Offer]:
    given = {name for name, _ in place.given}
    parameters = list(place.parameters)
    if isinstance(place.command, LazyGroup) and not place.path:
        build = place.command.get_command(click.Context(place.command), "build")
        parameters += [] if build is None else build.params  # `pybuild -t app .` is a build
    for option in (one for one in parameters if isinstance(one, click.Option)):
        names = (*option.opts, *option.secondary_opts)
        if option.hidden or (given & set(names) and not option.multiple):
            continue
        for name in names:
            if place.word == "-" or name.startswith("--") == place.word.startswith("--"):
                yield Offer(name, option.help or "")
    yield Offer("--help", "Show this message and exit.")


def _commands(place: Place, group: click.Group) -> Iterator[Offer]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name) if name.startswith(place.word) else None
        if command is not None and not command.hidden:
            yield Offer(name, command.get_short_help_str(60))
    if not place.path:
        yield DIRECTORIES  # `pybuild PATH` is a build


def _values(place: Place, parameter: click.Parameter) -> Iterator[Offer]:
    names = (*parameter.opts, *parameter.secondary_opts)
    for name in names:
        yield from map(Offer, _WORDS.get(name, ()))
    kind = parameter.type
    yield from map(Offer, getattr(kind, "choices", ()))
    yield from map(Offer, getattr(kind, "forms", ()))
    keys: Sequence[str] = getattr(kind, "keys", ())
    if keys:
        yield from _filters(place, keys)
    elif "--build-arg" in names:
        yield from (Offer(f"{word}=", said) for word, said, _ in _stored(place).arguments(*_buildfile(place)))
    elif "--env" in names:
        yield from (Offer(f"{name}=") for name in sorted(os.environ))
    elif "--tag" in names:
        yield from _stored(place).images()
    else:
        yield from _by_name(place, parameter)


def _filters(place: Place, keys: Sequence[str]) -> Iterator[Offer]:
    key, equals, _ = place.word.partition("=")
    if not equals:
        yield from (Offer(f"{each}=") for each in keys)
        return
    stored = _stored(place)
    containers = place.path == ("ps",)
    known: dict[str, Callable[[], Iterable[Offer]]] = {
        "dangling": lambda: map(Offer, ("true", "false")),
        "in-use": lambda: map(Offer, ("true", "false")),
        "status": lambda: map(Offer, ("created", "running", "exited", "dead")),
        "network": lambda: map(Offer, ("default", "host", "none")),
        "sharing": lambda: map(Offer, ("shared", "private", "locked")),
        "type": lambda: map(Offer, ("regular", "source.git.checkout", "exec.cachemount")),
        "ancestor": stored.images,
        "reference": stored.images,
        "before": stored.containers if containers else stored.images,
        "since": stored.containers if containers else stored.images,
        "name": stored.containers,
    }
    for offer in known.get(key, tuple)():
        yield Offer(f"{key}={offer.word}", offer.said)


def _by_name(place: Place, parameter: click.Parameter) -> Iterator[Offer]:
    """By the words of the metavar: `FILE|-`, `[IMAGE]…`, `CONTAINER:SRC|SRC|-`, `always|missing`."""
    metavar = parameter.metavar or (parameter.name or "").upper().removesuffix("S")
    if "OS/ARCH" in metavar:
        yield from _listed(place.word, map(Offer, _PLATFORMS), separates="," in metavar)
        return
    if metavar == "[=BOOL]":
        metavar = "true|false"
    for text in re.split(r"[| ]", metavar):
        word = re.sub(r"^\[?=?|[\]…]", "", text)
        name = re.split(r"[:@=,/\[]", word)[0]
        if word.islower() and word.isalpha():
            yield Offer(word)
        else:
            yield from _listed(place.word, _named(place, name, word), separates=f",{name}" in metavar)


def _named(place: Place, name: str, word: str) -> Iterable[Offer]:
    """What a thing called `name` may be; `word` is all that help says of it."""
    stored = _stored(place)
    match name:
        case "FILE" | "SRC" | "DEST":
            return [FILES]
        case "DIR" | "DIRECTORY" | "PATH" | "CONTEXT" | "PROJECT":
            return [DIRECTORIES]
        case "IMAGE" | "REPOSITORY":
            return stored.images()
        case "NAME" if place.path[:1] in (("tag",), ("push",), ("manifest",)):
            return stored.images()
        case "CONTAINER" if word.startswith("CONTAINER:"):
            return [Offer(f"{offer.word}:", offer.said) for offer in stored.containers()]
        case "CONTAINER":
            return stored.containers(_RUNNING.get(place.path[-1]))
        case "STAGE":
            return stored.stages(*_buildfile(place))
        case "KEY":
            return stored.steps()
        case "BUILD":
            return stored.failed() if place.path == ("shell",) else stored.builds()
        case "TARGET" | "TARGET.key" | "NAME" if place.path == ("bake",):
            return _of_bake_file(place, name)
        case "ID" if place.path[:2] == ("cache", "mount"):
            return stored.mounts()
        case "ID" if place.path == ("cache", "why"):
            return stored.builds()
        case _:
            return ()


def _of_bake_file(place: Place, name: str) -> Iterator[Offer]:
    """Targets and groups, what can be set of a target, or variables, of the bake file that the line names so far."""
    from builder.api.bake import BakeRequest, load
    from builder.bake.target import KEYS

    config = load(BakeRequest(files=tuple(file for option, file in place.given if option in ("-f", "--file"))))
    if name == "NAME":
        yield from (Offer(f"{one.name}=", one.description) for one in config.variables)
    elif name == "TARGET.key" and "." in place.word:
        target = place.word.partition(".")[0]
        yield from (Offer(f"{target}.{key}=") for key in KEYS if key not in ("description", "inherits"))
    else:
        end = "." if name == "TARGET.key" else ""
        yield from (Offer(f"{one.name}{end}", one.get("description", "")) for one in config.targets.values())
        groups = () if end else config.groups.values()
        yield from (Offer(one.name, one.description or ", ".join(one.targets)) for one in groups)


def _listed(word: str, found: Iterable[Offer], *, separates: bool) -> Iterator[Offer]:
    """With what stands before the last comma, where several may be given."""
    before = f"{word.rpartition(',')[0]}," if separates and "," in word else ""
    return (offer._replace(word=before + offer.word) for offer in found)


def _stored(place: Place) -> Stored:
    return Stored(place.value("--root") or None)


def _buildfile(place: Place) -> tuple[str, str | None]:
    """The build context and the Buildfile that the line names so far."""
    file = place.value("-f", "--file")
    arguments = [argument for argument in place.arguments if not argument.startswith("-")]
    return (arguments[0] if arguments else "."), (str(Path(file).expanduser()) if file else None)
