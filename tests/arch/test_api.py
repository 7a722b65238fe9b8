"""What `import builder` offers: which names, that they say what they do, and that all that can be asked is in it."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

import builder
from builder.api.client.options import BuildOptions, Limits, RunOptions, field_of
from builder.api.resources import resources
from builder.request import BuildRequest, RunRequest

TOP = Path(__file__).parents[2]
NAMES = [name for name in builder.__all__ if name not in ("__version__", "events")]
# What a program does not ask for in this way, and why.
NOT_HERE = {
    "argument_files": "it says where arguments were read from, and here they are given",
    "load": "what a build returns is in the store",
    "interactive": "`input` says it",
    "terminal": "a program has none to give",
    "remove": "a container stays when it has a name",
    "detach": "a job goes on in the background",
    "cidfile": "as above",
    "resources": "each limit is an option",
}
PROBE = """
import sys
before = set(sys.modules)
import builder
assert builder.__version__
print("\\n".join(sorted(set(sys.modules) - before)))
"""


def test_the_names_are_those_that_type_checkers_know() -> None:
    text = (TOP / "builder" / "__init__.py").read_text()
    block = text.partition("if TYPE_CHECKING:\n")[2].partition("\n\n")[0]
    known = [word for names in re.findall(r"import ([^(\n]+|\([^)]+)", block) for word in re.findall(r"\w+", names)]
    assert sorted([*known, "__version__"]) == sorted(builder.__all__)
    assert set(builder.__all__) <= set(dir(builder))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = builder.nothing  # type: ignore[attr-defined]


def test_importing_it_loads_nothing_else() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], cwd=TOP, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["builder", "builder.version"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_says_what_it_is(name: str) -> None:
    found = getattr(builder, name)
    assert found.__doc__
    assert not found.__doc__.startswith("dict("), "its own"
    if not inspect.isclass(found) or issubclass(found, BaseException):
        return
    for called, method in inspect.getmembers(found, callable):
        if not called.startswith("_") and called in vars(found):
            assert method.__doc__, called


@pytest.mark.parametrize("name", ["build", "run", "start", "Job", "Store", "Image", "Container"])
def test_types_are_all_there(name: str) -> None:
    found = getattr(builder, name)
    functions = [found] if inspect.isfunction(found) else [f for f in vars(found).values() if inspect.isfunction(f)]
    for function in functions:
        assert "return" in function.__annotations__, function.__qualname__


def offered(options: type) -> set[str]:
    """The fields of a request that `options` lead to."""
    return set(map(field_of, options.__annotations__))


def test_all_that_can_be_asked_of_a_build_can_be_asked_here() -> None:
    arguments = set(inspect.signature(builder.build).parameters) | {"inline"}  # `buildfile`
    there = offered(BuildOptions) | arguments | set(NOT_HERE)
    assert set(BuildRequest.__struct_fields__) <= there


def test_all_that_can_be_asked_of_a_run_can_be_asked_here() -> None:
    there = offered(RunOptions) | set(inspect.signature(builder.run).parameters) | set(NOT_HERE)
    assert set(RunRequest.__struct_fields__) <= there


def test_options_are_none_but_those() -> None:
    limits = set(inspect.signature(resources).parameters)
    assert set(Limits.__annotations__) | {"oom_score_adj"} == limits
    known = {*BuildRequest.__struct_fields__, *limits, "source_date_epoch"}
    assert offered(BuildOptions) <= known
    assert offered(RunOptions) <= {*RunRequest.__struct_fields__, *limits}
    assert get_type_hints(BuildOptions)["target"] is str


USER = """
import asyncio
from subprocess import CompletedProcess

import builder


async def main(store: builder.Store) -> int:
    image = await builder.start(builder.build, ".", tags="x", memory="1g", store=store)
    async for event in builder.start(store.pull, "x"):
        if isinstance(event, builder.events.LogLine):
            print(event.text)
    done: CompletedProcess[bytes] = builder.run(image.tag("y"), ["true"], env={"A": "b"})
    return done.returncode + len(image.config.env) + image.layers[0].size


asyncio.run(main(builder.Store()))
builder.build(".", tag="x")
builder.start(builder.build, ".", tags=3)
"""


def test_a_program_that_uses_it_is_checked_strictly(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(USER)
    mypy = Path(sys.executable).parent / "mypy"
    command = [mypy, "--strict", "--config-file", "/dev/null", "--cache-dir", TOP / ".mypy_cache" / "user", "user.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [line.split(":")[1] for line in errors] == ["18", "19"], done.stdout + done.stderr
    assert "Unexpected keyword argument" in errors[0]
    assert "incompatible type" in errors[1]
