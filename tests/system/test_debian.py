"""Debian's own package tools in steps: the same files as root, as a user, and as a user with one ID."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.program import Pybuild
from tests.support.tree import listing
from tests.support.user import without_ids

# A group and a setgid program (cron), setuid programs (sudo), a user of a service (uuidd).
TEXT = """FROM debian
RUN apt-get update -q && apt-get install -qy --no-install-recommends cron sudo uuid-runtime && \\
    rm -rf /var/lib/apt/lists
RUN useradd -m -G sudo,crontab ada && su ada -c 'touch ~/mine && crontab -l || id' && chown -R ada:crontab /opt && \\
    setpriv --reuid ada --regid ada --init-groups id && dpkg-statoverride --update --add ada ada 4710 /usr/bin/uuidgen
"""


@pytest.mark.network
def test_packages_and_users_in_every_tier(pybuild: Pybuild, as_user: Pybuild, tmp_path: Path) -> None:
    base = tmp_path / "debian.tar"
    command = ["mmdebstrap", "--quiet", "--variant=apt", "--include=passwd", "--skip=output/dev", "--format=tar"]
    subprocess.run([*command, "bookworm", base], check=True, env={**os.environ, "TMPDIR": str(tmp_path)})
    base.chmod(0o644)
    one_id = replace(without_ids(as_user), root=as_user.root.with_name("other"))
    found = []
    for program in (pybuild, as_user, one_id):
        program("import", str(base), "debian")
        done = program.build(TEXT, "-o", "type=tar,dest=tree.tar").ok()
        assert done.err.count("(ada) groups=") == 2, done.err
        found.append(listing(program.work / "tree.tar", sizes=False))
        assert any(line.startswith("home/ada/mine b'0' 644 1000:1000") for line in found[-1])
        assert any(line.startswith("usr/bin/uuidgen b'0' 4710 1000:1000") for line in found[-1])
    assert found[0] == found[1]
    assert found[0] == found[2]
