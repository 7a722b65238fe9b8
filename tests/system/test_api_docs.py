"""The examples of docs/api.md, run one after the other as they stand, print what is written below them."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def test_the_examples_print_what_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```(python|output)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) > 12
    names: dict[str, Any] = {"__name__": "example"}
    with ExitStack() as kept:
        for number, (kind, text) in enumerate(blocks):
            if kind == "python":
                before = names.get("store")
                exec(compile(text, f"{PAGE.name}, example {number}", "exec"), names)
                if names["store"] is not before:
                    kept.enter_context(names["store"])  # its helper is started once
            else:
                assert capsys.readouterr() == (text, "")
    assert capsys.readouterr() == ("", "")
