"""The base images of all cases, each in an archive that every builder loads."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.facts import Layer, layer
from tests.support.rootfs import BUSYBOX, directory, member, tar

_APPLETS = """cat chgrp chmod chown cp cut dd env find getopt grep head id ln ls md5sum mkdir mkfifo mknod mount mv od
printf pwd readlink rm rmdir sed sh sleep sort stat tail test touch tr true umask uname wc xargs"""
_PASSWD = """root:x:0:0:root:/root:/bin/sh
alice:x:1000:1001:Alice:/home/alice:/bin/sh
bob:x:1002:1002::/srv/bob:/bin/sh
"""
_GROUP = """root:x:0:
alice:x:1001:
bob:x:1002:
staff:x:50:alice
wheel:x:60:bob,alice
"""
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PLAIN = {"Env": [_PATH], "Cmd": ["/bin/sh"]}
# of everything that an image can hand down, one
_PARENT = {
    "User": "bob",
    "WorkingDir": "/srv",
    "Env": ["PATH=/opt/bin:/bin", "FROM_PARENT=old value", "SHARED=parent"],
    "Entrypoint": ["/bin/env"],
    "Cmd": ["inherited"],
    "Labels": {"kept": "1", "changed": "old"},
    "ExposedPorts": {"80/tcp": {}},
    "Volumes": {"/data": {}},
    "StopSignal": "SIGINT",
    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5_000_000_000, "Retries": 4},
    "Shell": ["/bin/sh", "-e", "-c"],
}
_TRIGGERS = {
    **_PLAIN,
    "OnBuild": [
        "ARG version=1",
        "ENV TRIGGERED=$version",
        "COPY --chown=7:8 a /onbuild/",
        "RUN echo $version >/onbuild/version",
        'ENTRYPOINT ["/bin/$version"]',
        "WORKDIR sub",
    ],
}
# by name: the config, and whether there are only programs below it
IMAGES: dict[str, tuple[dict[str, Any], bool]] = {
    "base": (_PLAIN, False),
    "parent": (_PARENT, False),
    "triggers": (_TRIGGERS, False),
    "bare": ({}, True),
}


@cache
def rootfs(bare: bool) -> bytes:
    """busybox; if not `bare`, users too, and what builders mount something on, so that none leaves it in a layer."""
    programs = (
        directory("bin"),
        member("bin/busybox", BUSYBOX.read_bytes(), mode=0o755),
        *(member(f"bin/{name}", kind=tarfile.SYMTYPE, link="busybox", mode=0o777) for name in _APPLETS.split()),
    )
    if bare:
        return tar(*programs)
    files = {"etc/passwd": _PASSWD, "etc/group": _GROUP, "etc/hosts": "", "etc/hostname": "", "etc/resolv.conf": ""}
    return tar(
        *programs,
        *(directory(name) for name in ("dev", "etc", "home", "home/alice")),
        *(directory(name) for name in ("lib", "opt", "proc", "root", "run", "srv", "sys", "usr", "usr/bin", "var")),
        directory("tmp", 0o1777),
        *(member(name, text.encode()) for name, text in files.items()),
        directory("old"),
        *(directory(f"old/{name}") for name in ("d", "d/sub", "e")),
        *(member(f"old/{name}", f"{name}\n".encode()) for name in ("f", "g", "d/one", "d/two", "d/sub/three", "e/x")),
        member("old/twin", kind=tarfile.LNKTYPE, link="old/f"),
        member("old/to-d", kind=tarfile.SYMTYPE, link="d", mode=0o777),
        member("old/to-f", kind=tarfile.SYMTYPE, link="f", mode=0o777),
        member("old/out", kind=tarfile.SYMTYPE, link="../../../../../old/e", mode=0o777),
        member("old/absolute", kind=tarfile.SYMTYPE, link="/old/e", mode=0o777),
        member("old/nowhere", kind=tarfile.SYMTYPE, link="/none", mode=0o777),
    )


@cache
def layers() -> list[Layer]:
    """The facts of the bases' layers."""
    return [layer(io.BytesIO(rootfs(bare))) for bare in (False, True)]


def archives(where: Path) -> list[Path]:
    """Write a docker archive of each base."""
    return [_archive(where / f"{name}.tar", name) for name in IMAGES]


def _archive(path: Path, name: str) -> Path:
    config, bare = IMAGES[name]
    document = {
        "architecture": "amd64",
        "os": "linux",
        "author": "the tests",
        "created": "2001-09-09T01:46:40Z",
        "config": config,
        "history": [{"created": "2001-09-09T01:46:40Z", "created_by": "rootfs"}],
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(rootfs(bare)).hexdigest()}"]},
    }
    text = json.dumps(document).encode()
    config_name = f"{hashlib.sha256(text).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [f"{name}:latest"], "Layers": ["layer.tar"]}]
    path.write_bytes(
        tar(
            member(config_name, text),
            member("layer.tar", rootfs(bare)),
            member("manifest.json", json.dumps(manifest).encode()),
        )
    )
    return path
