"""A git history to build commit by commit: a small web application and what people do to one.

Everything is drawn from one seed, so every run has the same history.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.base import BASE, program, run

# A step prints this when it runs. What it does besides takes no time to speak of, so its sleep is what it costs.
MARK = "@ran"
STEP_SECONDS = {"setup": 0.3, "deps": 0.6, "modules": 0.6, "bundle": 0.3, "compile": 0.4, "test": 0.3, "index": 0.2}
_SEED = 20
_MODULES = 24

# How often each kind is among fifty commits.
KINDS = {
    "source": 17,
    "formatting": 7,
    "readme": 7,
    "front end": 5,
    "dependency": 4,
    "comment in the lock file": 2,
    "Dockerfile: comments, spaces": 3,
    "Dockerfile: an early RUN": 2,
    "Dockerfile: a label": 1,
    "revert": 2,
}

_DOCKERFILE = """\
# {comment}
FROM {base} AS tools
RUN {setup} && busybox mkdir -p {tools} && busybox echo 1 > /opt/tools/version

FROM tools AS deps
WORKDIR /deps
COPY{space}requirements.txt ./
RUN {deps} && busybox sed -e 's/#.*//' -e 's/ *$//' -e '/^$/d' requirements.txt > installed

FROM tools AS web
WORKDIR /web
COPY web/package.json ./
RUN {modules} && busybox sed -e 's/ *$//' package.json > modules
COPY web/src ./src
RUN {bundle} && busybox cat src/*.js | busybox sed -e 's/ *$//' -e '/^$/d' > bundle.js

FROM tools AS build
WORKDIR /build
COPY --from=deps /deps/installed ./
COPY src ./src
RUN {compile} && busybox cat src/*.py | busybox sed -e 's/#.*//' -e 's/ *$//' -e '/^$/d' > compiled
RUN {test} && busybox grep -c def compiled > tested

