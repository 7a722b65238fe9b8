from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.lang.chmod import ModeChange


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("755", 0o600, 0o755),
        ("0", 0o777, 0),
        ("7777", 0, 0o7777),
        ("u=rwX,go=rX", 0o640, 0o644),
        ("u=rwX,go=rX", 0o700, 0o755),
        ("+x", 0o644, 0o755),
        ("a-w", 0o666, 0o444),
        ("go=", 0o777, 0o700),
        ("g=u", 0o750, 0o770),
        ("o=g-w", 0o760, 0o764),
        ("u+s,+t", 0o755, 0o5755),
        ("u+x-w", 0o600, 0o500),
    ],
)
def test_a_mode_changes(text: str, before: int, after: int) -> None:
    assert ModeChange.parse(text).applied(before, directory=False) == after


@pytest.mark.parametrize("text", ["", "8", "10000", "u", "x", "u+y", "u=rw,", ",", "rwx", "u=uw", "+x +w"])
def test_no_mode(text: str) -> None:
    with pytest.raises(ValueError):
        ModeChange.parse(text)


_WHO = st.text("ugoa", min_size=1, max_size=3)
_WHAT = st.one_of(st.text("rwxXst", max_size=4), st.sampled_from("ugo"))
_CLAUSE = st.builds("{}{}{}".format, _WHO, st.sampled_from("+-="), _WHAT)


@settings(max_examples=60, deadline=None)
@given(st.lists(_CLAUSE, min_size=1, max_size=3).map(",".join), st.integers(0, 0o7777), st.booleans())
def test_chmod_agrees(tmp_path_factory: pytest.TempPathFactory, text: str, before: int, directory: bool) -> None:
    path = Path(tmp_path_factory.mktemp("chmod")) / "x"
    path.mkdir() if directory else path.touch()
    path.chmod(before)
    subprocess.run(["chmod", text, path], check=True)
    after = stat.S_IMODE(os.stat(path).st_mode)
    assert oct(ModeChange.parse(text).applied(before, directory=directory)) == oct(after)
