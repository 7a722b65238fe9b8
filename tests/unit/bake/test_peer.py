"""HCL beside python-hcl2, which reads it too: constants of all kinds come to the same, broken files are none."""

from __future__ import annotations

import json
import string
from typing import Any

import hcl2
import pytest
from hcl2.utils import SerializationOptions
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import BuildfileError
from tests.support.baking import config

NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=6).filter(
    lambda name: name not in ("if", "in", "for", "else", "endif", "endfor", "null", "true", "false")
)
TEXTS = st.text(string.ascii_letters + string.digits + " .:/=-_#", max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


def written(value: Any, indent: str = "") -> str:
    """A constant as HCL: objects over lines, lists in one."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case str():
            return f'"{value}"'
        case list():
            return f"[{', '.join(written(each, indent) for each in value)}]"
        case _:
            lines = (f"{indent}  {name} = {written(each, f'{indent}  ')}\n" for name, each in value.items())
            return f"{{\n{''.join(lines)}{indent}}}"


@given(VALUES)
def test_a_constant_is_the_same_there(value: Any) -> None:
    text = written(value)
    theirs = hcl2.loads(f"v = {text}\n", serialization_options=SerializationOptions(strip_string_quotes=True))["v"]
    found = config(f'variable "V" {{ default = {text} }}\ntarget "t" {{ args = {{ v = jsonencode(V) }} }}\n')
    assert theirs == value
    assert json.loads(found.targets["t"].get("args")["v"]) == value


@pytest.mark.parametrize(
    "text",
    [
        "a = \n",
        "a = [1, 2\n",
        "a = {b = 1\n",
        'a = "x\n',
        "a = 1 +\n",
        "a = f(1\n",
        "a b\n",
        "= 1\n",
        'target "a" {\n',
        "target a b c\n",
        "a = <<EOT\nx\n",
        "a = [for x in y]\n",
        "a = x ?\n",
        "a = 1 2\n",
    ],
)
def test_what_is_no_file_is_none_there_either(text: str) -> None:
    with pytest.raises(BuildfileError):
        config(text)
    with pytest.raises(Exception, match=r"."):
        hcl2.loads(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('a = "${\n  upper("x")\n}"', "X"),
        ('a = <<EOT\n${upper("x")}\nEOT', "X\n"),
    ],
)
def test_why_it_is_not_what_reads_bake_files(text: str, value: str) -> None:
    """Decision 41: an interpolation over lines it refuses, and one in a heredoc it leaves as text."""
    expression = text.removeprefix("a = ")
    found = config(f'target "t" {{\n  args = {{ v = {expression}\n  }}\n}}\n')
    assert found.targets["t"].get("args")["v"] == value
    try:
        theirs = hcl2.loads(f"{text}\n")["a"]
    except Exception:
        theirs = ""
    assert value not in theirs
