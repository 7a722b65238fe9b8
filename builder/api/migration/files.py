"""The files of a project that say how its images are built: found by their names, and read with care."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from builder.errors import NotFoundError

_RECIPE = re.compile(
    r"(Dockerfile|Containerfile|Buildfile)([._-].+)?|.+\.(Dockerfile|Containerfile|Buildfile)", re.IGNORECASE
)
# What lies beside a Buildfile and is none.
_NO_RECIPE = (".dockerignore", ".lock", ".md", ".txt", ".py", ".orig", ".bak")
_COMPOSE = re.compile(r"(docker-)?compose(\.[\w.-]+)?\.ya?ml")
_BAKE = re.compile(r"docker-bake(\.override)?\.(hcl|json)")
_COMMANDS = re.compile(
    r"(GNU)?[Mm]akefile(\..+)?|.+\.(mk|sh|bash)|[Jj]ustfile|Taskfile\.ya?ml|Jenkinsfile(\..+)?|package\.json|tox\.ini"
    r"|(.+\.)?\.?gitlab-ci.*\.ya?ml|azure-pipelines.*\.ya?ml|bitbucket-pipelines\.ya?ml|cloudbuild\.ya?ml|skaffold\.ya?ml"
    r"|\.travis\.ya?ml|\.drone\.ya?ml|\.woodpecker\.ya?ml"
)
# Directories of CI services, all of whose YAML counts.
_SERVICES = (".github", ".circleci", ".gitlab", ".forgejo", ".gitea", ".woodpecker", ".buildkite")
# What is not the project's own.
_FOREIGN = frozenset(
    (".git", ".hg", ".svn", "node_modules", "vendor", "venv", ".venv", "site-packages", "__pycache__", ".tox", "target")
)
LARGEST = 1 << 20
_MOST_ENTRIES, _MOST_FILES, _DEEPEST = 50_000, 500, 8


Kind = Literal["recipe", "compose", "bake", "commands"]


class Found(Struct, frozen=True):
    """A file that says something: its path in the project, which kind it is, and its text."""

    path: str
    kind: Kind
    text: str


def found(project: str) -> list[Found]:
    """All such files below the directory `project`; no link is followed, what is too large is left out.

    Raises NotFoundError.
    """
    if not os.path.isdir(project):
        there = "is no directory" if os.path.exists(project) else "does not exist"
        raise NotFoundError(f"the project {project} {there}")
    files = []
    for path in _walked(project):
        kind = kind_of(path)
        text = None if kind is None else _text(os.path.join(project, path))
        if kind is not None and text is not None:
            files.append(Found(path, kind, text))
            if len(files) == _MOST_FILES:
                break
    return files


def kind_of(path: str) -> Kind | None:
    """What the file `path` of a project is, by its name."""
    directory, name = os.path.split(path)
    if _RECIPE.fullmatch(name) and not name.lower().endswith(_NO_RECIPE):
        return "recipe"
    if _COMPOSE.fullmatch(name):
        return "compose"
    if _BAKE.fullmatch(name):
        return "bake"
    in_service = directory.split(os.sep)[0] in _SERVICES and name.endswith((".yml", ".yaml"))
    return "commands" if in_service or _COMMANDS.fullmatch(name) else None


def _walked(project: str) -> Iterator[str]:
    """Paths of regular files, in order, the nearest first."""
    left, level = _MOST_ENTRIES, [""]
    for _ in range(_DEEPEST):
        deeper: list[str] = []
        for directory in level:
            try:
                entries = sorted(os.scandir(os.path.join(project, directory)), key=lambda entry: entry.name)
            except OSError:
                continue  # it may not be read, or is gone
            left -= len(entries)
            if left < 0:
                return
            for entry in entries:
                path = os.path.join(directory, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in _FOREIGN:
                        deeper.append(path)
                elif entry.is_file(follow_symlinks=False):
                    yield path
        level = deeper


def _text(path: str) -> str | None:
    """The text of a file; None for what is none, or too large, or may not be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            state = os.fstat(fd)
            data = file.read(LARGEST + 1) if stat.S_ISREG(state.st_mode) else b"\0"
    except OSError:
        return None
    return None if len(data) > LARGEST or b"\0" in data else data.decode(errors="surrogateescape")
