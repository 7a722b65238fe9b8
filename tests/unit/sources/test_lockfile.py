"""The text of a lock: what is written is read again, and what is wrong has its line."""

from __future__ import annotations

import itertools
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.digest import Digest
from builder.errors import BuildfileError
from builder.graph.remote import git_reference, git_tree
from builder.graph.vertex import Origin
from builder.sources import lockfile
from builder.sources.lockfile import GIT, URL, GitPin, ImagePin, Key, Lock, Pin, UrlPin, parse, text_of
from builder.store.open import Store

DIGEST = f"sha256:{'ab' * 32}"
DATE = "2026-11-26T01:30:00Z"

digests = st.binary(max_size=4).map(Digest.of)
dates = st.datetimes().map(lambda when: when.replace(microsecond=0).isoformat() + "Z")
platforms = st.sampled_from(["linux/amd64", "linux/arm64", "linux/arm/v6", "linux/arm/v7", "linux/riscv64"])
names = st.from_regex(r"\A[a-z][a-z0-9]{0,8}(/[a-z0-9]{1,8})?:[a-z0-9][a-z0-9.]{0,8}\Z")
texts = st.text(min_size=1, max_size=40).map(lambda text: text.encode(errors="replace").decode())
images = st.builds(ImagePin, digests, dates, st.dictionaries(platforms, digests, max_size=2), st.booleans())
commits = st.from_regex(r"\A[0-9a-f]{40}\Z")
locks = st.builds(
    Lock,
    st.dictionaries(names, images, max_size=3),
    st.dictionaries(texts, st.builds(UrlPin, digests, dates), max_size=3),
    st.dictionaries(texts, st.builds(GitPin, commits, st.sampled_from(["", "refs/heads/a b", 'refs/"\\']), dates)),
    st.lists(platforms, unique=True).map(tuple),
)


@given(locks)
def test_a_lock_is_read_as_it_was_written(lock: Lock) -> None:
    text = text_of(lock)
    tomllib.loads(text)
    found = parse(text.encode(), "Buildfile.lock")
    assert found == lock
    assert text_of(found) == text


@given(locks, st.randoms())
def test_the_text_does_not_depend_on_the_order(lock: Lock, random: object) -> None:
    pins = list(lock.pins().items())
    random.shuffle(pins)  # type: ignore[attr-defined]
    assert text_of(Lock.of(dict(pins), lock.platforms)) == text_of(lock)


def common(one: list[str], other: list[str]) -> int:
    """How many lines two lists have in common at their beginning."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


@given(locks.filter(lambda lock: bool(lock.pins())), st.data())
def test_a_pin_more_is_some_lines_more_in_one_place(lock: Lock, data: st.DataObject) -> None:
    key: Key = data.draw(st.sampled_from(sorted(lock.pins())))
    others: dict[Key, Pin] = {k: pin for k, pin in lock.pins().items() if k != key}
    whole, less = text_of(lock).splitlines(), text_of(Lock.of(others, lock.platforms)).splitlines()
    assert common(whole, less) + common(whole[::-1], less[::-1]) >= len(less)


def image(*lines: str) -> str:
    return "\n".join(["version = 1", '[image."debian:12"]', *lines, ""])


GOOD = (f'digest = "{DIGEST}"', f"date = {DATE}")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "the lock's version is None, not 1"),
        ("version = 2\n", 1, "the lock's version is 2, not 1"),
        ("version = true\n", 1, "the lock's version is True, not 1"),
        ("version = 1\nplatforms = 3\n", 2, "the lock's platforms are no list of platforms"),
        ('version = 1\nplatforms = ["vax"]\n', 2, "the lock's platforms are no list of platforms"),
        ("version = 1\n\n[images]\n", 3, "a lock has no 'images'"),
        ("version = 1\nimage = 1\n", 2, "a lock has no 'image'"),
        ("version = 1\n[image]\nx = 1\n", 1, "image x: is no table"),
        ("version = 1\n[[image\n", 2, "the lock is not TOML"),
        ("version = " + "[" * 100_000, 1, "the lock is not TOML"),
        (image(), 2, "image debian:12: its date is missing"),
        (image(f"date = {DATE}"), 2, "image debian:12: its digest is missing"),
        (image(*GOOD, "digest = 1"), 5, "the lock is not TOML: Cannot overwrite a value"),
        (image('digest = "sha256:ab"', f"date = {DATE}"), 3, "its digest cannot be 'sha256:ab'"),
        (image("digest = 1", f"date = {DATE}"), 3, "its digest cannot be '1'"),
        (image(f'digest = "{DIGEST}"', "date = 1979-05-27"), 4, "its date cannot be '1979-05-27'"),
        (image(f'digest = "{DIGEST}"', 'date = "now"'), 4, "its date cannot be 'now'"),
        (image(*GOOD, 'local = "yes"'), 5, "its local cannot be 'yes'"),
        (image(*GOOD, "size = 3"), 5, "it has no 'size'"),
        (image(*GOOD, "platforms = 3"), 5, "its platforms cannot be '3'"),
        (image(*GOOD, '[image."debian:12".platforms]', f'"linux/amd64" = "{DIGEST}0"'), 2, "its platforms cannot be"),
        (image(*GOOD, '[image."debian:12".platforms]', f'amd64 = "{DIGEST}"'), 2, "its platforms cannot be"),
        (image(*GOOD).replace("debian:12", "debian"), 2, "is not written as a lock writes it: debian:latest"),
        (
            image(*GOOD).replace("debian", "docker.io/library/debian"),
            2,
            "is not written as a lock writes it: debian:12",
        ),
        (image(*GOOD).replace("debian:12", "Debian"), 2, "is no name of an image"),
        (f'version = 1\n[git."x"]\ncommit = "12"\ndate = {DATE}\n', 3, "git x: its commit cannot be '12'"),
        (f'version = 1\n[git."x"]\ncommit = "{"a" * 40}"\nref = 1\ndate = {DATE}\n', 4, "git x: its ref cannot be '1'"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(BuildfileError) as caught:
        parse(text.encode(), "a.lock")
    assert said in caught.value.message
    assert caught.value.where is not None
    assert (caught.value.where.path, caught.value.where.line) == ("a.lock", line)
    assert caught.value.hint


def test_what_is_no_text_is_told_with_its_line() -> None:
    for data, line in ((b"version = 1\n# \xff\n", 2), (b"#" * (lockfile.LARGEST + 1), 1)):
        with pytest.raises(BuildfileError) as caught:
            parse(data, "a.lock")
        assert caught.value.where is not None
        assert caught.value.where.line == line


@given(st.binary(max_size=200))
def test_any_bytes_are_a_lock_or_an_error(data: bytes) -> None:
    try:
        parse(b"version = 1\n" + data, "a.lock")
    except BuildfileError as error:
        assert error.where is not None


def test_what_was_read_is_remembered(tmp_path: Path) -> None:
    data = image(*GOOD).encode()
    store = Store.open(tmp_path / "store")
    first = parse(data, "a.lock", store.memo)
    store.close()
    store = Store.open(tmp_path / "store")
    assert parse(data, "a.lock", store.memo) == first == parse(data, "a.lock")
    store.close()


def test_keys_hold_no_credentials() -> None:
    assert lockfile.url_key("https://user:secret@example.org/a?b") == (URL, "https://xxxxx@example.org/a?b")
    reference = git_reference("https://token@example.org/a.git#main:dir")
    assert reference is not None
    assert lockfile.git_key(git_tree(reference, Origin(""))) == (GIT, "https://xxxxx@example.org/a.git#main")
