"""`Site`: a web server on loopback that serves files, misbehaves as told, notes what it is asked, and serves git."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class Page:
    """What a path answers.

    Conditions are honoured only with `conditional`; `promised` is another length than the body's, or -1 for none;
    only `user` (with password) is let in; the connection stays open until `stalls` is set.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    conditional: bool = True
    promised: int | None = None
    user: str | None = None
    stalls: threading.Event | None = None


@dataclass
class Site:
    """`asked` are (method, path with query, status) of all answered requests; `seen` the Authorization headers."""

    address: str
    repositories: Path
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    seen: list[str | None] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def put(self, path: str, body: bytes | str, age: int | None = None, **more: object) -> str:
        """Serve `body` at `path`, last modified `age` seconds ago; gives its URL."""
        page = Page(body.encode() if isinstance(body, str) else body, **more)  # type: ignore[arg-type]
        if age is not None:
            page.headers["Last-Modified"] = formatdate(int(time.time()) - age, usegmt=True)
        self.pages[path] = page
        return self.url + path

    def sent(self, path: str) -> int:
        """How often the body of `path` was sent."""
        return sum(p == path and status == 200 for _, p, status in self.asked)


@contextmanager
def site(repositories: Path) -> Iterator[Site]:
    """A site that also serves the git repositories below `repositories` at /git/."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    found = Site(f"127.0.0.1:{server.server_address[1]}", repositories)
    server.site = found  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    @property
    def site(self) -> Site:
        return self.server.site  # type: ignore[attr-defined]

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        if parts.path.startswith("/git/"):
            self._git(parts.path.removeprefix("/git"), parts.query)
            return
        page = self.site.pages.get(unquote(parts.path), Page(status=404))
        given = self.headers.get("Authorization")
        self.site.seen.append(given)
        if page.user is not None and given != "Basic " + base64.b64encode(page.user.encode()).decode():
            page = Page(status=401, headers={"WWW-Authenticate": 'Basic realm="here"'})
        status = 304 if page.conditional and self._unchanged(page) else page.status
        body = b"" if status == 304 else page.body
        self.send_response(status)
        for name, value in page.headers.items():
            self.send_header(name, value)
        if page.promised is None:
            self.send_header("Content-Length", str(len(body)))
        elif page.promised >= 0:
            self.send_header("Content-Length", str(page.promised))
        self.close_connection = page.promised is not None
        self.end_headers()
        self.wfile.write(body)
        if page.stalls is not None:
            page.stalls.wait(60)
        self.site.asked.append((self.command, self.path, status))

    def _unchanged(self, page: Page) -> bool:
        wanted = self.headers.get("If-None-Match")
        if wanted is not None:
            return page.headers.get("ETag", "") in [tag.strip() for tag in wanted.split(",")]
        since = self.headers.get("If-Modified-Since")
        return since is not None and since == page.headers.get("Last-Modified")

    def _git(self, path: str, query: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.site.repositories),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(
            ["git", "http-backend"], env=environment, input=self.rfile.read(length), capture_output=True, check=False
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200 OK").split()[0])
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.site.asked.append((self.command, self.path, status))


class Repository:
    """A git repository a test writes to and a site serves, at `/git/<name>`."""

    def __init__(self, site: Site, name: str = "project.git") -> None:
        self.path = site.repositories / name
        self.path.mkdir(parents=True)
        self.url = f"{site.url}/git/{name}"
        self("init", "--quiet", "--initial-branch=main")

    def __call__(self, *arguments: str) -> str:
        """Run git in it."""
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "user.name",
            "GIT_CONFIG_VALUE_0": "A",
            "GIT_CONFIG_KEY_1": "user.email",
            "GIT_CONFIG_VALUE_1": "a@example.com",
            "GIT_AUTHOR_DATE": "2020-01-01T00:00:00Z",
            "GIT_COMMITTER_DATE": "2020-01-01T00:00:00Z",
        }
        done = subprocess.run(["git", *arguments], cwd=self.path, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def commit(self, files: dict[str, str]) -> str:
        """Write `files` (names ending in `*` are programs, targets beginning with `->` links); gives the commit."""
        for name, content in files.items():
            path = self.path / name.removesuffix("*")
            path.parent.mkdir(parents=True, exist_ok=True)
            if content.startswith("->"):
                path.symlink_to(content.removeprefix("->"))
                continue
            path.write_text(content)
            path.chmod(0o755 if name.endswith("*") else 0o644)
        self("add", "--all")
        self("commit", "--quiet", "--allow-empty", "--message", "change")
        return self("rev-parse", "HEAD")
