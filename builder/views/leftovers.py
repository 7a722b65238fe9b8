"""What is left in an image that it rarely needs: caches of package managers, version control, tests, leavings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from builder.layers.entry import Kind
from builder.layers.laid import Node, Tree, walk
from builder.views.filetree import shown_path

# In bytes: of one kind and one layer, less is not worth a word.
_LEAST = 10_000
_MOUNT = "RUN --mount=type=cache,target=/{}"
_IGNORE = "name it in .dockerignore"


class Leftover(Struct, frozen=True):
    """Files of one kind that one layer has most of: `path` is the largest of `places` directories that hold them.

    `line` is `Buildfile:3`, or `layer 2` where that is not known.
    """

    what: str
    path: str
    places: int
    bytes: int
    files: int
    line: str
    advice: str


class _Rule(Struct, frozen=True):
    """Directories whose paths `pattern` matches wholly are `what`."""

    what: str
    pattern: re.Pattern[str]
    advice: str


def _rule(what: str, pattern: str, advice: str) -> _Rule:
    return _Rule(what, re.compile(pattern, re.DOTALL), advice)


_HOME = r"(?:root|home/[^/]+)"
# Caches of package managers: their documentation names the places.
_CACHES = (
    _rule("package lists of apt", r"var/lib/apt/lists", f"rm -rf /var/lib/apt/lists/* in the same RUN, or {_MOUNT}"),
    _rule("packages that apt has fetched", r"var/cache/apt", f"apt-get clean in the same RUN, or {_MOUNT}"),
    _rule("cache of apk", r"(?:var|etc)/(?:cache/apk|apk/cache)", f"apk add --no-cache, or {_MOUNT}"),
    _rule("cache of dnf or yum", r"var/cache/(?:dnf|libdnf5|yum)", f"dnf clean all in the same RUN, or {_MOUNT}"),
    _rule("cache of zypper", r"var/cache/zypp", f"zypper clean in the same RUN, or {_MOUNT}"),
    _rule("cache of pacman", r"var/cache/pacman", f"pacman -Scc in the same RUN, or {_MOUNT}"),
    _rule("cache of pip", rf"{_HOME}/\.cache/pip", f"pip install --no-cache-dir, or {_MOUNT}"),
    _rule("cache of uv", rf"{_HOME}/\.cache/uv", f"uv --no-cache, or {_MOUNT}"),
    _rule("cache of poetry", rf"{_HOME}/\.cache/pypoetry", _MOUNT),
    _rule("cache of conda", r"(?:opt|root)/(?:mini)?conda3?/pkgs", f"conda clean -a in the same RUN, or {_MOUNT}"),
    _rule("cache of npm", rf"{_HOME}/\.npm", f"npm cache clean --force in the same RUN, or {_MOUNT}"),
    _rule(
        "cache of yarn",
        rf"{_HOME}/\.cache/yarn|usr/local/share/\.cache|{_HOME}/\.yarn/berry/cache",
        f"yarn cache clean in the same RUN, or {_MOUNT}",
    ),
    _rule("cache of pnpm", rf"{_HOME}/\.local/share/pnpm/store", _MOUNT),
    _rule("cache of go", rf"{_HOME}/\.cache/go-build|(?:root/)?go/pkg/mod/cache", _MOUNT),
    _rule("cache of cargo", rf"(?:{_HOME}/\.cargo|usr/local/cargo)/registry", _MOUNT),
    _rule("cache of maven", rf"{_HOME}/\.m2/repository", _MOUNT),
    _rule("cache of gradle", rf"{_HOME}/\.gradle/caches", _MOUNT),
    _rule("cache of bundler", r"usr/local/bundle/cache", _MOUNT),
    _rule("cache of composer", rf"{_HOME}/\.(?:composer/cache|cache/composer)", _MOUNT),
)
_OTHERS = (
    _rule("version control", r"(?:.*/)?\.(?:git|hg|svn|bzr)", _IGNORE),
    _rule(
        "tests of packages",
        r"(?:.*/)?(?:site-packages|dist-packages|node_modules)/(?:.*/)?(?:tests?|__tests__)",
        "delete them in the RUN that installs the packages, or copy only what is needed into a last stage",
    ),
    _rule("temporary files", r"(?:var/)?tmp", "delete them in the same RUN, or RUN --mount=type=tmpfs,target=/{}"),
    _rule("logs", r"var/log", "delete them in the same RUN, or RUN --mount=type=tmpfs,target=/{}"),
)
# What most directories are called not: the last part of all that the rules above match.
_NAMES = re.compile(
    r"lists|apt|apk|cache|dnf|libdnf5|yum|zypp|pacman|pip|uv|pypoetry|pkgs|\.npm|yarn|\.cache|store|go-build|registry"
    r"|repository|caches|composer|\.git|\.hg|\.svn|\.bzr|tests?|__tests__|tmp|log"
)


def cache_of(directory: str) -> str | None:
    """The cache of a package manager that `directory` lies in; None for what lies in none."""
    parts = directory.split("/")
    above = ("/".join(parts[: n + 1]) for n in range(len(parts)))
    return next((path for path in above if any(rule.pattern.fullmatch(path) for rule in _CACHES)), None)


def leftovers(tree: Tree, lines: Sequence[str]) -> Iterator[Leftover]:
    """What is left in `tree`, the largest first; `lines` are what the layers are called."""
    found: dict[tuple[_Rule, int], list[tuple[int, int, str]]] = {}
    for rule, path, node in _matching(tree):
        size, files, layer = _sum(node)
        if files:
            found.setdefault((rule, layer), []).append((size, files, path))
    told = [_leftover(rule, lines[layer], places) for (rule, layer), places in found.items()]
    yield from sorted((one for one in told if one.bytes >= _LEAST), key=lambda one: (-one.bytes, one.path))


def _leftover(rule: _Rule, line: str, places: list[tuple[int, int, str]]) -> Leftover:
    _, _, path = max(places)
    size, files = sum(place[0] for place in places), sum(place[1] for place in places)
    return Leftover(
        rule.what, shown_path(path), len(places), size, files, line, rule.advice.format(shown_path(path)[1:])
    )


def _matching(tree: Tree) -> Iterator[tuple[_Rule, str, Node]]:
    """The directories that rules match, none within another."""
    inside: str | None = None
    for path, node in tree.walk():
        if node.children is None or (inside is not None and path.startswith(inside)):
            continue
        if _NAMES.fullmatch(path.rpartition("/")[2]) is None:
            continue
        rule = next((rule for rule in (*_CACHES, *_OTHERS) if rule.pattern.fullmatch(path)), None)
        if rule is not None:
            inside = f"{path}/"
            yield rule, path, node


def _sum(node: Node) -> tuple[int, int, int]:
    """The bytes and the number of the regular files below a directory, and the layer that has most of those bytes."""
    layers: dict[int, int] = {}
    files = 0
    seen: set[int] = set()
    for _, child in walk(node):
        if child.kind is Kind.FILE and id(child.file) not in seen:
            seen.add(id(child.file))
            files += 1
            layers[child.file.layer] = layers.get(child.file.layer, 0) + child.file.entry.size
    return sum(layers.values()), files, max(layers, key=lambda layer: layers[layer], default=0)
