"""Reads the Buildfile and its ignore file; remembers syntax trees, so that a warm build never loads lark.

The AST of a text depends on the text and the grammar alone (docs/decisions: AST memo).
"""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

import msgspec

from builder.digest import Digest
from builder.errors import BuildfileError, NotFoundError, UsageError, Where
from builder.lang.ignore import Ignore
from builder.lang.source import Source
from builder.readied import readied

if TYPE_CHECKING:
    from builder.lang import ast
    from builder.store.memo import Memo

# What the name of a lock ends in, after that of its Buildfile.
LOCK = ".lock"
NAMES = ("Buildfile", "Dockerfile", "Containerfile")
LARGEST = 8 << 20
# Bytes that are no UTF-8, as they are decoded here (PEP 383).
_STRAY = re.compile("[\udc80-\udcff]")


def find(context: str, file: str | None) -> str:
    """The path of the Buildfile: `file`, or the first of NAMES in `context`. Raises NotFoundError."""
    if file is not None:
        return file
    for path in candidates(context):
        if os.path.isfile(path):
            return path
    raise NotFoundError(
        f"no Buildfile in {context}",
        hint=f"it is looked for as {', '.join(NAMES)}; another is named with -f FILE",
    )


def candidates(context: str) -> list[str]:
    """Where the Buildfile of `context` is looked for, in this order."""
    return [os.path.normpath(os.path.join(context, name)) for name in NAMES]


def read(path: str) -> Source:
    """The text of a Buildfile; `-` is standard input. Raises NotFoundError, UsageError, BuildfileError."""
    if path == "-":
        return source_of(sys.stdin.buffer.read(LARGEST + 1), "<stdin>")
    try:
        with open(path, "rb") as file:
            return source_of(file.read(LARGEST + 1), path)
    except FileNotFoundError:
        raise NotFoundError(
            f"{path} does not exist", hint="-f names the Buildfile, relative to where you are"
        ) from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a directory, not a Buildfile", hint=f"-f {os.path.join(path, NAMES[0])}") from None
    except PermissionError:
        raise UsageError(f"{path} may not be read by you") from None


def source_of(data: bytes, name: str) -> Source:
    """The text of a Buildfile that was read already, at most LARGEST bytes and one. Raises BuildfileError."""
    return Source(name, _text(data, name))


def ignore_rules(context: str, buildfile: str) -> Ignore:
    """The ignore rules: of `<Buildfile>.dockerignore` beside it when that exists, else the context's own."""
    for path in ignore_files(context, buildfile):
        try:
            with open(path, "rb") as file:
                text = _text(file.read(LARGEST + 1), path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (PermissionError, IsADirectoryError) as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error
        return Ignore.parse(text, os.path.normpath(path))
    return Ignore()


def rules_in(path: str) -> Ignore:
    """The ignore rules in the file `path`. Raises NotFoundError, UsageError."""
    try:
        with open(path, "rb") as file:
            return Ignore.parse(_text(file.read(LARGEST + 1), path), os.path.normpath(path))
    except FileNotFoundError as error:
        raise NotFoundError(f"the ignore file {path} does not exist") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def ignore_files(context: str, buildfile: str) -> list[str]:
    """Where ignore rules are looked for: the first file that exists has them all."""
    beside = [] if buildfile == "-" else [f"{buildfile}.dockerignore"]
    return [*beside, os.path.join(context, ".dockerignore")]


def lock_text(path: str) -> bytes | None:
    """The bytes of the lock `path`; None when it is not there. Raises UsageError."""
    try:
        with open(path, "rb") as file:
            return file.read(LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def parsed(source: Source, memo: Memo | None = None) -> ast.Buildfile:
    """The syntax tree of `source`, from `memo` when it was read before. Raises BuildfileError with the place."""
    # lazy: who only reads ignore rules, to see that a context is as it was, needs no tree: 5 ms
    from builder.lang import ast, grammar

    key = f"{Digest.of(source.text.encode(errors='surrogateescape')).hex}-{grammar.digest()}"
    known = None if memo is None else memo.get("ast", key)
    if known is not None:
        try:
            return msgspec.msgpack.decode(known, type=readied(ast.Buildfile))
        except msgspec.DecodeError:
            pass  # of another version, or damaged: as good as none
    # lazy: lark takes 40 ms
    from builder.lang.parser import parse

    tree = parse(source)
    try:
        encoded = msgspec.msgpack.encode(tree)
    except UnicodeEncodeError as error:
        raise _no_text(source) from error
    if memo is not None:
        memo.put("ast", key, encoded)
    return tree


def _no_text(source: Source) -> BuildfileError:
    """That some instruction, no comment, has bytes that are no text."""
    lines = enumerate(source.text.split("\n"), 1)
    number = next((n for n, line in lines if not line.lstrip().startswith("#") and _STRAY.search(line)), 1)
    where = Where(source.name, number, 0, source.line(number))
    return BuildfileError(f"{source.name} is not UTF-8", where=where, hint="convert it, or write such bytes in a RUN")


def _text(data: bytes, name: str) -> str:
    if len(data) > LARGEST:
        raise BuildfileError(f"{name} is larger than {LARGEST >> 20} MiB: that is no Buildfile", where=Where(name, 1))
    before, nul, _ = data.partition(b"\0")
    if nul:
        raise BuildfileError(f"{name} is not text: it has NUL bytes", where=Where(name, before.count(b"\n") + 1))
    return data.decode("utf-8", "surrogateescape")
