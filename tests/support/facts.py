"""An image as facts by name, so that two builders' images are compared, kept and read line by line.

    config Env          what the config says, one fact a field
    history 03          `layer` or `empty`, and the instruction
    layers              how many there are
    layer 1 /etc/motd   file 0644 0:0 "hello\\n"

A layer that is one of the bases' is a single fact. The time of a file is a fact only where it is old: what a step
writes now, it writes later the next time. Times of directories are none: each file made in one changes it.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

Facts = dict[str, Any]
Layer = dict[str, str]

_SHOWN_BYTES = 1000
_LAST_OLD_TIME = 1_600_000_000
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_XATTR = "SCHILY.xattr."
_PARTS = ("architecture", "os", "variant", "author")
# all that a Buildfile can say; what is beside them (Hostname, AttachStdin…) is of no image
_FIELDS = (
    "ArgsEscaped", "Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "Labels", "OnBuild", "Shell",
    "StopSignal", "StopTimeout", "User", "Volumes", "WorkingDir",
)  # fmt: skip


def read(path: Path, bases: Sequence[Layer] = ()) -> Facts:
    """The facts of the image in the docker archive `path`."""
    with tarfile.open(path) as archive:
        (entry,) = json.load(_opened(archive, "manifest.json"))
        config = json.load(_opened(archive, entry["Config"]))
        layers = [_layer_in(archive, name) for name in entry["Layers"]]
    said = config.get("config") or {}
    facts: Facts = {f"config {name}": said[name] for name in _FIELDS if said.get(name)}
    facts |= {f"config {name}": config[name] for name in _PARTS if config.get(name)}
    for number, event in enumerate(config.get("history") or ()):
        kind = "empty" if event.get("empty_layer") else "layer"
        facts[f"history {number:02}"] = f"{kind} {event.get('created_by', '')}"
    facts["layers"] = len(layers)
    for number, layer in enumerate(layers):
        if layer in bases:
            facts[f"layer {number} is base"] = bases.index(layer)
        else:
            facts |= {f"layer {number} {name}": text for name, text in layer.items()}
    return facts


def merged(facts: Facts, bases: Sequence[Layer]) -> Facts:
    """The facts that are left when all layers are one: the config, and `tree PATH` where it is not the base's."""
    config = {name: value for name, value in facts.items() if name.startswith("config ")}
    below: Layer = {}
    tree: Layer = {}
    for number in range(facts["layers"]):
        base = facts.get(f"layer {number} is base")
        if base is not None:
            below = bases[base]
            tree |= below
            continue
        start = f"layer {number} "
        _lay({name.removeprefix(start): text for name, text in facts.items() if name.startswith(start)}, tree)
    changed = {f"tree {name}": text for name, text in tree.items() if below.get(name) != text}
    return config | changed | {f"tree {name}": "gone" for name in below if name not in tree}


def layer(file: IO[bytes]) -> Layer:
    """What a layer's tar says of each path."""
    found: Layer = {}
    contents: dict[str, str] = {}
    twins: dict[str, list[str]] = {}
    with tarfile.open(fileobj=file) as tar:
        for member in tar:
            name = str(PurePosixPath("/", member.name))
            path = PurePosixPath(name)
            if path.name == _OPAQUE:
                found[str(path.parent / "*")] = "gone"
            elif path.name.startswith(_WHITEOUT):
                found[str(path.with_name(path.name.removeprefix(_WHITEOUT)))] = "gone"
            elif member.islnk():
                twins.setdefault(str(PurePosixPath("/", member.linkname)), []).append(name)
            elif name != "/":
                found[name] = _head(member)
                contents[name] = _content(member, tar)
    for first, others in twins.items():
        for name in (first, *others):
            found[name] = found[first]
            contents[name] = contents[first]
    for first, others in twins.items():
        group = sorted([first, *others])
        for name in group:
            contents[name] += "".join(f" = {twin}" for twin in group if twin != name)
    return {name: found[name] + contents.get(name, "") for name in sorted(found)}


def _layer_in(archive: tarfile.TarFile, name: str) -> Layer:
    return layer(_opened(archive, name))


def _head(member: tarfile.TarInfo) -> str:
    owner = f"{member.uid}:{member.gid}"
    if member.issym():
        return f"link {owner}"
    kind = {
        tarfile.DIRTYPE: "dir",
        tarfile.CHRTYPE: "char",
        tarfile.BLKTYPE: "block",
        tarfile.FIFOTYPE: "fifo",
    }.get(member.type, "file")
    old = kind == "file" and 0 < member.mtime < _LAST_OLD_TIME
    time = f" @{int(member.mtime)}" if old else ""
    return f"{kind} {member.mode & 0o7777:04o} {owner}{time}"


def _content(member: tarfile.TarInfo, tar: tarfile.TarFile) -> str:
    headers: Mapping[str, str] = member.pax_headers
    xattrs = "".join(
        f" {name.removeprefix(_XATTR)}={value.encode('utf-8', 'surrogateescape').hex()}"
        for name, value in sorted(headers.items())
        if name.startswith(_XATTR)
    )
    if member.issym():
        return f"{xattrs} -> {member.linkname}"
    if member.ischr() or member.isblk():
        return f"{xattrs} {member.devmajor}:{member.devminor}"
    if not member.isreg():
        return xattrs
    data = _opened(tar, member).read()
    try:
        text = json.dumps(data.decode()) if len(data) <= _SHOWN_BYTES else ""
    except UnicodeDecodeError:
        text = ""
    return f"{xattrs} {text or f'{len(data)} bytes sha256:{hashlib.sha256(data).hexdigest()}'}"


def _lay(upper: Layer, tree: Layer) -> None:
    """Lay a layer on a tree: first what it takes away, then what it brings."""
    for name, text in upper.items():
        if name.endswith("/*"):
            _remove_below(name.removesuffix("/*"), tree)
        elif not text.startswith("dir "):
            _remove_below(name, tree)
        if text == "gone":
            tree.pop(name, None)
    tree |= {name: text for name, text in upper.items() if text != "gone"}


def _remove_below(directory: str, tree: Layer) -> None:
    for name in [name for name in tree if name.startswith(f"{directory}/")]:
        del tree[name]


def _opened(archive: tarfile.TarFile, member: str | tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(member)
    assert stream is not None, member
    return stream
