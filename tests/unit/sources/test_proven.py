"""Proofs of contexts as they are kept: what they say, and what is left of looking whether they hold."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from builder.lang.source import Source
from builder.layers.copyjob import Choice
from builder.sources import buildfile, context
from builder.sources.context import Context
from builder.sources.contexts import ContextSet, Opened
from builder.sources.fixed import AS_IT_IS, Reading
from builder.sources.proven import Proven, encoded, hold
from builder.sources.selection import Selection
from builder.store.open import Store

FILES, OTHER = Choice(("files",)), Choice(("other",))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    for name in ("files", "other"):
        (tree / name).mkdir(parents=True)
        (tree / name / "one").write_text("1")
    (tree / ".dockerignore").write_text("*.log")
    time.sleep(0.03)  # older than the clock's grain
    return tree


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The roots of all walks that are begun."""
    begun: list[str] = []

    class Counted(context.Walk):
        def __init__(self, root: str, *args: object, **options: object) -> None:
            begun.append(root)
            super().__init__(root, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(context, "Walk", Counted)
    return begun


def opened(tree: Path) -> Opened:
    return Opened(str(tree), Source("Buildfile", ""), buildfile.ignore_rules(str(tree), "Buildfile"))


def main(tree: Path, walked: list[Context], reading: Reading = AS_IT_IS) -> Context:
    store = Store.open(tree.with_name("store"))
    return ContextSet(opened(tree), {}, store.stats, reading, walked)[""]


def proof(tree: Path, *selections: Selection) -> bytes:
    proofs = tuple(each.proof for each in selections if each.proof is not None)
    assert len(proofs) == len(selections)
    return encoded([Proven(str(tree), "Buildfile", False, proofs)])


def test_a_proof_holds_until_something_changes_that_was_taken(tree: Path) -> None:
    data = proof(tree, main(tree, []).select(FILES))
    walked: list[Context] = []
    assert hold(data, walked)
    (tree / "other/two").write_text("")
    (tree / "files/x.log").write_text("")
    assert not hold(data, walked)  # *.log hides in the root alone
    (tree / ".dockerignore").write_text("**/*.log")
    assert hold(data, [])
    (tree / "files/one").write_text("2")
    assert not hold(data, [])


def test_what_cannot_be_looked_at_does_not_hold(tree: Path) -> None:
    data = proof(tree, main(tree, []).select(FILES))
    (tree / ".dockerignore").write_text("[")
    assert not hold(data, [])
    (tree / ".dockerignore").unlink()
    (tree / "files").rename(tree / "gone")
    assert not hold(data, [])
    tree.rename(tree.with_name("elsewhere"))
    assert not hold(data, [])


def test_the_build_that_follows_need_not_walk_again(tree: Path, walks: list[str]) -> None:
    first = main(tree, [])
    data = proof(tree, first.select(OTHER), first.select(FILES))
    (tree / "files/one").write_text("2")
    walked: list[Context] = []
    walks.clear()
    assert not hold(data, walked)
    assert walks == [str(tree)] * 2
    late = main(tree, walked)
    assert late.select(OTHER).digest == first.select(OTHER).digest
    walks.clear()
    assert main(tree, walked).select(FILES).digest == main(tree, []).select(FILES).digest
    assert len(walks) == 1


def test_another_context_is_walked_itself(tree: Path, walks: list[str]) -> None:
    data = proof(tree, main(tree, []).select(FILES))
    (tree / "files/one").write_text("2")
    walked: list[Context] = []
    assert not hold(data, walked)
    walks.clear()
    main(tree, walked, Reading(git=True)).select(FILES)
    (tree / ".dockerignore").write_text("nothing")
    main(tree, walked).select(FILES)
    assert len(walks) == 2


def test_names_that_are_no_text_have_no_proof(tree: Path) -> None:
    os.mkdir(os.fsencode(tree) + b"/\xff")
    selection = main(tree, []).select(Choice(("\udcff",)))
    with pytest.raises(UnicodeEncodeError):
        proof(tree, selection)
