"""What buildx's own tests say of bake files (docker/buildx, bake/hcl_test.go and bake/bake_test.go, by their names):
the same is true here. The files are ours; what they come to is theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from builder.bake.entries import text
from builder.errors import BuildfileError, PybuildError, UsageError
from tests.support.baking import config, printed, project


def said(*texts: str, target: str = "app", **env: str) -> Mapping[str, Any]:
    """What a target says itself."""
    return config(*texts, env=env).targets[target].given


# --- hcl_test.go -----------------------------------------------------------------------------------


def test_hcl_basic() -> None:
    file = """
        group "default" { targets = ["db", "web"] }
        target "db" {
          context = "./db"
          tags    = ["docker.io/user/db"]
        }
        target "web" {
          context    = "./dir"
          dockerfile = "Dockerfile-alternate"
          args       = { buildno = "123" }
        }
        target "cross" { platforms = ["linux/amd64", "linux/arm64"] }
        target "web-plus" {
          inherits = ["web", "cross"]
          args     = { IAMCROSS = "true" }
        }
        """
    found = config(file)
    assert found.groups["default"].targets == ("db", "web")
    assert list(found.targets) == ["db", "web", "cross", "web-plus"]
    assert printed(found, ["web-plus"])["target"] == {
        "web-plus": {
            "context": "./dir",
            "dockerfile": "Dockerfile-alternate",
            "args": {"IAMCROSS": "true", "buildno": "123"},
            "platforms": ["linux/amd64", "linux/arm64"],
        }
    }


@pytest.mark.parametrize(
    "file",
    [
        'target "app" { args = { v = "${add(123, 1)}" } }',
        'function "inc" {\n params = [n]\n result = n + 1\n}\ntarget "app" { args = { v = "${inc(123)}" } }',
        'function "all" {\n params = []\n variadic_params = rest\n result = max(rest...)\n}\n'
        'target "app" { args = { v = all(1, 124, 3) } }',
        '{"function": {"inc": {"params": ["n"], "result": "${n + 1}"}}, '
        '"target": {"app": {"args": {"v": "${inc(123)}"}}}}',
    ],
    ids=["WithFunctions", "WithUserDefinedFunctions", "variadic", "JSONFunctions"],
)
def test_functions(file: str) -> None:
    assert said(file)["args"] == {"v": "124"}


def test_variables_come_from_the_environment() -> None:
    file = """
        variable "REPO" { default = "user/repo" }
        function "tag" {
          params = [tag]
          result = ["${REPO}:${tag}"]
        }
        target "app" { tags = tag("v1") }
        """
    assert said(file)["tags"] == ["user/repo:v1"]
    assert said(file, REPO="docker/buildx")["tags"] == ["docker/buildx:v1"]


def test_multi_file_shared_variables_and_vars_with_vars() -> None:
    one = """
        variable "FOO" { default = upper("${BASE}def") }
        variable "BAR" { default = "-${FOO}-" }
        target "app" { args = { v1 = "pre-${BAR}" } }
        """
    two = """
        variable "BASE" { default = "abc" }
        target "app" { args = { v2 = "${FOO}-post" } }
        """
    assert said(one, two)["args"] == {"v1": "pre--ABCDEF-", "v2": "ABCDEF-post"}
    assert said(one, two, BASE="new")["args"] == {"v1": "pre--NEWDEF-", "v2": "NEWDEF-post"}


def test_typed_variables() -> None:
    file = """
        variable "FOO" { default = 3 }
        variable "IS_FOO" { default = true }
        target "app" {
          args = {
            v1 = FOO > 5 ? "higher" : "lower"
            v2 = IS_FOO ? "yes" : "no"
          }
        }
        """
    assert said(file)["args"] == {"v1": "lower", "v2": "yes"}
    assert said(file, FOO="5.1", IS_FOO="0")["args"] == {"v1": "higher", "v2": "no"}
    with pytest.raises(BuildfileError, match="FOO is a number, and not 'NaN'"):
        said(file, FOO="NaN")
    with pytest.raises(BuildfileError, match="IS_FOO is true or false, and not 'maybe'"):
        said(file, IS_FOO="maybe")


def test_null_and_empty_variables() -> None:
    file = 'variable "FOO" { default = null }\ntarget "app" { args = { foo = FOO } }'
    assert said(file)["args"] == {"foo": None}
    assert said(file, FOO="bar")["args"] == {"foo": "bar"}
    as_json = '{"variable": {"FOO": {"default": null}}, "target": {"app": {"args": {"foo": "${FOO}"}}}}'
    assert said(as_json)["args"] == {"foo": None}
    assert said('variable "FOO" {}\ntarget "app" { args = { foo = equal(FOO, "") } }')["args"] == {"foo": "true"}


@pytest.mark.parametrize(
    "kind",
    [
        "any",
        "string",
        "number",
        "bool",
        "list(string)",
        "set(string)",
        "map(string)",
        "tuple([string])",
        "object({val=string})",
    ],
)
def test_a_typed_variable_without_a_value_is_null(kind: str) -> None:
    for default in ("", "default = null"):
        file = (
            f'variable "FOO" {{\ntype = {kind}\n{default}\n}}\ntarget "app" {{ args = {{ foo = equal(FOO, null) }} }}'
        )
        assert said(file)["args"] == {"foo": "true"}


# TypedVarOverrides, TypedVarOverrides_JSON: type, where it comes from, what it says, an expression, its value or error.
OVERRIDES = [
    ("bool", "FOO", "true", "FOO", "true"),
    ("number", "FOO", "99", "FOO", "99"),
    ("string", "FOO", '"hello"', "FOO", '"hello"'),
    ("list(string)", "FOO", "hi,there", 'join("-", FOO)', "hi-there"),
    ("list(number)", "FOO", "3,1,4", 'join("-", [for v in FOO: v + 1])', "4-2-5"),
    ("set(number)", "FOO", "3,1,4", 'join("-", [for v in sort(FOO): v + 1])', "2-4-5"),
    ("map(number)", "FOO", "foo:1,bar:2", 'join("-", sort(values(FOO)))', "1-2"),
    ("tuple([number,string])", "FOO", "99,bottles", 'format("%d %s", FOO[0], FOO[1])', "99 bottles"),
    ("list(string)", "FOO", '"hello,world', "FOO", None),
    ("object({message=string})", "FOO", "whatever", "FOO", None),
    ("list(list(number))", "FOO", "1,2", "FOO", None),
    ("tuple([number])", "FOO", "1z", "FOO", None),
    ("tuple([number])", "FOO", "1,2", "FOO", None),
    ("map(number)", "FOO", "foo:1:1", "FOO", None),
    ("number", "FOO", "1z", "FOO", None),
    ("string", "FOO_JSON", "hello", "FOO", None),
    ("string", "FOO_JSON", '"hello"', "FOO", "hello"),
    ("list(number)", "FOO_JSON", "[3, 1, 4]", 'join("-", [for v in FOO: v + 1])', "4-2-5"),
    ("map(number)", "FOO_JSON", '{"foo": "oops"}', "FOO", None),
    (
        "object({messages=list(string)})",
        "FOO_JSON",
        '{"messages": ["hi", "there"]}',
        'join("-", FOO.messages)',
        "hi-there",
    ),
]


@pytest.mark.parametrize(("kind", "name", "value", "expression", "worth"), OVERRIDES)
def test_typed_variables_from_outside(kind: str, name: str, value: str, expression: str, worth: str | None) -> None:
    file = f'variable "FOO" {{ type = {kind} }}\ntarget "app" {{ args = {{ foo = {expression} }} }}'
    if worth is None:
        with pytest.raises(BuildfileError):
            said(file, **{name: value})
    else:
        assert said(file, **{name: value})["args"] == {"foo": worth}


def test_json_override_priority() -> None:
    file = 'variable "FOO" { type = list(number) }\ntarget "app" { args = { foo = length(FOO) } }'
    assert said(file, FOO="1,2", FOO_JSON="[3,4,5]")["args"] == {"foo": "3"}
    both = file + '\nvariable "FOO_JSON" { type = list(number) }'
    assert said(both, FOO="1,2", FOO_JSON="3,4,5")["args"] == {"foo": "2"}
    untyped = 'variable "FOO" { default = [] }\ntarget "app" {}'
    with pytest.raises(BuildfileError, match="FOO has no type"):
        said(untyped, FOO="bar")


def test_attributes() -> None:
    file = 'FOO = "abc"\nBAR = "attr-${FOO}def"\ntarget "app" { args = { "v1" : BAR } }'
    assert said(file)["args"] == {"v1": "attr-abcdef"}
    assert said(file, FOO="bar")["args"] == {"v1": "attr-abcdef"}, "it is no variable"
    variable = 'variable "FOO" { default = "abc" }\ntarget "app" { args = { v1 = "pre-${FOO}" } }'
    assert said(variable, 'FOO = "def"')["args"] == {"v1": "pre-def"}
    assert said(variable, 'FOO = "def"', FOO="ghi")["args"] == {"v1": "pre-ghi"}


def test_targets_refer_to_each_other() -> None:
    file = """
        target "foo" {
          dockerfile = "xxx"
          context    = target.bar.context
          target     = target.foo.dockerfile
        }
        target "bar" {
          dockerfile = target.foo.dockerfile
          context    = "yyy"
          target     = target.bar.context
        }
        """
    assert said(file, target="foo") == {"dockerfile": "xxx", "context": "yyy", "target": "xxx"}
    assert said(file, target="bar") == {"dockerfile": "xxx", "context": "yyy", "target": "yyy"}
    assert said('target "app" { dockerfile = target.app.name }') == {"dockerfile": "app"}
    assert said('target "app" {\ncontext = target.app.dockerfile\ntarget = target.app.context\n}') == {}
    glob = 'x = target.foo.dockerfile\ny = x\ntarget "foo" { dockerfile = "x" }\ntarget "app" { dockerfile = y }'
    assert said(glob) == {"dockerfile": "x"}
    with pytest.raises(BuildfileError, match=r"target\.a\.tags needs itself"):
        config('target "a" { tags = target.b.tags }\ntarget "b" { tags = target.a.tags }')


def test_entries_as_text_and_as_objects() -> None:
    file = """
        target "app" {
          attest     = [{ type = "provenance", mode = "max" }, "type=sbom,disabled=true,\\"ENV1=bar,baz\\",ENV2=hello"]
          cache-from = [{ type = "registry", ref = "user/app:cache" }, "type=local,src=path/to/cache"]
          cache-to   = [target.app.cache-from[0]]
          output     = [{ type = "oci", dest = "../out.tar" }, "type=local,dest=../out"]
          secret     = [{ id = "mysecret", src = "/local/secret" }, { id = "mysecret2", env = "TOKEN" }]
          ssh        = [{ id = "default" }, { id = "key", paths = ["path/to/${target.app.output[0].type}"] }]
        }
        """
    found = said(file)
    assert [text("attest", one) for one in found["attest"]] == [
        "type=provenance,mode=max",
        'type=sbom,disabled=true,"env1=bar,baz",env2=hello',
    ]
    assert found["cache-from"] == [
        {"ref": "user/app:cache", "type": "registry"},
        {"src": "path/to/cache", "type": "local"},
    ]
    assert found["cache-to"] == [{"ref": "user/app:cache", "type": "registry"}]
    assert [text("output", one) for one in found["output"]] == ["type=oci,dest=../out.tar", "type=local,dest=../out"]
    assert [text("secret", one) for one in found["secret"]] == [
        "id=mysecret,src=/local/secret",
        "id=mysecret2,env=TOKEN",
    ]
    assert [text("ssh", one) for one in found["ssh"]] == ["default", "key=path/to/oci"]


def test_a_later_block_is_laid_over_an_earlier_one() -> None:
    assert said('target "app" { dockerfile = "x" }\ntarget "app" { dockerfile = "y" }') == {"dockerfile": "y"}


@pytest.mark.parametrize(
    ("file", "error"),
    [
        ('target "a" { name = "b" }', "a name needs a matrix"),
        ('group "a" {\nname = "b"\ntargets = []\n}', "a group has no name"),
        ('group "a" { matrix = {} }', "a group has no matrix"),
        ('target "a" { matrix = "test" }', "a matrix has lists by names"),
        ('target "a" { matrix = { a = "b" } }', "a matrix has lists by names"),
        ('target "a" {\nmatrix = { foo = ["a", "b"] }\nname = "c"\n}', "the name 'c' comes twice"),
        ('target "a.b" {}', "'a.b' is no name of a target"),
        ('target "a" {\nname = "x"\nmatrix = {}\n}\ntarget "b" { context = target.a.context }', "there is no 'a'"),
        ('function "foo" { result = "bar" }', "a function has params and a result"),
        ('function "foo" { params = ["a"] }', "a function has params and a result"),
        ('function "f" {\nparams = []\nresult = f()\n}\nx = f()', r"f\(\): function f needs itself"),
        ('variable "a" { type = boolean }', "this is no type"),
        ('variable "a" {\ntype = number\ndefault = "oops"\n}', "a is to be number, and its default does not fit"),
        ('variable "a" {\ntype = list(number)\ndefault = ["oops"]\n}', "a is to be list"),
        ('target "a" "b" {}', "a target has one name"),
        ('target "a" { args { x = 1 } }', "a target has no block args"),
    ],
)
def test_what_cannot_be_meant(file: str, error: str) -> None:
    with pytest.raises(BuildfileError, match=error):
        config(file)


def test_matrix() -> None:
    found = config('target "default" {\nmatrix = { foo = ["x", "y"] }\nname = foo\ndockerfile = "${foo}.Dockerfile"\n}')
    assert {name: one.given for name, one in found.targets.items()} == {
        "x": {"dockerfile": "x.Dockerfile"},
        "y": {"dockerfile": "y.Dockerfile"},
    }
    assert found.groups["default"].targets == ("x", "y")

    several = config(
        'target "default" {\nmatrix = { foo = ["a"], bar = ["b", "c"], baz = ["d", "e", "f"] }\n'
        'name = "${foo}-${bar}-${baz}"\n}'
    )
    assert set(several.targets) == {f"a-{bar}-{baz}" for bar in "bc" for baz in "def"}
    maps = config(
        'target "foo" {\nmatrix = { aa = [{ foo = "aa", bar = "bb" }, { foo = "cc", bar = "dd" }] }\n'
        'name = aa.foo\nargs = { target = "val${aa.bar}" }\n}'
    )
    assert {name: one.get("args") for name, one in maps.targets.items()} == {
        "aa": {"target": "valbb"},
        "cc": {"target": "valdd"},
    }
    over = config(
        'variable "ABC" { default = "def" }\ntarget "bar" {\nmatrix = { aa = split(",", ABC) }\nname = "bar-${aa}"\n}',
        env={"ABC": "11,22,33"},
    )
    assert list(over.targets) == ["bar-11", "bar-22", "bar-33"]


def test_renamed_targets() -> None:
    one = 'target "foo" {\nname = "bar"\nmatrix = {}\ndockerfile = "x"\n}'
    found = config(one, 'target "foo" { context = "y" }', 'target "bar" { target = "z" }')
    assert found.targets["bar"].given == {"dockerfile": "x", "target": "z"}
    assert found.targets["foo"].given == {"context": "y"}
    split = config(
        'target "x" {\nname = "y"\nmatrix = {}\n}\ntarget "x" {\nname = "z"\nmatrix = {}\n}\n'
        'target "d" { dockerfile = target.z.name }'
    )
    assert split.groups["x"].targets == ("y", "z")
    assert split.targets["d"].given == {"dockerfile": "z"}


def test_json_and_hcl_together() -> None:
    hcl = """
        variable "ABC" { default = "foo" }
        variable "DEF" { default = "" }
        target "one" { args = { a = "pre-${ABC}" } }
        target "two" { args = { b = "pre-${DEF}" } }
        """
    one = '{"variable": {"DEF": {"default": "bar"}}, "target": {"one": {"args": {"a": "pre-${ABC}-${DEF}"}}}}'
    found = config(hcl, one, '{"ABC": "ghi", "DEF": "jkl"}')
    assert found.targets["one"].get("args") == {"a": "pre-ghi-jkl"}
    assert found.targets["two"].get("args") == {"b": "pre-jkl"}
    lists = '{"target": [{"metadata": [{"tags": ["app:1", "app:latest"]}]}]}'
    merged = config('target "metadata" {}\ntarget "a" { inherits = ["metadata"] }', lists)
    assert printed(merged, ["a"])["target"]["a"]["tags"] == ["app:1", "app:latest"]
    assert said('{"target": {"app": {"args": {"v1": "myfunc(\\"foo\\")"}}}}')["args"] == {"v1": 'myfunc("foo")'}


def test_validation() -> None:
    file = """
        variable "FOO" {
          default = "bar"
          validation {
            condition     = FOO != "" && FOO != "no"
            error_message = "FOO must not be ${FOO}."
          }
        }
        target "app" {}
        """
    assert said(file) == {}
    with pytest.raises(BuildfileError, match=r"FOO: FOO must not be no\.") as caught:
        said(file, FOO="no")
    assert caught.value.where is not None
    assert caught.value.where.line == 5


def test_index_of() -> None:
    file = """
        variable "VERSIONS" { default = ["1.42.4", "1.42.3"] }
        target "default" {
          matrix = { v = VERSIONS }
          name   = "app-${replace(v, ".", "-")}"
          tags   = ["app:${v}", indexof(VERSIONS, v) == 0 ? "app:latest" : ""]
        }
        """
    shown = printed(config(file))
    assert shown["target"]["app-1-42-4"]["tags"] == ["app:1.42.4", "app:latest"]
    assert shown["target"]["app-1-42-3"]["tags"] == ["app:1.42.3"]


# --- bake_test.go ----------------------------------------------------------------------------------

WEB = """
    target "webDEP" {
      args        = { VAR_INHERITED = "webDEP", VAR_BOTH = "webDEP" }
      no-cache    = true
      shm-size    = "128m"
      ulimits     = ["nofile=1024:1024"]
      resources   = { memory = "2g", cpu-shares = 1024, cpuset-cpus = "0-3" }
      extra-hosts = { my_hostname = "8.8.8.8" }
    }
    target "webapp" {
      dockerfile  = "Dockerfile.webapp"
      args        = { VAR_BOTH = "webapp" }
      annotations = ["index,manifest:org.opencontainers.image.authors=dvdksn"]
      attest      = ["type=provenance,mode=max"]
      platforms   = ["linux/amd64"]
      secret      = ["id=FOO,env=FOO"]
      inherits    = ["webDEP"]
    }
    """


def web(*sets: str, names: tuple[str, ...] = ("webapp",), **env: str) -> Any:
    return printed(config(WEB), names, sets, **env)


def test_read_targets() -> None:
    assert web() == {
        "group": {"default": {"targets": ["webapp"]}},
        "target": {
            "webapp": {
                "annotations": ["index,manifest:org.opencontainers.image.authors=dvdksn"],
                "attest": [{"mode": "max", "type": "provenance"}],
                "context": ".",
                "dockerfile": "Dockerfile.webapp",
                "args": {"VAR_BOTH": "webapp", "VAR_INHERITED": "webDEP"},
                "secret": [{"id": "FOO", "env": "FOO"}],
                "platforms": ["linux/amd64"],
                "no-cache": True,
                "shm-size": "128m",
                "ulimits": ["nofile=1024:1024"],
                "resources": {"memory": "2g", "cpu-shares": 1024, "cpuset-cpus": "0-3"},
                "extra-hosts": {"my_hostname": "8.8.8.8"},
            }
        },
    }


def test_args_overrides() -> None:
    sets = ("UNSET", "EMPTY=", "SET=bananas", "FROMENV", "VAR_INHERITED=override")
    found = web(*(f"webapp.args.{one}" for one in sets), FROMENV="fromEnv")["target"]["webapp"]["args"]
    assert found == {
        "EMPTY": "",
        "SET": "bananas",
        "FROMENV": "fromEnv",
        "VAR_BOTH": "webapp",
        "VAR_INHERITED": "override",
    }
    parent = web("webDEP.args.VAR_INHERITED=override", "webDEP.args.VAR_BOTH=override")
    assert parent["target"]["webapp"]["args"] == {"VAR_INHERITED": "override", "VAR_BOTH": "webapp"}


@pytest.mark.parametrize(
    ("sets", "key", "value"),
    [
        (["attest=type=sbom"], "attest", [{"mode": "max", "type": "provenance"}, {"type": "sbom"}]),
        (["attest+=type=sbom"], "attest", [{"mode": "max", "type": "provenance"}, {"type": "sbom"}]),
        (["context=foo"], "context", "foo"),
        (["no-cache=false"], "no-cache", False),
        (["no-cache-filter=stage"], "no-cache-filter", ["stage"]),
        (["platform=linux/arm64"], "platforms", ["linux/arm64"]),
        (["platform+=linux/arm64"], "platforms", ["linux/amd64", "linux/arm64"]),
        (["platform+=linux/arm64", "platform=linux/riscv64"], "platforms", ["linux/arm64", "linux/riscv64"]),
        (["secrets=id=BAR,env=BAR"], "secret", [{"id": "BAR", "env": "BAR"}]),
        (["secrets+=id=BAR,env=BAR"], "secret", [{"id": "FOO", "env": "FOO"}, {"id": "BAR", "env": "BAR"}]),
        (["shm-size=256m"], "shm-size", "256m"),
        (["network=host"], "network", "host"),
        (["ulimits=nofile=2048:2048"], "ulimits", ["nofile=2048:2048"]),
        (["pull=false"], "pull", False),
        (["pull=newer"], "pull", "newer"),
        (["secret.FOO=env=BAR"], "secret", [{"id": "FOO", "env": "BAR"}]),
        (["secrets=id=FOO,src=/tmp/foo", "secret.FOO=env=BAR"], "secret", [{"id": "FOO", "env": "BAR"}]),
        (
            ["resources.memory=512m", "resources.cpu-shares=7"],
            "resources",
            {"memory": "512m", "cpu-shares": 7, "cpuset-cpus": "0-3"},
        ),
        (["labels.a=b"], "labels", {"a": "b"}),
        (["extra-hosts.h=1.2.3.4"], "extra-hosts", {"my_hostname": "8.8.8.8", "h": "1.2.3.4"}),
        (["contexts.c=target:webDEP"], "contexts", {"c": "target:webDEP"}),
        (["tags=a", "tags=b"], "tags", ["a", "b"]),
        (["cache-from=a,b"], "cache-from", [{"ref": "a", "type": "registry"}, {"ref": "b", "type": "registry"}]),
    ],
)
def test_overrides(sets: list[str], key: str, value: Any) -> None:
    assert web(*(f"webapp.{one}" for one in sets))["target"]["webapp"][key] == value


def test_overrides_by_patterns() -> None:
    found = web("web*.dockerfile=foo", "*.args.VAR_BOTH=bar", names=("webapp", "webDEP"))
    assert {name: (t["dockerfile"], t["args"]) for name, t in found["target"].items()} == {
        "webapp": ("foo", {"VAR_INHERITED": "webDEP", "VAR_BOTH": "bar"}),
        "webDEP": ("foo", {"VAR_INHERITED": "webDEP", "VAR_BOTH": "bar"}),
    }
    assert found["group"] == {"default": {"targets": ["webDEP", "webapp"]}}


@pytest.mark.parametrize(
    ("override", "error"),
    [
        ("nomatch*.dockerfile=foo", r"no target is called nomatch\*"),
        ("webapp.context", "the value is missing"),
        ("webapp", "it does not say of what"),
        ("webapp.args=1", "args needs a name"),
        ("webapp.contxt=1", "contxt cannot be set"),
        ("webapp.pull=maybe", "pull is true or false"),
        ("webapp.no-cache=never", "no-cache is true or false"),
        ("webapp.output=type=", "does not say its type"),
        ("webapp.secret.BAR=env=BAR", "there is no secret BAR"),
        ("webapp.secret.FOO=id=BAR,env=BAR", "the secret FOO has no other name"),
        ("webapp.resources.cpu-shares=many", "a number is needed"),
        ("webapp.resources.coins=1", "'coins' is no limit"),
    ],
)
def test_bad_overrides(override: str, error: str) -> None:
    with pytest.raises(UsageError, match=error):
        web(override)


OUTPUTS = [
    ([], ["push=true"], ["type=image,push=true"]),
    (["type=image,compression=zstd"], ["push=true"], ["type=image,compression=zstd,push=true"]),
    (["type=image,compression=zstd"], ["push=false"], ["type=image,compression=zstd,push=false"]),
    (["type=registry"], ["push=true"], ["type=registry"]),
    (["type=registry"], ["push=false"], []),
    (["type=local,dest=out"], ["push=true"], ["type=local,dest=out"]),
    ([], ["load=true"], ["type=docker"]),
    (["type=docker"], ["load=true"], ["type=docker"]),
    (["type=image"], ["load=true"], ["type=image", "type=docker"]),
    (["type=image"], ["load=false"], ["type=image"]),
    (["type=oci,dest=out"], ["load=true"], ["type=oci,dest=out", "type=docker"]),
    (["type=docker,dest=out"], ["load=true"], ["type=docker,dest=out", "type=docker"]),
    ([], ["load=true", "push=true"], ["type=docker", "type=image,push=true"]),
    (["type=registry"], ["load=true", "push=true"], ["type=registry", "type=docker"]),
]


@pytest.mark.parametrize(("outputs", "sets", "found"), OUTPUTS)
def test_push_and_load(outputs: list[str], sets: list[str], found: list[str]) -> None:
    listed = ", ".join(f'"{one}"' for one in outputs)
    file = f'target "app" {{ output = [{listed}] }}' if outputs else 'target "app" {}'
    meant = project(config(file), ["app"], [f"*.{one}" for one in sets])
    shown = [text("output", one) for one in meant.targets["app"].get("output", ())]
    assert sorted(shown) == sorted(
        ",".join(sorted(one.split(","), key=lambda p: (p[:4] != "type", p))) for one in found
    )


def test_links_between_targets() -> None:
    file = """
        target "foo" { contexts = { baz = "target:bar" } }
        target "bar" {
          contexts     = { deep = "target:deep" }
          entitlements = ["security.insecure"]
          output       = ["type=registry"]
        }
        target "deep" { network = "host" }
        """
    shown = printed(config(file), ["foo"])["target"]
    assert list(shown) == ["bar", "deep", "foo"]
    assert shown["bar"]["output"] == shown["deep"]["output"] == [{"type": "cacheonly"}]
    assert set(shown["foo"]["entitlements"]) == {"network.host", "security.insecure"}
    both = printed(config(file), ["foo", "bar"])["target"]
    assert both["bar"]["output"] == [{"type": "registry"}]


@pytest.mark.parametrize(
    ("file", "error"),
    [
        ('target "foo" { contexts = { baz = "target:foo" } }', "foo needs itself: foo → foo"),
        (
            'target "foo" { contexts = { b = "target:bar" } }\ntarget "bar" { contexts = { f = "target:foo" } }',
            "needs itself: foo → bar → foo",
        ),
        (
            'target "foo" {\nplatforms = ["a/b", "c/d"]\ncontexts = { b = "target:bar" }\n}\n'
            'target "bar" { platforms = ["a/b", "e/f"] }',
            "foo is for a/b, c/d, and bar, which it needs, for a/b, e/f",
        ),
        ('target "foo" { inherits = ["nothing"] }', "foo names nothing, and no target is called nothing"),
        ('target "foo" { inherits = ["foo"] }', "foo inherits from itself"),
        ('group "foo" { targets = ["bar"] }\ngroup "bar" { targets = ["foo"] }', "the group foo is in itself"),
        ('target "fo" {}', "no target is called foo"),
    ],
)
def test_what_cannot_be_built(file: str, error: str) -> None:
    with pytest.raises(PybuildError, match=error):
        project(config(file), ["foo"])


def test_groups() -> None:
    file = """
        group "default" { targets = ["all"] }
        group "all" {
          description = "both"
          targets     = ["one", "two", "one"]
        }
        target "one" {}
        target "two" {}
        target "three" {}
        """
    shown = printed(config(file))
    assert shown["group"] == {
        "all": {"description": "both", "targets": ["one", "two"]},
        "default": {"targets": ["all"]},
    }
    assert list(shown["target"]) == ["one", "two"]
    assert printed(config(file), ["t*"])["group"] == {"default": {"targets": ["three", "two"]}}
    assert printed(config(file), ["all", "three"])["group"]["default"] == {"targets": ["all", "three"]}
    own = 'group "app" { targets = ["app", "other"] }\ntarget "app" {}\ntarget "other" {}'
    assert list(printed(config(own), ["app"])["target"]) == ["app", "other"]


def test_inheriting() -> None:
    file = """
        target "a" {
          args   = { FOO = "123", BAR = "234" }
          tags   = ["a"]
          labels = { x = "a" }
        }
        target "b" {
          inherits = ["a"]
          args     = { FOO = "567" }
        }
        target "c" {
          inherits = ["a"]
          args     = { BAR = null }
        }
        target "d" {
          inherits = ["b", "c"]
          tags     = ["d"]
          labels   = { y = "d" }
        }
        """
    shown = printed(config(file), ["d"])["target"]["d"]
    assert shown["args"] == {"FOO": "123", "BAR": "234"}, "the later parent counts, with all that it inherits"
    assert (shown["tags"], shown["labels"]) == (["d"], {"x": "a", "y": "d"})


def test_what_is_printed_can_be_read_again() -> None:
    file = """
        target "app" {
          dockerfile-inline = "RUN echo $${x} %%{y}"
          args              = { a = "$${b}" }
          labels            = { l = "%%{m}" }
        }
        """
    # lazy: only here
    import json

    shown = printed(config(file), ["app"])
    assert shown["target"]["app"]["dockerfile-inline"] == "RUN echo $${x} %%{y}"
    assert printed(config(json.dumps(shown)), ["app"]) == shown


def test_a_long_line_of_heirs_is_followed_or_refused() -> None:
    heirs = "\n".join(f'target "t{n + 1}" {{ inherits = ["t{n}"] }}' for n in range(1000))
    found = config(f'target "t0" {{ tags = ["x"] }}\n{heirs}')
    assert project(found, ["t50"]).targets["t50"].get("tags") == ["x"]
    with pytest.raises(UsageError, match="more deeply than can be followed"):
        project(found, ["t1000"])
