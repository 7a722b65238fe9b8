"""Images looked into without building: which layer and path a text means, trees, files."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from builder.api import insight
from builder.api.session import Session
from builder.errors import BadInputError, NotFoundError, PybuildError, UsageError
from builder.views.filetree import TreeRow, drawn
from tests.support import layered
from tests.support.rootfs import directory, member

LAYERS = (
    (
        directory("etc"),
        member("etc/one", b"1" * 10),
        member("etc/two", b"22"),
        member("etc/also", kind=tarfile.LNKTYPE, link="etc/one"),
        member("link", kind=tarfile.SYMTYPE, link="/etc/one", mode=0o777),
        member("pipe", kind=tarfile.FIFOTYPE),
        member("null", kind=tarfile.CHRTYPE, devmajor=1, devminor=3),
        member("out", kind=tarfile.SYMTYPE, link="../../../../etc/two", mode=0o777),
    ),
    (directory("etc"), member("etc/.wh.two"), member("etc/one", b"other", mode=0o600), member("new/deep/f", b"333")),
    (directory("etc", mode=0o700), member("bad\x1b[2J\udcff", b"4", uid=7)),
)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session(tmp_path / "store") as opened:
        layered.image(opened.store, "app", *LAYERS)
        yield opened


def told(rows: list[TreeRow]) -> list[tuple[str, str, int, int]]:
    return [(row.path, row.change, row.size, row.files) for row in rows]


def test_the_tree_of_an_image_has_sums_and_hard_links_once(session: Session) -> None:
    assert told(insight.tree(session, "app")) == [
        ("/", "", 19, 8),
        ("/bad\\x1b[2J\\xff", "", 1, 1),
        ("/etc", "", 15, 2),
        ("/etc/also", "", 10, 1),
        ("/etc/one", "", 5, 1),
        ("/link", "", 0, 1),
        ("/new", "", 3, 1),
        ("/new/deep", "", 3, 1),
        ("/new/deep/f", "", 3, 1),
        ("/null", "", 0, 1),
        ("/out", "", 0, 1),
        ("/pipe", "", 0, 1),
    ]
    by_path = {row.path: row for row in insight.tree(session, "app")}
    assert (by_path["/etc"].mode, by_path["/etc"].size, by_path["/etc"].layer) == ("drwx------", 15, 3)
    assert (by_path["/link"].mode, by_path["/link"].link) == ("lrwxrwxrwx", "/etc/one")
    assert (by_path["/pipe"].mode[0], by_path["/null"].mode[0]) == ("p", "c")
    assert (by_path["/etc/one"].layer, by_path["/etc/also"].layer) == (2, 1)
    assert by_path["/bad\\x1b[2J\\xff"].uid == 7
    assert by_path["/"].size == 19


def test_a_layer_shows_what_it_changed(session: Session) -> None:
    assert told(insight.tree(session, "app@2")) == [
        ("/", "", 8, 2),
        ("/etc", "", 5, 1),
        ("/etc/one", "C", 5, 1),
        ("/etc/two", "D", 2, 1),
        ("/new", "A", 3, 1),
        ("/new/deep", "A", 3, 1),
        ("/new/deep/f", "A", 3, 1),
    ]
    assert [(row.path, row.change) for row in insight.tree(session, "app@3")] == [
        ("/", ""),
        ("/bad\\x1b[2J\\xff", "A"),
        ("/etc", "C"),
    ]
    assert [row.path for row in insight.tree(session, "app@2:/new/deep")] == ["/new/deep", "/new/deep/f"]
    assert "/etc/two" in [row.path for row in insight.tree(session, "app@1", whole=True)]
    with pytest.raises(NotFoundError, match="changes nothing at /pipe"):
        insight.tree(session, "app@2:/pipe")


def test_a_tree_is_drawn(session: Session) -> None:
    assert drawn(insight.tree(session, "app@2")) == [
        "/",
        "├── etc",
        "│   ├── one",
        "│   └── two",
        "└── new",
        "    └── deep",
        "        └── f",
    ]
    assert drawn(insight.tree(session, "app:/new")) == ["/new", "└── deep", "    └── f"]
    assert drawn(insight.tree(session, "app:/link")) == ["/etc/one"]
    assert drawn([]) == []


def test_layers_have_numbers_and_digests(session: Session) -> None:
    layers = session.store.images.layers(session.store.images.find("app").manifest.digest)
    second = layers[1].diff_id
    for text in ("2", second.hex[:12], str(second), f"sha256:{second.hex[:9]}"):
        with insight.asking(session, f"app@{text}:/x") as asked:
            assert (asked.layer, asked.path, len(asked.layers)) == (1, "/x", 2)
    image = session.store.images.find("app")
    with insight.asking(session, f"app@{image.manifest.digest}") as asked:
        assert (asked.layer, asked.path) == (None, "")
    for text in ("app@0", "app@4", "app@ffffffffffffffff", "app@", "none", "none@1", "app@sha256:"):
        with pytest.raises(NotFoundError), insight.asking(session, text):
            pass


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("app:/etc/one", b"other"),
        ("app:/link", b"other"),
        ("app@1:/link", b"1" * 10),
        ("app:/etc/also", b"1" * 10),
        ("app@1:/out", b"22"),
    ],
)
def test_a_file_is_what_its_path_leads_to(session: Session, name: str, content: bytes) -> None:
    assert b"".join(insight.cat(session, name)) == content


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("app:/out", NotFoundError, "no /etc/two"),
        ("app:/etc", UsageError, "/etc is a directory"),
        ("app:/pipe", UsageError, "a named pipe"),
        ("app:/null", UsageError, "a device"),
        ("app", UsageError, "names no file"),
        ("app:etc/one", NotFoundError, "no such image"),
    ],
)
def test_what_is_no_regular_file_is_refused(
    session: Session, name: str, kind: type[PybuildError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        b"".join(insight.cat(session, name))


def test_a_damaged_layer_is_told(session: Session) -> None:
    layer = session.store.images.layers(session.store.images.find("app").manifest.digest)[0]
    path = Path(session.store.blobs.path(layer.blob.digest))
    data = path.read_bytes()
    path.write_bytes(data[:-5] + b"x" + data[-4:])
    with pytest.raises(BadInputError, match=r"data after the end|is damaged"):
        insight.tree(session, "app")
    path.unlink()
    with pytest.raises(NotFoundError, match="is not in the store"):
        insight.tree(session, "app")


# --- two images ----------------------------------------------------------------------------------


def differences(session: Session, after: Sequence[Any], **options: bool) -> list[tuple[str, str, dict[str, Any]]]:
    layered.image(session.store, "other", *after)
    found = insight.compare(session, "app", "other", **options)
    return [(one.path, one.change, {f.field: (f.before, f.after) for f in one.fields}) for one in found.files]


def test_the_same_files_in_other_layers_are_no_difference(session: Session) -> None:
    flat = [
        directory("etc", mode=0o700),
        member("etc/one", b"other", mode=0o600),
        member("etc/also", b"1" * 10),
        *LAYERS[0][5:],
        member("link", kind=tarfile.SYMTYPE, link="/etc/one", mode=0o777),
        member("new/deep/f", b"333", mtime=7),
        LAYERS[2][1],
    ]
    assert differences(session, [flat]) == []
    times = {"time": ("0.000000000", "7.000000000")}
    assert differences(session, [flat], times=True) == [("/new/deep/f", "changed", times)]


def test_what_differs_of_a_file_is_told(session: Session) -> None:
    above = [
        member("etc/one", b"OTHER", mode=0o644, uid=4),
        member("null", kind=tarfile.CHRTYPE, devmajor=1, devminor=5),
        member("link", kind=tarfile.SYMTYPE, link="else", mode=0o777),
        member("pipe", b"now a file"),
        member(".wh.new"),
        member("more/f", b"12"),
        member("etc/also", b"1" * 10, pax_headers={"SCHILY.xattr.user.x": "v"}),
    ]
    found = {path: (change, fields) for path, change, fields in differences(session, [*LAYERS, above])}
    content = found["/etc/one"][1].pop("content")
    assert content[0] != content[1]
    assert found == {
        "/etc/also": ("changed", {"xattr user.x": ("", "76")}),
        "/etc/one": ("changed", {"mode": ("-rw-------", "-rw-r--r--"), "owner": ("0:0", "4:0")}),
        "/link": ("changed", {"link": ("/etc/one", "else")}),
        "/more": ("added", {}),
        "/more/f": ("added", {}),
        "/new": ("removed", {}),
        "/new/deep": ("removed", {}),
        "/new/deep/f": ("removed", {}),
        "/null": ("changed", {"device": ("1:3", "1:5")}),
        "/pipe": ("changed", {"type": ("fifo", "file")}),
    }


def test_configs_are_compared_by_variable_and_label(session: Session) -> None:
    common = {"env": (("PATH", "/bin"), ("A", "1")), "user": "me"}
    layered.image(session.store, "one", **common, labels=(("l", "x"),), cmd=("a",))  # type: ignore[arg-type]
    layered.image(session.store, "two", **common | {"env": (("A", "2\x1b"),)}, exposed_ports=("80/tcp",), cmd=("b",))  # type: ignore[arg-type]
    found = insight.compare(session, "one", "two")
    assert [(one.field, one.before, one.after) for one in found.config] == [
        ("Cmd", '["a"]', '["b"]'),
        ("Env A", "1", "2\\x1b"),
        ("Env PATH", "/bin", ""),
        ("ExposedPorts 80/tcp", "", "yes"),
        ("Labels l", "x", ""),
    ]
    assert found.any
    assert not insight.compare(session, "one", "one").any
