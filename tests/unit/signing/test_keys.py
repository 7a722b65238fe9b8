from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from builder.errors import BadInputError, NotFoundError, PybuildError, UsageError
from builder.signing import passwords
from builder.signing.keys import generate, read_private, read_public

SECRET = b"hush \xc3\xbc"


def never() -> bytes:
    raise AssertionError("a key in clear has no password")


def pkcs8(path: Path, secret: bytes | None = None, curve: ec.EllipticCurve | None = None) -> str:
    key = ec.generate_private_key(curve or ec.SECP256R1())
    how = serialization.BestAvailableEncryption(secret) if secret else serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how))
    return str(path)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    private, public = generate(SECRET)
    (tmp_path / "cosign.key").write_bytes(private)
    (tmp_path / "cosign.pub").write_bytes(public)
    return str(tmp_path / "cosign.key"), str(tmp_path / "cosign.pub")


def test_a_pair_signs_and_verifies(pair: tuple[str, str]) -> None:
    key, public = read_private(pair[0], lambda: SECRET), read_public(pair[1])
    signature = key.sign(b"data")
    assert public.valid(signature, b"data")
    assert not public.valid(signature, b"datum")
    assert not public.valid(b"", b"data")
    assert not public.valid(signature[:-1], b"data")
    assert key.public().pem() == public.pem()


def test_the_private_key_is_encrypted_as_cosign_does(pair: tuple[str, str]) -> None:
    head, *body, tail = Path(pair[0]).read_text().splitlines()
    assert (head, tail) == tuple(f"-----{word} ENCRYPTED SIGSTORE PRIVATE KEY-----" for word in ("BEGIN", "END"))
    box = json.loads(base64.b64decode("".join(body)))
    assert box["kdf"] | {"salt": ""} == {"name": "scrypt", "params": {"N": 32768, "r": 8, "p": 1}, "salt": ""}
    assert box["cipher"]["name"] == "nacl/secretbox"


def test_older_keys_of_cosign_are_read(pair: tuple[str, str]) -> None:
    path = Path(pair[0])
    path.write_text(path.read_text().replace("SIGSTORE", "COSIGN"))
    assert read_private(pair[0], lambda: SECRET).public().pem() == Path(pair[1]).read_bytes()


def test_a_wrong_password_is_told_and_not_shown(pair: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match=r"password of .* is wrong") as caught:
        read_private(pair[0], lambda: b"guess-of-mine")
    assert "guess-of-mine" not in str(caught.value)


def test_plain_keys_ask_for_no_password(tmp_path: Path) -> None:
    key = read_private(pkcs8(tmp_path / "plain.pem"), never)
    assert key.public().valid(key.sign(b"x"), b"x")


def test_keys_of_openssl_with_a_password(tmp_path: Path) -> None:
    path = pkcs8(tmp_path / "closed.pem", SECRET)
    assert read_private(path, lambda: SECRET).sign(b"x")
    with pytest.raises(PybuildError, match="password"):
        read_private(path, lambda: b"other")
    with pytest.raises(PybuildError, match="password"):
        read_private(path, lambda: b"")


def box(**changes: object) -> bytes:
    document = {
        "kdf": {"name": "scrypt", "params": {"N": 32768, "r": 8, "p": 1}, "salt": base64.b64encode(b"s" * 32).decode()},
        "cipher": {"name": "nacl/secretbox", "nonce": base64.b64encode(b"n" * 24).decode()},
        "ciphertext": base64.b64encode(b"c" * 60).decode(),
    }
    return json.dumps(document | changes).encode()


def sigstore(body: bytes) -> bytes:
    name = b"ENCRYPTED SIGSTORE PRIVATE KEY"
    return b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (name, base64.b64encode(body), name)


SALT = base64.b64encode(b"s" * 32).decode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no key",
        b"\0" * 70_000,
        b"-----BEGIN PRIVATE KEY-----\n!!!\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        sigstore(b"not json"),
        sigstore(b"[" * 60_000),
        sigstore(b"{}"),
        sigstore(box(cipher={"name": "rot13", "nonce": SALT})),
        sigstore(box(cipher={"name": "nacl/secretbox", "nonce": "AAAA"})),
        sigstore(box(kdf={"name": "scrypt", "params": {"N": 1 << 40, "r": 8, "p": 1}, "salt": SALT})),
        sigstore(box(kdf={"name": "scrypt", "params": {"N": 1 << 20, "r": 64, "p": 16}, "salt": SALT})),
        sigstore(box(kdf={"name": "scrypt", "params": {"N": 32767, "r": 8, "p": 1}, "salt": SALT})),
        sigstore(box(kdf={"name": "scrypt", "params": {"N": 0, "r": -1, "p": 1}, "salt": SALT})),
    ],
)
def test_what_is_no_private_key(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.key"
    path.write_bytes(data)
    with pytest.raises(BadInputError, match=str(path)):
        read_private(str(path), lambda: SECRET)


@pytest.mark.parametrize("data", [b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", b"\xff" * 100])
def test_what_is_no_public_key(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.pub"
    path.write_bytes(data)
    with pytest.raises(BadInputError, match=str(path)):
        read_public(str(path))


def test_keys_of_other_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="another kind"):
        read_private(pkcs8(tmp_path / "p384", curve=ec.SECP384R1()), never)
    other = rsa.generate_private_key(65537, 2048)
    (tmp_path / "rsa.pub").write_bytes(
        other.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(BadInputError, match="another kind"):
        read_public(str(tmp_path / "rsa.pub"))


def test_the_wrong_one_of_a_pair(pair: tuple[str, str]) -> None:
    with pytest.raises(BadInputError, match="is a public key"):
        read_private(pair[1], never)
    with pytest.raises(BadInputError, match="is a private key"):
        read_public(pair[0])


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_private(str(tmp_path / "none"), never)
    with pytest.raises(UsageError, match="cannot be read"):
        read_public(str(tmp_path))


def test_the_password_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSIGN_PASSWORD", "hush")
    assert passwords.ask() == passwords.ask_twice() == b"hush"
    monkeypatch.setenv("COSIGN_PASSWORD", "")
    assert passwords.ask() == b""


def test_nobody_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COSIGN_PASSWORD", raising=False)
    with Path("/dev/null").open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        with pytest.raises(UsageError) as caught:
            passwords.ask()
    assert "COSIGN_PASSWORD" in str(caught.value.hint)


def test_two_passwords_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COSIGN_PASSWORD", raising=False)
    typed = iter(["one", "two", "same", "same"])
    monkeypatch.setattr("getpass.getpass", lambda *_: next(typed))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    with pytest.raises(UsageError, match="differ"):
        passwords.ask_twice()
    assert passwords.ask_twice() == b"same"
