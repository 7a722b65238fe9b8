"""Logging in to a real registry by TLS and a password, with files that other programs read and write, too."""

from __future__ import annotations

import base64
import json
import os
import pty
import select
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.authority import Authority
from tests.support.hostile import Answering, Asked, Hostile, page
from tests.support.program import Pybuild
from tests.support.registry import PASSWORD, USER, FakeRegistry, Registry

SECRET = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@dataclass
class Guarded:
    """A registry for those who log in, with `app:1`, and the authority that signed its certificate."""

    registry: Registry
    authority: Authority

    @property
    def name(self) -> str:
        return f"{self.registry.address}/app:1"


def app(directory: Path) -> Pybuild:
    """A store with a small image `app`."""
    source = Pybuild(directory / "store", directory)
    source.file("one", "one\n")
    source.build("FROM scratch\nCOPY one /one\n", "-t", "app").ok()
    return source


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    source = app(tmp_path_factory.mktemp("source"))
    authority = Authority(tmp_path_factory.mktemp("authority"))
    with Registry(tmp_path_factory.mktemp("registry"), authority, guarded=True) as registry:
        registry.push(f"oci:{source.root}:app:latest", "app:1")
        yield Guarded(registry, authority)


@pytest.fixture
def me(pybuild: Pybuild, guarded: Guarded, tmp_path: Path) -> Pybuild:
    """The program of someone who trusts the authority, with a home of their own."""
    directory = tmp_path / "home/.config/containers/certs.d" / guarded.registry.address
    directory.mkdir(parents=True)
    (directory / "ca.crt").write_bytes(guarded.authority.ca.read_bytes())
    pybuild.env["HOME"] = str(tmp_path / "home")
    return pybuild


def config(me: Pybuild) -> Path:
    return Path(me.env["HOME"]) / ".docker/config.json"


