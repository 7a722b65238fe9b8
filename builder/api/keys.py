"""Key files: made, and read to sign with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from builder.errors import UsageError
from builder.linux.files import write_atomically

if TYPE_CHECKING:
    from builder.signing.keys import PrivateKey

_PRIVATE, _PUBLIC = 0o600, 0o644


def signing_key(path: str | None) -> PrivateKey | None:
    """The private key in a file, its password asked for; None for no file. Raises what read_private raises."""
    if path is None:
        return None
    # lazy: cryptography takes 40 ms
    from builder.signing.keys import read_private
    from builder.signing.passwords import ask

    return read_private(path, ask)


def keygen(prefix: str, *, force: bool = False) -> tuple[str, str]:
    """Make a pair of keys, `PREFIX.key` and `PREFIX.pub`; gives the names of the files. The password is asked for.

    Raises UsageError where there are such files, unless `force`.
    """
    # lazy: as above
    from builder.signing.keys import generate
    from builder.signing.passwords import ask_twice

    private, public = f"{prefix}.key", f"{prefix}.pub"
    there = [path for path in (private, public) if os.path.lexists(path)]
    if there and not force:
        raise UsageError(f"{there[0]} is there already", hint="--force writes over it; what it signed needs it to stay")
    pair = generate(ask_twice())
    for path, data, mode in zip((private, public), pair, (_PRIVATE, _PUBLIC), strict=True):
        try:
            write_atomically(path, data, mode)
        except OSError as error:
            raise UsageError(f"{Path(path)} cannot be written: {error.strerror}") from error
    return private, public
