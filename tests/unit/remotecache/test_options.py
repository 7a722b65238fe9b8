from __future__ import annotations

import pytest

from builder.errors import UsageError
from builder.layers.compress import Form
from builder.remotecache.options import parse_from, parse_to


@pytest.mark.parametrize(
    "text", ["example.org/app:cache", "type=registry,ref=example.org/app:cache", "ref=example.org/app:cache"]
)
def test_a_reference_is_a_registry(text: str) -> None:
    for found in (parse_from(text).reference, parse_to(text).reference):
        assert str(found) == "example.org/app:cache"


def test_a_cache_is_named_as_in_buildx() -> None:
    source = parse_from("type=local,src=/caches/a,tag=main")
    assert (source.reference, source.directory, source.tag) == (None, "/caches/a", "main")
    target = parse_to(
        "type=registry,ref=example.org/app:cache,mode=max,compression=gzip,compression-level=3,force-compression=true,"
        "image-manifest=true,oci-mediatypes=true,ignore-error=false,keep-days=3,sign-key=a.key"
    )
    assert (target.mode, target.form, target.strict, target.keep, target.key) == (
        "max",
        Form("gzip", 3),
        True,
        3,
        "a.key",
    )
    assert parse_to("type=local,dest=x").mode == "min"
    assert not parse_to("type=local,dest=x").strict
    assert parse_to("type=inline").inline


def test_ids_of_cache_mounts_follow_one_another() -> None:
    assert parse_from("type=local,src=d,mounts=pip,npm,tag=x").mounts == ("pip", "npm")
    assert parse_to('type=local,"mounts=pip,npm",dest=d').mounts == ("pip", "npm")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("type=gha", "caches of GitHub are not supported"),
        ("type=s3,bucket=x", "caches of S3 are not supported"),
        ("type=azblob,name=x", "caches of Azure are not supported"),
        ("type=tape,dest=x", "type=tape is not known"),
        ("dest=x", "it has no type"),
        ("type=local", "dest= is missing"),
        ("type=local,dest=", "dest= is missing"),
        ("type=registry", "ref= is missing"),
        ("type=local,dest=x,color=red", "no attribute 'color'"),
        ("type=local,dest=x,mode=most", "mode=most is not known"),
        ("type=local,dest=x,ignore-error=perhaps", "neither true nor false"),
        ("type=local,dest=x,oci-mediatypes=false", "always of OCI's media types"),
        ("type=local,dest=x,compression=rar", "compression=rar is not known"),
        ("type=local,dest=x,compression=gzip,compression-level=40", "not a level of gzip"),
        ("type=local,dest=x,compression-level=4", "needs compression="),
        ("type=local,dest=x,keep-days=-1", "no number from 0"),
        ("type=local,dest=x,mounts=", "needs ids"),
        ("type=local,dest=x,tag", "'tag' is not NAME=VALUE"),
        ('type=local,"dest=x', "a quote is not closed"),
        ("type=inline,mode=max", "its own layers only"),
        ("type=registry,ref=UPPER/x y", "is not an image reference"),
        (f"app@sha256:{'a' * 64}", "cannot be written"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        parse_to(text)


def test_an_inline_cache_is_read_from_its_image() -> None:
    with pytest.raises(UsageError, match="lies in its image") as caught:
        parse_from("type=inline")
    assert "type=registry" in str(caught.value.hint)
