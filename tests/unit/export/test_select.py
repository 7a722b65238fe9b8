"""What --output takes, and what it does not."""

from __future__ import annotations

import pytest

from builder.errors import UsageError
from builder.export.annotate import Annotation, chosen
from builder.export.annotate import parse as annotation
from builder.export.select import Output, parse, parse_all
from builder.image.platform import Platform

ARM = Platform("linux", "arm64")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("-", Output("tar", "-", {})),
        ("out", Output("local", "out", {})),
        ("./a,b", Output("local", "./a,b", {})),
        ("type=oci,dest=x.tar", Output("oci", "x.tar", {})),
        ("TYPE=oci,Dest=x.tar", Output("oci", "x.tar", {})),
        ("type=oci", Output("oci", "-", {})),
        ("type=docker", Output("docker", "-", {}, loads=True)),
        ("type=docker,dest=-", Output("docker", "-", {})),
        ("type=cacheonly", Output("cacheonly", "-", {})),
        ('type=docker,"name=a,b:1"', Output("docker", "-", {"name": "a,b:1"}, loads=True)),
        ("type=local,dest=out,platform-split=false", Output("local", "out", {"platform-split": "false"})),
        ('type=oci,"annotation.Some.KEY=a,b"', Output("oci", "-", {"annotation.Some.KEY": "a,b"})),
        ("type=oci,annotation-index[].k=v", None),
    ],
)
def test_what_it_means(text: str, wanted: Output | None) -> None:
    if wanted is None:
        with pytest.raises(UsageError):
            parse(text)
    else:
        assert parse(text) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dest=x", "type= is not known"),
        ("type=zip,dest=x", "type=zip is not known"),
        ("type=oci,dest", "'dest' is not NAME=VALUE"),
        ('type=oci,"dest=x', "quote"),
        ("type=oci,colour=red", "type=oci has no option 'colour'"),
        ("type=tar,compression=gzip", "type=tar has no option 'compression'"),
        ("type=tar,annotation.k=v", "type=tar has no option 'annotation.k'"),
        ("type=cacheonly,dest=x", "type=cacheonly has no option 'dest'"),
        ("type=local", "type=local needs dest=DIRECTORY"),
        ("type=oci,tar=false", "tar=false needs dest=DIRECTORY"),
        ("type=oci,tar=maybe", "tar=maybe is neither true nor false"),
        ("type=local,dest=x,platform-split=2", "platform-split=2 is neither"),
        ("type=oci,oci-mediatypes=", "oci-mediatypes= is neither"),
        ("type=oci,force-compression=x", "force-compression=x is neither"),
        ("type=oci,compression=lzma", "compression=lzma is not known"),
        ("type=oci,compression-level=3", "compression-level goes with compression"),
        ("type=oci,compression=zstd,oci-mediatypes=false", "Docker's media types have no zstd"),
        ("type=oci,name=A:B:C", "A:B:C"),
        ("type=docker,annotation-index.k=v", "a docker archive has no index to annotate"),
        ("type=oci,annotation-colour.k=v", "'colour' cannot be annotated"),
        ("type=oci,annotation-index[linux/arm64].k=v", "an index is for no single platform"),
        ("type=oci,annotation-manifest[vax].k=v", "vax"),
    ],
)
def test_what_cannot_be_meant_is_said_at_once(text: str, message: str) -> None:
    with pytest.raises(UsageError, match="--output") as caught:
        parse(text)
    assert message in caught.value.message


@pytest.mark.parametrize(
    "texts", [("-", "type=oci"), ("out", "type=local,dest=out"), ("type=oci,dest=a", "type=tar,dest=a")]
)
def test_two_outputs_do_not_go_to_one_place(texts: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="two outputs go to"):
        parse_all(texts)


def test_what_goes_to_no_place_is_in_nobodys_way() -> None:
    found = parse_all(["type=cacheonly", "type=docker", "-", "type=cacheonly"])
    assert [output.place for output in found] == [None, None, "-", None]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("k=v", [Annotation("manifest", None, "k", "v")]),
        ("org.x/y=a=b:c", [Annotation("manifest", None, "org.x/y", "a=b:c")]),
        ("manifest:k=", [Annotation("manifest", None, "k", "")]),
        (
            "index,manifest[linux/arm64]:k=v",
            [Annotation("index", None, "k", "v"), Annotation("manifest", ARM, "k", "v")],
        ),
        ("manifest-descriptor[arm64]:a:b=v", [Annotation("manifest-descriptor", ARM, "a:b", "v")]),
    ],
)
def test_annotations(text: str, wanted: list[Annotation]) -> None:
    assert list(annotation(text)) == wanted
    for one in wanted:
        assert Output("oci", "-", {}).with_annotations([one]).options == {one.attribute: one.value}
    assert not Output("tar", "-", {}).with_annotations(wanted).options


@pytest.mark.parametrize(
    "text", ["k", "=v", "colour:k=v", "index[linux/arm64]:k=v", "index:=v", ":k=v", "manifest[:k=v"]
)
def test_what_is_no_annotation(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        list(annotation(text))
    assert text in caught.value.message or "index" in caught.value.message


def test_an_output_has_the_last_word() -> None:
    asked = [*annotation("k=1"), *annotation("manifest[linux/arm64]:k=2"), *annotation("other=3")]
    assert chosen(asked, "manifest", ARM) == (("k", "2"), ("other", "3"))
    assert chosen(asked, "manifest", Platform("linux", "amd64")) == (("k", "1"), ("other", "3"))
    assert chosen(asked, "index") == ()
    index = list(annotation("index:k=v"))
    assert not Output("docker", "-", {}).with_annotations(index).options
    assert parse("type=oci").with_annotations(index).options
    output = parse("type=oci,annotation-manifest.k=own").with_annotations(asked)
    assert output.options["annotation-manifest.k"] == "own"
