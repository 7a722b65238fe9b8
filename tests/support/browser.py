"""A headless Chromium, steered over the pipe of its DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

# Nothing of it may look for servers; and it has no sandbox of its own for root.
_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update"),
    *("--disable-background-networking", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars"),
)


class Browser:
    """A context manager. One page at a time, of so many pixels in width and height."""

    def __init__(self, width: int = 1200, height: int = 900) -> None:
        self._size = width, height

    def __enter__(self) -> Self:
        self._home = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        there, self._out = os.pipe()
        self._in, back = os.pipe()

        def wired() -> None:
            # Its ends are 3 and 4, as the option has it; moved away first, as either may be the other's number.
            read, write = os.dup(there), os.dup(back)
            high = [os.dup2(end, 100 + at) for at, end in enumerate((read, write))]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        words = ["chromium", *_OPTIONS, f"--user-data-dir={self._home.name}", "--remote-debugging-pipe"]
        self._process = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=wired, close_fds=False
        )
        os.close(there)
        os.close(back)
        self._rest, self._number, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._session = ""
        self._call("Browser.close")
        self._process.wait(30)
        os.close(self._in)
        os.close(self._out)
        self._home.cleanup()

    def open(self, page: Path, *, dark: bool = False) -> None:
        """Load a file, and wait until that is done."""
        width, height = self._size
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self._call("Page.navigate", url=page.resolve().as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._next()

    def value(self, expression: str) -> Any:
        """What JavaScript makes of `expression` in the page."""
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def picture(self, path: Path) -> None:
        """Write what is seen as a PNG."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    @property
    def complaints(self) -> list[str]:
        """What the browser has to say of the page that was opened: errors, what its policy forbade."""
        logged = (event["params"] for event in self.events if event["method"] == "Log.entryAdded")
        return [entry["entry"]["text"] for entry in logged]

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            pass
        assert "error" not in answer, answer
        return dict(answer["result"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            piece = os.read(self._in, 1 << 20)
            assert piece, "the browser has ended"
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        found = dict(json.loads(message))
        if "method" in found:
            self.events.append(found)
        return found
