"""Whatever happens to a context between builds, and whatever times files are given, no stale digest is taken."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.lang.ignore import Ignore
from builder.layers.copyjob import Choice
from builder.linux.files import remove_tree
from builder.sources.context import Context
from builder.sources.fixed import Reading
from builder.sources.selection import Proof, Selection
from builder.store.open import Store

# Contents of one size, few names and times: what changes is mostly told by ctime alone.
_EDITS = st.tuples(
    st.sampled_from(["write", "swap", "anew", "remove", "link", "mode", "twin", "attribute", "write"]),
    st.sampled_from(["a", "d/a", "d/x.log"]),
    st.sampled_from(["one", "two"]),
    st.sampled_from([10**18, 0]),
    st.booleans(),
)
_CHOICES = (Choice(("",)), Choice(("d", "a*")), Choice(("",), exclude=("d/e",)), Choice(("**/a",), parents=True))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all: what was remembered of other trees may be taken for this one's."""
    store = Store.open(tmp_path_factory.mktemp("store"))
    yield store
    store.close()


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Another, for what is read in any case: it must not mend what the first one remembers."""
    store = Store.open(tmp_path_factory.mktemp("other"))
    yield store
    store.close()


def edit(root: Path, what: str, name: str, content: str, moment: int, wait: bool) -> None:
    """One change; files get the time `moment` afterwards, and are settled if there is a `wait`."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    other = root / ".other"
    if what in ("swap", "link"):
        other.symlink_to(content) if what == "link" else other.write_text(content)
        other.rename(path)
    elif what in ("remove", "anew", "twin"):
        path.unlink(missing_ok=True)
        twin = root / "a"
        if what == "anew":
            path.write_text(content)
        elif what == "twin" and twin.is_file() and twin != path:
            os.link(twin, path, follow_symlinks=False)
    elif what == "write" or not path.is_file():
        if path.is_symlink():
            path.unlink()
        path.write_text(content)
    elif what == "mode":
        path.chmod(stat.S_IMODE(path.stat().st_mode) ^ 0o11)
    elif what == "attribute":
        os.setxattr(path, "user.x", content.encode())
    if path.is_file() and not path.is_symlink():
        os.utime(path, ns=(moment, moment))
    if wait:
        time.sleep(0.022)


def selected(store: Store, root: Path, choice: Choice, rules: str = "", **how: bool) -> Selection:
    return Context(str(root), Ignore.parse(rules), store.stats, Reading(**how)).select(choice)


@settings(max_examples=50, deadline=None)
@given(st.lists(_EDITS, min_size=1, max_size=8), st.sampled_from(_CHOICES), st.sampled_from(["", "*.log", "d\n!d/a"]))
def test_no_answer_is_stale(
    store: Store, other: Store, edits: list[tuple[str, str, str, int, bool]], choice: Choice, rules: str
) -> None:
    root = Path(tempfile.mkdtemp(dir=store.root / "tmp"))
    (root / "d").mkdir()
    (root / "a").write_text("one")
    proofs: list[tuple[Proof, Selection]] = []
    try:
        for change in edits:
            edit(root, *change)
            right = selected(other, root, choice, rules, paranoid=True)
            for proof, earlier in proofs:
                context = Context(str(root), Ignore.parse(rules), store.stats)
                assert not context.still(proof) or earlier.digest == right.digest
            found = selected(store, root, choice, rules)
            assert found.digest == right.digest
            assert [s.name for s in found.sources] == [s.name for s in right.sources]
            if found.proof is not None:
                proofs.append((found.proof, found))
    finally:
        remove_tree(str(root))


def test_what_did_not_change_is_known_again(store: Store, tmp_path: Path) -> None:
    """Otherwise the test above would show nothing."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_text("one")
    time.sleep(0.03)
    found = selected(store, tmp_path, Choice(("",)))
    assert found.proof is not None
    assert Context(str(tmp_path), Ignore(), store.stats).still(found.proof)
    assert not Context(str(tmp_path), Ignore.parse("d"), store.stats).still(found.proof)
    assert not Context(str(tmp_path), Ignore(), store.stats, Reading(git=True)).still(found.proof)
    assert not Context(str(tmp_path), Ignore(), store.stats, Reading(paranoid=True)).still(found.proof)
    again = selected(store, tmp_path, Choice(("",)))
    assert (again.digest, again.proof) == (found.digest, found.proof)
    edit(tmp_path, "write", "d/a", "two", 0, wait=False)
    assert not Context(str(tmp_path), Ignore(), store.stats).still(found.proof)