def login(me: Pybuild, server: str, *options: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
    done = me.try_("login", "-u", USER, "--password-stdin", *options, server, input=f"{password}\n".encode())
    assert password not in done.stdout + done.stderr
    assert SECRET not in done.stdout + done.stderr
    return done


def pulled(me: Pybuild, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    me.file("Pulling", f"FROM {name}\nCOPY Pulling /\n")
    return me.try_("build", "-f", "Pulling", "--pull", "--progress", "plain", *options, ".")


def test_trust_and_a_password_for_one_command(pybuild: Pybuild, guarded: Guarded, tmp_path: Path) -> None:
    """As podman has them; nothing of it is kept."""
    pybuild.env["HOME"] = str(tmp_path / "home")
    creds = ("--creds", f"{USER}:{PASSWORD}")
    assert "certificate" in pulled(pybuild, guarded.name, *creds).stderr
    certificates = tmp_path / "own"
    certificates.mkdir()
    (certificates / "ca.crt").write_bytes(guarded.authority.ca.read_bytes())
    assert pulled(pybuild, guarded.name, "--cert-dir", str(certificates)).returncode == 8
    done = pulled(pybuild, guarded.name, "--creds", f"{USER}:wrong", "--tls-verify=false")
    assert done.returncode == 8
    assert "wrong" not in done.stderr
    assert pulled(pybuild, guarded.name, *creds, "--cert-dir", str(certificates)).returncode == 0
    assert pulled(pybuild, guarded.name, *creds, "--tls-verify=false").returncode == 0
    pybuild("pull", *creds, "--tls-verify=false", guarded.name)
    assert not config(pybuild).exists()


def test_a_login_opens_the_registry_until_it_is_forgotten(me: Pybuild, guarded: Guarded) -> None:
    address = guarded.registry.address
    refused = pulled(me, guarded.name)
    assert (refused.returncode, f"{address} asks for a login" in refused.stderr) == (8, True), refused.stderr
    assert f"pybuild login {address}" in refused.stderr
    done = login(me, address)
    assert (done.returncode, done.stdout) == (0, "Login Succeeded\n"), done.stderr
    assert f"kept unencrypted in {config(me)}" in done.stderr
    assert json.loads(config(me).read_text()) == {"auths": {address: {"auth": SECRET}}}
    assert stat.S_IMODE(config(me).stat().st_mode) == 0o600
    assert pulled(me, guarded.name).returncode == 0
    me.build(f"FROM {guarded.name}\nENV MINE=1\n", "-t", f"{address}/mine:2").ok()
    me("push", f"{address}/mine:2")
    assert pulled(me, f"{address}/mine:2").returncode == 0
    assert me("logout", address) == f"Removing login credentials for {address}\n"
    assert me("logout", address) == f"Not logged in to {address}\n"
    assert pulled(me, guarded.name).returncode == 8


def test_a_login_that_the_registry_does_not_take_is_not_kept(me: Pybuild, guarded: Guarded) -> None:
    address = guarded.registry.address
    assert login(me, address).returncode == 0
    before = config(me).read_text()
    refused = login(me, address, password="another")
    assert (refused.returncode, "does not accept the login" in refused.stderr) == (8, True), refused.stderr
    assert config(me).read_text() == before


def test_a_wrong_login_is_told_of_when_it_is_used(me: Pybuild, guarded: Guarded) -> None:
    wrong = base64.b64encode(f"{USER}:wrong".encode()).decode()
    file = me.file("auth.json", json.dumps({"auths": {guarded.registry.address: {"auth": wrong}}}))
    refused = pulled(me, guarded.name, "--authfile", str(file))
    assert refused.returncode == 8
    assert f"{guarded.registry.address} refuses manifest 1 (status 401) in app: unauthorized" in refused.stderr
    assert "pybuild login" in refused.stderr
    assert wrong not in refused.stderr


def test_our_file_serves_skopeo_and_podmans_serves_us(me: Pybuild, guarded: Guarded, tmp_path: Path) -> None:
    ours, theirs, address = tmp_path / "ours.json", tmp_path / "theirs.json", guarded.registry.address
    assert login(me, address, "--authfile", str(ours)).returncode == 0
    certificates = Path(me.env["HOME"]) / ".config/containers/certs.d" / address
    inspect = ["skopeo", "inspect", "--raw", f"--authfile={ours}", f"--cert-dir={certificates}"]
    subprocess.run([*inspect, f"docker://{guarded.name}"], check=True, capture_output=True)
    subprocess.run(
        [
            "podman",
            *("login", f"--authfile={theirs}", f"--cert-dir={certificates}", "-u", USER, "--password-stdin", address),
        ],
        check=True,
        capture_output=True,
        input=PASSWORD.encode(),
    )
    assert pulled(me, guarded.name, "--authfile", str(theirs)).returncode == 0
    assert me.try_("build", "-f", "Pulling", "--pull", "-q", ".", REGISTRY_AUTH_FILE=str(theirs)).returncode == 0
    # and each forgets what the other has kept
    assert "Removing" in me("logout", "--authfile", str(theirs), address)
    assert pulled(me, guarded.name, "--authfile", str(theirs)).returncode == 8
    subprocess.run(["podman", "logout", f"--authfile={ours}", address], check=True, capture_output=True)
    assert pulled(me, guarded.name, "--authfile", str(ours)).returncode == 8


def test_a_registry_that_is_not_trusted_is_not_logged_in_to_but_on_demand(pybuild: Pybuild, guarded: Guarded) -> None:
    pybuild.env["HOME"] = str(pybuild.work)
    address = guarded.registry.address
    refused = login(pybuild, address)
    assert (refused.returncode, "does not prove who it is" in refused.stderr) == (8, True), refused.stderr
    assert not config(pybuild).exists()
    assert login(pybuild, address, "--insecure-registry", address).returncode == 0
    assert pulled(pybuild, guarded.name, "--insecure-registry", "127.0.0.0/8").returncode == 8, "it is called localhost"
    assert pulled(pybuild, guarded.name, "--insecure-registry", address).returncode == 0
    pybuild.file("config/pybuild/config.toml", f'[[registry]]\nlocation = "{address}"\ninsecure = true\n')
    pybuild.env["XDG_CONFIG_HOME"] = str(pybuild.work / "config")
    assert pulled(pybuild, guarded.name).returncode == 0


def test_who_has_a_certificate_is_let_in(pybuild: Pybuild, tmp_path: Path) -> None:
    (tmp_path / "authority").mkdir()
    (tmp_path / "registry").mkdir()
    authority = Authority(tmp_path / "authority")
    pybuild.env["HOME"] = str(tmp_path)
    with Registry(tmp_path / "registry", authority, clients=True) as registry:
        directory = tmp_path / ".config/containers/certs.d" / registry.address
        directory.mkdir(parents=True)
        (directory / "ca.crt").write_bytes(authority.ca.read_bytes())
        refused = pulled(pybuild, f"{registry.address}/app")
        assert (refused.returncode, "TLS fails" in refused.stderr) == (8, True), refused.stderr
        for made in authority.issue("me", client=True):
            (directory / made.name).write_bytes(made.read_bytes())
        missing = pulled(pybuild, f"{registry.address}/app")
        assert (missing.returncode, "has no manifest latest in app" in missing.stderr) == (4, True), missing.stderr


def test_a_helper_keeps_the_password(me: Pybuild, guarded: Guarded, tmp_path: Path) -> None:
    helper = me.file(
        "bin/docker-credential-box",
        f'#!/bin/sh\ncd {tmp_path}\ncase "$1" in store) cat >box ;; get) cat box ;; erase) rm box ;; esac\n',
        0o755,
    )
    me.env["PATH"] = f"{helper.parent}:{os.environ['PATH']}"
    config(me).parent.mkdir()
    config(me).write_text('{"credsStore": "box"}')
    done = login(me, guarded.registry.address)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert json.loads((tmp_path / "box").read_text())["Secret"] == PASSWORD
    assert PASSWORD not in config(me).read_text()
    assert SECRET not in config(me).read_text()
    assert pulled(me, guarded.name).returncode == 0
    assert "Removing" in me("logout", guarded.registry.address)
    assert not (tmp_path / "box").exists()


def test_name_and_password_are_asked_for_on_a_terminal(me: Pybuild, guarded: Guarded) -> None:
    """The password is not shown as it is typed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(me.env)
        os.execv(me.prefix[0], me.command("login", guarded.registry.address))
    said = b""
    answers = {b"Username:": f"{USER}\n", b"Password:": f"{PASSWORD}\n"}
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            said += os.read(terminal, 4096)
        except OSError:
            break
        for question in [q for q in answers if q in said]:
            os.write(terminal, answers.pop(question).encode())
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, said
    assert b"Login Succeeded" in said
    assert PASSWORD.encode() not in said


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (("-u", "me"), 2, "no terminal"),
        ((), 2, "no terminal"),
        (("--password-stdin",), 2, "needs --username"),
        (("-u", "me", "-p", "x", "--password-stdin"), 2, "mutually exclusive"),
        (("-u", "me", "--password-stdin"), 2, "needs a name and a password"),
        (("-u", "a:b", "-p", "x"), 2, "it has a colon"),
        (("-u", "me", "-p", "x", "not a host"), 2, "is not a registry"),
        (("-u", "me", "-p", "x", "localhost:1"), 8, "localhost:1 cannot be reached"),
        (("-u", "me", "-p", "x", "--insecure-registry", "a b"), 2, "neither a host nor a network"),
        (("-u", "me", "-p", "x", "--registry-mirror", "a"), 2, "not the URL of a mirror"),
    ],
)
def test_a_login_that_cannot_be_meant(pybuild: Pybuild, options: tuple[str, ...], status: int, words: str) -> None:
    done = pybuild.try_("login", *options, HOME=str(pybuild.work))
    assert (done.returncode, words in done.stderr) == (status, True), done.stderr
    assert not (pybuild.work / ".docker").exists()


def test_an_identity_token_takes_the_passwords_place(pybuild: Pybuild) -> None:
    pybuild.env["HOME"] = str(pybuild.work)
    with Hostile() as server:

        def token(asked: Asked, to: Answering) -> None:
            known = asked.headers.get("authorization") == f"Basic {SECRET}" and "offline_token=true" in asked.path
            page(b'{"token":"good","refresh_token":"the-identity"}' if known else b"{}", 200 if known else 401)(
                asked, to
            )

        def ping(asked: Asked, to: Answering) -> None:
            challenge = f'Bearer realm="http://{server.address}/token",service="s"'
            opened = asked.headers.get("authorization") == "Bearer good"
            page(b"{}", 200 if opened else 401, WWW_Authenticate=challenge)(asked, to)

        server.answers.update({"/token": token, "/v2/": ping})
        assert login(pybuild, server.address).returncode == 0
        refused = login(pybuild, server.address, password="wrong")
        assert (refused.returncode, "does not accept the login (status 401)" in refused.stderr) == (8, True)
    entry = json.loads(config(pybuild).read_text())["auths"][server.address]
    assert entry == {"auth": base64.b64encode(f"{USER}:".encode()).decode(), "identitytoken": "the-identity"}


def test_a_password_may_have_many_lines(pybuild: Pybuild) -> None:
    """Keys of service accounts are such: JSON as a file has it."""
    pybuild.env["HOME"] = str(pybuild.work)
    key = '{\n  "private_key": "-----BEGIN é-----"\n}'
    known = base64.b64encode(f"{USER}:{key}".encode()).decode()
    with Hostile() as server:

        def ping(asked: Asked, to: Answering) -> None:
            opened = asked.headers.get("authorization") == f"Basic {known}"
            page(b"{}", 200 if opened else 401, WWW_Authenticate="Basic")(asked, to)

        server.answers["/v2/"] = ping
        assert login(pybuild, server.address, password=key).returncode == 0
    assert json.loads(config(pybuild).read_text())["auths"] == {server.address: {"auth": known}}


def test_what_is_no_registry_is_not_logged_in_to(pybuild: Pybuild) -> None:
    pybuild.env["HOME"] = str(pybuild.work)
    with Hostile() as server:
        done = login(pybuild, server.address)
    assert (done.returncode, "answered 404 when asked for /v2/" in done.stderr) == (8, True), done.stderr


def test_logging_out_of_all(pybuild: Pybuild) -> None:
    pybuild.env["HOME"] = str(pybuild.work)
    auths = {name: {"auth": SECRET} for name in ("https://index.docker.io/v1/", "r.example:5000")}
    pybuild.file(".docker/config.json", json.dumps({"auths": auths}))
    assert pybuild("logout", "--all").splitlines() == [
        "Removing login credentials for docker.io",
        "Removing login credentials for r.example:5000",
    ]
    assert pybuild("logout", "--all") == "Not logged in\n"
    assert pybuild.try_("logout", "--all", "r.example").returncode == 2


def test_a_login_that_another_program_keeps_is_told_of(pybuild: Pybuild) -> None:
    pybuild.env |= {"HOME": str(pybuild.work), "XDG_RUNTIME_DIR": str(pybuild.work)}
    pybuild.file("containers/auth.json", json.dumps({"auths": {"r.example": {"auth": SECRET}}}))
    done = pybuild.try_("logout", "r.example")
    assert (done.returncode, done.stdout) == (0, "Not logged in to r.example\n")
    assert f"{pybuild.work}/containers/auth.json has a login to it, too" in done.stderr


# --- mirrors and rules, as a user sets them ------------------------------------------------------


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`app` as an OCI layout directory."""
    source = app(tmp_path_factory.mktemp("layout"))
    source.build("FROM app\n", "-o", f"type=oci,tar=false,dest={source.work}/app").ok()
    return source.work / "app"


def test_a_mirror_serves_images_of_the_default_registry(pybuild: Pybuild, layout: Path) -> None:
    with FakeRegistry() as mirror:
        mirror.serve(layout, "library/app", "latest")
        done = pulled(pybuild, "app", "--registry-mirror", f"http://{mirror.address}")
        assert done.returncode == 0, done.stderr
        assert {asked.path.rpartition("/")[0] for asked in mirror.asked} == {
            "/v2/library/app/manifests",
            "/v2/library/app/blobs",
        }
    assert json.loads(pybuild("inspect", "app"))[0]["RepoTags"] == ["app:latest"]


def test_rules_of_config_toml(pybuild: Pybuild, layout: Path) -> None:
    pybuild.env["XDG_CONFIG_HOME"] = str(pybuild.work)
    with FakeRegistry() as mirror, FakeRegistry() as store:
        mirror.serve(layout, "copies/app", "1")
        store.serve(layout, "deep/app", "2")
        pybuild.file(
            "pybuild/config.toml",
            f"""
            [[registry]]
            prefix = "r.example/team"
            location = "{store.address}/deep"
            [[registry.mirror]]
            location = "{mirror.address}/copies"
            [[registry]]
            prefix = "bad.example"
            blocked = true
            """,
        )
        for tag in ("1", "2"):
            done = pulled(pybuild, f"r.example/team/app:{tag}")
            assert done.returncode == 0, done.stderr
        assert store.asked[0].path == "/v2/deep/app/manifests/2"
        assert json.loads(pybuild("inspect", "r.example/team/app:2"))[0]["RepoTags"] == [
            "r.example/team/app:1",
            "r.example/team/app:2",
        ]
    blocked = pulled(pybuild, "bad.example/app")
    assert (blocked.returncode, "bad.example is blocked" in blocked.stderr) == (8, True), blocked.stderr
    pybuild.file("pybuild/config.toml", '[[registry]]\nprefix = "r.example"\nblock = true\n')
    odd = pulled(pybuild, "r.example/app")
    assert odd.returncode == 2
    assert "there is no 'block': use prefix, location, insecure, blocked, mirror" in odd.stderr
