"""Expressions and what they are worth, by the rules of HCL's specification (hashicorp/hcl, hclsyntax/spec.md)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import BuildfileError
from tests.support.baking import config


def worth(expression: str, prelude: str = "") -> Any:
    """The value of an expression, as JSON makes text of it."""
    found = config(f'{prelude}\ntarget "t" {{\n  args = {{ v = jsonencode({expression}) }}\n}}\n')
    return found.targets["t"].get("args")["v"]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("7 / 2", "3.5"),
        ("6 / 2", "3"),
        ("-7 % 3", "-1"),
        ("1 - -1", "2"),
        ("1 == 1 && 2 != 3", "true"),
        ("!(1 > 2) || false", "true"),
        ("2 >= 2 && 1 <= 2 && 1 < 2", "true"),
        ('1 == "1"', "false"),
        ('"5" + 1', "6"),
        ("true ? 1 : 2", "1"),
        ('false ? "a" : 1', '"1"'),
        ('"${1 + 1} and ${true}"', '"2 and true"'),
        ('"${[1, 2]}"', "[1,2]"),
        ('"a\\n\\"\\\\\\u00e9"', '"a\\n\\"\\\\é"'),
        ('"$${a} %%{b} $a"', '"${a} %{b} $a"'),
        ('"%{ if 1 > 2 }a%{ else }b%{ endif }"', '"b"'),
        ('"%{ if true }a%{ endif }"', '"a"'),
        ('"%{ for x in [1, 2] }${x};%{ endfor }"', '"1;2;"'),
        ('"%{ for k, v in {b = 1, a = 2} }${k}${v}%{ endfor }"', '"a2b1"'),
        ('"a ${~ 1 ~} b"', '"a1b"'),
        ('"a %{~ if true ~} x %{~ endif ~} b"', '"axb"'),
        ("[1, [2, 3], {a = 4}][1][0]", "2"),
        ('{a = 1, "b" : 2, (upper("c")) = 3}', '{"C":3,"a":1,"b":2}'),
        ('{"${"k"}" = 1}.k', "1"),
        ('{a = {b = 1}}["a"].b', "1"),
        ("[10, 20].1", "20"),
        ("[for x in [1, 2, 3] : x * 2 if x != 2]", "[2,6]"),
        ('[for i, x in ["a", "b"] : "${i}${x}"]', '["0a","1b"]'),
        ("{for k, v in {a = 1, b = 2} : upper(k) => v + 1}", '{"A":2,"B":3}'),
        ('{for x in ["aa", "b", "ab"] : substr(x, 0, 1) => x...}', '{"a":["aa","ab"],"b":["b"]}'),
        ("[{a = 1}, {a = 2}][*].a", "[1,2]"),
        ("[{a = [1, 2]}, {a = [3, 4]}][*].a[1]", "[2,4]"),
        ("[{a = 1}, {a = 2}].*.a", "[1,2]"),
        ('"x"[*]', '["x"]'),
        ("null[*]", "[]"),
        ("max([1, 5, 3]...)", "5"),
        ("try(nothing, 1 / 0, 3)", "3"),
        ("[can(1 / 0), can(1)]", "[false,true]"),
        ('convert("3", number)', "3"),
        ('convert([1, "a", 1], set(string))', '["1","a"]'),
        ("convert({a = 1}, object({a = string, b = optional(number, 2)}))", '{"a":"1","b":2}'),
        ("1.50", "1.5"),
        ("1e3", "1000"),
        ("BAKE_LOCAL_PLATFORM", '"linux/amd64"'),
        ("null == null", "true"),
        ("in + if + endfor", "6"),
    ],
)
def test_expressions(expression: str, value: str) -> None:
    assert worth(expression, "in = 1\nif = 2\nendfor = 3\n") == value


HEREDOCS = """\
FLUSH = <<-END
    FROM a
      RUN b ${~ 1 }

    # ${2}
  END
PLAIN = <<END
  x $${y} "z" \\n
END
LINES = <<-END
  %{ for x in ["a", "b"] ~}
  ${x}
  %{ endfor ~}
  END
