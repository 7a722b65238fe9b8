"""A project looked at as a whole: its files, its base images, and this machine."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from builder.api.doctor import Diagnosis, diagnosis
from builder.api.migration import commands, composes, recipes
from builder.api.migration.commands import Judge
from builder.api.migration.files import Found, found
from builder.api.migration.finding import Finding, Report, Severity, settled, wrong
from builder.api.migration.recipes import Needed
from builder.api.session import Session
from builder.bake.definitions import Given
from builder.bake.files import File, config_of
from builder.errors import NotFoundError, PybuildError
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.sources.ingest import Ingest
from builder.sources.pull import peek
from builder.threads import each

# How long an answer of a registry is waited for, in seconds, and how many are asked at once.
_PATIENCE, _AT_ONCE = 10.0, 4


def examined(session: Session, project: str, judge: Judge) -> Report:
    """What changes for the project in the directory `project`; registries are asked for base images, unless offline.

    `judge` knows the options of `build`. Nothing is built, run or kept. Raises NotFoundError for no project.
    """
    files = found(project)
    if not files:
        raise NotFoundError(
            f"nothing in {project} says how an image is built",
            hint="Dockerfiles, compose and bake files, scripts and files of CI services are looked for",
        )
    machine = diagnosis(session)
    findings, needed = read(project, files, judge, {Platform.parse(text).architecture for text in machine.platforms})
    findings += _images(session, needed)
    findings += _machine(machine)
    names = dict.fromkeys(image.reference for image in needed)
    return Report(tuple(file.path for file in files), tuple(names), tuple(settled(findings)))


def read(
    project: str, files: Sequence[Found], judge: Judge, runnable: Collection[str]
) -> tuple[list[Finding], list[Needed]]:
    """What the files themselves tell, where programs of the architectures `runnable` can run; their base images."""
    findings: list[Finding] = []
    needed: list[Needed] = []
    for file in files:
        match file.kind:
            case "recipe":
                recipe = recipes.looked_at(file, runnable)
                findings += recipe.findings
                needed += recipe.images
            case "commands":
                findings += commands.looked_at(file, judge)
            case "bake":
                findings += _bake(file)
            case "compose":
                findings += composes.looked_at(project, file)
    return list(settled(findings)), needed


def _bake(file: Found) -> Iterator[Finding]:
    data = file.text.encode(errors="surrogateescape")
    try:
        config_of([File(file.path, data)], Given(lambda name: None, {}))
    except PybuildError as error:
        yield wrong(file.path, "bake", error)
    else:
        yield Finding(file.path, 1, "note", "bake", "it is read as docker buildx bake reads it", "pybuild bake --print")


def _images(session: Session, needed: Sequence[Needed]) -> Iterator[Finding]:
    """Base images that cannot be had: neither the store nor their registry has them."""
    asked = dict.fromkeys((image.reference, image.platform) for image in needed)
    missing = [pair for pair in asked if session.store.images.lookup(*pair) is None]
    if not missing or session.offline:
        return
    registries = session.new_registries(_PATIENCE)
    ingest = Ingest(session.store, session.launcher, lambda: registries, session.bounds)

    def ask(pair: tuple[str, Platform]) -> PybuildError | None:
        try:
            peek(Reference.parse(pair[0]), pair[1], ingest, again=True)
        except PybuildError as error:
            return error
        return None

    try:
        errors = dict(zip(missing, each(ask, missing, _AT_ONCE, registries.cancel), strict=True))
    finally:
        registries.close()
    for image in needed:
        error = errors.get((image.reference, image.platform))
        if error is not None:
            severity: Severity = "error" if isinstance(error, NotFoundError) else "warning"
            hint = error.hint or "is it a context of --build-context, or of a bake file?"
            yield Finding(image.file, image.line, severity, "image", error.message, hint)


def _machine(told: Diagnosis) -> Iterator[Finding]:
    """What this machine refuses to steps, and what would be better."""
    for refused in told.refused:
        yield Finding("", 0, "error", "machine", f"no step can run here: {refused}")
    for line in told.lines:
        for better in line.better:
            yield Finding("", 0, "note", "machine", f"{line.name}: {line.used}", better)
