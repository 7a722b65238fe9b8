"""Docker takes what is pushed, by tag and by digest, and runs it; what it pushes is taken here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.dockerd import Dockerd
from tests.support.program import Pybuild
from tests.support.registry import Registry

pytestmark = pytest.mark.root

TEXT = """FROM base
RUN echo hello > /greeting
CMD ["cat", "/greeting"]
"""


def test_docker_takes_what_is_pushed_and_we_what_it_pushes(tmp_path: Path) -> None:
    pybuild = Pybuild(tmp_path / "store", tmp_path / "work")
    pybuild.work.mkdir()
    pybuild.base()
    (tmp_path / "docker").mkdir()
    (tmp_path / "registry").mkdir()
    with Dockerd(tmp_path / "docker") as docker:
        prefix = docker.network()
        with Registry(tmp_path / "registry", prefix=prefix) as registry:
            near = replace(pybuild, prefix=(*prefix, *pybuild.prefix))
            names = {kind: f"{registry.address}/app:{kind}" for kind in ("gzip", "schema2")}
            near.build(TEXT, "-t", names["gzip"], "--push", "--metadata-file", "made").ok()
            digest = json.loads((pybuild.work / "made").read_text())["containerimage.digest"]
            near.build(TEXT, "-o", f"type=registry,name={names['schema2']},oci-mediatypes=false").ok()
            assert f"Digest: {digest}" in docker.pull(names["gzip"])
            docker.pull(f"{registry.address}/app@{digest}")
            docker.pull(names["schema2"])
            for name in (*names.values(), f"{registry.address}/app@{digest}"):
                assert docker.container("--network", "none", name) == "hello\n"
            back = f"{registry.address}/back:1"
            docker.push(names["gzip"], back)
            other = replace(near, root=tmp_path / "other")
            assert other("run", "--rm", "--network", "none", back) == "hello\n"
            ids = [json.loads(p("inspect", name))[0]["Id"] for p, name in ((other, back), (near, names["gzip"]))]
            assert ids[0] == ids[1]
