"""Buildfiles as large and as deep as they can be made: time grows with their size, not with its square."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import pytest

from builder.errors import PybuildError
from builder.lang.source import Source
from tests.faults.test_mutants import alarm, check_refusal
from tests.support import corpus

MAX = 10 << 20

# About as many characters as asked for, each in the way that could cost most.
SHAPES: dict[str, Callable[[int], str]] = {
    "one line": lambda n: "FROM a\nRUN " + "x" * n,
    "words of a command": lambda n: "FROM a\nRUN " + "x " * (n // 2),
    "comments": lambda n: "FROM a\n" + "# x\n" * (n // 4) + "RUN x",
    "empty lines": lambda n: "FROM a\n" + "\n" * n,
    "carriage returns": lambda n: "FROM a\nRUN x" + "\r" * n + "y",
    "spaces inside": lambda n: "FROM a\nUSER x" + " " * n + "y",
    "steps": lambda n: "FROM a\n" + "RUN x\n" * (n // 6),
    "variables": lambda n: "FROM a\n" + "".join(f"ENV a{i}=x\n" for i in range(n // 12)),
    "labels": lambda n: "FROM a\n" + "".join(f"LABEL a{i}=x\n" for i in range(n // 14)),
    "ports": lambda n: "FROM a\n" + "".join(f"EXPOSE {i % 60_000 + 1}\n" for i in range(n // 13)),
    "ranges of ports": lambda n: "FROM a\nEXPOSE" + " 1-65535" * (n // 8),
    "volumes": lambda n: "FROM a\n" + "".join(f"VOLUME /v{i}\n" for i in range(n // 14)),
    "triggers": lambda n: "FROM a\n" + "".join(f"ONBUILD RUN {i}\n" for i in range(n // 18)),
    "arguments seen by steps": lambda n: "FROM a\n" + "".join(f"ARG a{i}=x\nRUN y\n" for i in range(n // 20)),
    "variables seen by steps": lambda n: "FROM a\n" + "".join(f"ENV a{i}=x\nRUN y\n" for i in range(n // 20)),
    "directories": lambda n: "FROM a\n" + "WORKDIR x\n" * (n // 10),
    "stages": lambda n: "".join(f"FROM a AS s{i}\n" for i in range(n // 18)),
    "stages on each other": lambda n: "FROM a AS s0\n" + "".join(f"FROM s{i} AS s{i + 1}\n" for i in range(n // 20)),
    "variables of stages on each other": lambda n: (
        "FROM a AS s0\n" + "".join(f"FROM s{i} AS s{i + 1}\nENV v{i}=x\n" for i in range(n // 32))
    ),
    "stages copied from": lambda n: (
        "".join(f"FROM a AS s{i}\n" for i in range(n // 40))
        + "FROM b\n"
        + "".join(f"COPY --from=s{i} a b\n" for i in range(n // 40))
    ),
    "arguments before FROM": lambda n: "".join(f"ARG a{i}=$a{i - 1}x\n" for i in range(n // 20)) + "FROM a",
    "a heredoc": lambda n: "FROM a\nRUN <<EOF\n" + "hello world\n" * (n // 12) + "EOF\n",
    "an expanded heredoc": lambda n: "FROM a\nCOPY <<EOF /x\n" + "hello $world\n" * (n // 13) + "EOF\n",
    "a heredoc with tabs": lambda n: "FROM a\nCOPY <<-EOF /x\n" + "\t\thello\n" * (n // 8) + "EOF\n",
    "heredocs of one step": lambda n: "FROM a\nRUN " + "<<E " * (n // 6) + "\n" + "E\n" * (n // 6),
    "heredocs of many steps": lambda n: "FROM a\n" + "RUN <<E\nE\n" * (n // 10),
    "the name of a heredoc": lambda n: "FROM a\nRUN <<" + "'a'" * (n // 3) + "\nx",
    "sources": lambda n: "FROM a\nCOPY " + "ab " * (n // 3) + "/x/",
    "sources with variables": lambda n: "FROM a\nARG a=x\nCOPY " + "$a " * (n // 3) + "/x/",
    "sources and an error": lambda n: "FROM a\nCOPY " + "a " * (n // 2) + "${x /x/",
    "an array": lambda n: "FROM a\nRUN [" + '"ab",' * (n // 5) + '"x"]',
    "an array that is not closed": lambda n: "FROM a\nRUN [" + '"ab",' * (n // 5) + '"x"',
    "an array of one string": lambda n: 'FROM a\nRUN ["' + "\\n" * (n // 2) + '"]',
    "deep arrays": lambda n: "FROM a\nRUN " + "[" * (n // 2) + "]" * (n // 2),
    "deep objects": lambda n: "FROM a\nRUN " + '[{"a":' * (n // 6),
    "quotes": lambda n: "FROM a\nENV a=" + '"' * n,
    "quotes in quotes": lambda n: "FROM a\nENV a=" + "\"'" * (n // 2),
    "quotes where none are": lambda n: "FROM a\nENV " + "\"'a" * (n // 3),
    "backslashes": lambda n: "FROM a\nENV a=" + "\\" * n + "\nRUN x",
    "backslashes and spaces": lambda n: "FROM a\nRUN " + ("\\" + " " * 500) * (n // 500) + "y",
    "escaped spaces": lambda n: "FROM a\nENV " + "\\ " * (n // 2) + "=",
    "a flag of quotes": lambda n: "FROM a\nRUN --mount=" + "\"'" * (n // 2) + " x",
    "a mount of quotes": lambda n: "FROM a\nRUN --mount='\"" + '""' * (n // 2) + "\"' x",
    "mounts": lambda n: "FROM a\nRUN " + "--mount=type=tmpfs,target=/x " * (n // 29) + "x",
    "keys of a mount": lambda n: "FROM a\nRUN --mount=type=bind,target=/x" + ",id=a" * (n // 5) + " x",
    "a continued line": lambda n: "FROM a\nRUN " + "\\\n" * (n // 2) + "x",
    "a continued line with comments": lambda n: "FROM a\nRUN x \\\n" + "\n#a\n" * (n // 4) + "x",
    "continued pairs and an error": lambda n: "FROM a\nENV " + "a=b \\\n" * (n // 6) + "c=${",
    "deep defaults": lambda n: "FROM a\nENV x=" + "${a:-" * (n // 6) + "}" * (n // 6),
    "deep patterns": lambda n: "FROM a\nLABEL x=" + "${a#" * (n // 5) + "}" * (n // 5),
    "defaults": lambda n: "FROM a\nENV x=" + "${a:-b}" * (n // 7),
    "dollars": lambda n: "FROM a\nENV x=" + "$" * n,
    "a pattern of stars": lambda n: "FROM a\nENV a=" + "a" * (n // 2) + "\nENV b=${a##" + "*a" * (n // 4) + "b}",
    "a long pattern": lambda n: (
        "FROM a\nENV a=" + "a" * (n // 3) + "b" + "a" * (n // 3) + "\nENV b=${a##*" + "a" * (n // 6) + "b}"
    ),
    "values that double": lambda n: "FROM a\nENV a=xxxxxxxxxx\n" + "ENV a=$a$a\n" * (n // 12),
    "durations": lambda n: "FROM a\nHEALTHCHECK --interval=" + "1s" * (n // 2) + " CMD x",
    "a mode": lambda n: "FROM a\nCOPY --chmod=" + "u+r," * (n // 4) + "u+r a b",
    "an octal mode": lambda n: "FROM a\nCOPY --chmod=" + "7" * n + " a b",
    "a size": lambda n: "FROM a\nRUN --mount=type=tmpfs,target=/x,size=" + "9" * n + "x a",
    "a port": lambda n: "FROM a\nEXPOSE " + "9" * n,
    "a count": lambda n: "FROM a\nHEALTHCHECK --retries=" + "9" * n + " CMD x",
    "a signal": lambda n: "FROM a\nSTOPSIGNAL " + "9" * n,
    "the number of a stage": lambda n: "FROM a\nCOPY --from=" + "9" * n + " a b",
    "a directive": lambda n: "# syntax=a" + " " * n + "b\nFROM a",
    "an unknown word": lambda n: "x" * n,
    "an unknown flag": lambda n: "FROM --" + "x" * n + " a",
    "a reference": lambda n: "FROM " + "x/" * (n // 2),
    "a URL": lambda n: "FROM a\nADD https://a.example.com/" + "b/" * (n // 2) + " /x",
    "a git query": lambda n: "FROM a\nADD https://a.example.com/b.git?" + "x=y&" * (n // 4) + " /x",
}


def spent(text: str) -> float:
    """The CPU seconds that building or refusing `text` takes."""
    source = Source("Buildfile", text)
    begun = time.process_time()
    with alarm(60):
        try:
            corpus.built(source)
        except PybuildError as error:
            check_refusal(error, source)
    return time.process_time() - begun


@pytest.mark.parametrize("shape", SHAPES)
def test_eight_times_the_size_takes_about_eight_times_as_long(shape: str) -> None:
    """A square law would take sixty-four times; below a hundredth of a second nothing can be told."""
    make = SHAPES[shape]
    gc.collect()
    gc.disable()  # when it runs is a matter of everything else in this process
    try:
        once, size = 0.0, 4_000
        while once < 0.01 and size < 400_000:
            size *= 2
            once = spent(make(size))
        large = make(8 * size)
        # Looked at again when it is slow: the machine may have had a bad moment.
        assert any(spent(large) < 30 * max(once, 0.01) for _ in range(3))
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "text",
    [
        "FROM a\nRUN " + "x" * MAX,
        "FROM a\n" + "# comment\n" * (MAX // 10),
        "FROM a\n" + "# x\n" * 1_000_000,
        "FROM a\n" + "RUN x\n" * 100_000,
        "FROM a\nRUN <<EOF\n" + "hello world\n" * (MAX // 12) + "EOF\n",
        "FROM a\nCOPY " + "name " * 100_000 + "/x/",
        "FROM a\nENV a=" + "\"'\\\\" * (1 << 18),
        "FROM a\nRUN [" + '"word",' * 150_000 + '"x"]',
        "FROM a\nRUN " + '{"a":[' * 150_000,
        "FROM a\nRUN x" + " \\\n  && x" * 100_000,
        "FROM a\nENV a=" + "${a:-" * 10_000 + "}" * 10_000,
    ],
    ids=lambda text: text[7:30],
)
def test_the_largest_files_end(text: str) -> None:
    spent(text)
