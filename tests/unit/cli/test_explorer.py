"""The explorer, driven by keys: panes, marks, filter, a file, what is wasted; wide and narrow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.worker import WorkerCancelled

from builder.api.insight import exploring
from builder.api.session import Session
from builder.cli.explorer.app import Explorer
from builder.cli.explorer.panes import FileTree
from builder.errors import NotFoundError, PybuildError
from tests.support import layered
from tests.support.rootfs import directory, member

LAYERS = (
    [
        directory("app"),
        member("app/one", b"x" * 3000),
        member("app/two", b"[red]text[/red]\n\x1b[2J"),
        member("z", b"zz"),
    ],
    [
        member("app/.wh.one"),
        member("app/two", b"new"),
        member("app/sub/deep/three", b"\0\1binary"),
        member("esc\x1bape"),
    ],
)
Drive = Callable[[Pilot[PybuildError | None]], Awaitable[None]]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session(tmp_path / "store") as opened:
        places = [("", 0), ("Buildfile", 3)]
        layered.image(opened.store, "app", *LAYERS, steps=["COPY [bold]. /", "RUN /bin/sh -c rm"], places=places)
        yield opened


def driven(session: Session, drive: Drive, columns: int = 80) -> PybuildError | None:
    async def main() -> PybuildError | None:
        with exploring(session, "app") as explored:
            app = Explorer("app", explored)
            async with app.run_test(size=(columns, 24)) as pilot:
                with suppress(WorkerCancelled):
                    await settled(pilot)
                await drive(pilot)
            return app.return_value

    return asyncio.run(main())


async def settled(pilot: Pilot[PybuildError | None], *keys: str) -> list[str]:
    """The screen after `keys`, and after what they set off, and what that did: when it changes no more."""
    await pilot.press(*keys)
    before, lines = [""], list[str]()
    while before != lines:
        before = lines
        for _ in range(2):
            await pilot.app.workers.wait_for_complete()
            await pilot.pause()
        strips = pilot.app.screen._compositor.render_strips()
        lines = ["".join(segment.text for segment in strip).rstrip() for strip in strips]
    return lines


def part(lines: list[str], text: str) -> str:
    found = [line for line in lines if text in line]
    assert len(found) == 1, "\n".join(lines)
    return found[0]


def test_layers_have_lines_and_sizes_and_files_have_marks(session: Session) -> None:
    async def drive(pilot: Pilot[PybuildError | None]) -> None:
        lines = await settled(pilot)
        assert "wasted" in part(lines, "linux/amd64")
        part(lines, "COPY [bold]. /")
        assert "3B wasted" not in part(lines, "Buildfile:3")
        assert part(lines, "esc\\x1bape").split()[-2:] == ["0B", "esc\\x1bape"]
        lines = await settled(pilot, "down", "down")
        assert part(lines, "▶ ·").split()[-3:] == ["·", "11B", "app"]
        lines = await settled(pilot, "tab", "down", "enter")
        assert [part(lines, name).split()[-3] for name in ("one", "two", "sub")] == ["D", "C", "A"]
        lines = await settled(pilot, "down")
        assert "-rw-r--r-- 0:0 3kB layer 1" in part(lines, "/app/one")
        lines = await settled(pilot, "left", "left")
        assert not any("two" in line for line in lines)

    assert driven(session, drive) is None


def test_changes_sizes_and_a_filter_choose_what_is_listed(session: Session) -> None:
    async def drive(pilot: Pilot[PybuildError | None]) -> None:
        await settled(pilot, "down", "down")
        lines = await settled(pilot, "c")
        assert not any(line.endswith(" z") for line in lines)
        part(lines, "three")
        lines = await settled(pilot, "c", "s", "slash", *"THR", "enter")
        part(lines, "three")
        assert not any(" two" in line for line in lines)
        lines = await settled(pilot, "slash", *"ee-nothing", "enter")
        part(lines, " nothing")
        lines = await settled(pilot, "escape")
        assert [line.split()[-1] for line in lines if line.endswith((" app", " z", "ape"))] == [
            "app",
            "z",
            "esc\\x1bape",
        ]
        await settled(pilot, "up", "up", "c")

    driven(session, drive)


def test_a_file_is_shown_and_commands_nothing(session: Session) -> None:
    async def drive(pilot: Pilot[PybuildError | None]) -> None:
        await settled(pilot, "down")
        await settled(pilot, "tab")
        tree = pilot.app.query_one(FileTree)
        await settled(pilot, "down", "right")
        await settled(pilot, "down", "down")
        assert tree.cursor_node is not None
        assert tree.cursor_node.data is not None
        assert tree.cursor_node.data.path == "app/two"
        lines = await settled(pilot, "enter")
        assert lines[0].strip() == "/app/two"
        part(lines, "[red]text[/red]")
        part(lines, "\\x1b[2J")
        assert "Filter" not in lines[-1]
        await settled(pilot, "escape", "up", "up", "v")
        assert len(pilot.app.screen_stack) == 1

    driven(session, drive)


def test_what_is_no_text_is_shown_in_hex(session: Session) -> None:
    async def drive(pilot: Pilot[PybuildError | None]) -> None:
        await settled(pilot, "slash", *"three", "enter")
        lines = await settled(pilot, "down", "down", "down", "down", "v")
        assert part(lines, "000000").split() == [
            "000000",
            *["00", "01", "62", "69", "6e", "61", "72", "79"],
            "..binary",
        ]

    driven(session, drive)


@pytest.mark.parametrize("columns", [80, 40])
def test_what_is_wasted_is_told(session: Session, columns: int) -> None:
    async def drive(pilot: Pilot[PybuildError | None]) -> None:
        lines = await settled(pilot)
        assert all(len(line) <= columns for line in lines)
        assert "w Waste" in lines[-1]
        layers, files = pilot.app.query_one("#layers").region, pilot.app.query_one("#files").region
        assert (layers.y == files.y) is (columns == 80)
        lines = await settled(pilot, "w")
        part(lines, "3kB deleted")
        assert any("written by layer 1: COPY [bold]. /" in line for line in lines)
        assert any("wasted by Buildfile:3: RUN" in line for line in lines)
        await settled(pilot, "q", "q")

    driven(session, drive, columns)


def test_an_image_that_cannot_be_read_ends_it(session: Session) -> None:
    layer = session.store.images.layers(session.store.images.find("app").manifest.digest)[0]
    Path(session.store.blobs.path(layer.blob.digest)).unlink()

    async def drive(pilot: Pilot[PybuildError | None]) -> None:
        with suppress(WorkerCancelled):
            await pilot.app.workers.wait_for_complete()

    assert isinstance(driven(session, drive), NotFoundError)
