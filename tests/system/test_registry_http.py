"""The distribution client against servers of all kinds, over real connections on loopback."""

from __future__ import annotations

import base64
import itertools
import json
import random
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from builder.digest import Digest
from builder.errors import BadInputError, CanceledError, NotFoundError, PybuildError, RegistryError
from builder.image.descriptor import Descriptor
from builder.image.mediatypes import OCI_LAYER_GZIP, OCI_MANIFEST
from builder.image.reference import Reference
from builder.registry import blobs, client, exchange, host, transport
from builder.registry.client import Repository
from builder.registry.endpoints import Registries, RegistrySettings
from builder.registry.rules import Insecure, Mirror, Rule
from tests.support.authority import Authority
from tests.support.hostile import Answer, Answering, Asked, Hostile, dropping, endless, page, raw

DATA = random.Random(1).randbytes(300_000)
BLOB = Descriptor(OCI_LAYER_GZIP, Digest.of(DATA), len(DATA))
PATH = f"/v2/app/blobs/{BLOB.digest}"
MANIFEST = b'{"schemaVersion":2}'


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are for servers elsewhere."""
    monkeypatch.setattr(exchange, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(blobs, "PAUSE", 0.01)
    monkeypatch.setattr(client, "PAUSE", 0.01)


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    with Hostile() as hostile:
        yield hostile


@pytest.fixture
def registries() -> Iterator[Registries]:
    registries = Registries(RegistrySettings())
    yield registries
    registries.close()


@pytest.fixture
def repository(registries: Registries, hostile: Hostile) -> Repository:
    return registries.repository(Reference.parse(f"{hostile.address}/app"))


def read(repository: Repository, blob: Descriptor = BLOB) -> bytes:
    parts = []
    with repository.blob(blob) as reader:
        while data := reader.read(1 << 16):
            parts.append(data)
    return b"".join(parts)


# --- blobs ---------------------------------------------------------------------------------------


def test_a_blob_that_drops_five_times_arrives(hostile: Hostile, repository: Repository) -> None:
    hostile.answers[PATH] = dropping(DATA, *[50_000] * 5)
    assert read(repository) == DATA
    starts = [asked.start for asked in hostile.asked]
    assert (len(starts), starts[0]) == (6, 0)
    # what was on the way when it broke may be lost, but what came is not asked for again
    assert starts == sorted(set(starts))


def test_a_server_without_ranges_is_read_from_the_beginning(hostile: Hostile, repository: Repository) -> None:
    hostile.answers[PATH] = dropping(DATA, 100_000, 200_000, ranges=False)
    assert read(repository) == DATA
    assert len(hostile.asked) == 3


def test_a_blob_that_never_goes_on_is_given_up(hostile: Hostile, repository: Repository) -> None:
    hostile.answers[PATH] = dropping(DATA, *[0] * 100)
    with pytest.raises(RegistryError) as caught:
        read(repository)
    for named in (hostile.address, f"blob {BLOB.digest} of {hostile.address}/app", "of 300000 bytes"):
        assert named in caught.value.message
    assert len(hostile.asked) == 3


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (page(DATA, Content_Length=len(DATA) - 1), "has 299999 bytes, 300000 were declared"),
        (page(DATA, Content_Length=4 << 30), "has 4294967296 bytes, 300000 were declared"),
        (page(DATA[:-1] + b"x"), "is damaged"),
        (page(DATA, Content_Encoding="gzip"), "encoded as 'gzip'"),
        (page(DATA, Content_Encoding="br, gzip"), "encoded as 'br, gzip'"),
        (endless(chunked=True), "is longer than the 300000 bytes"),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), "has 3 bytes"),
    ],
)
def test_another_blob_than_was_asked_for(hostile: Hostile, repository: Repository, answer: Answer, words: str) -> None:
    hostile.answers[PATH] = answer
    with pytest.raises(BadInputError) as caught:
        read(repository)
    assert words in caught.value.message
    assert f"blob {BLOB.digest} of {hostile.address}/app" in caught.value.message
    assert len(hostile.asked) == 1


def test_a_part_that_begins_elsewhere_is_refused(hostile: Hostile, repository: Repository) -> None:
    dropped = dropping(DATA, 100_000)

    def elsewhere(asked: Asked, to: Answering) -> None:
        if asked.start:
            to.head(206, Content_Length=len(DATA), Content_Range=f"bytes 0-{len(DATA) - 1}/{len(DATA)}")
            to.write(DATA)
        else:
            dropped(asked, to)

    hostile.answers[PATH] = elsewhere
    with pytest.raises(BadInputError, match="something else was sent"):
        read(repository)


def test_a_blob_that_is_gone_in_the_middle(hostile: Hostile, repository: Repository) -> None:
    dropped = dropping(DATA, 100_000)
    absent = raw(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    hostile.answers[PATH] = lambda asked, to: (absent if asked.start else dropped)(asked, to)
    with pytest.raises(NotFoundError, match="has no blob"):
        read(repository)


def test_many_threads_read_at_once(hostile: Hostile, repository: Repository) -> None:
    blobs = {}
    for number in range(24):
        data = random.Random(number).randbytes(30_000)
        blob = Descriptor(OCI_LAYER_GZIP, Digest.of(data), len(data))
        blobs[blob] = data
        hostile.answers[f"/v2/app/blobs/{blob.digest}"] = dropping(data, 10_000) if number % 3 else page(data)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda blob: read(repository, blob), blobs)) == list(blobs.values())


def test_what_is_read_can_be_canceled_from_another_thread(
    hostile: Hostile, registries: Registries, repository: Repository
) -> None:
    def stalled(asked: Asked, to: Answering) -> None:
        to.head(200, Content_Length=len(DATA))
        to.write(DATA[:1000])
        began.set()
        over.wait(20)

    began, over = threading.Event(), threading.Event()
    hostile.answers[PATH] = stalled
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read, repository)
        began.wait(20)
        registries.cancel()
        with pytest.raises(CanceledError):
            reading.result(20)
        over.set()
    with pytest.raises(CanceledError):
        repository.manifest("1")


# --- manifests -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (endless(), BadInputError, "has 10737418240 bytes; more than 4194304 are not read"),
        (endless(chunked=True), BadInputError, "more than 4194304 are not read"),
        (page(MANIFEST, Content_Encoding="gzip"), BadInputError, "which was not asked for"),
        (page(b"<html>", Content_Type="text/html; charset=utf-8"), BadInputError, "a web page, not an image manifest"),
        (page(MANIFEST, Docker_Content_Digest=BLOB.digest), BadInputError, "but its content hashes to"),
        (endless(status=500), RegistryError, "answered 500 when asked for manifest 1 in app"),
        (endless(status=403, chunked=True), RegistryError, "refuses manifest 1 (status 403) in app"),
        (page(b"", 302, Location="file:///etc/passwd"), RegistryError, "redirects to file:, which is not followed"),
        (page(b"", 302, Location="/v2/app/manifests/1"), RegistryError, "redirects without end"),
        (page(b"", 401, WWW_Authenticate='Bearer realm="/token"'), RegistryError, "asks for a login"),
        (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), RegistryError, "cannot be reached"),
        (raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"), RegistryError, "100 headers"),
        (raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n"), RegistryError, "more than 65536 bytes"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n{}"), PybuildError, ""),
        (raw(b"HTTP/1.1 999999 Odd\r\n\r\n"), RegistryError, "cannot be reached"),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), RegistryError, "broke off"),
        (page(b"{}", 404, WWW_Authenticate="Basic"), NotFoundError, "has no manifest 1 in app"),
    ],
)
def test_a_manifest_that_is_none(registries: Registries, answer: Answer, kind: type[PybuildError], words: str) -> None:
    with Hostile() as hostile:
        hostile.answers["/v2/app/manifests/1"] = answer
        with pytest.raises(kind) as caught:
            registries.repository(Reference.parse(f"{hostile.address}/app")).manifest("1")
    assert words in caught.value.message
    assert hostile.address in caught.value.message
    # what the kernel holds on the way, and the most that is read of a manifest, four times
    assert hostile.sent < 64 << 20


def test_a_manifest_by_digest_is_that_manifest(hostile: Hostile, repository: Repository) -> None:
    digest = Digest.of(MANIFEST)
    hostile.answers[f"/v2/app/manifests/{digest}"] = page(MANIFEST, Content_Type=f"{OCI_MANIFEST}; charset=utf-8")
    assert repository.manifest(str(digest)) == (MANIFEST, OCI_MANIFEST)
    hostile.answers[f"/v2/app/manifests/{digest}"] = page(MANIFEST + b" ")
    with pytest.raises(BadInputError, match="is damaged"):
        repository.manifest(str(digest))


def test_a_manifest_that_breaks_off_is_asked_for_again(hostile: Hostile, repository: Repository) -> None:
    hostile.answers["/v2/app/manifests/1"] = dropping(MANIFEST, 5, 0, 1, ranges=False)
    assert repository.manifest("1")[0] == MANIFEST
    hostile.answers["/v2/app/manifests/1"] = dropping(MANIFEST, *[5] * 100, ranges=False)
    with pytest.raises(RegistryError, match="broke off"):
        repository.manifest("1")
    assert len(hostile.asked) == 8


def test_who_sends_a_byte_now_and_then_is_not_waited_for(
    hostile: Hostile, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile.answers[PATH] = hostile.answers["/v2/app/manifests/1"] = dropping(DATA, *[100] * 100, ranges=False)
    minutes = itertools.count(0, 61)
    monkeypatch.setattr(transport, "monotonic", lambda: next(minutes))
    with pytest.raises(RegistryError, match="has almost stopped sending"):
        read(repository)
    with pytest.raises(RegistryError, match="broke off: it"):
        repository.manifest("1")


def test_what_a_tag_names_is_asked_without_reading_it(hostile: Hostile, repository: Repository) -> None:
    digest = Digest.of(MANIFEST)
    path = "/v2/app/manifests/1"
    hostile.answers[path] = page(MANIFEST, Content_Type=OCI_MANIFEST, Docker_Content_Digest=digest)
    expected = Descriptor(OCI_MANIFEST, digest, len(MANIFEST))
    assert repository.head("1") == expected
    assert [asked.method for asked in hostile.asked] == ["HEAD"]
    # a registry that does not say the digest is asked for all of it
    hostile.answers[path] = page(MANIFEST, Content_Type=OCI_MANIFEST)
    assert repository.head("1") == expected
    assert repository.head("2") is None
    # and so is one that knows no HEAD
    whole = page(MANIFEST, Content_Type=OCI_MANIFEST)
    hostile.answers[path] = lambda asked, to: (page(b"", 405) if asked.method == "HEAD" else whole)(asked, to)
    assert repository.head("1") == expected


def test_a_registry_that_takes_a_manifest_as_another(hostile: Hostile, repository: Repository) -> None:
    hostile.answers["/v2/app/manifests/1"] = page(b"", 201, Docker_Content_Digest=BLOB.digest)
    with pytest.raises(RegistryError, match="took manifest 1"):
        repository.put_manifest("1", MANIFEST, OCI_MANIFEST)
    (asked,) = hostile.asked
    assert (asked.method, asked.body, asked.headers["content-type"]) == ("PUT", MANIFEST, OCI_MANIFEST)


def test_any_answer_is_an_answer_or_an_error(hostile: Hostile, repository: Repository) -> None:
    """Answers with bytes that were changed, lost or doubled on the way end well or with an error of ours."""
    chance = random.Random(7)
    small = Descriptor(OCI_LAYER_GZIP, Digest.of(b"blob"), 4)
    path = f"/v2/app/blobs/{small.digest}"
    head = f"Content-Type: {OCI_MANIFEST}\r\nDocker-Content-Digest: {small.digest}\r\nConnection: close\r\n"
    good = f"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n{head}\r\nblob".encode()
    ended = 0
    for _ in range(50):
        answer = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(answer))
            answer[at : at + chance.randint(0, 3)] = chance.choice((b"", b"\r\n", b"\0", b":", b"\xff", b" ", b"9"))
        hostile.answers["/v2/app/manifests/1"] = hostile.answers[path] = raw(bytes(answer))
        for ask in (lambda: read(repository, small), lambda: repository.manifest("1"), lambda: repository.head("1")):
            try:
                ask()
                ended += 1
            except PybuildError as error:
                assert error.message.isprintable()
    assert 15 < ended < 145


# --- logins --------------------------------------------------------------------------------------


class Guard:
    """A registry behind a token service, whose tokens are counted: `token-1`, `token-2`…"""

    def __init__(self, hostile: Hostile, answer: Answer, seconds: int = 300) -> None:
        self._hostile, self._answer, self._seconds = hostile, answer, seconds
        self.given = 0
        self.good: set[str] = set()
        hostile.answers["/token"] = self._token
        hostile.answers["/v2/app/manifests/1"] = self._guarded
        hostile.answers[PATH] = self._guarded

    def _token(self, asked: Asked, to: Answering) -> None:
        self.given += 1
        self.good = {f"Bearer token-{self.given}"}
        body = json.dumps({"token": f"token-{self.given}", "expires_in": self._seconds}).encode()
        page(body)(asked, to)

    def _guarded(self, asked: Asked, to: Answering) -> None:
        if asked.headers.get("authorization") in self.good:
            self._answer(asked, to)
        else:
            challenge = f'Bearer realm="http://{self._hostile.address}/token",service="s"'
            page(b"{}", 401, WWW_Authenticate=challenge)(asked, to)


def test_many_threads_log_in_once(hostile: Hostile, repository: Repository) -> None:
    guard = Guard(hostile, page(DATA))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: read(repository), range(24))) == [DATA] * 24
    assert guard.given == 1


def test_a_token_that_has_ended_is_fetched_anew(hostile: Hostile, repository: Repository) -> None:
    guard = Guard(hostile, page(MANIFEST))
    repository.manifest("1")
    guard.good = set()  # it ends before its time
    assert repository.manifest("1")[0] == MANIFEST
    assert guard.given == 2
    assert [asked.path.partition("?")[0] for asked in hostile.asked] == [
        "/v2/app/manifests/1",
        "/token",
        "/v2/app/manifests/1",
        "/v2/app/manifests/1",
        "/token",
        "/v2/app/manifests/1",
    ]


def test_a_token_near_its_end_is_not_used(
    hostile: Hostile, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = Guard(hostile, page(MANIFEST), seconds=100)
    repository.manifest("1")
    now = host.monotonic()
    monkeypatch.setattr(host, "monotonic", lambda: now + 95)
    repository.manifest("1")
    assert guard.given == 2
    # no answer 401 was needed for that
    assert [asked.path.partition("?")[0] for asked in hostile.asked][3:] == ["/token", "/v2/app/manifests/1"]


def test_a_registry_that_never_lets_in_is_left(hostile: Hostile, repository: Repository) -> None:
    guard = Guard(hostile, page(MANIFEST))
    guard.good = set()
    hostile.answers["/token"] = page(b'{"token":"useless"}')
    with pytest.raises(RegistryError, match=r"refuses manifest 1 \(status 401\)"):
        repository.manifest("1")
    assert len(hostile.asked) == 3


def test_scopes_say_what_is_wanted(hostile: Hostile, registries: Registries) -> None:
    Guard(hostile, page(MANIFEST))
    reference = Reference.parse(f"{hostile.address}/app")
    pushed = registries.repository(reference, push=True)
    pushed.request("GET", "manifests/1", pull_from=["other/base"]).close()
    pushed.request("GET", "manifests/1").close()
    registries.repository(reference).manifest("1")
    queries = [parse_qs(urlsplit(asked.path).query)["scope"] for asked in hostile.asked if "/token" in asked.path]
    assert queries == [
        ["repository:app:pull,push", "repository:other/base:pull"],
        ["repository:app:pull,push"],
        ["repository:app:pull"],
    ]


def test_an_identity_token_is_exchanged(hostile: Hostile, tmp_path: Path) -> None:
    Guard(hostile, page(MANIFEST))
    login = {"auth": base64.b64encode(b"me:").decode(), "identitytoken": "the-identity"}
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {hostile.address: login}}))
    opened = Registries(RegistrySettings(authfile=str(tmp_path / "auth.json")))
    try:
        assert opened.repository(Reference.parse(f"{hostile.address}/app")).manifest("1")[0] == MANIFEST
    finally:
        opened.close()
    _, token, _ = hostile.asked
    assert (token.method, token.path) == ("POST", "/token")
    assert parse_qs(token.body.decode())["refresh_token"] == ["the-identity"]


def test_a_login_goes_to_the_registry_and_to_nobody_else(hostile: Hostile, tmp_path: Path) -> None:
    """Neither to where it redirects to, nor to what it names as an upload's place."""
    (tmp_path / "auth.json").write_text(
        json.dumps({"auths": {hostile.address: {"auth": base64.b64encode(b"me:the-password").decode()}}})
    )
    opened = Registries(RegistrySettings(authfile=str(tmp_path / "auth.json")))
    with Hostile() as other:
        other.answers["/blob"] = page(DATA)
        other.answers["/upload"] = page(b"", 401, WWW_Authenticate="Basic")

        def guarded(asked: Asked, to: Answering) -> None:
            known = "authorization" in asked.headers
            moved = page(b"", 307, Location=f"http://{other.address}/blob")
            (moved if known else page(b"", 401, WWW_Authenticate="Basic"))(asked, to)

        hostile.answers[PATH] = guarded
        repository = opened.repository(Reference.parse(f"{hostile.address}/app"), push=True)
        assert read(repository) == DATA
        with pytest.raises(RegistryError, match="status 401"):
            repository.request("PUT", f"http://{other.address}/upload", body=DATA)
        assert [asked.headers.get("authorization") for asked in other.asked] == [None, None]
    opened.close()


