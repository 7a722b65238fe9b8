"""Logins in files of Docker and of podman, and in helpers: which is found, what is written, what is refused."""

from __future__ import annotations

import base64
import json
import stat
import threading
from pathlib import Path

import pytest

from builder.errors import NotFoundError, RegistryError
from builder.registry import helpers
from builder.registry.auth import Login
from builder.registry.credentials import DEFAULT_KEY, Keychain
from tests.support.waiting import wait_for

HELPER = """#!/bin/sh
# A credential helper that keeps its one login in a file.
file="$HELPER_FILE"
echo "$1" >>"$file.calls"
case "$1" in
store) cat >"$file" ;;
get) read -r server
    if [ -e "$file" ] && grep -q "\\"ServerURL\\":\\"$server\\"" "$file"; then cat "$file"
    else echo "credentials not found in native keychain"; exit 1; fi ;;
erase) rm "$file" ;;
list) if [ -e "$file" ]; then echo '{"r.example": "me"}'; else echo '{}'; fi ;;
esac
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home directory with a place for everything."""
    for name in (".docker", "run/containers", ".config/containers"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def keychain(home: Path, authfile: str | None = None, **environ: str) -> Keychain:
    return Keychain(authfile, {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run"), **environ})


def encoded(username: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


def write(path: Path, **document: object) -> Path:
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def helper(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a credential helper `box`."""
    program = home / "bin" / "docker-credential-box"
    program.parent.mkdir()
    program.write_text(HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("HELPER_FILE", str(home / "box"))
    return home / "box"


# --- finding -------------------------------------------------------------------------------------


def test_nothing_is_found_where_nothing_is(home: Path) -> None:
    assert keychain(home).find("r.example", "app") is None


def test_the_files_and_their_order(home: Path) -> None:
    places = [home / ".docker/config.json", home / "run/containers/auth.json", home / ".config/containers/auth.json"]
    for path in reversed(places):
        write(path, auths={"r.example": encoded(path.parent.parent.name, "x")})
        found = keychain(home).find("r.example", "app")
        assert found is not None
        assert found.username == path.parent.parent.name
    other = write(home / "config.json", auths={"r.example": encoded("other", "x")})
    assert keychain(home, DOCKER_CONFIG=str(home)).find("r.example", "a") == Login("other", "x")
    # one that is named is the only one
    write(other, auths={})
    assert keychain(home, str(other)).find("r.example", "a") is None
    assert keychain(home, REGISTRY_AUTH_FILE=str(other)).find("r.example", "a") is None
    with pytest.raises(NotFoundError, match=r"missing\.json is not there"):
        keychain(home, str(home / "missing.json")).find("r.example", "a")


@pytest.mark.parametrize(
    ("domain", "path", "expected"),
    [
        ("r.example", "team/app", "team"),
        ("r.example", "team/app/deep", "app"),
        ("r.example", "teamwork/app", "host"),
        ("r.example", "", "host"),
        ("r.example:5000", "app", "port"),
        ("old.example", "app", "url"),
        ("docker.io", "library/debian", "default"),
        ("docker.io", "me/app", "mine"),
        ("other.example", "app", None),
    ],
)
def test_the_longest_key_that_fits(home: Path, domain: str, path: str, expected: str | None) -> None:
    keys = {
        "r.example": "host",
        "r.example/team": "team",
        "r.example/team/app/deep": "app",
        "r.example:5000": "port",
        "https://old.example/v2/": "url",
        DEFAULT_KEY: "default",
        "docker.io/me": "mine",
    }
    write(home / ".docker/config.json", auths={key: encoded(name, "x") for key, name in keys.items()})
    found = keychain(home).find(domain, path)
    assert (found.username if found else None) == expected


def test_what_an_entry_can_be(home: Path) -> None:
    file = home / ".docker/config.json"

    def entry(**said: str) -> Login | None:
        write(file, auths={"r.example": said})
        return keychain(home).find("r.example", "app")

    assert entry(**encoded("me", "a:b:c")) == Login("me", "a:b:c")
    assert entry(**encoded("me", "padded\0\0")) == Login("me", "padded")
    assert entry(username="me", password="x") == Login("me", "x")
    assert entry(**encoded("me", ""), identitytoken="t") == Login("me", identity="t")
    assert entry(registrytoken="t") == Login(token="t")
    assert entry() is None
    assert entry(email="me@example") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "no object"),
        ('{"auths": []}', "auths is no object"),
        ('{"auths": {"r.example": "x"}}', "r.example is no login"),
        ('{"auths": {"r.example": {"auth": 5}}}', "r.example is no login"),
        ('{"auths": {"r.example": {"auth": "the-secret"}}}', "not base64"),
        ('{"auths": {"r.example": {"auth": "dGhlLXNlY3JldA=="}}}', "not base64 of NAME:PASSWORD"),
        ('{"auths": {"r.example": {"auth": "/w=="}}}', "not base64"),
    ],
)
def test_a_file_that_cannot_be_used(home: Path, text: str, words: str) -> None:
    (home / ".docker/config.json").write_text(text)
    with pytest.raises(RegistryError, match=words) as caught:
        keychain(home).find("r.example", "app")
    assert str(home / ".docker/config.json") in caught.value.message
    assert "secret" not in caught.value.message


def test_a_directory_in_place_of_a_file(home: Path) -> None:
    (home / ".docker/config.json").mkdir()
    with pytest.raises(RegistryError, match="cannot be read"):
        keychain(home).find("r.example", "app")


# --- keeping and forgetting ----------------------------------------------------------------------


def test_a_login_is_kept_beside_what_is_there(home: Path) -> None:
    file = write(home / ".docker/config.json", auths={"a.example": encoded("a", "x")}, HttpHeaders={"X": "y"})
    file.chmod(0o644)
    assert keychain(home).keep("r.example:5000", "", Login("me", "the-password")) is None
    document = json.loads(file.read_text())
    assert document["HttpHeaders"] == {"X": "y"}
    assert document["auths"] == {"a.example": encoded("a", "x"), "r.example:5000": encoded("me", "the-password")}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert keychain(home).find("r.example:5000", "app") == Login("me", "the-password")
    assert [path.name for path in file.parent.iterdir()] == ["config.json"]


def test_where_a_login_is_kept_first(tmp_path: Path) -> None:
    keychain(tmp_path / "new").keep("docker.io", "", Login("me", identity="the-identity"))
    file = tmp_path / "new/.docker/config.json"
    assert json.loads(file.read_text()) == {
        "auths": {DEFAULT_KEY: {**encoded("me", ""), "identitytoken": "the-identity"}}
    }
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert keychain(tmp_path / "new").find("docker.io", "library/a") == Login("me", identity="the-identity")


def test_a_link_stays_one(home: Path) -> None:
    real = write(home / "dotfiles.json")
    (home / ".docker/config.json").symlink_to(real)
    keychain(home).keep("r.example", "team", Login("me", "x"))
    assert (home / ".docker/config.json").is_symlink()
    assert json.loads(real.read_text())["auths"] == {"r.example/team": encoded("me", "x")}


def test_many_at_once_lose_nothing(home: Path) -> None:
    names = [f"r{number}.example" for number in range(20)]
    threads = [threading.Thread(target=keychain(home).keep, args=(name, "", Login("me", "x"))) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(json.loads((home / ".docker/config.json").read_text())["auths"]) == sorted(names)


def test_forgetting(home: Path) -> None:
    file = home / ".docker/config.json"
    write(
        file,
        auths={
            key: encoded("me", "x") for key in ("r.example", "https://r.example/v1/", "r.example/team", DEFAULT_KEY)
        },
    )
    assert keychain(home).forget("r.example", "")
    assert sorted(json.loads(file.read_text())["auths"]) == [DEFAULT_KEY, "r.example/team"]
    assert not keychain(home).forget("r.example", "")
    assert keychain(home).forget("docker.io", "")
    assert keychain(home).forget("r.example", "team")
    assert json.loads(file.read_text())["auths"] == {}


def test_forgetting_makes_nothing(tmp_path: Path) -> None:
    assert not keychain(tmp_path / "new").forget("r.example", "")
    assert keychain(tmp_path / "new").forget_all() == ()
    assert not (tmp_path / "new").exists()


def test_forgetting_all(home: Path) -> None:
    write(home / ".docker/config.json", auths={DEFAULT_KEY: encoded("a", "x"), "r.example": encoded("b", "x")})
    assert keychain(home).forget_all() == ("docker.io", "r.example")
    assert keychain(home).forget_all() == ()


def test_a_login_of_another_program_is_told_of(home: Path) -> None:
    other = write(home / "run/containers/auth.json", auths={"r.example": encoded("me", "x")})
    assert keychain(home).elsewhere("r.example", "app") == other
    assert keychain(home).elsewhere("s.example", "app") is None


def test_a_file_that_cannot_be_written(home: Path) -> None:
    (home / "file").write_text("")
    with pytest.raises(RegistryError, match="cannot be written"):
        keychain(home, str(home / "file" / "auth.json")).keep("r.example", "", Login("me", "the-password"))


# --- helpers -------------------------------------------------------------------------------------


def test_a_helper_keeps_the_secret(home: Path, helper: Path) -> None:
    file = write(home / ".docker/config.json", credsStore="box")
    assert keychain(home).find("r.example", "app") is None
    assert keychain(home).keep("r.example", "", Login("me", "the-password")) == "box"
    assert "auth" not in json.loads(file.read_text())["auths"]["r.example"]
    assert json.loads(helper.read_text()) == {"ServerURL": "r.example", "Username": "me", "Secret": "the-password"}
    assert keychain(home).find("r.example", "app") == Login("me", "the-password")
    assert keychain(home).forget("r.example", "")
    assert not helper.exists()
    assert keychain(home).find("r.example", "app") is None
    assert not keychain(home).forget("r.example", "")


def test_a_helper_keeps_identity_tokens_under_a_name_of_their_own(home: Path, helper: Path) -> None:
    write(home / ".docker/config.json", credHelpers={"r.example": "box"})
    keychain(home).keep("r.example", "", Login("me", identity="the-identity"))
    assert json.loads(helper.read_text())["Username"] == "<token>"
    assert keychain(home).find("r.example", "app") == Login(identity="the-identity")


def test_a_helper_for_one_host_is_not_asked_for_others(home: Path, helper: Path) -> None:
    write(home / ".docker/config.json", credHelpers={"r.example": "box"}, auths={"s.example": encoded("me", "x")})
    assert keychain(home).find("s.example", "app") == Login("me", "x")
    assert not Path(f"{helper}.calls").exists()


def test_a_helper_is_asked_for_the_default_registry_as_docker_asks(home: Path, helper: Path) -> None:
    write(home / ".docker/config.json", credsStore="box")
    keychain(home).keep("docker.io", "", Login("me", "x"))
    assert json.loads(helper.read_text())["ServerURL"] == DEFAULT_KEY
    assert keychain(home).find("docker.io", "library/debian") == Login("me", "x")


def test_forgetting_all_empties_helpers_too(home: Path, helper: Path) -> None:
    write(home / ".docker/config.json", credsStore="box")
    keychain(home).keep("r.example", "", Login("me", "x"))
    assert keychain(home).forget_all() == ("r.example",)
    assert not helper.exists()


def script(home: Path, text: str) -> None:
    program = home / "bin" / "docker-credential-box"
    program.write_text(f"#!/bin/sh\n{text}\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo 'keychain is locked'; exit 1", "failed to get a login: keychain is locked"),
        ("echo oh >&2; exit 3", "failed to get a login: oh"),
        ("exit 3", "failed to get a login: 3"),
        ("echo nonsense", "cannot be read"),
        ("echo '{\"Secret\": 5}'", "cannot be read"),
        ("kill -9 $$", "failed to get a login: -9"),
    ],
)
def test_a_helper_that_fails(home: Path, helper: Path, text: str, words: str) -> None:
    script(home, text)
    with pytest.raises(RegistryError, match=words):
        helpers.get("box", "r.example")


def is_dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_helper_that_hangs_is_ended_with_all_it_started(
    home: Path, helper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helpers, "SECONDS", 2)  # in which it must have begun
    script(home, f'sleep 60 & echo $! >"{home}/child"; wait')
    with pytest.raises(RegistryError, match="does not answer"):
        helpers.get("box", "r.example")
    child = int((home / "child").read_text())
    wait_for(lambda: is_dead(child))  # it was killed, and dies when it has its turn


def test_a_helper_that_is_not_there_and_one_that_cannot_be_one(home: Path, helper: Path) -> None:
    with pytest.raises(RegistryError, match="docker-credential-none cannot be run: No such file"):
        helpers.get("none", "r.example")
    for name in ("../../bin/sh", "", "a b", "-x"):
        with pytest.raises(RegistryError, match="cannot be the name"):
            helpers.get(name, "r.example")


def test_a_helper_that_repeats_the_secret_does_not_get_it_shown(home: Path, helper: Path) -> None:
    script(home, 'echo "cannot store"; cat; exit 1')
    with pytest.raises(RegistryError, match="cannot store") as caught:
        helpers.store("box", "r.example", Login("me", "the-password"))
    assert "the-password" not in f"{caught.value!r}{caught.value.message}{caught.value.hint}"
