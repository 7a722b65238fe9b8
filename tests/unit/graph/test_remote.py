from __future__ import annotations

import pytest

from builder.errors import UsageError
from builder.graph.contexts import Contexts, ImageContext, canonical
from builder.graph.remote import GitReference, file_name, git_reference, git_tree, redacted, remote_source
from builder.graph.vertex import Origin, UrlFile

HASH = "0123456789" * 4


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("https://h/x.git", GitReference("https://h/x.git")),
        ("HTTPS://h/x.git", GitReference("https://h/x.git")),
        ("http://u:p@h:81/a/x.git#v1", GitReference("http://u:p@h:81/a/x.git", "v1")),
        ("https://h/x.git#v1:a/b", GitReference("https://h/x.git", "v1", "a/b")),
        ("https://h/x.git#:a", GitReference("https://h/x.git", "", "a")),
        ("https://h/x.git#a%2Fb", GitReference("https://h/x.git", "a/b")),
        ("git://h/x", GitReference("git://h/x")),
        ("ssh://git@h:22/~/x#main", GitReference("ssh://git@h:22/~/x", "main")),
        ("git@h:a/x.git#v1:d", GitReference("git@h:a/x.git", "v1", "d")),
        ("user-1@h.example:x", GitReference("user-1@h.example:x")),
        ("git@h:x.git?tag=v1", GitReference("git@h:x.git", "refs/tags/v1")),
        ("https://h/x.git?branch=a/b", GitReference("https://h/x.git", "refs/heads/a/b")),
        ("https://h/x.git?tag=refs/tags/v1&subdir=d", GitReference("https://h/x.git", "refs/tags/v1", "d")),
        ("https://h/x.git?ref=v1#v1:d", GitReference("https://h/x.git", "v1", "d")),
        (f"https://h/x.git?commit={HASH}", GitReference("https://h/x.git", HASH, "", HASH)),
        ("https://h/x.git?checksum=abc#main", GitReference("https://h/x.git", "main", "", "abc")),
        ("https://h/x.git?keep-git-dir", GitReference("https://h/x.git", keep_git_dir=True)),
        ("https://h/x.git?keep-git-dir=false", GitReference("https://h/x.git", keep_git_dir=False)),
        ("https://h/x.git?submodules=0", GitReference("https://h/x.git", submodules=False)),
    ],
)
def test_a_git_reference(text: str, reference: GitReference) -> None:
    assert git_reference(text) == reference


@pytest.mark.parametrize(
    "text",
    [
        "https://h/x",
        "https://h/x.git/tree",
        "https://h/x?y=.git",
        "https://h/x#.git",
        "ftp://h/x.git",
        "file:///x.git",
        "ext::sh -c x",
        "./git@h:x",
        "github.com/a/b",
        "a/b@c:d",
        "-u@h:x",
        "dir/file",
        "",
    ],
)
def test_what_is_no_git_reference(text: str) -> None:
    assert git_reference(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "https://h/x.git?other=1",
        "https://h/x.git?ref=a&ref=b",
        "https://h/x.git?ref=",
        "https://h/x.git?ref=a#b",
        "https://h/x.git?tag=a&branch=b",
        "https://h/x.git?subdir=a#main:b",
        "https://h/x.git?submodules=perhaps",
        "https://h/x.git#--upload-pack=x",
        "ssh://-oProxyCommand=x/y",
        "ssh://u@-oProxyCommand=x/y",
        "git://h/x\ny",
    ],
)
def test_a_git_reference_that_cannot_be_meant(text: str) -> None:
    with pytest.raises(UsageError):
        git_reference(text)


def test_flags_and_query_agree() -> None:
    origin = Origin("x")
    reference = git_reference("https://h/x.git?checksum=ABC&keep-git-dir=false")
    assert reference is not None
    assert git_tree(reference, origin).checksum == "abc"
    with pytest.raises(UsageError):
        git_tree(reference, origin, "abd")
    with pytest.raises(UsageError):
        git_tree(reference, origin, keep_git_dir=True)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h/a/b.txt", "b.txt"),
        ("https://h/a/b/", "b"),
        ("https://h/a/b?c=/d#e/f", "b"),
        ("https://h/a%20b%2Fc", "c"),
        ("https://h", "__unnamed__"),
        ("https://h/", "__unnamed__"),
        ("https://h/..", "__unnamed__"),
        ("https://h/a%00b", "__unnamed__"),
        ("https://[h", "__unnamed__"),
        ("https://h/%ff", "\udcff"),
    ],
)
def test_the_name_of_a_fetched_file(url: str, name: str) -> None:
    assert file_name(url) == name


@pytest.mark.parametrize("text", ["http:/h/x", "HTTP://h/x", "httpx://h", "ftp://h/x", "x"])
def test_a_path_is_no_source_to_fetch(text: str) -> None:
    assert remote_source(text, Origin("x")) is None


def test_a_url_is_fetched_as_it_stands() -> None:
    found = remote_source("https://h/x?y#z", Origin("o"))
    assert found == UrlFile("https://h/x?y#z", "x", None, Origin("o"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://u:p@h/x", "https://xxxxx@h/x"),
        ("https://token@h/x", "https://xxxxx@h/x"),
        ("https://h/@x", "https://h/@x"),
        ("ssh://git@h/x", "ssh://git@h/x"),
        ("ssh://git:p@h/x", "ssh://git:xxxxx@h/x"),
        ("ADD http://a:b@h/x http://c:d@h/y /", "ADD http://xxxxx@h/x http://xxxxx@h/y /"),
    ],
)
def test_credentials_are_not_shown(text: str, shown: str) -> None:
    assert redacted(text) == shown


@pytest.mark.parametrize("name", ["alpine", "alpine:latest", "docker.io/alpine", "docker.io/library/alpine:latest"])
def test_names_of_contexts_compare_as_images_do(name: str) -> None:
    context = ImageContext("x")
    contexts = Contexts({canonical("docker.io/library/alpine"): context})
    assert contexts.find(name) is context
    assert contexts.find("alpine:3") is None


def test_some_names_are_no_context() -> None:
    contexts = Contexts({"scratch": ImageContext("x"), "context": ImageContext("y")})
    assert contexts.find("scratch") is contexts.find("Context") is contexts.find("") is contexts.find("A B") is None
