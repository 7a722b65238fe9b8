"""Compose files as bake files: what services come to is what buildx's tests say (docker/buildx, bake/compose_test.go),
and what several files say together, what compose-go's do (override/*_test.go).
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.bake.definitions import Config, Given
from builder.bake.files import File, config_of
from builder.bake.interpolate import interpolated, variables
from builder.bake.values import MeaningError
from builder.bake.yamltree import plain
from builder.errors import BuildfileError, NotFoundError
from tests.support.baking import FIXED, printed


def composed(*texts: str, files: Mapping[str, str] | None = None, **env: str) -> Config:
    """What compose files define, besides `files` that they may name."""
    others = files or {}

    def read(name: str) -> bytes:
        if name not in others:
            raise NotFoundError(f"{name} does not exist")
        return dedent(others[name]).encode()

    given_ = [
        File(f"{n}.hcl" if t.lstrip().startswith("target") else f"{n}.yml", dedent(t).encode())
        for n, t in enumerate(texts, 1)
    ]
    return config_of(given_, Given(env.get, FIXED), read)


def of(name: str, *texts: str, files: Mapping[str, str] | None = None, **env: str) -> Mapping[str, Any]:
    return composed(*texts, files=files, **env).targets[name].given


def test_parse_compose() -> None:
    found = composed(
        """
        services:
          db:
            build: ./db
            command: ./entrypoint.sh
            image: docker.io/user/db
          webapp:
            build:
              context: ./dir
              additional_contexts:
                foo: ./bar
                other: service:db
                base: docker-image://alpine
              dockerfile: Dockerfile-alternate
              network:
                none
              args:
                buildno: 123
                ratio: 1.50
                flag: true
                time: 12:30
                word: yes
              cache_from: ["type=local,src=path/to/cache"]
              cache_to: ["type=local,dest=path/to/cache"]
              ssh: ["key=path/to/key", default]
              secrets: [token, {source: aws}]
              labels: ["a=b"]
              extra_hosts: ["one:1.2.3.4", "two=::1"]
          webapp2:
            profiles: [test]
            build:
              context: ./dir
              dockerfile_inline: |
                FROM alpine
          external: {image: nginx}
        secrets:
          token: {environment: ENV_TOKEN}
          aws: {file: /root/.aws/credentials}
        """
    )
    assert found.groups["default"].targets == ("db", "webapp", "webapp2")
    assert found.targets["db"].given == {"context": "db", "tags": ["docker.io/user/db"]}
    assert found.targets["webapp"].given == {
        "context": "dir",
        "contexts": {"foo": "bar", "other": "target:db", "base": "docker-image://alpine"},
        "dockerfile": "Dockerfile-alternate",
        "network": "none",
        "args": {"buildno": "123", "ratio": "1.5", "flag": "true", "time": "12:30", "word": "yes"},
        "cache-from": [{"src": "path/to/cache", "type": "local"}],
        "cache-to": [{"dest": "path/to/cache", "type": "local"}],
        "ssh": [{"id": "default"}, {"id": "key", "paths": ["path/to/key"]}],
        "secret": [{"id": "token", "env": "ENV_TOKEN"}, {"id": "aws", "src": "/root/.aws/credentials"}],
        "labels": {"a": "b"},
        "extra-hosts": {"one": "1.2.3.4", "two": "::1"},
    }
    assert found.targets["webapp2"].given == {"context": "dir", "dockerfile-inline": "FROM alpine\n"}


def test_arguments_without_a_value_come_from_the_environment() -> None:
    file = """
        services:
          app:
            build:
              args:
                CT: foo
                FOO:
                NODE_ENV:
                MISSING:
                BAR: $ZZZ_BAR
            environment:
              - NODE_ENV=test
            env_file:
              - app.env
              - {path: none.env, required: false}
        """
    found = of("app", file, files={"app.env": "FOO=bsdf -csdf # a word\n"}, ZZZ_BAR="zzz")
    assert found["args"] == {"CT": "foo", "FOO": "bsdf -csdf", "NODE_ENV": "test", "BAR": "zzz"}
    assert of("app", file, files={"app.env": "", ".env": "FOO=beside"})["args"]["FOO"] == "beside"
    assert of("app", file, files={"app.env": "", ".env": "FOO=beside"}, FOO="outside")["args"]["FOO"] == "outside"
    with pytest.raises(BuildfileError, match=r"app\.env does not exist"):
        of("app", file)


def test_the_extension_of_bake() -> None:
    found = composed(
        """
        services:
          addon:
            image: ct-addon:bar
            build:
              context: .
              cache_from: [user/app:cache]
              tags: [ct-addon:baz]
              ssh: {key: path/to/key}
              x-bake:
                contexts: {alpine: "docker-image://alpine:3.13"}
                tags: [ct-addon:baz, ct-addon:foo]
                ssh: [default, other=path/to/otherkey]
                platforms: [linux/amd64, linux/arm64]
                cache-from: ["type=local,src=path/to/cache", user/app:cache]
                pull: true
          aws:
            image: ct-fake-aws:bar
            build:
              shm_size: 128m
              ulimits: {nofile: {soft: 1024, hard: 2048}, nproc: 65535}
              provenance: mode=max
              sbom: true
              x-bake:
                secret: ["id=mysecret,src=/local/secret"]
                ssh: default
                platforms: linux/arm64
                output: type=docker
                no-cache: true
        """
    )
    assert found.targets["addon"].given == {
        "context": ".",
        "contexts": {"alpine": "docker-image://alpine:3.13"},
        "tags": ["ct-addon:baz", "ct-addon:foo"],
        "ssh": [
            {"id": "default"},
            {"id": "key", "paths": ["path/to/key"]},
            {"id": "other", "paths": ["path/to/otherkey"]},
        ],
        "platforms": ["linux/amd64", "linux/arm64"],
        "cache-from": [{"ref": "user/app:cache", "type": "registry"}, {"src": "path/to/cache", "type": "local"}],
        "pull": True,
    }
    assert found.targets["aws"].given == {
        "tags": ["ct-fake-aws:bar"],
        "shm-size": "128MiB",
        "ulimits": ["nofile=1024:2048", "nproc=65535:65535"],
        "attest": [{"mode": "max", "type": "provenance"}, {"type": "sbom"}],
        "secret": [{"id": "mysecret", "src": "/local/secret"}],
        "ssh": [{"id": "default"}],
        "platforms": ["linux/arm64"],
        "output": [{"type": "docker"}],
        "no-cache": True,
    }


def test_files_are_laid_over_each_other() -> None:
    one = """
        x-common: &common
          args: {A: 1, B: 1}
        services:
          app:
            build:
              <<: *common
              context: one
              tags: [a, b]
              labels: {x: 1}
              platforms: [linux/amd64]
          web.app: {build: {dockerfile: Dockerfile.webapp, args: {buildno: 1}}}
        """
    two = """
        services:
          app:
            build:
              context: two
              args: ["B=2", "C=2"]
              tags: [b, c]
              labels: !reset null
              platforms: !override [linux/arm64]
          new: {build: .}
        """
    found = composed(one, two)
    assert found.targets["app"].given == {
        "context": "two",
        "args": {"A": "1", "B": "2", "C": "2"},
        "tags": ["a", "b", "c"],
        "platforms": ["linux/arm64"],
    }
    assert found.groups["default"].targets == ("app", "new", "web_app")
    assert list(printed(found, ["web.app"])["target"]) == ["web_app"]


def test_compose_and_hcl_together() -> None:
    hcl = 'target "app" {\n  context = "dir"\n  args = { v1 = "foo" }\n}\n'
    yml = 'services:\n  app:\n    build:\n      dockerfile: Dockerfile-alternate\n      args:\n        v2: "bar"\n'
    assert of("app", hcl, yml) == {
        "context": "dir",
        "dockerfile": "Dockerfile-alternate",
        "args": {"v1": "foo", "v2": "bar"},
    }


def test_includes_and_extensions() -> None:
    files = {
        "sub/more.yml": "services: {foo: {build: {context: ., target: buildfoo}}}\nsecrets: {s: {file: ./s}}\n",
        "base/base.yml": "services: {common: {build: {context: app, args: {A: 1}}, image: base}}\n",
    }
    file = """
        include:
          - path: sub/more.yml
        services:
          bar:
            extends: {file: base/base.yml, service: common}
            build: {args: {B: 2}, secrets: [s]}
          baz:
            extends: bar
            image: own
        """
    found = composed(file, files=files)
    assert found.targets["foo"].given == {"context": "sub", "target": "buildfoo"}
    assert found.targets["bar"].given == {
        "context": "base/app",
        "args": {"A": "1", "B": "2"},
        "secret": [{"id": "s", "src": "sub/./s"}],
        "tags": ["base"],
    }
    assert found.targets["baz"].get("tags") == ["own"]


@pytest.mark.parametrize(
    ("file", "line", "error"),
    [
        ("services:\n  a:\n", 2, "the service a has neither a build nor an image"),
        ("services:\n  a:\n    build: [x]\n", 3, "build is a mapping"),
        ("services:\n  a:\n    build: {contxt: .}\n", 3, "a build has no contxt"),
        ("services:\n  a:\n    build:\n      secrets: [t]\n", 4, "there is no secret t"),
        ("services: {a: {build: {secrets: [s]}}}\nsecrets: {s: {}}\n", 2, "the secret s says not where it is"),
        ("services: {a: {build: {secrets: [s]}}}\nsecrets: {s: {external: true}}\n", 2, "the secret s is external"),
        ("services:\n  a:\n    build:\n      args: {A: '${B:?say it}'}\n", 4, "the variable B is missing: say it"),
        ("services:\n  a:\n    build: ${\n", 3, "is no variable"),
        ("services:\n  a: 1\n  a: 2\n", 3, "a is there twice"),
        ("services:\n\ta: 1\n", 2, "this is no YAML"),
        ("services: [\n", 2, "this is no YAML"),
        ("services:\n  a: {build: {cache_from: [type=]}}\n", 2, "does not say its type"),
        ("services:\n  a: {build: {x-bake: {cakes: 1}}}\n", 2, "x-bake has no cakes"),
        ("services:\n  a: {build: {shm_size: big}}\n", 2, "big is no size"),
        ("services:\n  'a b': {build: .}\n", 2, "'a b' is no name of a target"),
        ("services:\n  a: {extends: a, build: .}\n", 2, "the service a extends itself"),
        ("services:\n  a: {extends: b, build: .}\n", 2, "has no service b"),
        ("include: [none.yml]\n", 1, "none.yml does not exist"),
        ("- services\n", 1, "a compose file is a mapping"),
        ("services:\n  a: {build: {no_cache: maybe}}\n", 2, "no-cache is true or false"),
        ("services:\n  a: {build: {tags: {}}}\n", 2, "tags is a list"),
    ],
)
def test_errors_have_a_place(file: str, line: int, error: str) -> None:
    with pytest.raises(BuildfileError) as caught:
        composed(file)
    assert error in caught.value.message
    assert caught.value.where is not None
    assert caught.value.where.line == line


def test_a_file_that_includes_itself() -> None:
    with pytest.raises(BuildfileError, match=r"a\.yml includes itself"):
        composed("include: [a.yml]\n", files={"a.yml": "include: [a.yml]\n"})


@pytest.mark.parametrize(
    "file",
    [
        "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
                  + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]),
        "a: &a {b: *a}",
        "a: &a [*a]",
        "[" * 5000,
        "a: " + "{a: " * 2000 + "1" + "}" * 2000,
        "services: {a: {build: {args: {A: '" + "${A:-" * 200 + "}" * 200 + "'}}}}",
        "x: !!python/object/apply:os.system [ls]\nservices: {a: {build: !!python/name:os.system '' }}",
        "? [a, b]\n: 1",
    ],
    ids=["bomb", "itself", "list of itself", "open", "deep", "variables", "python", "names"],
)  # fmt: skip
def test_hostile_files(file: str) -> None:
    try:
        assert not composed(file).targets["a"].get("args"), "nothing of another type came of it"
    except (BuildfileError, KeyError) as error:
        assert isinstance(error, BuildfileError) or "python" in file


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$A ${A} a$$A", "1 1 a$A"),
        ("${A:-x} ${E:-x} ${N:-x}", "1 x x"),
        ("${A-x} ${E-x} ${N-x}", "1  x"),
        ("${A:+x} ${E:+x} ${N:+x} ${E+x}", "x   x"),
        ("${A:?no} ${E?no}", "1 "),
        ("${N:-${A:-y}} ${N:-a$A} ${N:-}", "1 a1 "),
        ("$N.$A", ".1"),
    ],
)
def test_variables_in_text(text: str, value: str) -> None:
    assert interpolated(text, {"A": "1", "E": ""}.get) == value


def test_variables_that_are_not_set_are_told_of() -> None:
    file = "services: {a: {build: {args: {A: $GONE, B: '${OTHER-}', C: '${HERE}', D: }}}}\n"
    assert composed(file, HERE="").warnings == (
        "the variable GONE is not set, and so is empty; a $$ would be a $ of the text",
    )


@pytest.mark.parametrize("text", ["${N:?no}", "${E:?}", "${A", "${A:-x", "$", "a$", "${1}", "$-"])
def test_variables_that_are_missing_or_wrong(text: str) -> None:
    with pytest.raises(MeaningError):
        interpolated(text, {"A": "1", "E": ""}.get)


@given(st.text("ab$", max_size=8).map(lambda text: text.replace("$", "$$")))
def test_what_is_doubled_is_no_variable(text: str) -> None:
    assert interpolated(text, lambda name: "?") == text.replace("$$", "$")


def test_files_of_variables() -> None:
    text = (
        '\ufeff# a comment\nexport A=1\nB = two words # three\nC=\'$A #\'\nD="$A\\n\\"x\\" \\$A"\nE=\nF: yaml\n'
        'G="a\nb"\nH=${A}-${OUT}\nOUT=own\nBARE\nI=a#b\n'
    )
    assert variables(text, {"OUT": "out", "BARE": "bare"}.get) == {
        "A": "1",
        "B": "two words",
        "C": "$A #",
        "D": '1\n"x" $A',
        "E": "",
        "F": "yaml",
        "G": "a\nb",
        "H": "1-out",
        "OUT": "own",
        "BARE": "bare",
        "I": "a#b",
    }
    with pytest.raises(MeaningError, match="line 2"):
        variables("A=1\n=2\n", {}.get)
    with pytest.raises(MeaningError, match="line 1: the value is not ended"):
        variables('A="1\n', {}.get)


@pytest.mark.parametrize(
    ("text", "value"),
    [("", None), ("~", None), ("True", True), ("false", False), ("yes", "yes"), ("0", "0"), ("010", "8"), ("09", "9"),
     ("-3", "-3"), ("+3", "3"), ("1.50", "1.5"), ("1e3", "1000"), (".5", "0.5"), ("1:30", "1:30"), ("0x10", "0x10"),
     ("1.2.3", "1.2.3"), ("-0", "0"), ("1_000", "1_000")],
)  # fmt: skip
def test_text_without_quotation_marks(text: str, value: object) -> None:
    assert plain(text) == value
