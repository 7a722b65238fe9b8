"""The functions of bake files. What they give is what go-cty's documentation says of those of the same name."""

from __future__ import annotations

import re

import pytest

from builder.bake.functions import FUNCTIONS, MISSING, SPECIAL
from builder.errors import BuildfileError
from tests.support.golden import CASES
from tests.unit.bake.test_evaluate import worth

# docs/bake-stdlib.md of docker/buildx, and those that came since (bake/hclparser/stdlib_test.go).
STANDARD = (CASES / "bake" / "stdlib.txt").read_text().split()

GIVES = [
    ("absolute(-3)", "3"),
    ("add(1, 2.5)", "3.5"),
    ("subtract(1, 2)", "-1"),
    ("multiply(3, 4)", "12"),
    ("divide(7, 2)", "3.5"),
    ("modulo(-10, 3)", "-1"),
    ("negate(3)", "-3"),
    ("[ceil(1.2), floor(-1.2), int(-1.7)]", "[2,-2,-1]"),
    ("signum(-12)", "-1"),
    ("log(100, 10)", "2"),
    ("pow(2, 100)", "1267650600228229401496703205376"),
    ("[max(1, 3, 2), min(1, 3, 2)]", "[3,1]"),
    ('[parseint("ff", 16), parseint("-10", 2), parseint("Zz", 62)]', "[255,-2,3817]"),
    ("[greaterthan(2, 1), lessthan(2, 1)]", "[true,false]"),
    ("[greaterthanorequalto(2, 2), lessthanorequalto(3, 2)]", "[true,false]"),
    ('[equal("a", "a"), notequal(1, 2), equal(1, "1")]', "[true,true,false]"),
    ("[and(true, false), or(true, false), not(true)]", "[false,true,false]"),
    ('[basename("/a/b.c"), dirname("/a/b.c"), basename(""), basename("/"), dirname("a")]', '["b.c","/a",".","/","."]'),
    ('chomp("a\\n\\n")', '"a"'),
    ('indent(2, "a\\nb")', '"a\\n  b"'),
    ('join(",", ["a", "b"], [1])', '"a,b,1"'),
    ('[lower("AÉ"), upper("aé"), title("hello wOrld")]', '["aé","AÉ","Hello WOrld"]'),
    ('regex("[0-9]+", "ab12c3")', '"12"'),
    ('regex("(\\\\w)(\\\\d)?", "a")', '["a",null]'),
    ('regex("(?P<x>[[:alpha:]]+)", "12ab")', '{"x":"ab"}'),
    ('regexall("[0-9]", "a1b2")', '["1","2"]'),
    ('regex_replace("v1.2", "v(\\\\d)\\\\.(\\\\d)", "${"$"}{1}-$2$$")', '"1-2$"'),
    ('replace("a.b.c", ".", "-")', '"a-b-c"'),
    ('reverse("añb")', '"bña"'),
    ('sanitize("foo/bar!@(ba+z)🍕")', '"foo_bar___ba_z__"'),
    ('split(",", "a,b")', '["a","b"]'),
    ('split(",", "")', '[""]'),
    ('strlen("👩\u200d👧e\u0301")', "2"),
    ('[substr("hello", 1, 3), substr("hello", -2, -1), substr("ab", 1, 9)]', '["ell","lo","b"]'),
    ('[trim("xxaxx", "x"), trimprefix("vv1", "v"), trimsuffix("a.b", ".b"), trimspace(" a ")]', '["a","v1","a","a"]'),
    ('format("%s %d %05.1f %q %v %%", "a", 3, 2.25, "b", [1])', '"a 3 002.2 \\"b\\" [1] %"'),
    ('format("%[2]s-%[1]s", "a", "b")', '"b-a"'),
    ('format("|%-4s|%4s|%x|%b|%t|%+d|%e", "c", "d", 255, 5, true, 7, 1.5)', '"|c   |   d|ff|101|true|+7|1.500000e+00"'),
    ('format("%g %v %#v", 1.5, "x", "x")', '"1.5 x \\"x\\""'),
    ('formatlist("%s-%s", ["a", "b"], "c")', '["a-c","b-c"]'),
    ("chunklist([1, 2, 3], 2)", "[[1,2],[3]]"),
    ('[coalesce(null, "a", 1), coalesce(null, 2)]', '["a",2]'),
    ("coalescelist([], [1])", "[1]"),
    ('compact(["a", "", "b"])', '["a","b"]'),
    ("concat([1], [2, 3])", "[1,2,3]"),
    ('[contains(["a"], "a"), contains([1], 2)]', "[true,false]"),
    ("distinct([1, 2, 1])", "[1,2]"),
    ("[element([1, 2, 3], 4), element([1], 0)]", "[2,1]"),
    ("flatten([1, [2, [3]]])", "[1,2,3]"),
    ('[hasindex([1], 0), hasindex([1], 1), hasindex({a = 1}, "a")]', "[true,false,true]"),
    ('index({a = 1}, "a")', "1"),
    ('indexof(["a", "b"], "b")', "1"),
    ("keys({b = 1, a = 2})", '["a","b"]'),
    ("values({b = 1, a = 2})", "[2,1]"),
    ('[length([1, 2]), length({a = 1})]', "[2,1]"),
    ('[lookup({a = 1}, "a", 0), lookup({a = 1}, "b", 0)]', "[1,0]"),
    ("merge({a = 1, b = 1}, null, {b = 2})", '{"a":1,"b":2}'),
    ("[range(3), range(1, 3), range(6, 0, -2), range(0)]", "[[0,1,2],[1,2],[6,4,2],[]]"),
    ("reverselist([1, 2])", "[2,1]"),
    ("[sethaselement([1], 1), setunion([2, 1], [1, 3])]", "[true,[1,2,3]]"),
    ("[setintersection([1, 2], [2, 3]), setsubtract([1, 2], [2])]", "[[2],[1]]"),
    ("setsymmetricdifference([1, 2], [2, 3])", "[1,3]"),
    ('setproduct(["a", "b"], [1])', '[["a",1],["b",1]]'),
    ("slice([1, 2, 3], 1, 2)", "[2]"),
    ('sort(["b", "a"])', '["a","b"]'),
    ('zipmap(["a", "b"], [1, 2])', '{"a":1,"b":2}'),
    ('base64decode(base64encode("é"))', '"é"'),
    ('jsondecode("{\\"a\\": [1.0, null, true]}")', '{"a":[1,null,true]}'),
    ('jsonencode("<&>")', '"\\"\\\\u003c\\\\u0026\\\\u003e\\""'),
    ('csvdecode("a,b\\n1,2\\n")', '[{"a":"1","b":"2"}]'),
    ('md5("a")', '"0cc175b9c0f1b6a831c399e269772661"'),
    ('sha1("a")', '"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"'),
    ('sha256("a")', '"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"'),
    ('strlen(sha512("a"))', "128"),
    ('urlencode("a b&c")', '"a+b%26c"'),
    ('uuidv5("dns", "www.example.com")', '"2ed6657d-e927-568b-95e1-2665a8aea6a2"'),
    ("strlen(uuidv4())", "36"),
    ('formatdate("EEEE, DD-MMM-YY hh:mm:ss ZZZ", "2018-01-02T23:12:01Z")', '"Tuesday, 02-Jan-18 23:12:01 UTC"'),
    ("formatdate(\"H 'o''clock' AA\", \"2018-01-02T15:12:01-08:00\")", '"3 o\'clock PM"'),
    ('timeadd("2017-11-22T00:00:00Z", "-1h30m")', '"2017-11-21T22:30:00Z"'),
    ("unixtimestampparse(1690328596).rfc3339", '"2023-07-25T23:43:16Z"'),
    ("[for k in [\"year_day\", \"weekday\", \"iso_week\"] : unixtimestampparse(1690328596)[k]]", "[206,2,30]"),
    ('cidrhost("10.12.112.0/20", 268)', '"10.12.113.12"'),
    ('cidrnetmask("172.16.0.0/12")', '"255.240.0.0"'),
    ('cidrsubnet("172.16.0.0/12", 4, 2)', '"172.18.0.0/16"'),
    ('cidrsubnet("fd00:fd12:3456:7890::/56", 16, 162)', '"fd00:fd12:3456:7800:a200::/72"'),
    ('cidrsubnets("10.1.0.0/16", 4, 4, 8, 4)', '["10.1.0.0/20","10.1.16.0/20","10.1.32.0/24","10.1.48.0/20"]'),
    ('[semvercmp("1.2.3", ">= 1.2, < 2"), semvercmp("v2.0.0", "^1.2 || 3.x")]', "[true,false]"),
    ('[for c in ["~1.2", "^1.0", "1.x", "!=1.2.3", ">1.2.3-rc1", "=1.2"] : semvercmp("1.2.3", c)]',
     "[true,true,true,false,true,true]"),
    ('semvercmp("1.2.3-rc1", ">1.0")', "false"),
]  # fmt: skip


