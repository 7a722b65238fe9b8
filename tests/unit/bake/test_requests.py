"""Targets as requests of builds, and what they reach."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from builder.api.resources import resources
from builder.bake.permissions import Allowed, check, check_read
from builder.bake.project import Project
from builder.bake.requests import request_of, targets_in, where
from builder.errors import UsageError
from builder.image.platform import host
from builder.request import BuildRequest
from tests.support.baking import config, project


def request(body: str, **env: str) -> BuildRequest:
    target = project(config(f'target "app" {{\n{body}\n}}'), ["app"]).targets["app"]
    return request_of(target, resources, env.get)


def test_all_keys() -> None:
    found = request(
        """
        context         = "dir"
        dockerfile      = "sub/File"
        target          = "stage"
        args            = { A = 1, GONE = null }
        labels          = { l = "x" }
        tags            = ["a", "b"]
        platforms       = ["linux/amd64", "linux/arm64"]
        output          = ["type=oci,dest=out.tar", { type = "local", dest = "a,b" }]
        cache-from      = ["user/app", "type=local,src=c"]
        cache-to        = ["type=local,dest=c,mode=max"]
        secret          = ["id=s,src=f", { id = "t", env = "T" }]
        ssh             = ["default", "key=a,b"]
        attest          = ["type=sbom", "type=provenance,disabled=true"]
        annotations     = ["index:k=v"]
        contexts        = { here = "cwd://x", web = "https://example/x.tar", other = "docker-image://alpine" }
        extra-hosts     = { host = "1.2.3.4" }
        no-cache        = true
        no-cache-filter = ["s"]
        pull            = true
        network         = "host"
        shm-size        = "128m"
        ulimits         = ["nofile=1:2"]
        resources       = { memory = "1g", cpu-shares = 7 }
        entitlements    = ["security.insecure"]
        """
    )
    assert found == BuildRequest(
        context="dir",
        file="dir/sub/File",
        tags=("a", "b"),
        target="stage",
        build_args={"A": "1"},
        labels=(("l", "x"),),
        attest=("type=sbom", "type=provenance,disabled=true"),
        outputs=("type=oci,dest=out.tar", 'type=local,"dest=a,b"'),
        annotations=("index:k=v",),
        no_cache=True,
        no_cache_filter=("s",),
        pull="always",
        network="host",
        add_hosts=("host=1.2.3.4",),
        platform="linux/amd64,linux/arm64",
        contexts={"here": "x", "web": "https://example/x.tar", "other": "docker-image://alpine"},
        secrets=("id=s,src=f", "id=t,env=T"),
        ssh=("default", "key=a,b"),
        allow=("security.insecure", "network.host"),
        cache_from=("type=registry,ref=user/app", "type=local,src=c"),
        cache_to=("type=local,dest=c,mode=max",),
        resources=resources(shm_size="128m", ulimits=("nofile=1:2",), memory="1g", cpu_shares=7),
    )


@pytest.mark.parametrize(
    ("said", "policy"),
    [("true", "always"), ("1", "always"), ("0", "missing"), ('"never"', "never"), ("null", "missing")],
)
def test_when_registries_are_asked(said: str, policy: str) -> None:
    assert request(f"pull = {said}\nno-cache = {1 if policy == 'always' else 0}").pull == policy


def test_the_time_of_the_environment_counts_unless_said() -> None:
    assert request("", SOURCE_DATE_EPOCH="7").build_args == {"SOURCE_DATE_EPOCH": "7"}
    said = request("args = { SOURCE_DATE_EPOCH = 8 }", SOURCE_DATE_EPOCH="7")
    assert said.build_args == {"SOURCE_DATE_EPOCH": "8"}


@pytest.mark.parametrize(
    ("body", "context", "file"),
    [
        ("", ".", None),
        ('dockerfile = "F"', ".", "F"),
        ('context = "./a/../b"', "b", None),
        ('context = "cwd://foo"\ndockerfile = "test"', "foo", "foo/test"),
        ('context = "cwd://"\n', ".", None),
        ('dockerfile = "/abs/F"\ncontext = "a"', "a", "/abs/F"),
        ('dockerfile = "cwd://F"\ncontext = "a"', "a", "F"),
        ('context = "https://example/x.git"\ndockerfile = "sub/F"', "https://example/x.git", "sub/F"),
        ('context = BAKE_CMD_CONTEXT\ndockerfile = "F"', ".", "F"),
    ],
)
def test_where_a_target_is_read(body: str, context: str, file: str | None) -> None:
    target = project(config(f'target "app" {{\n{body}\n}}'), ["app"]).targets["app"]
    assert where(target) == (context, file)


def test_a_buildfile_of_here_for_a_context_elsewhere() -> None:
    text = 'target "app" {\ncontext = "git@example:x.git"\ndockerfile = "cwd://F"\n}'
    target = project(config(text), ["app"]).targets["app"]
    assert where(target) == ("git@example:x.git", os.path.abspath("F"))


def test_the_platform_of_this_machine_has_a_name() -> None:
    assert request('platforms = ["local"]').platform == str(host())


def test_nothing_comes_from_standard_input() -> None:
    for body in ('context = "-"', 'dockerfile = "-"'):
        with pytest.raises(UsageError, match="cannot be read from standard input"):
            request(body)


def test_contexts_that_are_targets_are_told_apart() -> None:
    text = 'target "app" { contexts = { a = "target:b", c = "./c" } }\ntarget "b" {}'
    target = project(config(text), ["app"]).targets["app"]
    assert targets_in(target) == {"a": "b"}
    assert request_of(target, resources, {}.get).contexts == {"c": "./c"}


# --- what is allowed -------------------------------------------------------------------------------


def meant(body: str, *sets: str) -> Project:
    return project(config(f'target "app" {{\n{body}\n}}'), ["app"], sets)


def needs(body: str, tmp_path: Path, *allow: str, **options: Any) -> str:
    """What is said to be missing, in a directory `tmp_path/work`."""
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    allowed = Allowed.parse(allow, str(work), **options)
    try:
        check([*meant(body).targets.values()], allowed, lambda path: os.path.realpath(work / path))
    except UsageError as error:
        return str(error.hint)
    return ""


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ("", ""),
        ('context = "sub"\noutput = ["out"]\nsecret = ["id=a,src=s"]', ""),
        ('context = ".."', "--allow fs.read=.."),
        ('dockerfile = "../F"', "--allow fs.read=.."),
        ('dockerfile = "../F"\ndockerfile-inline = "FROM scratch"', ""),
        ('contexts = { a = "../b", c = "docker-image://x", d = "https://example/x" }', "--allow fs.read=../b"),
        ('contexts = { a = "oci-layout://../b:tag" }', "--allow fs.read=../b"),
        ('secret = ["id=a,src=/etc/shadow"]', "--allow fs.read=/etc/shadow"),
        ('cache-from = ["type=local,src=/c"]', "--allow fs.read=/c"),
        ('cache-to = ["type=local,dest=/c"]', "--allow fs.write=/c"),
        ('output = ["type=tar,dest=/o.tar", "-"]', "--allow fs.write=/o.tar"),
        ('ssh = ["default"]', "--allow ssh"),
        ('network = "host"', "--allow network.host"),
        ('entitlements = ["security.insecure"]', "--allow security.insecure"),
    ],
)
def test_what_is_beyond_the_directory_needs_a_word(body: str, hint: str, tmp_path: Path) -> None:
    assert needs(body, tmp_path) == hint


def test_what_was_allowed(tmp_path: Path) -> None:
    body = 'output = ["/srv/out/x"]\nsecret = ["id=a,src=/srv/key"]\nssh = ["default"]\nnetwork = "host"'
    assert needs(body, tmp_path, "fs=/srv", "ssh", "network.host") == ""
    assert needs(body, tmp_path, "fs.read=/srv", "ssh", "network.host") == "--allow fs.write=/srv/out/x"
    assert needs(body, tmp_path, "fs.write=/srv/out", "fs.read=*", "ssh", "network.host") == ""
    assert (
        needs(body, tmp_path, "fs.write=/srv/ou", "fs.read=/", "ssh", "network.host") == "--allow fs.write=/srv/out/x"
    )
    assert needs(body, tmp_path, "ssh", "network.host", files=False) == ""
    for wrong in ("fs", "fs.read=", "everything", "network.host=1"):
        with pytest.raises(UsageError, match="is not known"):
            Allowed.parse([wrong], "/")


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "link").symlink_to("/etc")
    assert needs('secret = ["id=a,src=link/shadow"]', tmp_path) == "--allow fs.read=link/shadow"
    with pytest.raises(UsageError, match="lies outside"):
        check_read("/etc/passwd", Allowed(read=(str(tmp_path),)), os.path.realpath)
