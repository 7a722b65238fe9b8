from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.errors import BadInputError, CanceledError, RegistryError
from builder.events import Event, ignore
from builder.sources.http import Web
from builder.store.open import Store
from tests.support.web import Site, site


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "repositories") as found:
        yield found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "store")
    yield opened
    opened.close()


def test_what_was_collected_is_fetched_again(store: Store, web: Site) -> None:
    url = web.put("/f", "content", headers={"ETag": '"1"'})
    client = Web(store, ignore)
    found = client.current(url)
    assert found.blob == Digest.of(b"content")
    os.unlink(store.blobs.path(found.blob))
    assert client.current(url) == found
    assert web.sent("/f") == 1
    assert client.held(url, found.blob) == found
    assert client.held(url, found.blob) == found
    assert web.sent("/f") == 2
    assert Path(store.blobs.path(found.blob)).read_bytes() == b"content"
    client.close()


def test_a_body_that_was_packed_for_the_way_is_unpacked(store: Store, web: Site) -> None:
    """As Go's client does, whose digests BuildKit compares; an archive as such has no such header."""
    client = Web(store, ignore)
    packed = gzip.compress(b"content" * 1000)
    assert client.current(web.put("/f", packed, headers={"Content-Encoding": "gzip"})).blob == Digest.of(
        b"content" * 1000
    )
    assert client.current(web.put("/f.gz", packed, headers={"Content-Type": "application/gzip"})).blob == Digest.of(
        packed
    )
    client.close()


def test_another_file_than_the_one_asked_for_is_refused(store: Store, web: Site) -> None:
    client = Web(store, ignore)
    with pytest.raises(BadInputError, match="another file"):
        client.held(web.put("/f", "content"), Digest.of(b"other"))
    client.close()


@pytest.mark.parametrize("promised", [100, -1])
def test_a_stalled_server_can_be_left(store: Store, web: Site, promised: int) -> None:
    """With a length promised, and with a body that ends with its connection, which then seems whole."""
    stalls = threading.Event()
    url = web.put("/f", "begun", stalls=stalls, promised=promised)
    reading = threading.Event()

    def emit(event: Event) -> None:
        reading.set()

    client, raised = Web(store, emit), []

    def fetch() -> None:
        try:
            client.current(url)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=fetch)
    thread.start()
    assert reading.wait(30)
    client.cancel()
    thread.join(30)
    alive = thread.is_alive()
    stalls.set()
    thread.join()
    assert not alive
    assert [type(error) for error in raised] == [CanceledError]
    assert store.memo.get("url", Digest.of(url.encode()).hex) is None
    with pytest.raises(CanceledError):
        client.current(url)
    client.close()
    assert list((store.root / "tmp").iterdir()) == []


@pytest.mark.parametrize("url", ["http://[::1/x", "http://127.0.0.1:1/x"])
def test_what_cannot_be_reached_is_a_registry_error(store: Store, url: str) -> None:
    client = Web(store, ignore)
    with pytest.raises(RegistryError):
        client.current(url)
    client.close()


def test_a_proxy_of_the_environment_is_used(store: Store, web: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", web.url)
    monkeypatch.setenv("no_proxy", "direct.invalid")
    web.put("/f", "through the proxy")
    client = Web(store, ignore)
    assert client.current("http://far.invalid/f").blob == Digest.of(b"through the proxy")
    assert web.asked == [("GET", "http://far.invalid/f", 200)]
    with pytest.raises(RegistryError):
        client.current("http://direct.invalid/f")
    assert client.current(f"{web.url}/f").blob == Digest.of(b"through the proxy")
    assert web.asked[-1] == ("GET", "/f", 200)
    client.close()
