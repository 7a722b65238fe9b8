"""How blobs get into repositories, against a registry that is a few lines: no sockets."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.digest import Digest
from builder.errors import RegistryError
from builder.image.descriptor import Descriptor
from builder.registry.auth import Answer
from builder.registry.uploads import Flow, Pause, RefusedError, Request, Uploaded, uploaded

DATA = bytes(range(256)) * 2000
BLOB = Descriptor("", Digest.of(DATA), len(DATA))
PLACE = "/v2/app/blobs/uploads/1"


@dataclass
class Registry:
    """Takes blobs. `faults` are what goes wrong with the next requests that carry bytes, first ones first.

    A number is how many of the bytes get there before the connection breaks; `busy`, `lost`, `silent` (all gets there,
    and the answer does not) and `deaf` (answers, as if it had taken nothing) are other ones.
    """

    mounts: set[str] = field(default_factory=set)
    largest: int = 1 << 30
    faults: list[int | str] = field(default_factory=list)
    location: str = PLACE
    blobs: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    upload: bytes | None = None
    count: int = 0

    def answer(self, request: Request) -> Answer | RegistryError:
        self.asked.append(f"{request.method} {request.url.partition('?')[0]}")
        where, _, query = request.url.partition("?")
        if request.method == "POST":
            if query and any(f"from={name}" in query for name in self.mounts):
                return Answer(201, {})
            self.count += 1
            self.upload = b""
            return self._state(202)
        if where != self.location or self.upload is None:
            return Answer(404, {})
        if request.method == "GET":
            return self._state(204)
        body = b"" if request.body is None else DATA[request.body.offset : request.body.offset + request.body.size]
        assert dict(request.headers)["Content-Length"] == str(len(body))
        if len(body) > self.largest:
            return Answer(413, {})
        fault = self.faults.pop(0) if self.faults and body else None
        if fault == "busy":
            return Answer(503, {"retry-after": "1"})
        if fault == "lost":
            self.upload = None
            return Answer(500, {})
        if fault == "deaf":
            return self._state(202)
        content = dict(request.headers).get("Content-Range")
        if content is not None and content != f"{len(self.upload)}-{len(self.upload) + len(body) - 1}":
            return Answer(416, {})
        self.upload += body[: fault if isinstance(fault, int) else None]
        if fault is not None:
            return RegistryError("it broke off")
        if request.method == "PATCH":
            return self._state(202)
        digest = Digest.of(self.upload)
        if query != f"digest=sha256%3A{digest.hex}":
            return Answer(400, {}, b"digest invalid")
        self.blobs[digest.hex] = self.upload
        self.upload = None
        return Answer(201, {"docker-content-digest": str(digest)})

    def _state(self, status: int) -> Answer:
        assert self.upload is not None
        return Answer(status, {"location": self.location, "range": f"0-{max(0, len(self.upload) - 1)}"})


def run(flow: Flow, registry: Registry) -> tuple[Uploaded, float]:
    """What came of it, and how long it would have waited."""
    said: Answer | RegistryError | None = None
    waited = 0.0
    try:
        while True:
            step = flow.send(said)
            said = None
            if isinstance(step, Pause):
                waited += step.seconds
            else:
                said = registry.answer(step)
    except StopIteration as done:
        return done.value, waited


def test_it_is_sent_in_one_piece() -> None:
    registry = Registry()
    assert run(uploaded(BLOB), registry) == (Uploaded(sent=len(DATA)), 0)
    assert registry.blobs == {BLOB.digest.hex: DATA}
    assert registry.asked == ["POST blobs/uploads/", f"PUT {PLACE}"]


def test_an_empty_blob() -> None:
    registry, empty = Registry(), Descriptor("", Digest.of(b""), 0)
    assert run(uploaded(empty), registry)[0] == Uploaded()
    assert registry.blobs == {empty.digest.hex: b""}


def test_it_is_mounted_where_the_registry_can() -> None:
    registry = Registry(mounts={"other"})
    assert run(uploaded(BLOB, "other"), registry)[0] == Uploaded(mounted="other")
    assert registry.asked == ["POST blobs/uploads/"]


def test_what_cannot_be_mounted_is_sent_by_the_same_upload() -> None:
    registry = Registry()
    assert run(uploaded(BLOB, "other"), registry)[0] == Uploaded(sent=len(DATA))
    assert registry.asked == ["POST blobs/uploads/", f"PUT {PLACE}"]


def test_a_mount_asks_for_the_right_to_read_there() -> None:
    flow = uploaded(BLOB, "some/other")
    first = next(flow)
    assert isinstance(first, Request)
    assert first.pull_from == ("some/other",)
    assert first.url == f"blobs/uploads/?mount=sha256%3A{BLOB.digest.hex}&from=some%2Fother"


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        ("/v2/app/blobs/uploads/7?_state=x", f"/v2/app/blobs/uploads/7?_state=x&digest=sha256%3A{BLOB.digest.hex}"),
        ("7", f"blobs/uploads/7?digest=sha256%3A{BLOB.digest.hex}"),
        ("https://other/7?a=b", f"https://other/7?a=b&digest=sha256%3A{BLOB.digest.hex}"),
    ],
)
def test_places_may_be_relative_and_elsewhere(location: str, asked: str) -> None:
    flow = uploaded(BLOB)
    next(flow)
    then = flow.send(Answer(202, {"location": location}))
    assert isinstance(then, Request)
    assert then.url == asked


def test_what_broke_off_goes_on_where_the_registry_is() -> None:
    registry = Registry(faults=[100_000, 50_000])
    uploading, waited = run(uploaded(BLOB), registry)
    assert uploading == Uploaded(sent=len(DATA))
    assert registry.blobs == {BLOB.digest.hex: DATA}
    assert registry.asked[1:] == [f"{m} {PLACE}" for m in ("PUT", "GET", "PATCH", "GET", "PATCH", "PUT")]
    assert waited < 1  # it got on each time


def test_a_large_request_that_is_refused_is_sent_in_smaller_ones() -> None:
    registry = Registry(largest=200_000)
    assert run(uploaded(BLOB), registry)[0] == Uploaded(sent=len(DATA))
    assert registry.blobs == {BLOB.digest.hex: DATA}


def test_the_least_chunk_a_registry_takes_is_not_undercut() -> None:
    flow = uploaded(BLOB)
    next(flow)
    flow.send(Answer(202, {"location": PLACE, "oci-chunk-min-length": "400000"}))
    assert isinstance(flow.send(Answer(413, {})), Request)
    assert isinstance(flow.send(Answer(204, {"location": PLACE, "range": "0-0"})), Request)
    chunk = flow.send(Answer(202, {"location": PLACE, "oci-chunk-min-length": "400000"}))
    assert isinstance(chunk, Request)
    assert chunk.body is not None
    assert chunk.body.size == 400_000


def test_what_is_lost_begins_anew() -> None:
    registry = Registry(faults=[100_000, "lost"])
    assert run(uploaded(BLOB, "other"), registry)[0].mounted == ""
    assert registry.blobs == {BLOB.digest.hex: DATA}
    assert registry.count == 2


def test_it_waits_as_long_as_it_is_asked_to() -> None:
    registry = Registry(faults=["busy", "busy"])
    assert run(uploaded(BLOB), registry)[1] >= 2


@pytest.mark.parametrize("fault", [0, "busy", "lost", "deaf"])
def test_what_goes_wrong_for_ever_ends(fault: int | str) -> None:
    registry = Registry(faults=[fault] * 100)
    with pytest.raises(RegistryError):
        run(uploaded(BLOB), registry)
    assert len(registry.asked) < 30


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 500])
def test_a_refusal_to_begin_is_told(status: int) -> None:
    flow = uploaded(BLOB)
    next(flow)
    with pytest.raises(RefusedError) as refused:
        flow.send(Answer(status, {}, b"quota exceeded"))
    assert refused.value.answer.body == b"quota exceeded"


def test_a_refusal_of_bytes_is_told() -> None:
    flow = uploaded(BLOB)
    next(flow)
    flow.send(Answer(202, {"location": PLACE}))
    with pytest.raises(RefusedError):
        flow.send(Answer(403, {}, b"quota exceeded"))


def test_a_registry_that_took_something_else_is_not_believed() -> None:
    flow = uploaded(BLOB)
    next(flow)
    flow.send(Answer(202, {"location": PLACE}))
    with pytest.raises(RegistryError, match="took it as sha256:0000"):
        flow.send(Answer(201, {"docker-content-digest": f"sha256:{'0' * 64}"}))


def test_a_registry_that_has_more_than_there_is_begins_anew() -> None:
    flow = uploaded(BLOB)
    next(flow)
    flow.send(Answer(202, {"location": PLACE}))
    flow.send(RegistryError("broke off"))
    flow.send(None)
    again = flow.send(Answer(204, {"location": PLACE, "range": f"0-{len(DATA)}"}))
    assert isinstance(again, Pause)
    begun = flow.send(None)
    assert isinstance(begun, Request)
    assert begun.method == "POST"


def test_a_registry_that_goes_back_and_forth_is_left() -> None:
    flow, count = uploaded(BLOB), 0
    said: Answer | RegistryError | None = None
    with pytest.raises(RegistryError):
        while count < 1000:
            step, count = flow.send(said), count + 1
            said = RegistryError("broke off")
            if isinstance(step, Request) and step.body is None:
                said = Answer(202, {"location": PLACE, "range": f"0-{1000 + count % 7}"})
            if isinstance(step, Pause):
                said = None
    assert count < 500


FAULTS = st.lists(
    st.integers(0, len(DATA)) | st.sampled_from(["busy", "lost", "deaf"]),
    max_size=5,
)


@given(FAULTS, st.sampled_from([1 << 30, 300_000, 70_000]))
def test_whatever_goes_wrong_what_gets_there_is_the_blob(faults: list[int | str], largest: int) -> None:
    registry = Registry(faults=faults, largest=largest)
    run(uploaded(BLOB), registry)
    assert registry.blobs == {BLOB.digest.hex: DATA}