def test_a_login_is_that_for_the_place_where_images_are(hostile: Hostile, tmp_path: Path) -> None:
    """What a rule sends elsewhere is another registry, with logins of its own."""
    auths = {
        name: {"auth": base64.b64encode(f"me:of-{name}".encode()).decode()} for name in ("r.example", hostile.address)
    }
    (tmp_path / "auth.json").write_text(json.dumps({"auths": auths}))
    rule = Rule("r.example/team", f"{hostile.address}/deep")
    opened = Registries(RegistrySettings(rules=(rule,), authfile=str(tmp_path / "auth.json")))
    hostile.answers["/v2/deep/app/manifests/1"] = page(b"{}", 401, WWW_Authenticate="Basic")
    with pytest.raises(RegistryError, match=f"{hostile.address} refuses manifest 1"):
        opened.repository(Reference.parse("r.example/team/app")).manifest("1")
    opened.close()
    sent = base64.b64encode(f"me:of-{hostile.address}".encode()).decode()
    assert [asked.headers.get("authorization") for asked in hostile.asked] == [None, f"Basic {sent}"]


def test_a_helper_that_fails_is_told_of_when_it_would_have_helped(hostile: Hostile, tmp_path: Path) -> None:
    (tmp_path / "auth.json").write_text('{"credsStore": "of-nobody"}')
    opened = Registries(RegistrySettings(authfile=str(tmp_path / "auth.json")))
    repository = opened.repository(Reference.parse(f"{hostile.address}/app"))
    Guard(hostile, page(MANIFEST))
    assert repository.manifest("1")[0] == MANIFEST, "strangers are welcome"
    hostile.answers["/v2/app/manifests/2"] = page(b"{}", 401, WWW_Authenticate='Basic realm="r"')
    with pytest.raises(RegistryError) as caught:
        opened.repository(Reference.parse(f"{hostile.address}/app")).manifest("2")
    assert "docker-credential-of-nobody cannot be run" in str(caught.value.hint)
    opened.close()


