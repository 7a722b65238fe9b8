"""The explorer in a real terminal."""

from __future__ import annotations

import signal
import sys

import pytest

from builder.store.open import Store
from tests.support import layered
from tests.support.program import Pybuild
from tests.support.rootfs import directory, member
from tests.support.screen import terminal


@pytest.mark.parametrize("columns", [80, 40])
def test_it_shows_layers_and_files_and_ends(pybuild: Pybuild, columns: int) -> None:
    store = Store.open(pybuild.root)
    layers = [directory("app"), member("app/hello", b"hi there\n")], [member("app/.wh.hello")]
    layered.image(store, "app", *layers, steps=["COPY . /app", "RUN x"], places=[("Buildfile", 2), ("Buildfile", 3)])
    store.close()
    with terminal(pybuild.command("explore", "app"), pybuild.work, columns) as shown:
        lines = shown.until(lambda lines: any("Buildfile:3" in line for line in lines) and "w Waste" in lines[-1])
        assert any(line.endswith(" app") for line in lines)
        shown.press("\x1b[B")
        shown.until(lambda lines: any(line.startswith(" COPY . /app") for line in lines))
        shown.press("/app/hel\r")
        shown.shows("9B hello")
        shown.shows("app/hel")
        shown.press("\x1b[B\x1b[B\r")
        shown.shows("hi there")
        shown.press("q")
        shown.press("w")
        shown.shows("9B deleted")
        shown.press("q")
        shown.shows("w Waste")
        shown.press("q")
        assert shown.ended() == 0


@pytest.mark.parametrize(("end", "status"), [("\x03", 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_it_ends_however_it_is_told_to(pybuild: Pybuild, end: str | signal.Signals, status: int) -> None:
    store = Store.open(pybuild.root)
    layered.image(store, "app", [member("one", b"1")])
    store.close()
    with terminal(pybuild.command("explore", "app"), pybuild.work) as shown:
        shown.shows(" one")
        if isinstance(end, str):
            shown.press(end)
        else:
            shown.process.send_signal(end)
        assert shown.ended() == status


def test_what_is_missing_is_told(pybuild: Pybuild) -> None:
    done = pybuild.try_("explore", "app")
    assert (done.returncode, "explore needs a terminal" in done.stderr) == (2, True)
    with terminal(pybuild.command("explore", "none"), pybuild.work) as shown:
        shown.shows("no such image: none")
        assert shown.ended() == 4
    # As where the extra is not installed.
    hidden = "import sys; sys.modules['textual'] = None; from builder.cli.main import main; main()"
    arguments = [sys.executable, "-c", hidden, "--root", str(pybuild.root), "explore", "app"]
    with terminal(arguments, pybuild.work) as shown:
        lines = shown.shows("pip install 'pybuild[explore]'")
        assert any("is not installed (textual)" in line for line in lines)
        assert shown.ended() == 2
