"""`build` and `run`: an image of a Buildfile, and a command in a container of an image."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from subprocess import CompletedProcess, TimeoutExpired
from typing import Unpack

from builder.api.build import Built
from builder.api.build import build as build_in
from builder.api.client.image import Image, described
from builder.api.client.options import BuildOptions, RunOptions, Some, build_request, run_request
from builder.api.client.store import Store
from builder.api.containers import capture
from builder.api.session import Session


def build(
    context: str | os.PathLike[str] | None = ".",
    *,
    buildfile: str | None = None,
    tags: Some = (),
    store: Store | None = None,
    **options: Unpack[BuildOptions],
) -> Image:
    """Build an image.

    `context` is a directory, a URL or a git reference; None: nothing of this machine. `buildfile` is the text of the
    Buildfile; without it that is looked for in the context, or is the option `file`. `tags` are names of the image, or
    one. `store` is where it goes to, None: the default store. `options` are those of BuildOptions.

    Returns the image, which is in the store, whatever `outputs` there are. Raises StepFailedError for a command that
    fails, BuildfileError with the place of what is wrong, and the other errors of `builder.errors`; no name is given
    then.
    """
    with ExitStack() as meanwhile:
        if context is None:
            context = meanwhile.enter_context(tempfile.TemporaryDirectory(prefix="pybuild-"))
        request = build_request(os.fspath(context), buildfile, tags, options)
        where = store or Store()

        def work(session: Session) -> Image:
            done: list[Built] = []
            build_in(session, request, done.append)
            return described(session, where, str(done[0].digest), "")

        return where.do(work)


def run(
    image: Image | str,
    command: Sequence[str] = (),
    *,
    input: bytes | None = None,
    timeout: float | None = None,
    check: bool = False,
    store: Store | None = None,
    **options: Unpack[RunOptions],
) -> CompletedProcess[bytes]:
    """Run a container of `image`, and keep what it prints: as subprocess.run does with `capture_output`.

    `image` may be a name, which is pulled when the store has none such. `command` are words, in place of the image's.
    `input` is written to it. It may take `timeout` seconds. `store` is the image's own, or the default one for a name.
    `options` are those of RunOptions. The container is removed afterwards, unless it is given a `name`.

    Returns its exit status, standard output and standard error, as bytes. Raises subprocess.TimeoutExpired, with
    `check` subprocess.CalledProcessError for a status other than 0, NotFoundError, UsageError, HostError.
    """
    where = store or (image.place if isinstance(image, Image) else Store())
    name = image.digest if isinstance(image, Image) else image
    request = run_request(name, command, options, interactive=input is not None)
    ended = where.do(lambda session: capture(session, request, input or b"", timeout or 0))
    if ended.timed_out and timeout is not None:
        raise TimeoutExpired([*command], timeout, ended.out, ended.err)
    done = CompletedProcess([*command], ended.status, ended.out, ended.err)
    if check:
        done.check_returncode()
    return done
