"""A compose file: which of it makes images, and that the rest is of running them, which nobody does here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from builder.api.migration.files import LARGEST, Found
from builder.api.migration.finding import Finding, wrong
from builder.bake.definitions import Given
from builder.bake.files import File, config_of
from builder.bake.yamltree import Node, parse
from builder.errors import HostError, NotFoundError, PybuildError
from builder.lang.source import Source
from builder.linux.paths import read_in_root

# Keys of a service that say which image it is and how that is made.
_OF_IMAGES = frozenset(("build", "image", "platform", "env_file", "environment", "extends", "profiles", "labels"))
_TRUE = ("true", "yes", "on")


def looked_at(project: str, found: Found) -> Iterator[Finding]:
    """What is to be told of a compose file; further files that it names are read in the directory `project` alone."""
    try:
        config = config_of(
            [_file(found)], Given(lambda name: None, {}), lambda name: _beside(project, found.path, name)
        )
        services = parse(Source(found.path, found.text)).mapping("a compose file").get("services")
    except HostError as error:
        yield Finding(found.path, 1, "warning", "compose", error.message, error.hint or "")
        return
    except PybuildError as error:
        yield wrong(found.path, "compose", error)
        return
    if config.targets:
        names = ", ".join(config.targets)
        yield Finding(
            found.path, 1, "note", "compose", f"its images are built: {names}", f"pybuild bake -f {found.path}"
        )
    for name, service in ({} if services is None else services.mapping("services")).items():
        yield from _service(found.path, name, service.mapping("a service"), service.span.line)


def _service(file: str, name: str, parts: Mapping[str, Node], line: int) -> Iterator[Finding]:
    rest = [key for key in parts if key not in _OF_IMAGES and not key.startswith("x-")]
    if rest:
        yield Finding(
            file,
            line,
            "note",
            "compose-key",
            f"{name}: what is said of running it is for others: {', '.join(rest)}",
            "docker compose or podman-compose run it; pybuild save IMAGE | docker load gives them the image",
        )
    build = parts.get("build")
    if build is None or not isinstance(build.value, Mapping):
        return
    for key, node in build.value.items():
        if key == "privileged" and str(node.value).lower() in _TRUE:
            yield Finding(
                file,
                node.span.line,
                "warning",
                "entitlement",
                f"{name}: steps are never privileged as a whole",
                "RUN --security=insecure, with --allow security.insecure",
            )
        elif key == "entitlements":
            needed = [one.text("an entitlement") for one in node.items("entitlements")]
            told = " ".join(f"--allow {one}" for one in needed)
            yield Finding(
                file, node.span.line, "warning", "entitlement", f"{name}: it needs {', '.join(needed)}", f"give {told}"
            )


def _file(found: Found) -> File:
    return File(found.path, found.text.encode(errors="surrogateescape"))


def _beside(project: str, file: str, name: str) -> bytes:
    """A file that a compose file names, below the project. Raises NotFoundError for all others."""
    fd = os.open(project, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        data = read_in_root(fd, os.path.normpath(os.path.join(os.path.dirname(file), name)), LARGEST + 1)
    finally:
        os.close(fd)
    if data is None or len(data) > LARGEST:
        raise NotFoundError(f"{name} is not in the project")
    return data