# --- mirrors -------------------------------------------------------------------------------------


@pytest.fixture
def mirror() -> Iterator[Hostile]:
    with Hostile() as mirror:
        yield mirror


@pytest.fixture
def mirrored(hostile: Hostile, mirror: Hostile) -> Iterator[Repository]:
    """The repository `app`, of which `mirror` may have a copy."""
    opened = Registries(RegistrySettings(rules=(Rule(hostile.address, mirrors=(Mirror(f"{mirror.address}/copies"),)),)))
    yield opened.repository(Reference.parse(f"{hostile.address}/app"))
    opened.close()


MIRRORED = PATH.replace("/app/", "/copies/app/")


def test_a_mirror_is_asked_first_and_the_registry_for_what_it_lacks(
    hostile: Hostile, mirror: Hostile, mirrored: Repository
) -> None:
    mirror.answers["/v2/copies/app/manifests/1"] = page(MANIFEST)
    hostile.answers[PATH] = page(DATA)
    assert mirrored.manifest("1")[0] == MANIFEST
    assert read(mirrored) == DATA
    assert [asked.path for asked in mirror.asked] == ["/v2/copies/app/manifests/1", MIRRORED]
    assert [asked.path for asked in hostile.asked] == [PATH]


def test_a_mirror_that_breaks_off_leaves_the_rest_to_the_registry(
    hostile: Hostile, mirror: Hostile, mirrored: Repository
) -> None:
    mirror.answers[MIRRORED] = dropping(DATA, 100_000, 0, 0, 0)
    hostile.answers[PATH] = page(DATA)
    assert read(mirrored) == DATA
    assert [asked.path for asked in hostile.asked] == [PATH]
    assert 0 < hostile.asked[0].start <= 100_000


