"""What a build takes from its lock, and what its options say of that."""

from __future__ import annotations

from builder.api.session import Session
from builder.errors import NotFoundError
from builder.request import BuildRequest
from builder.sources import buildfile, lockfile
from builder.sources.pins import LockText, Pins, Terms
from builder.store.open import Store


def pins_of(session: Session, request: BuildRequest, beside: tuple[str, bytes | None] | None) -> Pins:
    """The pins of a build: those of --lock-file, else of `beside`, the lock that goes with its Buildfile (its name and
    its bytes), else none.

    Raises BuildfileError with the place for a lock that is damaged, NotFoundError, UsageError.
    """
    return Pins(
        session.store,
        Terms(request.locked, session.offline, signed=bool(session.ingest.verify_keys)),
        _read(session.store, request, beside),
    )


def _read(store: Store, request: BuildRequest, beside: tuple[str, bytes | None] | None) -> LockText:
    if request.lock_file is not None:
        path, data = request.lock_file, buildfile.lock_text(request.lock_file)
        if data is None:
            raise NotFoundError(f"the lock {path} does not exist", hint=f"pybuild lock --lock-file {path} writes it")
    elif beside is not None:
        path, data = beside
    else:
        path, data = "a lock", None
    return read_lock(store, path, data)


def read_lock(store: Store, path: str, data: bytes | None) -> LockText:
    """The lock `path` with its bytes, None where it is not there. Raises BuildfileError with the place."""
    if data is None:
        return LockText(path, there=False)
    return LockText(path, lockfile.parse(data, path, store.memo), data.decode())
