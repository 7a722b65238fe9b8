"""Debian's own package tools in steps: the same files as root, as a user, and as a user with one ID."""

from __future__ import annotations

import json
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


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Debian as a tar."""
    directory = tmp_path_factory.mktemp("debian")
    directory.chmod(0o755)  # an ordinary user reads it, too
    base = directory / "debian.tar"
    command = ["mmdebstrap", "--quiet", "--variant=apt", "--include=passwd", "--skip=output/dev", "--format=tar"]
    subprocess.run([*command, "bookworm", base], check=True, env={**os.environ, "TMPDIR": str(directory)})
    base.chmod(0o644)
    return base


@pytest.mark.network
def test_the_packages_of_an_image_are_those_dpkg_lists(pybuild: Pybuild, base: Path) -> None:
    pybuild("import", str(base), "debian")
    made = json.loads(pybuild("sbom", "debian", "--format", "spdx"))
    found = {(p["name"], p["versionInfo"]) for p in made["packages"] if p["SPDXID"].startswith("SPDXRef-Package-deb-")}
    listed = pybuild("run", "--rm", "debian", "dpkg-query", "-W", "-f", "${Package} ${Version}\\n")
    assert found == {tuple(line.split()) for line in listed.splitlines()}
    assert len(found) > 50
    licensed = [p for p in made["packages"] if p.get("licenseDeclared", "NOASSERTION") != "NOASSERTION"]
    assert len(licensed) > len(found) / 2
    assert "comment" not in made


@pytest.mark.network
def test_packages_and_users_in_every_tier(pybuild: Pybuild, as_user: Pybuild, base: Path) -> None:
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