@pytest.mark.parametrize("answer", [page(b"{}", 500), page(b"<html>", Content_Type="text/html"), raw(b"nonsense")])
def test_a_mirror_that_cannot_is_no_harm(
    hostile: Hostile, mirror: Hostile, mirrored: Repository, answer: Answer
) -> None:
    mirror.answers["/v2/copies/app/manifests/1"] = answer
    hostile.answers["/v2/app/manifests/1"] = page(MANIFEST)
    assert mirrored.manifest("1")[0] == MANIFEST


def test_a_mirror_that_lies_about_a_blob_is_found_out_and_left(
    hostile: Hostile, mirror: Hostile, mirrored: Repository
) -> None:
    mirror.answers[MIRRORED] = page(DATA[:-1] + b"x")
    hostile.answers[PATH] = page(DATA)
    with pytest.raises(BadInputError, match="is damaged") as caught:
        read(mirrored)
    assert f"it came from the mirror {mirror.address}" in str(caught.value.hint)
    assert read(mirrored) == DATA
    assert len(mirror.asked) == 1


def test_a_mirror_that_is_gone_is_not_tried_for_each_blob(hostile: Hostile, registries: Registries) -> None:
    with Hostile() as gone:
        address = gone.address
    opened = Registries(RegistrySettings(rules=(Rule(hostile.address, mirrors=(Mirror(address),)),)))
    hostile.answers[PATH] = page(DATA)
    hostile.answers[PATH.replace("/app/", "/other/")] = page(DATA)
    for name in ("app", "app", "other"):
        repository = opened.repository(Reference.parse(f"{hostile.address}/{name}"))
        assert read(repository) == DATA
        assert [visit.host.down for visit in repository._visits] == [True, False]
    opened.close()


