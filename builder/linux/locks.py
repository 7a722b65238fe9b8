"""Locks between processes: flock(2) on a file, as context managers."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock `path` (made when missing); waits for it. Raises OSError where flock does not work."""
    with open_locked(path, shared=shared):
        yield


@contextmanager
def open_locked(path: Path | str, *, shared: bool = False) -> Iterator[int]:
    """As `locked`; gives the descriptor that holds the lock, for what is written in the file."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)


@contextmanager
def locked_directory(path: Path) -> Iterator[None]:
    """Hold the lock of a directory itself, which no file tells of; waits for it. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def try_lock(path: Path) -> int | None:
    """Take the lock `path` if it is free: the descriptor that holds it, or None. Closing it unlocks."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def create_locked(path: Path) -> int:
    """Make the file `path`, whose name must be new, and lock it; gives a descriptor that is open for writing.

    Between making and locking it may seem abandoned to another process, which then removes it: tries again.
    """
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return fd
        os.close(fd)


def abandoned(directory: Path, pattern: str) -> Iterator[Path]:
    """The files of `directory` made by `create_locked` whose makers are gone, each locked while it is looked at."""
    for path in directory.glob(pattern):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_nlink:
                yield path
        except BlockingIOError:
            continue
        finally:
            os.close(fd)
