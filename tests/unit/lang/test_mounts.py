from __future__ import annotations

import pytest
from msgspec.structs import asdict

from builder.lang.mounts import MountError, MountText, fields, origin_of, parse


def upper(value: str) -> str:
    """In the place of variables: what was expanded is seen by its `$NAME` having become NAME."""
    return value.replace("$", "")


def differs(text: str) -> dict[str, object]:
    """What a mount says beyond the defaults of its type."""
    mount, plain = parse(text, upper), MountText()
    return {name: value for name, value in asdict(mount).items() if value != getattr(plain, name)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("target=/a", {"target": "/a"}),
        ("type=bind,dst=/a,src=b", {"target": "/a", "source": "b"}),
        ("TYPE=Bind,Destination=/a,Source=B", {"target": "/a", "source": "B"}),
        ("target=/a,from=stage", {"target": "/a", "origin": "stage"}),
        ("target=/$x,source=$y", {"target": "/x", "source": "y"}),
        ("target=/a,target=/b", {"target": "/b"}),
        ("target=/a,rw", {"target": "/a", "read_only": False}),
        ("target=/a,readwrite=true", {"target": "/a", "read_only": False}),
        ("target=/a,rw=0", {"target": "/a"}),
        ("target=/a,ro=false", {"target": "/a", "read_only": False}),
        ("target=/a,rw,readonly", {"target": "/a"}),
        ('target=/a,"source=b,c"', {"target": "/a", "source": "b,c"}),
        ('"target=/a ""b"""', {"target": '/a "b"'}),
        ("type=cache,target=/c", {"type": "cache", "target": "/c", "read_only": False}),
        ("type=cache,target=/c,ro", {"type": "cache", "target": "/c"}),
        (
            "type=cache,target=/c,id=i,sharing=LOCKED,mode=0700,uid=1,gid=2",
            {
                "type": "cache", "target": "/c", "id": "i", "sharing": "locked", "read_only": False,
                "mode": 0o700, "uid": 1, "gid": 2,
            },
        ),
        ("type=tmpfs,target=/t", {"type": "tmpfs", "target": "/t", "read_only": False}),
        ("type=secret,id=s", {"type": "secret", "id": "s"}),
        ("type=secret,target=/s", {"type": "secret", "target": "/s"}),
        ("type=secret,src=s,env=TOKEN,required", {"type": "secret", "source": "s", "env": "TOKEN", "required": True}),
        ("type=secret,id=s,required=False,mode=0444", {"type": "secret", "id": "s", "mode": 0o444}),
        ("type=ssh", {"type": "ssh"}),
        ("type=ssh,id=a,required=1,target=/s", {"type": "ssh", "id": "a", "required": True, "target": "/s"}),
        ("type=$secret,id=$s", {"type": "secret", "id": "s"}),
        ("from=image$", {"origin": "image"}),
    ],
)  # fmt: skip
def test_a_mount_says(text: str, said: dict[str, object]) -> None:
    assert differs(text) == said


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64m", 64 << 20), ("64M", 64 << 20), ("64mb", 64 << 20), ("64MiB", 64 << 20), ("64 m", 64 << 20),
        ("1.5k", 1536), (".5k", 512), ("7", 7), ("7b", 7), ("2g", 2 << 30), ("1t", 1 << 40), ("0", 0),
    ],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert parse(f"type=tmpfs,target=/t,size={text}", upper).size == size


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("type=bnd,target=/a", "no mount type 'bnd'", "did you mean bind?"),
        ("type=volume,target=/a", "no mount type 'volume'", "bind, cache, tmpfs, secret, ssh"),
        ("targt=/a", "no key 'targt'", "did you mean target?"),
        ("target", "must be key=value", ""),
        ("target=/a,requird", "must be key=value", "did you mean required?"),
        ("target=/a,", "must be key=value", ""),
        ("", "must be key=value", ""),
        ("target=/a,ro=maybe", "ro is true or false, not 'maybe'", ""),
        ("target=/a,required", "required is not for mounts of type bind", "put type=secret or type=ssh before it"),
        ("required,type=secret,id=s", "required is not for mounts of type bind", "before it"),
        ("target=/a,size=1m", "size is not for mounts of type bind", "put type=tmpfs before it"),
        ("size=1m,type=tmpfs,target=/a", "size is not for mounts of type bind", "before it"),
        ("type=tmpfs,target=/a,size=lots", "'lots' is no size", "64m"),
        ("type=tmpfs,target=/a,size=-1", "'-1' is no size", ""),
        ("type=tmpfs,target=/a,size=1x", "'1x' is no size", ""),
        ("target=/a,mode=0755", "mode is not for mounts of type bind", ""),
        ("target=/a,uid=1", "uid is not for mounts of type bind", ""),
        ("type=tmpfs,target=/a,gid=1", "gid is not for mounts of type tmpfs", ""),
        ("target=/a,sharing=shared", "sharing is not for mounts of type bind", ""),
        ("type=cache,target=/a,sharing=lockd", "no sharing 'lockd'", "did you mean locked?"),
        ("type=cache,target=/a,mode=0888", "mode is an octal number such as 0755, not '0888'", ""),
        ("type=cache,target=/a,mode=u+x", "mode is an octal number", ""),
        ("type=cache,target=/a,uid=root", "uid is a number, not 'root'", ""),
        ("type=cache,target=/a,gid=4294967295", "gid is a number", ""),
        (f"type=cache,target=/a,uid={'9' * 9999}", "uid is a number", ""),
        (f"type=tmpfs,target=/a,size={'9' * 9999}", "is no size", ""),
        ("type=tmpfs,target=/a,size=\u0663m", "is no size", ""),
        ("type=cache,target=/a,uid=", "uid is a number, not ''", ""),
        ("type=secret", "needs an id or a target", "type=secret,id=token"),
        ("type=secret,id=s,from=a", "a secret mount has no from", "--secret"),
        ("type=secret,id=s,src=t", "id or source, not both", ""),
        ("type=secret,id=s,sharing=locked", "sharing is not for mounts of type secret", ""),
        ("type=secret,id=s,env=", "env= needs the name of a variable", ""),
        ("type=ssh,src=s", "an ssh mount has no source", ""),
        ("target=/a,from=$stage", "from= does not expand variables", "FROM $IMAGE AS files"),
        ('target=/a,src="b"', "a quote stands inside", '"key=a,b"'),
        ('"target=/a', "a quote is not closed", ""),
        ('"target=/a"b', "something follows a quoted field", ""),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, message: str, hint: str) -> None:
    with pytest.raises(MountError) as caught:
        parse(text, upper)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    assert caught.value.near in text


def test_fields_are_read_as_csv() -> None:
    assert fields('a,,"b,c","d""e",f=') == ["a", "", "b,c", 'd"e', "f="]


def test_the_origin_is_known_without_variables() -> None:
    assert origin_of("type=bind,FROM=stage,target=$x") == "stage"
    assert origin_of("type=bind,target=$x") == ""
    assert origin_of("from=a,from=b") == "b"
