"""Calls of docker and its like in scripts, Makefiles and the files of CI services, line by line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator

from msgspec import Struct

from builder.api.migration.files import Found
from builder.api.migration.finding import Finding, Severity

_PROGRAM = r"(?:docker|podman|buildah|nerdctl)"
# The program, or a variable of Make or of the shell that holds it.
_CALL = re.compile(
    rf"(?<![\w./-])(?:{_PROGRAM}|\$[({{]?\w*(?:DOCKER|PODMAN|CONTAINER|BUILDAH)\w*[)}}]?)(?=\s+[a-z-])", re.IGNORECASE
)
# What a line ends with, for whoever wrote it; and expressions of CI services and of Make, which are words.
_CONTINUED = re.compile(r"[\\`^]\s*$")
_EXPRESSION = re.compile(r"\$\{\{.*?\}\}|\$\([^()]*\)|\$\{[^{}]*\}|`[^`]*`")
_COMMENT = re.compile(r"(^|\s)(#|//\s).*")
_END = re.compile(r"(?:[;|&]|\s[12]?>|<<).*")
# Options of docker itself that have a value, which may be the next word.
_VALUED = ("-H", "--host", "-c", "--context", "--config", "-l", "--log-level", "--connection", "--url")
_BUILDS = ("buildx build", "builder build", "image build", "buildx b", "build", "bud")


class Rule(Struct, frozen=True):
    """What is told of what begins with, or has, `what`."""

    what: str
    severity: Severity
    message: str
    hint: str


# What other commands of docker are here.
_OTHERS = (
    Rule("buildx bake", "note", "bake files are read by pybuild", "pybuild bake"),
    Rule("compose build", "note", "images of compose files are built by pybuild", "pybuild bake -f FILE"),
    Rule(
        "compose up",
        "warning",
        "compose runs images of Docker's store, and what pybuild builds is not there",
        "after pybuild bake: pybuild save IMAGE | docker load",
    ),
    Rule("buildx create", "note", "there are no builders to be set up", "leave it away"),
    Rule("buildx use", "note", "there are no builders to choose from", "leave it away"),
    Rule("buildx inspect", "note", "there are no builders", "pybuild doctor tells what works on a machine"),
    Rule("buildx imagetools", "note", "pybuild looks at images of registries, too", "pybuild manifest"),
    Rule("buildx prune", "note", "the cache is pybuild's", "pybuild cache prune"),
    Rule("buildx du", "note", "the cache is pybuild's", "pybuild system df"),
    Rule("builder prune", "note", "the cache is pybuild's", "pybuild cache prune"),
    Rule("system prune", "note", "what is unused is pybuild's to remove", "pybuild system prune"),
)
# Commands that take an image, which then is to be that of pybuild's store.
_ON_IMAGES = ("push", "tag", "save", "run", "history", "inspect", "image inspect", "rmi", "images")
_LOGINS = ("login", "logout")
# Programs and actions of CI services that are not needed, or have something in their place; regular expressions.
_SERVICES = (
    Rule(
        r"uses:\s*docker/build-push-action@",
        "note",
        "the action builds by BuildKit",
        "a step with run: pybuild build; its inputs are called as the options",
    ),
    Rule(r"uses:\s*docker/bake-action@", "note", "the action builds by BuildKit", "a step with run: pybuild bake"),
    Rule(r"uses:\s*docker/setup-buildx-action@", "note", "there is no builder to be set up", "leave it away"),
    Rule(
        r"uses:\s*docker/setup-qemu-action@",
        "note",
        "emulators are only needed by steps for other platforms",
        "keep it, or apt-get install qemu-user-static",
    ),
    Rule(
        r"uses:\s*docker/login-action@",
        "note",
        "its login is read from ~/.docker/config.json",
        "keep it, or pybuild login",
    ),
    Rule(r"\bdocker:[\w.-]*dind\b", "note", "no daemon in a container is needed", "leave the service away"),
    Rule(
        r"gcr\.io/kaniko-project/executor|\bkaniko/executor\b",
        "note",
        "kaniko's options are called otherwise",
        "pybuild build -t NAME --push CONTEXT, in an unprivileged container",
    ),
    Rule(
        r"\bDOCKER_BUILDKIT\s*[=:]\s*['\"]?0",
        "warning",
        "the old builder is asked for; here the language is always BuildKit's",
        "leave the variable away",
    ),
)


class Wrong(Struct, frozen=True):
    """What is not right of the words after `build`: how much it matters, what is so, what to do."""

    severity: Severity
    message: str
    hint: str


# Says what is wrong with the words of a call of `build`, after that.
Judge = Callable[[list[str]], Iterator[Wrong]]


def looked_at(found: Found, judge: Judge) -> Iterator[Finding]:
    """What is to be told of the calls in a file."""
    calls = list(_calls(found.text))
    builds = any(_build(words) is not None for _, words in calls)
    for line, words in calls:
        yield from _call(found.path, line, words, judge, builds=builds)
    for line, text in enumerate(found.text.splitlines(), 1):
        for rule in _SERVICES:
            if re.search(rule.what, text):
                yield Finding(found.path, line, rule.severity, "service", rule.message, rule.hint)


def _call(file: str, line: int, words: list[str], judge: Judge, *, builds: bool) -> Iterator[Finding]:
    rest = _build(words)
    if rest is not None:
        said = " ".join(words[: len(words) - len(rest)])
        yield Finding(
            file, line, "note", "build", f"`{said}` is `pybuild build` here", "the options have the same names"
        )
        for wrong in judge(rest):
            yield Finding(file, line, wrong.severity, "option", wrong.message, wrong.hint)
        return
    said = " ".join(words[1:3])
    rule = next((rule for rule in _OTHERS if said.startswith(rule.what)), None)
    if rule is not None:
        yield Finding(file, line, rule.severity, "command", rule.message, rule.hint)
        return
    name = next((name for name in _ON_IMAGES if f"{said} ".startswith(f"{name} ")), "")
    if builds and name:
        hint = f"pybuild {name}; or pybuild save IMAGE | docker load before" if name == "run" else f"pybuild {name}"
        yield Finding(file, line, "warning", "command", f"{words[0]} {name} does not see what pybuild has built", hint)
    elif builds and words[1] in _LOGINS:
        yield Finding(file, line, "note", "command", "logins of docker count for pybuild, too", f"pybuild {words[1]}")


def _build(words: list[str]) -> list[str] | None:
    """The words after `build`; None for another call."""
    for beginning in _BUILDS:
        parts = beginning.split()
        if words[1 : 1 + len(parts)] == parts:
            return words[1 + len(parts) :]
    return None


def _calls(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each call: its line, and its words, the program first, without options before the command."""
    for number, line in _joined(text):
        said = _COMMENT.sub("", line)
        for match in _CALL.finditer(said):
            words = _words(said[match.start() :])
            while len(words) > 1 and words[1].startswith("-"):
                del words[1 : 3 if words[1] in _VALUED else 2]
            if len(words) > 1:
                yield number, words


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Lines, with those that go on in the next ones put together."""
    begun, parts = 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        begun = begun or number
        goes_on = _CONTINUED.search(line)
        parts.append(line[: goes_on.start()] if goes_on else line)
        if not goes_on:
            yield begun, " ".join(parts)
            begun, parts = 0, []
    if parts:
        yield begun, " ".join(parts)


def _words(text: str) -> list[str]:
    """The words of one call; what is worked out when it runs is a word, too."""
    head, space, rest = text.partition(" ")
    rest = _END.sub("", _EXPRESSION.sub("VALUE", rest))
    try:
        words = shlex.split(rest)
    except ValueError:  # within the quotation marks of another language
        words = [word.strip("'\",") for word in rest.split()]
    return [head, *words] if space else [head]
