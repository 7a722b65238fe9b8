"""Registries on loopback: Debian's docker-registry, and a small one of the tests' own that can be told to misbehave."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import time
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.authority import Authority
from tests.support.serving import Served

# Who may read and write a registry that is `guarded`, and the line of htpasswd(1) that says so (bcrypt).
USER, PASSWORD = "somebody", "the-password"
_HTPASSWD = "somebody:$2b$04$0NTVV0nU03GWZ4077PawVeQORh8vO5O9HiMRSb3vaHBsJf6tEJmqW\n"
_PATIENCE = 30


class Registry:
    """docker-registry on a free port, all its files below `directory`. Use it as a context manager.

    With an `authority` it speaks TLS; with `clients` to those alone who have a certificate of that authority. One that
    is `guarded` is for USER with PASSWORD. `prefix` is what runs it, such as in another network.
    """

    def __init__(
        self,
        directory: Path,
        authority: Authority | None = None,
        *,
        guarded: bool = False,
        clients: bool = False,
        prefix: tuple[str, ...] = (),
    ) -> None:
        self._command = [*prefix, "docker-registry", "serve"]
        self._storage = directory / "storage"
        self._config = directory / "config.yml"
        self._log = directory / "log"
        self._login = ("--dest-creds", f"{USER}:{PASSWORD}") if guarded else ()
        http: dict[str, object] = {"addr": "127.0.0.1:0"}
        if authority is not None:
            certificate, key = authority.issue("server")
            http["tls"] = {"certificate": str(certificate), "key": str(key)}
            if clients:
                http["tls"] |= {"clientcas": [str(authority.ca)]}
        config: dict[str, object] = {
            "version": 0.1,
            "log": {"level": "info", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self._storage)}},
            "http": http,
        }
        if guarded:
            (directory / "htpasswd").write_text(_HTPASSWD)
            config["auth"] = {"htpasswd": {"realm": "tests", "path": str(directory / "htpasswd")}}
        self._config.write_text(json.dumps(config))  # which is YAML, too

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([*self._command, self._config], stdout=log, stderr=log)
        self.address = f"localhost:{self._port()}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()

    def _port(self) -> str:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and self._process.poll() is None:
            found = re.search(r"listening on 127\.0\.0\.1:(\d+)", self._log.read_text())
            if found:
                return found[1]
            time.sleep(0.02)
        raise AssertionError(f"docker-registry did not start:\n{self._log.read_text()}")

    def push(self, source: str, name: str, *options: str) -> None:
        """Copy an image in, as skopeo names it (`oci:DIRECTORY:TAG`, `oci-archive:FILE`…)."""
        target = f"docker://{self.address}/{name}"
        done = subprocess.run(
            ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", *self._login, *options, source, target],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def manifest(self, name: str) -> bytes:
        """The manifest or index of `name:tag`, as it is stored."""
        command = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{self.address}/{name}"]
        return subprocess.run(command, capture_output=True, check=True).stdout

    def put_manifest(self, name: str, tag: str, data: bytes, media_type: str) -> None:
        """Store a manifest or an index under a tag."""
        url = f"http://{self.address}/v2/{name}/manifests/{tag}"
        request = urllib.request.Request(url, data, {"Content-Type": media_type}, method="PUT")
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 201

    def put_blob(self, name: str, data: bytes) -> None:
        """Store a blob."""
        begin = urllib.request.Request(f"http://{self.address}/v2/{name}/blobs/uploads/", method="POST", data=b"")
        with urllib.request.urlopen(begin) as answer:
            url = answer.headers["Location"]
        url += f"&digest=sha256:{hashlib.sha256(data).hexdigest()}"
        headers = {"Content-Type": "application/octet-stream"}
        with urllib.request.urlopen(urllib.request.Request(url, data, headers, method="PUT")) as answer:
            assert answer.status == 201

    def blob(self, digest: str) -> Path:
        """The file of a blob in the registry's storage, to be damaged."""
        hexadecimal = digest.removeprefix("sha256:")
        return self._storage / "docker/registry/v2/blobs/sha256" / hexadecimal[:2] / hexadecimal / "data"


@dataclass
class Page:
    """What a path answers. `missing`: how many bytes of the body are promised and not sent."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    missing: int = 0


@dataclass(frozen=True)
class Asked:
    """One request: its path with the query, and its Authorization header."""

    path: str
    authorization: str | None


class FakeRegistry(Served):
    """Serves `pages` by path and notes what it is asked. Use it as a context manager.

    With a `token` it refuses what comes without, by `challenge`; `token_page` is what its token service says.
    """

    def __init__(self, token: str | None = None) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[Asked] = []
        self.token = token
        self.token_page = Page(json.dumps({"token": token}).encode())
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry._answer(self)

            def do_HEAD(self) -> None:
                registry._answer(self)

            def log_message(self, *_: object) -> None:
                """Says nothing: the tests look at `asked`."""

        self.listen(Handler)
        self.challenge = f'Bearer realm="http://{self.address}/token",service="fake",scope="repository:app:pull"'

    def serve(self, layout: Path, name: str, tag: str) -> None:
        """Serve the one image of an OCI layout directory."""
        (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
        for blob in (layout / "blobs" / "sha256").iterdir():
            self.pages[f"/v2/{name}/blobs/sha256:{blob.name}"] = Page(blob.read_bytes())
        manifest = self.pages.pop(f"/v2/{name}/blobs/{entry['digest']}")
        manifest.headers["Content-Type"] = entry["mediaType"]
        for reference in (tag, entry["digest"]):
            self.pages[f"/v2/{name}/manifests/{reference}"] = manifest

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        authorization = handler.headers.get("Authorization")
        self.asked.append(Asked(handler.path, authorization))
        path = handler.path.partition("?")[0]
        if path == "/token":
            page = self.token_page
        elif self.token is not None and authorization != f"Bearer {self.token}":
            page = Page(b"{}", 401, {"WWW-Authenticate": self.challenge})
        else:
            page = self.pages.get(path, Page(b"{}", 404))
        handler.send_response(page.status)
        for header, value in page.headers.items():
            handler.send_header(header, value)
        handler.send_header("Content-Length", str(len(page.body) + page.missing))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(page.body)
