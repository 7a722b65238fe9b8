"""COPY of many small files and of few large ones, then a RUN: cold, cached, after an edit; to an archive."""

from __future__ import annotations

import os
import secrets
from functools import partial
from pathlib import Path

from benchmarks import contexts, memory
from benchmarks.harness import Measure, Pair, Samples
from benchmarks.peers.base import Peer


def cold(pair: Pair) -> list[Measure]:
    """P3: files of which nobody has seen the like."""
    tree = _made(pair, "tree")
    times = pair.measure({"": lambda side, _: _build(pair, side, tree)}, lambda _: _fill_small(pair, tree))[""]
    pair.check_archives()
    return [Measure(f"COPY of {pair.sizes.files:,} files, RUN, cold, to an archive", times, unit="s")]


def cached(pair: Pair) -> list[Measure]:
    """P4: as a user sees it after a build, and with an archive to be written of what is cached."""
    tree = _built(pair)
    times = pair.measure(
        {
            "kept": lambda side, _: side.build(tree),
            "archive": lambda side, _: _build(pair, side, tree),
        }
    )
    pair.check_archives()
    return [Measure("the same, all cached", times["kept"]), Measure("the same, to an archive", times["archive"])]


def edited(pair: Pair) -> list[Measure]:
    """P5: one of the files has a line more."""
    tree = _built(pair)
    times = pair.measure({"": lambda side, _: _build(pair, side, tree)}, lambda _: _edit(tree))[""]
    pair.check_archives()
    return [Measure("the same, one file edited, to an archive", times, unit="s")]


def big(pair: Pair) -> list[Measure]:
    """P6: as P3, with few large files; and what remains of it when all is cached."""
    tree = _made(pair, "big")
    times = pair.measure(
        {
            "cold": lambda side, _: _build(pair, side, tree),
            "cached": lambda side, _: _build(pair, side, tree),
        },
        lambda _: _fill_big(pair, tree),
    )
    pair.check_archives()
    pair.each(lambda side: side.forget())
    size = f"{pair.sizes.big_files * pair.sizes.big_bytes / 1e6:.0f} MB"
    return [
        Measure(f"COPY of {size}, RUN, cold, to an archive", times["cold"], unit="s"),
        Measure("the same, all cached, to an archive", times["cached"]),
    ]


def memory_of_big(pair: Pair) -> list[Measure]:
    """P9: of all processes, daemons included, and not of what others keep in the page cache."""
    tree = _made(pair, "big")
    _fill_big(pair, tree)
    found = [(float(memory.peak(partial(_build, pair, side, tree), side.processes())),) for side in pair.sides]
    pair.each(lambda side: side.forget())
    return [Measure("most memory of P6", Samples(*found), unit="MB")]


def _build(pair: Pair, side: Peer, context: Path) -> None:
    side.build_to(pair.archive(side), context)


def _made(pair: Pair, name: str) -> Path:
    """A context for a COPY, which may have been made and built already."""
    path = pair.directory / name
    return path if path.exists() else contexts.copied(path)


def _built(pair: Pair) -> Path:
    """The context of P3, as both have built it."""
    tree = pair.directory / "tree"
    if not tree.exists():
        _fill_small(pair, _made(pair, "tree"))
        pair.each(lambda side: _build(pair, side, tree))
    # It may have been edited since; and what is measured is not the first build that finds all cached.
    for _ in range(2):
        pair.each(lambda side: side.build(tree))
    return tree


def _fill_small(pair: Pair, context: Path) -> None:
    contexts.fill_small(context / "data", pair.sizes.files)
    os.sync()


def _fill_big(pair: Pair, context: Path) -> None:
    contexts.fill_big(context / "data", pair.sizes.big_files, pair.sizes.big_bytes)
    os.sync()


def _edit(tree: Path) -> None:
    path = min((tree / "data").glob("*/*"))
    with path.open("a") as stream:
        stream.write(f"{secrets.token_hex(8)}\n")
