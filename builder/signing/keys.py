"""Key files and signatures made with them: ECDSA on P-256 with SHA-256, as cosign signs. Not here: what is signed.

A private key is PKCS 8 as PEM, in clear (`PRIVATE KEY`), encrypted as openssl does (`ENCRYPTED PRIVATE KEY`) or as
cosign does: `ENCRYPTED SIGSTORE PRIVATE KEY`, formerly `ENCRYPTED COSIGN PRIVATE KEY`, whose bytes are a JSON document
(go-securesystemslib, encrypted): scrypt makes the key of NaCl's secretbox. A public key is PEM (`PUBLIC KEY`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from msgspec import Struct

from builder.errors import BadInputError, NotFoundError, UsageError
from builder.readied import readied

_COSIGN = ("ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY")
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s*(.*?)-----END \1-----", re.DOTALL)
_LARGEST = 64 << 10  # a key file has some hundred bytes
# What cosign writes, and what its readers up to version 2 insist on; what is read may differ within bounds.
_N, _R, _P = 1 << 15, 8, 1
_MEMORY = 256 << 20

# What gives the password of a key file when it has one.
Password = Callable[[], bytes]


class PrivateKey:
    """What signs. Its secret is never shown."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key

    def sign(self, data: bytes) -> bytes:
        """The signature of `data`: ASN.1 DER of ECDSA on its SHA-256."""
        return self._key.sign(data, ec.ECDSA(SHA256()))

    def public(self) -> PublicKey:
        """What others verify with."""
        return PublicKey(self._key.public_key())


class PublicKey:
    """What verifies."""

    def __init__(self, key: ec.EllipticCurvePublicKey) -> None:
        self._key = key

    def valid(self, signature: bytes, data: bytes) -> bool:
        """Whether `signature` was made of `data` with the private key."""
        try:
            self._key.verify(signature, data, ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True

    def pem(self) -> bytes:
        """The key as a file has it."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_bytes(serialization.Encoding.PEM, form)


def read_private(path: str, password: Password) -> PrivateKey:
    """The private key in a file. `password` is asked only when it is encrypted.

    Raises NotFoundError, UsageError when the password is wrong, BadInputError for what is no such key.
    """
    data = _read(path)
    kind, body = _pem(path, data)
    if kind == "PUBLIC KEY":
        raise BadInputError(f"{path} is a public key", hint="signing needs the private one")
    if kind in _COSIGN:
        body = _opened(path, body, password())
        return PrivateKey(_private(path, lambda: serialization.load_der_private_key(body, None)))
    secret = password() if kind == "ENCRYPTED PRIVATE KEY" else None
    return PrivateKey(_private(path, lambda: serialization.load_pem_private_key(data, secret)))


def read_public(path: str) -> PublicKey:
    """The public key in a file. Raises NotFoundError, BadInputError."""
    data = _read(path)
    kind, _ = _pem(path, data)
    if "PRIVATE" in kind:
        raise BadInputError(f"{path} is a private key", hint="verifying needs the public one")
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadInputError(f"{path} is not a public key that can be read") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _kind(path)
    return PublicKey(key)


def generate(password: bytes) -> tuple[bytes, bytes]:
    """The files of a new pair: the private key, encrypted with `password` as cosign does, and the public one."""
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.PKCS8
    der = key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())
    body = base64.encodebytes(_closed(der, password))
    pem = b"-----BEGIN %b-----\n%b-----END %b-----\n" % (_COSIGN[0].encode(), body, _COSIGN[0].encode())
    return pem, PublicKey(key.public_key()).pem()


def _private(path: str, load: Callable[[], object]) -> ec.EllipticCurvePrivateKey:
    # What the library says of a key it cannot read is kept out of messages: it may quote what it read.
    try:
        key = load()
    except TypeError:
        raise UsageError(f"{path} has no password, or needs one") from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadInputError(f"{path} is not a private key that can be read, or the password is wrong") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _kind(path)
    return key


def _kind(path: str) -> BadInputError:
    return BadInputError(
        f"{path} is a key of another kind", hint="keys are ECDSA on P-256; pybuild keygen makes a pair"
    )


def _read(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LARGEST + 1)
    except FileNotFoundError as error:
        raise NotFoundError(f"{path} does not exist", hint="pybuild keygen makes a pair of keys") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > _LARGEST:
        raise BadInputError(f"{path} is not a key: it is too large")
    return data


def _pem(path: str, data: bytes) -> tuple[str, bytes]:
    """What kind of key a PEM file says it has, and its bytes. Raises BadInputError."""
    found = _PEM.search(data)
    if found is None:
        raise BadInputError(f"{path} is not a key: a PEM file is expected")
    try:
        return found[1].decode(), base64.b64decode(b"".join(found[2].split()), validate=True)
    except (binascii.Error, ValueError):
        # A header (Proc-Type and the like) belongs to old forms, which the library is left to refuse or read.
        return found[1].decode(), b""


# --- cosign's box ----------------------------------------------------------------------------------


class _Parameters(Struct):
    N: int
    r: int
    p: int


class _Derivation(Struct):
    name: str
    params: _Parameters
    salt: bytes  # base64 in JSON


class _Cipher(Struct):
    name: str
    nonce: bytes


class _Box(Struct):
    kdf: _Derivation
    cipher: _Cipher
    ciphertext: bytes


def _opened(path: str, body: bytes, password: bytes) -> bytes:
    # lazy: only keys that cosign encrypted
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox

    try:
        box = msgspec.json.decode(body, type=readied(_Box))
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadInputError(f"{path} is not a private key that can be read") from error
    if (box.kdf.name, box.cipher.name) != ("scrypt", "nacl/secretbox") or len(box.cipher.nonce) != SecretBox.NONCE_SIZE:
        raise BadInputError(f"{path} is encrypted in a way that is not known")
    key = _derived(path, password, box.kdf.salt, box.kdf.params)
    try:
        return SecretBox(key).decrypt(box.ciphertext, box.cipher.nonce)
    except (CryptoError, ValueError) as error:
        raise UsageError(f"the password of {path} is wrong") from error


def _closed(data: bytes, password: bytes) -> bytes:
    # lazy: as above
    from nacl.secret import SecretBox

    salt, nonce = os.urandom(32), os.urandom(SecretBox.NONCE_SIZE)
    parameters = _Parameters(_N, _R, _P)
    sealed = SecretBox(_derived("", password, salt, parameters)).encrypt(data, nonce).ciphertext
    box = _Box(_Derivation("scrypt", parameters, salt), _Cipher("nacl/secretbox", nonce), sealed)
    return msgspec.json.encode(box)


def _derived(path: str, password: bytes, salt: bytes, given: _Parameters) -> bytes:
    """The key a password gives. Raises BadInputError for parameters that would take too much memory or time."""
    cost, block, lanes = given.N, given.r, given.p
    fits = 1 < cost <= 1 << 20 and 0 < block <= 64 and 0 < lanes <= 16 and 128 * cost * block <= _MEMORY
    if not fits or cost & (cost - 1):
        raise BadInputError(f"{path} is encrypted with parameters that are not taken")
    return hashlib.scrypt(password, salt=salt, n=cost, r=block, p=lanes, maxmem=_MEMORY + (32 << 20), dklen=32)
