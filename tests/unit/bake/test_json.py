"""Bake files in JSON: the same tree as HCL's, with places."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.bake import jsonform
from builder.bake.parser import parse
from builder.bake.values import Value
from builder.errors import BuildfileError, PybuildError
from builder.lang.source import Source
from tests.support.baking import config

# Text without what a template would read, and what HCL has no escapes for.
TEXT = st.text(st.characters(exclude_characters="$%", exclude_categories=["Cc", "Cs"]), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_json_says_is_what_it_is_worth(value: Value) -> None:
    text = json.dumps({"x": value, "target": {"t": {"args": {"v": "${jsonencode(x)}"}}}})
    shown = config(text).targets["t"].get("args")["v"]
    assert json.loads(shown) == value


@given(VALUES)
def test_hcl_takes_json_for_an_expression(value: Value) -> None:
    text = f'x = {json.dumps(value, ensure_ascii=False)}\ntarget "t" {{ args = {{ v = jsonencode(x) }} }}\n'
    assert json.loads(config(text).targets["t"].get("args")["v"]) == value


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("{", 1, 2, "a name in quotation marks is needed here"),
        ('{"a": }', 1, 7, "a value is needed here"),
        ('{"a": 1,}', 1, 9, "a name in quotation marks is needed here"),
        ('{"a": nope}', 1, 7, "a value is needed here"),
        ('{"a": [1 2]}', 1, 10, ", or ] is needed here"),
        ('{"a" 1}', 1, 6, ": is needed here"),
        ('{"a": 1} x', 1, 10, "the file is to end here"),
        ('{"a": "b\n"}', 1, 7, "this does not belong here"),
        ('{\n "a": "\\x"}', 2, 7, "this is no string: Invalid \\escape: line 1 column 2 (char 1)"),
        ('{"target": 1}', 1, 12, "target is an object, with an object for each name"),
        ('{"target": {"${a}": {}}}', 1, 13, "a name has no ${…} in it"),
        ('{\n "a": "x${"}', 2, 9, "this is not ended by a }"),
        (
            '{"a": "\\ud800"}',
            1,
            7,
            "this is no string: 'utf-8' codec can't encode character '\\ud800' in position 0: surrogates not allowed",
        ),
        ('{\n "a": "\\t${b}"}', 2, 7, "there is no variable b"),
        ('{\n "target": {"t": {"tags": ["${b}"]}}}', 2, 31, "there is no variable b"),
        ('{"target": {"t": {"tagz": []}}}', 1, 19, "a target has no tagz"),
        ('{"a": "%{ if true }"}', 1, 20, "the end of the string is not expected here"),
    ],
)
def test_errors_have_a_place(text: str, line: int, column: int, said: str) -> None:
    with pytest.raises(BuildfileError) as caught:
        config(text)
    assert caught.value.message == said
    assert caught.value.where is not None
    assert (caught.value.where.line, caught.value.where.column) == (line, column)


def test_what_is_no_object_is_no_bake_file() -> None:
    with pytest.raises(BuildfileError, match="a bake file is an object"):
        jsonform.parse(Source("f.json", "[]"))


@given(st.text(st.sampled_from('{}[]()"=,:.?%$~<>-\n \\aforinif1EOT#/*!|&'), max_size=40))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    for read in (parse, jsonform.parse):
        try:
            read(Source("f", text))
        except PybuildError as error:
            assert error.where is not None
            assert error.where.line <= text.count("\n") + 1