def test_a_registry_by_its_address_of_six(registries: Registries) -> None:
    with Hostile(host="::1") as server:
        server.answers[PATH] = page(DATA)
        assert server.address.startswith("[::1]:")
        assert read(registries.repository(Reference.parse(f"{server.address}/app"))) == DATA


def test_a_mirror_that_is_down_is_asked_once(hostile: Hostile, mirror: Hostile, mirrored: Repository) -> None:
    mirror.answers["/v2/copies/app/manifests/1"] = page(b"{}", 503, Retry_After="0")
    hostile.answers["/v2/app/manifests/1"] = page(MANIFEST)
    for _ in range(3):
        assert mirrored.manifest("1")[0] == MANIFEST
    assert len(mirror.asked) == 1


def test_why_mirrors_failed_is_told_when_all_do(mirror: Hostile, mirrored: Repository) -> None:
    with pytest.raises(NotFoundError) as caught:
        mirrored.manifest("1")
    assert f"{mirror.address} has no manifest 1 in copies/app" in str(caught.value.hint)


# --- TLS, proxies, plain HTTP --------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that certs.d is looked for in."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "containers/certs.d"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    (tmp_path / "authority").mkdir()
    return Authority(tmp_path / "authority")


@pytest.fixture
def safe(authority: Authority) -> Iterator[Hostile]:
    """One that speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server"))
    with Hostile(context) as safe:
        safe.answers["/v2/app/manifests/1"] = page(MANIFEST)
        yield safe


def manifest(address: str, insecure: tuple[str, ...] = ()) -> bytes:
    opened = Registries(RegistrySettings(insecure=Insecure(insecure)))
    try:
        return opened.repository(Reference.parse(f"{address}/app")).manifest("1")[0]
    finally:
        opened.close()


def trusted(home: Path, address: str, authority: Authority) -> Path:
    """The directory for an address in certs.d, with the CA."""
    directory = home / address
    directory.mkdir(parents=True)
    (directory / "ca.crt").write_bytes(authority.ca.read_bytes())
    return directory


def test_who_does_not_prove_who_it_is_is_not_asked(home: Path, safe: Hostile) -> None:
    with pytest.raises(RegistryError, match="does not prove who it is") as caught:
        manifest(safe.address)
    assert f"certs.d/{safe.address}/ca.crt" in str(caught.value.hint)
    assert safe.asked == []


def test_a_ca_in_certs_d_is_for_its_registry_alone(home: Path, safe: Hostile, authority: Authority) -> None:
    directory = trusted(home, safe.address, authority)
    assert manifest(safe.address) == MANIFEST
    directory.rename(home / "localhost:1")
    with pytest.raises(RegistryError, match="does not prove who it is"):
        manifest(safe.address)


def test_who_need_not_prove_it_is_asked_by_tls_first(home: Path, safe: Hostile, hostile: Hostile) -> None:
    assert manifest(safe.address, (safe.address,)) == MANIFEST
    hostile.answers["/v2/app/manifests/1"] = page(MANIFEST)
    assert manifest(hostile.address, (hostile.address,)) == MANIFEST


def test_certificates_that_cannot_be_used(home: Path, safe: Hostile, authority: Authority) -> None:
    directory = trusted(home, safe.address, authority)
    (directory / "me.cert").write_text("nonsense")
    with pytest.raises(RegistryError, match=r"me\.cert has no key: me\.key is missing"):
        manifest(safe.address)
    (directory / "me.key").write_text("nonsense")
    with pytest.raises(RegistryError, match=r"me\.cert cannot be used"):
        manifest(safe.address)


def test_no_one_is_followed_from_tls_to_plain_http(
    home: Path, safe: Hostile, hostile: Hostile, authority: Authority
) -> None:
    trusted(home, safe.address, authority)
    safe.answers["/v2/app/manifests/1"] = page(b"", 307, Location=f"http://{hostile.address}/v2/app/manifests/1")
    with pytest.raises(RegistryError, match="redirects to plain HTTP at localhost"):
        manifest(safe.address)
    assert hostile.asked == []


def test_plain_http_elsewhere_is_for_those_who_were_told(hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen through a proxy, which is what names of other machines are asked through."""
    monkeypatch.setenv("HTTP_PROXY", f"http://me:the-password@{hostile.address}")
    monkeypatch.setenv("HTTPS_PROXY", f"http://{hostile.address}")
    hostile.answers["http://r.example/v2/app/manifests/1"] = page(MANIFEST)
    with pytest.raises(RegistryError, match=r"r\.example cannot be reached") as caught:
        manifest("r.example")
    assert "the-password" not in f"{caught.value.message}{caught.value.hint}"
    assert {asked.method for asked in hostile.asked} == {"CONNECT"}
    hostile.asked.clear()
    assert manifest("r.example", ("r.example",)) == MANIFEST
    assert [asked.method for asked in hostile.asked] == ["CONNECT", "GET"]
    login = base64.b64encode(b"me:the-password").decode()
    assert hostile.asked[1].headers["proxy-authorization"] == f"Basic {login}"
    monkeypatch.setenv("NO_PROXY", ".example")
    hostile.asked.clear()
    with pytest.raises(RegistryError, match="cannot be reached"):
        manifest("r.example", ("r.example",))
    assert hostile.asked == []
