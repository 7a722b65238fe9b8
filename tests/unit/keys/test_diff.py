"""What differs between two pre-images."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.digest import Digest
from builder.graph.vertex import (
    BindMount,
    CacheMount,
    Copy,
    CopyFrom,
    GitTree,
    InlineFile,
    Run,
    SecretMount,
    SshMount,
    TmpfsMount,
    UrlFile,
    Vertex,
    VertexId,
    Workdir,
    inputs,
)
from builder.image.platform import Platform
from builder.keys.diff import Difference, decoded, differences, stands_on
from builder.keys.listing import FileChange, compared, entries
from builder.keys.preimage import preimage

AMD64 = Platform("linux", "amd64")
BELOW, OTHER = VertexId(0), VertexId(1)
RUN = Run(BELOW, ("/bin/sh", "-c", "make"), (("A", "1"), ("B", "2")), "/", "", "default", AMD64)
COPY = Copy(BELOW, None, ("src",), "/app/")


def fields(vertex: Vertex, *outside: bytes, chain: bytes = b"chain") -> Any:
    chains = {v: Digest.of(chain + bytes([v])) for v in inputs(vertex)}
    return decoded(preimage(vertex, chains, [Digest.of(listing) for listing in outside]))


def found(before: Any, after: Any, *listings: bytes) -> tuple[Difference, ...]:
    known = {str(Digest.of(listing)): listing for listing in listings}
    there, back = differences(before, after, known.get), differences(after, before, known.get)
    assert sorted(map(str, there)) == sorted(str(mirrored(d)) for d in back)
    return there


def mirrored(difference: Difference) -> Difference:
    change = {"added": "removed", "removed": "added"}.get(difference.change, difference.change)
    return Difference(difference.input, difference.name, change, difference.after, difference.before)


def changed(vertex: Vertex, **values: Any) -> Any:
    return type(vertex)(**{name: getattr(vertex, name) for name in vertex.__struct_fields__} | values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (
            RUN,
            changed(RUN, argv=("/bin/sh", "-c", "make all")),
            ("instruction", "command", "changed", "make", "make all"),
        ),
        (
            RUN,
            changed(RUN, argv=("make", "all")),
            ("instruction", "command", "changed", "/bin/sh -c make", "make all"),
        ),
        (RUN, changed(RUN, cwd="/x"), ("instruction", "WORKDIR", "changed", "/", "/x")),
        (RUN, changed(RUN, user="u"), ("instruction", "USER", "changed", "", "u")),
        (RUN, changed(RUN, network="none"), ("instruction", "--network", "changed", "default", "none")),
        (RUN, changed(RUN, hosts=(("h", "1"), ("h", "2"))), ("instruction", "--add-host h", "added", "", "1 2")),
        (RUN, changed(RUN, env=(("A", "1"), ("B", "3"))), ("variable", "B", "changed", "2", "3")),
        (RUN, changed(RUN, env=(("A", "1"),)), ("variable", "B", "removed", "2", "")),
        (RUN, changed(RUN, env=(*RUN.env, ("C", ""))), ("variable", "C", "added", "", "")),
        (RUN, changed(RUN, scripts=(InlineFile("EOF", b"x"),)), ("instruction", "<<EOF", "added", "", "")),
        (RUN, changed(RUN, mounts=(TmpfsMount("/t"),)), ("mount", "/t", "added", "", "")),
        (RUN, Workdir(BELOW, "/x"), ("instruction", "instruction", "changed", "RUN", "WORKDIR")),
        (COPY, changed(COPY, chown="1:1"), ("instruction", "--chown", "changed", "", "1:1")),
        (COPY, changed(COPY, paths=("a", "b")), ("instruction", "sources", "changed", "src", "a b")),
        (COPY, changed(COPY, parents=True), ("instruction", "--parents", "changed", "false", "true")),
        (
            changed(COPY, inline=(InlineFile("EOF", b"x"),)),
            changed(COPY, inline=(InlineFile("EOF", b"y"),)),
            ("instruction", "<<EOF", "changed", "", ""),
        ),
        (COPY, changed(COPY, destination="/\udcff"), ("instruction", "destination", "changed", "/app/", "/\\xff")),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_a_planted_difference_is_found_and_nothing_else(
    before: Vertex, after: Vertex, expected: tuple[str, str, str, str, str]
) -> None:
    first, *rest = found(fields(before), fields(after))
    assert first == Difference(*expected)
    assert not rest or isinstance(after, Workdir)


def test_mounts_are_told_apart_by_their_kind() -> None:
    kinds = [
        BindMount("/m", "", None),
        CacheMount("/m", "id"),
        TmpfsMount("/m"),
        SecretMount("id", "/m"),
        SshMount("id", "/m"),
    ]
    names = ["bind", "cache", "tmpfs", "secret", "ssh"]
    for one, was in zip(kinds, names, strict=True):
        for other, now in zip(kinds, names, strict=True):
            got = found(fields(changed(RUN, mounts=(one,))), fields(changed(RUN, mounts=(other,))))
            assert got == (() if was == now else (Difference("mount", "/m", "type", was, now),))
    one, other = (fields(changed(RUN, mounts=(SecretMount("id", env="E", mode=mode),))) for mode in (256, 384))
    assert found(one, other) == (Difference("mount", "E", "mode", "256", "384"),)


def test_what_it_stands_on_comes_last_and_has_a_place() -> None:
    taking = changed(COPY, source=OTHER, also=(CopyFrom(None, ("x",)), CopyFrom(OTHER, ("y",))))
    got = found(fields(taking), fields(taking, chain=b"other"))
    assert [(d.input, d.name) for d in got] == [("source", ""), ("source", "2"), ("below", "")]
    assert stands_on(fields(taking)) == [("below", ""), ("source", ""), ("source", "2")]
    assert len(stands_on(fields(taking))) == len(inputs(taking))
    linked = changed(taking, link=True)
    assert stands_on(fields(linked)) == stands_on(fields(taking))
    mounting = changed(RUN, mounts=(BindMount("/a", "", None), BindMount("/b", "", OTHER), CacheMount("/c", "c")))
    assert stands_on(fields(mounting)) == [("below", ""), ("source", "/b")]
    assert stands_on(fields(UrlFile("http://x/y", "y"), b"")) == []
    assert stands_on(fields(GitTree("r", "main"), b"")) == []
    assert [d.input for d in found(fields(mounting), fields(changed(mounting, env=()), chain=b"o"))] == [
        *["variable"] * 2,
        "source",
        "below",
    ]


def test_files_are_compared_by_their_lists() -> None:
    before = b"source 'src'\ndir '' 755 -\nfile 'a' 644 00\nfile 'b' 644 00"
    after = b"source 'src'\ndir '' 755 -\nfile 'a' 644 01\nfile 'c' 644 00"
    got = found(fields(COPY, before), fields(COPY, after), before, after)
    assert got == (
        Difference("file", "src/a", "content", "00", "01"),
        Difference("file", "src/b", "removed"),
        Difference("file", "src/c", "added"),
    )
    (lost,) = found(fields(COPY, before), fields(COPY, after), before)
    assert (lost.input, lost.name) == ("files", "")
    mounting = changed(RUN, mounts=(BindMount("/m", "deep/src", None), BindMount("/n", "x", OTHER)))
    got = found(fields(mounting, before), fields(mounting, after), before, after)
    assert [d.name for d in got] == ["deep/src/a", "deep/src/b", "deep/src/c"]
    also = changed(COPY, source=OTHER, also=(CopyFrom(None, ("x",)),))
    assert [d.name for d in found(fields(also, before), fields(also, after), before, after)] == [
        "src/a",
        "src/b",
        "src/c",
    ]
    (fetched,) = found(fields(UrlFile("u", "n"), b"1"), fields(UrlFile("u", "n"), b"2"))
    assert (fetched.input, fetched.after) == ("fetched", str(Digest.of(b"2")))


@pytest.mark.parametrize(
    ("before", "after", "change", "values"),
    [
        ("file 'f' 644 00", "file 'f' 755 00", "mode", ("644", "755")),
        ("file 'f' 644 00", "file 'f' 755 01", "content", ("00", "01")),
        ("file 'f' 644 00", "dir 'f' 644 -", "kind", ("file", "dir")),
        ("symlink 'f' 777 'a b'", "symlink 'f' 777 'a c'", "link", ("a b", "a c")),
        ("file 'f' 644 00", "file 'f' 644 00 = 'g'", "link", ("", "g")),
        ("file 'f' 644 00", "file 'f' 644 00 'user.a'=61", "xattr user.a", ("", "61")),
        ("file 'f' 644 00 'user.a'=61 'b'=", "file 'f' 644 00 'user.a'=62 'b'=", "xattr user.a", ("61", "62")),
        ("dir 'f' 755 - 'user.a'=61", "dir 'f' - -", "mode", ("755", "-")),
    ],
)
def test_of_a_file_the_first_that_differs_is_told(
    before: str, after: str, change: str, values: tuple[str, str]
) -> None:
    (got,) = compared(f"source ''\n{before}".encode(), f"source ''\n{after}".encode())
    assert got == FileChange("f", change, *values)


def test_paths_are_whole_where_the_source_is_known() -> None:
    assert list(entries(b"source 'src'\nfile 'a' 644 00", "deep/src")) == ["deep/src/a"]
    assert list(entries(b"source ''\ndir '' - -\nfile 'a' 644 00", "deep/src")) == ["deep/src", "deep/src/a"]
    assert list(entries(b"source 'f'\nfile '' 644 00\nsource 'f'\nfile '' 644 01")) == ["f", "f (2)"]
    odd = f"source {'a b'!r}\nfile {chr(39) + chr(10)!r} 644 00\nnonsense".encode()
    assert list(entries(odd)) == ["a b/'\n"]


names = st.text("ab'\"\\ \n=é", min_size=1, max_size=4)
Found = dict[str, tuple[str, str]]
listed = st.dictionaries(names, st.tuples(st.sampled_from(["644", "755"]), st.sampled_from(["00", "01"])), max_size=5)


@given(listed, listed)
def test_two_lists_differ_where_their_entries_do(
    one: dict[str, tuple[str, str]], other: dict[str, tuple[str, str]]
) -> None:
    def listing(found: dict[str, tuple[str, str]]) -> bytes:
        return "\n".join(["source ''", *(f"file {n!r} {mode} {c}" for n, (mode, c) in found.items())]).encode()

    changes = list(compared(listing(one), listing(other)))
    assert {c.path for c in changes} == {n for n in one.keys() | other.keys() if one.get(n) != other.get(n)}
    assert {c.path for c in changes if c.change == "added"} == other.keys() - one.keys()


scalars = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "a", "b"])
pairs = st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from("12")), max_size=3, unique_by=lambda p: p[0])
images = st.fixed_dictionaries(
    {"op": st.sampled_from(["run", "copy"]), "parent": st.sampled_from(["p", "q"]), "env": pairs.map(sorted)},
    optional={"user": scalars, "later": scalars, "source": st.sampled_from(["s", "t"]), "paths": st.just(["x"])},
)


@given(images, images)
def test_it_is_the_same_both_ways_and_finds_whatever_differs(one: dict[str, Any], other: dict[str, Any]) -> None:
    one, other = json.loads(json.dumps(one)), json.loads(json.dumps(other))
    got = found(one, other)
    told = {n: v for n, v in one.items() if v is not None} != {n: v for n, v in other.items() if v is not None}
    assert bool(got) == told


def test_what_is_no_preimage_has_no_fields() -> None:
    assert decoded(b"\xff") == decoded("[1]") == {}
