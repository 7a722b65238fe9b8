"""Who may write a shared cache can choose what a step makes. So a cache can be signed, and read only if it is.

What is signed is the index without the signature: it has the digests of all entries, and they those of all layers.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from builder.errors import BadInputError
from builder.remotecache.document import Contents, to_json

if TYPE_CHECKING:
    from builder.signing.keys import PrivateKey, PublicKey


def unchecked(contents: Contents) -> None:
    """Whoever can write the cache is trusted."""


def checking(path: str) -> Callable[[Contents], None]:
    """What raises BadInputError for contents that are not signed by the key whose public part is in the file `path`.

    Raises what reading the key does, now.
    """
    # lazy: few caches are signed
    from builder.signing.keys import read_public

    return _Checking(read_public(path))


class Keys:
    """How contents are signed, and found out to be signed so; without a key nothing is."""

    def __init__(self, key: PrivateKey | None) -> None:
        self._key = key
        self.check = unchecked if key is None else _Checking(key.public())

    def signed(self, contents: Contents) -> Contents:
        """`contents` with a signature."""
        if self._key is None:
            return contents
        bare = replace(contents, signature="")
        return replace(bare, signature=base64.b64encode(self._key.sign(to_json(bare))).decode())


def keys(path: str) -> Keys:
    """Those of the private key in the file `path`; empty for none. Raises what reading it does."""
    if not path:
        return Keys(None)
    # lazy: as above
    from builder.signing.keys import read_private
    from builder.signing.passwords import ask

    return Keys(read_private(path, ask))


class _Checking:
    def __init__(self, key: PublicKey) -> None:
        self._key = key

    def __call__(self, contents: Contents) -> None:
        try:
            signature = base64.b64decode(contents.signature, validate=True)
        except (binascii.Error, ValueError):
            signature = b""
        if not signature:
            raise BadInputError("it is not signed")
        if not self._key.valid(signature, to_json(replace(contents, signature=""))):
            raise BadInputError("its signature is not one of the key that is asked for")
