"""Every variable that the program reads counts for what a known build is asked by, or cannot matter to one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.api.answered import counts

BUILDER = Path(__file__).parents[2] / "builder"
# Read only where something runs, or where what is asked is never known.
ELSEWHERE = {
    "KUBERNETES_SERVICE_HOST": "what a sandbox may do",
    "SSH_AUTH_SOCK": "--ssh: never known",
}
# Where the names are no words of the source.
OTHERS = {
    "api/answered.py": "this is it",
    "cli/aliases.py": "--http-proxy: *_proxy",
    "cli/offers.py": "names alone, for completion",
    "cli/options.py": "NAME without a value: the word has it",
    "linux/elsewhere.py": "another environment, and back",
    "registry/proxies.py": "*_proxy",
    "registry/transport.py": "for proxies.py",
    "registry/endpoints.py": "for credentials.py and tls.py",
    "registry/credentials.py": "Mapping of the same",
    "cli/config.py": "PYBUILD_*: what config show shows",
    "config/places.py": "Mapping of the same",
    "config/settings.py": "for places.py",
    "config/defaults.py": "for places.py",
    "signing/passwords.py": "PYBUILD_PASSWORD: signing is never known",
    "sources/secrets.py": "--secret: never known",
    "sources/git.py": "git: never known",
    "api/bake.py": "variables of bake files: never known",
}


def mentions(path: Path) -> Iterator[tuple[int, str | None]]:
    """The lines that read the environment, with the name where the line has it as a word."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr="get"), args=[name, *_]) if is_environment(value):
                yield node.lineno, constant(name)
            case ast.Subscript(value=value, slice=name) if is_environment(value):
                yield node.lineno, constant(name)
            case ast.Compare(left=name, comparators=[value]) if is_environment(value):
                yield node.lineno, constant(name)
            case ast.keyword(arg="envvar", value=name):
                yield node.value.lineno, constant(name)
            case ast.Attribute(attr="getenv"):
                yield node.lineno, None


def is_environment(node: ast.AST) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in ("environ", "environb")


def constant(node: ast.AST) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


FOUND = [
    (path.relative_to(BUILDER).as_posix(), line, name)
    for path in sorted(BUILDER.rglob("*.py"))
    for line, name in mentions(path)
]


@pytest.mark.parametrize(("path", "line", "name"), FOUND, ids=[f"{path}:{line}" for path, line, _ in FOUND])
def test_a_variable_that_is_read_counts(path: str, line: int, name: str | None) -> None:
    assert name is None or name in ELSEWHERE or counts(name, ())
    assert name is not None or path in OTHERS


def test_the_environment_as_a_whole_goes_only_to_those_who_are_known() -> None:
    users = {p.relative_to(BUILDER).as_posix() for p in BUILDER.rglob("*.py") if "os.environ" in p.read_text()}
    named = {path for path, _, name in FOUND if name is not None}
    assert users - named <= set(OTHERS)
    assert "store/root.py" in named


def test_a_variable_that_is_named_counts() -> None:
    assert not counts("CI_JOB_ID", ("build", "."))
    assert counts("CI_JOB_ID", ("build", "--build-arg", "CI_JOB_ID", "."))
    assert counts("CI_JOB_ID", ("build", "--build-arg=CI_JOB_ID", "."))
    assert counts("https_proxy", ())
