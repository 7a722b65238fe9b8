"""Defaults of options that files set, under the option's own name in the table of its command.

    [defaults.build]
    progress = "plain"
    build-arg = ["HTTP_PORT=8080"]

    [defaults.cache.ls]
    format = "json"

Which options there are the command line knows; what their values may be, too. Here it is said which files say what, and
which of it a project may: its file comes with the sources, from whoever wrote them, and holds as soon as the program is
called there. So it may say of the image what the Buildfile beside it could, and how the work is shown. It may not reach
what is not the project's (names in the store, files, variables, servers, secrets), nor take back what keeps steps
within bounds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from builder.config.document import DEFAULTS, Document, read
from builder.config.places import files, project
from builder.config.settings import Value
from builder.errors import CLOSELY, UsageError, suggestion

# What a project may set, of `build`, and so of all that takes its options.
OF_PROJECTS = frozenset(
    f"build.{option}"
    for option in (
        *("file", "target", "build-arg", "platform", "label", "annotation", "source-date-epoch", "context-mode"),
        *("squash", "provenance", "sbom", "attest", "no-cache-filter", "retry", "step-timeout", "jobs", "progress"),
    )
)
# Of these a bare name would mean a variable of the environment, which may be a secret.
_PAIRS = ("build.build-arg", "build.label")
_BOUNDS = "it may say what a Buildfile could, and how the work is shown; what else you want belongs into your own file"


def defaults(machine_and_user: Sequence[str] | None = None, of_project: str | None = None) -> dict[str, Value]:
    """The defaults by command and option, such as `cache.ls.format`; of several files the last one's.

    Of the files there are, where none are given. Raises UsageError for what cannot be read, or a project may not say.
    """
    if machine_and_user is None:
        machine_and_user, of_project = files(os.environ), project()
    found: dict[str, Value] = {}
    for path in machine_and_user:
        document = read(path)
        found.update(() if document is None else _values(document))
    document = None if of_project is None else read(of_project)
    found.update(() if document is None else _of_project(document))
    return found


def _values(document: Document) -> Iterator[tuple[str, Value]]:
    for name, said in document.values(()):
        if name.startswith(DEFAULTS):
            yield name.removeprefix(DEFAULTS), Value(said, said, document.place(name)[1])


def _of_project(document: Document) -> Iterator[tuple[str, Value]]:
    for whole, _ in document.values(()):
        if whole.removeprefix(DEFAULTS) not in OF_PROJECTS or not whole.startswith(DEFAULTS):
            allowed = (each.rpartition(".")[2] for each in sorted(OF_PROJECTS))
            hint = suggestion(whole.rpartition(".")[2], allowed, _BOUNDS, CLOSELY)
            raise UsageError(f"a project cannot set {whole}", where=document.place(whole)[0], hint=hint)
    for name, value in _values(document):
        yield name, _within(name, value, document)


def _within(name: str, value: Value, document: Document) -> Value:
    """`value`, if it stays within the project. A file is one of the project's, wherever in it the user is."""
    said, where = value.said, value.where
    if name in _PAIRS and any("=" not in str(each) for each in (said if isinstance(said, list) else [said])):
        raise UsageError(f"{name} of a project must be NAME=VALUE", where=where, hint="a name alone means a variable")
    if name == "build.file":
        directory = os.path.dirname(document.path)
        path = os.path.normpath(str(said))
        if os.path.isabs(path) or path.split("/")[0] in ("..", "-"):
            raise UsageError(f"{said!r} is no file of the project", where=where, hint=f"name one below {directory}")
        return Value(os.path.relpath(f"{directory}/{path}"), said, where)
    return value
