"""Templates give what Go's text/template gives, and say where they are wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import UsageError
from builder.template.evaluate import Template
from builder.template.rows import UNCHANGED, document, fields, headings
from builder.template.values import number

ROW = fields(
    {"ID": "abc", "Name": "deb/ian", "Size": "1.2MB", "N": 3, "L": ["x", "y"], "M": {"k": "v", "a": 1}, "Nil": None},
    {"com.example.build-date": "today", "x": "1"},
    str,
)

GIVES = [
    # text and fields
    ("", ""),
    ("{{.ID}}\\t{{.Size}}\\n", "abc\t1.2MB\n"),
    ("{{ .ID }} { {{.Nil}} }", "abc { <no value> }"),
    ("a  {{- .ID -}}  b", "aabcb"),
    ("a {{/* no {{ matter */}}b {{- /* c */ -}} d", "a bd"),
    ("{{.M.k}} {{.M.none}} {{(.M).a}} {{(index .L 0)}}", "v <no value> 1 x"),
    ("{{.N}} {{.L}} {{.M}}", "3 [x y] map[a:1 k:v]"),
    # labels
    ("{{.Labels}}", "com.example.build-date=today,x=1"),
    ('{{.Labels.x}} {{.Label "x"}} {{.Label "none"}}|', "1 1 |"),
    ('{{index .Labels "com.example.build-date"}} {{"x" | .Label}}', "today 1"),
    # constants
    ('{{"a\\"b"}} {{`raw\\n`}} {{\'a\'}} {{true}} {{nil}}', 'a"b raw\\n 97 true <no value>'),
    ("{{1_000}} {{0x1F}} {{010}} {{-5}} {{1.50}} {{1e6}} {{.5}}", "1000 31 8 -5 1.5 1e+06 0.5"),
    # choices
    ("{{if .ID}}yes{{end}}{{if .Nil}}no{{end}}", "yes"),
    ("{{if eq .N 1}}one{{else if eq .N 3}}three{{else}}many{{end}}", "three"),
    ("{{with .M}}{{.k}}{{end}}{{with .Nil}}x{{else with .ID}}{{.}}{{else}}y{{end}}", "vabc"),
    ("{{with $x := .ID}}{{$x}}{{$.Size}}{{end}}", "abc1.2MB"),
    ('{{if and .ID (ne .N 4) (not .Nil)}}{{or .Nil "" "z"}}{{end}}', "z"),
    ("{{and .Nil (index .L 9)}}{{or .ID (index .L 9)}}", "<no value>abc"),
    # loops
    ("{{range .L}}{{.}},{{end}}{{range $i, $e := .L}}{{$i}}{{$e}}{{end}}", "x,y,0x1y"),
    ("{{range $k, $v := .M}}{{$k}}={{$v}};{{end}}", "a=1;k=v;"),
    ("{{range .L}}{{if eq . `x`}}{{continue}}{{end}}{{.}}{{break}}{{end}}", "y"),
    ("{{range .Nil}}x{{else}}none{{end}}{{range 3}}{{.}}{{end}}", "none012"),
    ("{{$last := ``}}{{range .L}}{{$last = .}}{{end}}{{$last}}", "y"),
    ("{{range .L}}{{$x := .}}{{range $.L}}{{$x}}{{.}} {{end}}{{end}}", "xx xy yx yy "),
    # pipelines and functions
    ('{{.ID | upper | printf "%s-%s" "a"}}', "a-ABC"),
    ('{{join (split .Name "/") "+"}} {{len .L}} {{len "é"}} {{index .M "k"}}', "deb+ian 2 2 v"),
    ('{{pad .ID 1 2}}|{{pad "" 1 2}}|{{truncate .ID 2}}|{{truncate .ID 9}}', " abc  ||ab|abc"),
    ('{{title "hello wOrld o\'neil"}} {{lower "ÀB"}}', "Hello WOrld O'neil àb"),
    ('{{slice .ID 1}} {{slice .ID 1 2}} {{slice .L 1}} {{index "a" 0}}', "bc b [y] 97"),
    ('{{lt 1 2}} {{le 2 2}} {{gt "a" "b"}} {{ge 2 3}} {{eq .ID "x" "abc"}}', "true true false false true"),
    ('{{println .ID 1}}{{print 1 2 "a" 3}}', "abc 1\n1 2a3"),
    ("{{json .L}}{{json .M}}{{json .Nil}}{{json .ID}}", '["x","y"]{"a":1,"k":"v"}null"abc"'),
    # printf
    ('{{printf "%-5s|%5s|%.2s|%q|%x" .ID .ID .ID .ID .ID}}', 'abc  |  abc|ab|"abc"|616263'),
    ('{{printf "%d %5d %-5d| %05d %+d %x %X %#x %b %o %c %U" 1 2 3 -4 5 255 255 255 5 8 97 97}}',
     "1     2 3    | -0004 +5 ff FF 0xff 101 10 a U+0061"),
    ('{{printf "%f %.1f %6.2f|%e %g %v" 1.5 2.25 3.14159 1234.5 0.1 2.0}}', "1.500000 2.2   3.14|1.234500e+03 0.1 2"),
    ('{{printf "%t %v %v %T %%" true .Nil .L .ID}}', "true <nil> [x y] string %"),
    ('{{printf "%*d|%-*d|" 4 1 4 1}}', "   1|1   |"),
    ('{{printf "%d" .ID}} {{printf "%s"}} {{printf "a" 1}} {{printf "%z" 1}} {{printf "%"}}',
     "%!d(string=abc) %!s(MISSING) a%!(EXTRA int=1) %!z(int=1) %!(NOVERB)"),
    ('{{printf "%q %s" .L .L}}', '["x" "y"] [x y]'),
]  # fmt: skip


@pytest.mark.parametrize(("template", "text"), GIVES)
def test_what_a_template_gives(template: str, text: str) -> None:
    assert Template(template)(ROW) == text


WRONG = [
    ("{{.ID", 1, "this action has no }}"),
    ("x {{.Foo}}", 5, "there is no field .Foo"),
    ("{{uper .ID}}", 3, "there is no function uper"),
    ("{{if}}x{{end}}", 5, "a value is missing before this"),
    ("{{if .ID}}x", 12, "{{end}} is missing"),
    ("a{{end}}", 4, "belongs to no if"),
    ("{{break}}", 3, "stands in no range"),
    ('{{"abc}}', 3, "does not end"),
    ('{{"\\d"}}', 3, "is no string"),
    ("{{'ab'}}", 3, "not one character"),
    ("{{0x}}", 4, "not understood"),
    ("{{$x}}", 3, "there is no variable $x"),
    ("{{range .L}}{{$x := .}}{{end}}{{$x}}", 33, "there is no variable $x"),
    ("{{.ID.x}}", 6, "a string has no field .x"),
    ("{{(.ID}}", 3, "parenthesis is not closed"),
    ("{{.ID)}}", 6, "}} is expected"),
    ("{{.ID | 3}}", 9, "only a function"),
    ("{{.ID .Name}}", 3, "this is no function"),
    ("{{3 4}}", 3, "this is no function"),
    ("{{upper}}", 3, "upper takes 1 values, not 0"),
    ("{{index .L 5}}", 3, "out of range"),
    ("{{eq .N `3`}}", 3, "cannot be compared"),
    ("{{lt .L .L}}", 3, "no order"),
    ("{{range .ID}}{{end}}", 9, "range goes over"),
    ("{{define `x`}}{{end}}", 3, "{{define}} is not there"),
    ("{{/* a }}", 3, ""),
    ("{{.Label}}", 3, "needs something behind it"),
    ("{{.Label 1}}", 3, "handed one string"),
    ("{{a := 1}}", 3, "there is no function a"),
    ("{{$a, $b := .L}}", 7, "too many variables"),
    ("{{" + "(" * 80 + "}}", 63, "levels"),
    ("{{if 1}}" * 80, None, "levels"),
    ("{{pad .ID 1000000 1}}", 3, "from 0 to 10000"),
]


@pytest.mark.parametrize(("template", "column", "message"), WRONG)
def test_what_is_wrong_is_said_with_its_place(template: str, column: int | None, message: str) -> None:
    with pytest.raises(UsageError) as error:
        Template(template)(ROW)
    assert message in error.value.message
    assert error.value.where is not None
    assert (error.value.where.path, error.value.where.line) == ("--format", 1)
    assert column is None or error.value.where.column == column


def test_the_place_is_that_in_its_line() -> None:
    with pytest.raises(UsageError) as error:
        Template("a\nbc{{.ID}}\n  {{.foo}}")(ROW)
    where = error.value.where
    assert where is not None
    assert (where.line, where.column, where.source) == (3, 5, "  {{.foo}}")


@pytest.mark.parametrize(
    ("name", "hint"), [(".Id", "did you mean .ID?"), (".Sise", "did you mean .Size?"), (".Q", "there are .ID,")]
)
def test_a_field_that_is_not_there_brings_those_that_are(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as error:
        Template(f"{{{{{name}}}}}")(ROW)
    assert error.value.hint is not None
    assert error.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("template", "wrong"),
    [
        ("{{if false}}{{.Nme}}{{end}}", ".Nme"),
        ("{{range .L}}{{$.Nme}}{{.Anything}}{{else}}{{.ID}}{{end}}", ".Nme"),
        ("{{with .M}}{{.k}}{{else}}{{.Nme}}{{end}}", ".Nme"),
        ("{{printf `%s` (index .M .Nme)}}", ".Nme"),
        ("{{.ID}}{{with .M}}{{.k}}{{end}}{{range .L}}{{.x.y}}{{end}}{{$.Size}}{{.M.none}}", None),
    ],
)
def test_fields_are_checked_without_a_value(template: str, wrong: str | None) -> None:
    if wrong is None:
        Template(template).check([*ROW])
        return
    with pytest.raises(UsageError) as error:
        Template(template).check([*ROW])
    assert error.value.where is not None
    assert error.value.where.source[error.value.where.column - 1 :].startswith(wrong)


def test_headings_stand_for_fields() -> None:
    head = headings({"ID": "IMAGE ID", "Size": "SIZE"}, labels=True)
    template = Template(
        '{{lower .ID}} {{truncate .Size 1}} {{json .ID}} {{.Labels}} {{.Label "com.a.build-date"}} {{.Labels.x_y}}'
    )
    assert template(head, UNCHANGED) == "IMAGE ID SIZE IMAGE ID LABELS build date x y"


def test_documents_have_what_they_have_and_maps_have_anything() -> None:
    told = document({"Config": {"User": "", "Labels": {"a": "1"}}, "Tags": ["x"]}, ("Labels",), str)
    assert Template("{{.Config.User}}|{{.Config.Labels.b}}|{{index .Tags 0}}")(told) == "|<no value>|x"
    with pytest.raises(UsageError, match=r"no field \.Usr"):
        Template("{{.Config.Usr}}")(told)


# --- for any template and any value ----------------------------------------------------------------

PIECES = st.sampled_from(
    ["{{", "}}", "{{-", "-}}", " ", ".", ".ID", ".L", "$x", ":=", "=", "|", "(", ")", ",", "if", "else", "end", "range",
     "with", "break", "and", "json", "printf", "index", '"a"', '"%5d"', "`", "'", "1", "-", "1.5", "/*", "*/", "\\",
     "x", "\n", "é", "define", "not", "len", "$"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(PIECES, max_size=14).map("".join) | st.text(max_size=20))
def test_any_template_gives_text_or_says_what_is_wrong(source: str) -> None:
    try:
        text = Template(source)(ROW)
    except UsageError as error:
        assert error.where is not None
        assert error.where.line >= 1
        assert error.where.column >= 1
    else:
        assert isinstance(text, str)


@given(st.text().filter(lambda text: "{{" not in text and "\\" not in text))
def test_text_without_actions_stays(text: str) -> None:
    assert Template(text)(ROW) == text


@given(VALUES)
def test_any_value_can_be_shown(value: Any) -> None:
    told = {"V": value}
    assert json.loads(Template("{{json .V}}")(told)) == value
    assert isinstance(Template('{{.V}}{{printf "%v %s %d %q %x" .V .V .V .V .V}}{{if .V}}{{end}}')(told), str)


@given(st.text())
def test_a_string_comes_out_of_a_template_as_it_is(text: str) -> None:
    assert Template("{{.}}")(text) == text
    assert Template('{{printf "%s" .}}')(text) == text
    assert Template('{{join (split . ",") ","}}')(text) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_read_back_as_the_same(value: float) -> None:
    assert float(number(value)) == value