def test_all_there_are() -> None:
    assert sorted({*FUNCTIONS, *MISSING, *SPECIAL}) == sorted(STANDARD)
    tried = {name for expression, _ in GIVES for name in re.findall(r"(\w+)\(", expression)}
    assert set(FUNCTIONS) - tried == {"homedir", "timestamp"}, (
        "each is tried, but those that give another value each time"
    )


@pytest.mark.parametrize(("expression", "value"), GIVES)
def test_what_functions_give(expression: str, value: str) -> None:
    assert worth(expression) == value


def test_the_time_and_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert worth("homedir()") == '"/home/me"'
    assert re.fullmatch(r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"', worth("timestamp()"))


@pytest.mark.parametrize(
    "expression",
    [
        "divide(1, 0)", "modulo(1, 0)", "log(0, 1)", "pow(10, 1e9)", 'parseint("z", 10)', 'parseint("1", 99)',
        'regex("(", "a")', 'regex("x", "a")', 'indexof([], 1)', "element([], 0)", 'index([1], 3)', "slice([1], 1, 5)",
        "range(1, 5, -1)", "range(0, 1e9)", 'zipmap(["a"], [])', "coalesce(null)", "coalescelist([])",
        'format("%d", "x")',
        'format("%z", 1)', 'format("%s")', 'format("a", 1)', 'format("%")', 'formatlist("%s%s", [1], [1, 2])',
        'base64decode("?")', 'jsondecode("{")', 'csvdecode("")', 'csvdecode("a\\n1,2")', 'uuidv5("x", "y")',
        'formatdate("QQ", "2018-01-02T23:12:01Z")', 'formatdate("YYYY", "now")', 'timeadd("2017-11-22T00:00:00Z", "x")',
        'timeadd("9999-12-31T00:00:00Z", "900000h")', "unixtimestampparse(1e300)", 'cidrhost("10.0.0.0", 1)',
        'cidrhost("10.0.0.0/30", 9)', 'cidrnetmask("::/8")', 'cidrsubnet("10.0.0.0/30", 9, 1)',
        'cidrsubnet("10.0.0.0/8", 1, 5)',
        'cidrsubnets("10.0.0.0/31", 1, 1, 1)', 'semvercmp("x", "1")', 'semvercmp("1.0.0", "?")', 'substr("a", -5, 1)',
        "chunklist([1], -1)", "upper(null)", "length(1)", "keys([])", "lookup({}, \"a\")", "byteslen(1)",
    ],
)  # fmt: skip
def test_what_functions_refuse(expression: str) -> None:
    name = expression.partition("(")[0]
    with pytest.raises(BuildfileError, match=rf"{name}\(\): "):
        worth(expression)
