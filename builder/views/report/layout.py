"""Where the vertices of a graph stand in its picture: chains in columns, what stands on something below it.

Pure: numbers in, places out. Column and row count from 0; how large they are drawn is the page's.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct


class Layout(Struct, frozen=True):
    """`places` are (column, row) of each vertex; `edges` are (from, to) of each input; the numbers of both."""

    places: tuple[tuple[int, int], ...]
    edges: tuple[tuple[int, int], ...]
    columns: int
    rows: int


def laid_out(inputs: Sequence[Sequence[int]]) -> Layout:
    """The layout of vertices that stand on their `inputs`, which have lower numbers than they.

    A vertex goes right below its first input, as the steps of a stage do, where nothing else has gone there before;
    else it begins a column of its own. A column may be taken again below the end of the chain in it.
    """
    rows: list[int] = []
    chain_of: list[int] = []
    chains: list[list[int]] = []
    for number, below in enumerate(inputs):
        rows.append(1 + max((rows[each] for each in below), default=-1))
        first = chain_of[below[0]] if below else -1
        if below and chains[first][-1] == below[0]:
            chains[first].append(number)
            chain_of.append(first)
        else:
            chain_of.append(len(chains))
            chains.append([number])
    columns = _columns([(rows[chain[0]], rows[chain[-1]]) for chain in chains])
    return Layout(
        tuple((columns[chain], row) for chain, row in zip(chain_of, rows, strict=True)),
        tuple((needed, number) for number, below in enumerate(inputs) for needed in below),
        1 + max(columns, default=-1),
        1 + max(rows, default=-1),
    )


def _columns(spans: Sequence[tuple[int, int]]) -> list[int]:
    """A column for each chain, the leftmost where it is free from its first row to its last.

    Between two chains of one column a row is left, so that they do not look like one.
    """
    taken: list[list[tuple[int, int]]] = []
    found = []
    for first, last in spans:
        free = (
            column
            for column, others in enumerate(taken)
            if all(last + 1 < start or first > end + 1 for start, end in others)
        )
        column = next(free, len(taken))
        if column == len(taken):
            taken.append([])
        taken[column].append((first, last))
        found.append(column)
    return found