FROM {base}
WORKDIR /app
COPY --from=deps /deps/installed ./
COPY --from=build /build/compiled /build/tested ./
COPY --from=web /web/bundle.js ./
RUN {index} && busybox sha256sum compiled bundle.js installed > index
COPY README.md ./
LABEL edition={label}
"""

Tree = dict[str, str]


@dataclass(frozen=True)
class Commit:
    """One commit: its kind, its hash, and the digests of the files its image must have, by path."""

    kind: str
    commit: str
    expected: dict[str, str]


def make(directory: Path, commits: int) -> list[Commit]:
    """A repository in the new directory `directory`: a first commit, and `commits` after it."""
    directory.mkdir()
    git = Git(directory)
    git("init", "--quiet", "--initial-branch=main")
    chance = random.Random(_SEED)
    tree, values = _first(), {"comment": "The application.", "space": " ", "tools": "/opt/tools", "label": "1"}
    history = [dict(tree)]
    done = [Commit("first", git.commit(_with_dockerfile(tree, values), "first"), _expected(tree))]
    for number, kind in enumerate(_plan(commits, chance)):
        if kind == "revert" and len(history) > 1:
            tree = dict(history[-2])
        else:
            _EDITS[kind](tree, values, chance, number)
        history.append(dict(tree))
        done.append(Commit(kind, git.commit(_with_dockerfile(tree, values), kind), _expected(tree)))
    return done


class Git:
    """git on one working tree, with nothing of the user's."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._program = program("git")

    def __call__(self, *arguments: str) -> str:
        """Run git, and give what it prints. Raises PeerError."""
        settings = ("-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "gc.auto=0")
        return run([self._program, "-C", self._directory, *settings, *arguments], self._directory)

    def commit(self, tree: Tree, message: str) -> str:
        """Write what has changed in `tree`, and commit it."""
        for path, text in tree.items():
            file = self._directory / path
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.exists() or file.read_text() != text:
                file.write_text(text)
        self("add", "--all")
        self("commit", "--quiet", "--allow-empty", "--message", message)
        return self("rev-parse", "HEAD").strip()


def _plan(commits: int, chance: random.Random) -> list[str]:
    whole = [kind for kind, count in KINDS.items() for _ in range(count)]
    plan: list[str] = []
    while len(plan) < commits:
        chance.shuffle(whole)
        plan += whole
    return plan[:commits]


# --- the application -----------------------------------------------------------------------------


def _first() -> Tree:
    return {
        "README.md": "# The application\n",
        "requirements.txt": "".join(f"package{n}==1.{n}\n" for n in range(12)),
        "web/package.json": '{\n  "name": "web"\n}\n',
        "web/src/main.js": "run()\n",
        "web/src/page.js": "show()\n",
        ".dockerignore": ".git\n",
        **{f"src/module{n:02}.py": f"# Module {n}\ndef f{n}():\n    return {n}\n" for n in range(_MODULES)},
    }


def _with_dockerfile(tree: Tree, values: dict[str, str]) -> Tree:
    steps = {name: f"busybox sleep {cost} && busybox echo {MARK} {name}" for name, cost in STEP_SECONDS.items()}
    return {**tree, "Dockerfile": _DOCKERFILE.format(base=BASE, **steps, **values)}


def _expected(tree: Tree) -> dict[str, str]:
    """What the steps make of `tree`, worked out here."""
    source = "".join(text for path, text in sorted(tree.items()) if path.startswith("src/"))
    scripts = "".join(text for path, text in sorted(tree.items()) if path.startswith("web/src/"))
    files = {
        "app/compiled": _stripped(re.sub("#.*", "", source)),
        "app/installed": _stripped(re.sub("#.*", "", tree["requirements.txt"])),
        "app/bundle.js": _stripped(scripts),
        "app/README.md": tree["README.md"],
    }
    return {path: hashlib.sha256(text.encode()).hexdigest() for path, text in files.items()}


def _stripped(text: str) -> str:
    return "".join(f"{line}\n" for line in _without_blanks(text))


def _without_blanks(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        if kept := line.rstrip(" "):
            yield kept


# --- what people do ------------------------------------------------------------------------------

_Edit = Callable[[Tree, dict[str, str], random.Random, int], None]


def _module(chance: random.Random) -> str:
    return f"src/module{chance.randrange(_MODULES):02}.py"


def _source(tree: Tree, values: dict[str, str], chance: random.Random, number: int) -> None:
    for _ in range(chance.randint(1, 3)):
        tree[_module(chance)] += f"def g{number}_{chance.randrange(1000)}():\n    return {number}\n"


def _formatting(tree: Tree, values: dict[str, str], chance: random.Random, number: int) -> None:
    path = _module(chance)
    tree[path] = chance.choice((f"\n{tree[path]}", f"{tree[path]}# {number}\n", tree[path].replace(":\n", ":  \n", 1)))
    tree[path] += f"\n# formatted {number}\n"


def _readme(tree: Tree, values: dict[str, str], chance: random.Random, number: int) -> None:
    tree["README.md"] += f"\nNote {number}.\n"


def _front_end(tree: Tree, values: dict[str, str], chance: random.Random, number: int) -> None:
    tree[chance.choice(("web/src/main.js", "web/src/page.js"))] += f"draw({number})\n"


def _dependency(tree: Tree, values: dict[str, str], chance: random.Random, number: int) -> None:
    package = chance.randrange(12)
    tree["requirements.txt"] = re.sub(
        rf"(?m)^package{package}==.*$", f"package{package}==2.{number}", tree["requirements.txt"]
    )


def _lock_comment(tree: Tree, values: dict[str, str], chance: random.Random, number: int) -> None:
    tree["requirements.txt"] += f"# locked again, {number}\n"


def _dockerfile_comment(tree: Tree, values: dict[str, str], chance: random.Random, number: int) -> None:
    values["comment"] = f"The application, as of {number}."
    values["space"] += " "


def _dockerfile_step(tree: Tree, values: dict[str, str], chance: random.Random, number: int) -> None:
    values["tools"] += " /opt/tools"


def _label(tree: Tree, values: dict[str, str], chance: random.Random, number: int) -> None:
    values["label"] = str(number)


_EDITS: dict[str, _Edit] = {
    "source": _source,
    "formatting": _formatting,
    "readme": _readme,
    "front end": _front_end,
    "dependency": _dependency,
    "comment in the lock file": _lock_comment,
    "Dockerfile: comments, spaces": _dockerfile_comment,
    "Dockerfile: an early RUN": _dockerfile_step,
    "Dockerfile: a label": _label,
    "revert": _readme,  # the first commit of all has nothing before it
}