"""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLUSH", '"FROM a\\n  RUN b1\\n\\n# 2\\n"'),
        ("PLAIN", '"  x ${y} \\"z\\" \\\\n\\n"'),
        ("LINES", '"a\\nb\\n"'),
    ],
)
def test_heredocs(name: str, value: str) -> None:
    assert worth(name, HEREDOCS) == value


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("x = 1 +\n", 1, 8, "the end of the line is not expected here"),
        ("x = [1, 2\n", 2, 1, "the end of the file is not expected here"),
        ('x = "a\ny = 1\n', 1, 5, "this string is not ended"),
        ('x = "\\q"\n', 1, 6, "\\q is no escape"),
        ('x = "\\ud800"\n', 1, 6, "this is half of a character"),
        ("x = <<END\nabc\n", 1, 5, "this heredoc is not ended by a line END"),
        ("x = (1]\n", 1, 7, "] does not close ("),
        ("x = 1 § 2\n", 1, 7, "'§' does not belong here"),
        ('x = "%{ while }"\n', 1, 9, "%{ while } is not known"),
        ('x = "${1\n', 1, 6, "this is not ended by a }"),
        ("x = 1\nx = 2\n", 2, 1, "x is set twice"),
        ("x = y\n", 1, 5, "there is no variable y"),
        ("x = x\n", 1, 5, "variable x needs itself"),
        ("x = uper(1)\n", 1, 5, "uper(): there is no such function"),
        ("x = upper(1, 2)\n", 1, 5, "upper(): it takes 1 values, and not 2"),
        ("x = [1][2]\n", 1, 5, "there is no element 2: the list has 1"),
        ("x = {a = 1}.b\n", 1, 5, "there is no 'b' in this object"),
        ("x = 1 / 0\n", 1, 5, "nothing can be divided by zero"),
        ('x = 1 + "a"\n', 1, 5, "a number is needed, and this is a string"),
        ("x = true ? [] : 1\ny = 1 ? 2 : 3\n", 2, 5, "true or false is needed, and this is a number"),
        ('x = "a${[]}"\n', 1, 9, "text is needed, and this is a list"),
        ('x = {for v in [1, 2] : "k" => v}\n', 1, 24, "the key 'k' comes twice"),
        ("x = [for v in 1 : v]\n", 1, 15, "a list or an object is needed, and this is a number"),
        ("x = convert(1, text)\n", 1, 16, "this is no type"),
        ("x = bcrypt(1)\n", 1, 5, "bcrypt(): this function is not here"),
        ("x = target\ny = keys(target)\n", 2, 5, "keys(): target alone is no value"),
    ],
)
def test_errors_have_a_place(text: str, line: int, column: int, said: str) -> None:
    with pytest.raises(BuildfileError) as caught:
        config(text)
    error = caught.value
    assert error.message == said
    assert error.where is not None
    assert (error.where.line, error.where.column) == (line, column)
    assert error.where.source == (text.split("\n")[line - 1])


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 200 + "]" * 200,
        "x = " + "!" * 20000 + "true",
        "x = " + "+".join(["1"] * 20000),
        "x = 1" + "0" * 400,
        "x = pow(10, 100000000)",
        'a = "x"\n' + "\n".join(f'a{n + 1} = "${{a{n or ""}}}${{a{n or ""}}}"' for n in range(64)).replace("a0", "a"),
        "r = range(1000)\nx = [for a in r : [for b in r : [for c in r : 1]]]",
        'x = format("%999999999d", 1)',
        "x = range(1000000000)",
        "x0 = 1\n" + "\n".join(f"x{n + 1} = [x{n}]" for n in reversed(range(2000))),
        "x = setproduct(range(1000), range(1000))",
        'x = indent(1000, join("\\n", [for n in setproduct(range(200), range(100)) : ""]))',
    ],
    ids=[
        "deep",
        "unary",
        "sum",
        "number",
        "power",
        "doubling",
        "loops",
        "width",
        "range",
        "chain",
        "product",
        "indent",
    ],
)
def test_what_would_take_all_time_or_memory_is_refused(text: str) -> None:
    with pytest.raises(BuildfileError):
        config(text)


@given(
    st.recursive(
        st.integers(0, 99).map(str),
        lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda parts: f"({' '.join(parts)})"),
        max_leaves=12,
    )
)
def test_sums_are_what_python_makes_of_them(expression: str) -> None:
    assert worth(expression) == str(eval(expression))


def test_what_could_stand_there_is_said() -> None:
    with pytest.raises(BuildfileError) as caught:
        config('x = ["a"\n  "b"]')
    assert caught.value.hint == "there can be ']' or ','"
