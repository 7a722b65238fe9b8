"""The commands by name, and which one is meant where none is named."""

from __future__ import annotations

import os
from collections.abc import Sequence

# title of a section of --help → command → module:attribute, so that only what is called is imported
SECTIONS = {
    "Building": {
        "build": "builder.cli.build:build",
        "bake": "builder.cli.bake:bake",
        "verify-reproducible": "builder.cli.reproducible:verify",
        "logs": "builder.cli.logs:logs",
        "shell": "builder.cli.shell:shell",
        "plan": "builder.cli.plan:plan",
        "lock": "builder.cli.lock:lock",
        "graph": "builder.cli.build:graph",
        "parse": "builder.cli.build:parse",
        "lint": "builder.cli.lint:lint",
        "context": "builder.cli.context:context",
    },
    "Images": {
        "import": "builder.cli.images:import_",
        "load": "builder.cli.images:load",
        "save": "builder.cli.images:save",
        "pull": "builder.cli.pull:pull",
        "push": "builder.cli.push:push",
        "images": "builder.cli.imagelist:images",
        "inspect": "builder.cli.imagelist:inspect",
        "history": "builder.cli.imagelist:history",
        "analyze": "builder.cli.analyze:analyze",
        "explore": "builder.cli.explore:explore",
        "tree": "builder.cli.look:tree",
        "cat": "builder.cli.look:cat",
        "sbom": "builder.cli.sbom:sbom",
        "tag": "builder.cli.images:tag",
        "rmi": "builder.cli.images:rmi",
        "manifest": "builder.cli.manifest:manifest",
    },
    "Containers": {
        "run": "builder.cli.containers:run",
        "start": "builder.cli.running:start",
        "exec": "builder.cli.running:execute",
        "stop": "builder.cli.running:stop",
        "restart": "builder.cli.running:restart",
        "kill": "builder.cli.running:kill",
        "wait": "builder.cli.running:wait",
        "ps": "builder.cli.ps:ps",
        "rm": "builder.cli.containers:rm",
        "diff": "builder.cli.diff:diff",
        "commit": "builder.cli.changes:commit",
        "cp": "builder.cli.changes:cp",
        "export": "builder.cli.changes:export",
    },
    "The cache": {
        "cache": "builder.cli.cache:cache",
    },
    "The whole store": {
        "image": "builder.cli.df:image",
        "container": "builder.cli.df:container",
        "system": "builder.cli.df:system",
    },
    "Registries": {
        "keygen": "builder.cli.keygen:keygen",
        "login": "builder.cli.login:login",
        "logout": "builder.cli.login:logout",
    },
    "pybuild itself": {
        "config": "builder.cli.config:config",
        "doctor": "builder.cli.doctor:doctor",
        "version": "builder.cli.system:version",
        "completion": "builder.cli.completion:completion",
        "man": "builder.cli.man:man",
    },
}
COMMANDS = {name: place for commands in SECTIONS.values() for name, place in commands.items()}

# Not for people: cli/complete
COMPLETE = "__complete"


def _same(*names: str) -> dict[str, tuple[str, ...]]:
    return {name: (name,) for name in names}


# Docker's groups: what a command below one of them is called here
_GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "image": {
        **_same("build", "history", "import", "load", "pull", "push", "save", "tag"),
        "ls": ("images",),
        "list": ("images",),
        "rm": ("rmi",),
        "remove": ("rmi",),
        "inspect": ("inspect", "--type=image"),
    },
    "container": {
        **_same("commit", "cp", "diff", "exec", "export", "kill", "logs", "restart", "rm", "run", "start", "stop"),
        "ls": ("ps",),
        "list": ("ps",),
        "ps": ("ps",),
        "wait": ("wait",),
        "inspect": ("inspect", "--type=container"),
    },
    "builder": {"build": ("build",), "prune": ("cache", "prune")},
    "buildx": {**_same("bake", "build"), "prune": ("cache", "prune"), "du": ("cache", "du")},
}


def _as_in_docker(words: Sequence[str]) -> Sequence[str]:
    """`image ls` is `images`; what else begins a line is as it was."""
    return _GROUPS.get(words[0], {}).get(words[1], words) if len(words) == 2 else words


def with_default_command(arguments: Sequence[str]) -> list[str]:
    """`pybuild -f Buildfile .` is `pybuild build -f Buildfile .`: the command put in where none is named.

    And `image ls` is `images`.
    """
    found = list(arguments)
    at = command_at(found)
    found[at : at + 2] = _as_in_docker(found[at : at + 2])
    if at >= len(found) or found[at] in COMMANDS or found[at] in ("-h", "--help", "--version"):
        return found
    word = found[at]
    if word.startswith("-") or os.path.exists(word) or "/" in word:
        found.insert(at, "build")
    return found


def asks_to_build(words: Sequence[str]) -> bool:
    """Whether `words`, with a command in them, ask for a build."""
    at = command_at(words)
    return at < len(words) and words[at] == "build"


def command_at(words: Sequence[str]) -> int:
    """Where the command stands: after the options of the program itself."""
    at = 0
    while at < len(words) and words[at].startswith("--root"):
        at += 1 if "=" in words[at] else 2
    return at
