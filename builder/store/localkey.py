"""The key that only this store has: what makes a value recognizable here, and tells nobody anything about it.

<root>/local.key: 32 random bytes, mode 0600, made at first use. It is in no archive, image or cache that is written;
losing it costs the steps that were looked up by it one more run.
"""

from __future__ import annotations

import hmac
import os
from pathlib import Path

from builder.linux.files import write_atomically
from builder.linux.locks import locked
from builder.store.blobs import store_errors
from builder.store.open import LOCAL_KEY

_BYTES = 32


def mark(root: Path, name: str, value: bytes) -> str:
    """What stands for `value`, called `name`, in keys of the store at `root`: an HMAC (RFC 2104) under its local key.

    Raises StoreError when the key cannot be read or made.
    """
    message = os.fsencode(name) + b"\0" + value
    return f"hmac-sha256:{hmac.digest(_key(root), message, 'sha256').hex()}"


def _key(root: Path) -> bytes:
    path = root / LOCAL_KEY
    with store_errors(root):
        key = _read(path)
        if key is None:
            # One makes it; who waited meanwhile reads what that has made.
            with locked(root / "locks" / LOCAL_KEY):
                key = _read(path)
                if key is None:
                    key = os.urandom(_BYTES)
                    write_atomically(str(path), key, 0o600)
        return key


def _read(path: Path) -> bytes | None:
    """The key; None when there is none, or it is damaged."""
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        return None
    return found if len(found) == _BYTES else None
