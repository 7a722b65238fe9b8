"""What a container is configured to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import NotFoundError
from builder.image.config import ImageConfig
from builder.image.platform import Platform
from builder.request import RunRequest
from builder.runtime.config import configured, keep, kept

AMD64 = Platform("linux", "amd64")
IMAGE = ImageConfig(
    AMD64, entrypoint=("/entry",), cmd=("default",), env=(("A", "1"), ("B", "2")), user="alice", working_dir="/w"
)


@pytest.mark.parametrize(
    ("request_", "entrypoint", "cmd"),
    [
        (RunRequest("x"), ("/entry",), ("default",)),
        (RunRequest("x", ("own",)), ("/entry",), ("own",)),
        (RunRequest("x", entrypoint="other"), ("other",), None),
        (RunRequest("x", ("own",), entrypoint="other"), ("other",), ("own",)),
        (RunRequest("x", ("own",), entrypoint=""), None, ("own",)),
    ],
)
def test_command(request_: RunRequest, entrypoint: tuple[str, ...] | None, cmd: tuple[str, ...] | None) -> None:
    whole = configured(request_, IMAGE)
    assert (whole.entrypoint, whole.cmd) == (entrypoint, cmd)


def test_the_rest_is_the_images_unless_given() -> None:
    assert configured(RunRequest("x"), IMAGE) == IMAGE
    given = configured(RunRequest("x", env=(("B", "3"), ("C", "4")), user="", workdir="/other"), IMAGE)
    assert given.env == (("A", "1"), ("B", "3"), ("C", "4"))
    assert (given.user, given.working_dir) == ("", "/other")


def test_kept_for_its_owner_alone(tmp_path: Path) -> None:
    keep(tmp_path, IMAGE)
    assert kept(tmp_path) == IMAGE
    assert (tmp_path / "config.json").stat().st_mode & 0o077 == 0


def test_none_kept_yet(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="not complete"):
        kept(tmp_path)


def test_words_that_are_no_text(tmp_path: Path) -> None:
    keep(tmp_path, configured(RunRequest("x", ("caf\udce9", "é")), IMAGE))
    assert kept(tmp_path).cmd == ("caf\ufffd", "é")
