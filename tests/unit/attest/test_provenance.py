"""Facts of builds → predicates, without a build."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from msgspec.structs import replace

from builder.attest.options import Provenance
from builder.attest.provenance import Facts, Material, arguments, material_of, predicate
from builder.digest import Digest
from builder.graph.vertex import BaseImage, Copy, Graph, Origin, Run, SecretMount, SshMount, VertexId
from builder.image.descriptor import Descriptor
from builder.image.platform import Platform
from builder.image.reference import Reference

AMD64 = Platform("linux", "amd64")
MANIFEST, LAYER = Digest.of(b"manifest"), Descriptor("type", Digest.of(b"layer"), 5)
BASE = BaseImage(MANIFEST, "registry.example/base:1", AMD64, Origin("FROM base", "", 1))


def unpublished(repository: Reference, here: Digest) -> None:
    """No repository is known to have it."""


MOUNTS = (SecretMount("token"), SecretMount("token", required=True), SecretMount("a"), SshMount("default", "/agent"))
RUN = Run(VertexId(0), ("sh",), (), "/", "", "default", AMD64, mounts=MOUNTS, origin=Origin("[2/3] RUN make", "", 2))
COPY = Copy(VertexId(1), VertexId(0), ("a",), "/", origin=Origin("[3/3] COPY a /", "", 3))
FACTS = Facts(
    graph=Graph((BASE, RUN, COPY), ()),
    vertices={VertexId(0): (LAYER,), VertexId(1): (LAYER, LAYER), VertexId(2): ()},
    buildfile="Buildfile",
    text=b"FROM base\n",
    context=None,
    locals=("context", "dockerfile"),
    arguments={"build-arg:A": "1", "label:l": "v", "target": "x"},
    materials=(material_of(BASE, unpublished),),
    builder=AMD64,
    started=1_700_000_000.5,
    finished=1_700_000_060.0,
)


def made(facts: Facts = FACTS, **asked: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(predicate(facts, Provenance(**asked)).data)
    return found


def test_the_types() -> None:
    assert predicate(FACTS, Provenance()).type == "https://slsa.dev/provenance/v0.2"
    assert predicate(FACTS, Provenance(version="v1")).type == "https://slsa.dev/provenance/v1"


def test_the_least() -> None:
    found = made()
    assert found["buildType"] == "https://mobyproject.org/buildkit@v1"
    assert found["builder"] == {"id": ""}
    uri = "pkg:docker/registry.example/base@1?platform=linux%2Famd64"
    assert found["materials"] == [{"uri": uri, "digest": {"sha256": MANIFEST.hex}}]
    assert found["invocation"] == {
        "configSource": {"entryPoint": "Buildfile"},
        "parameters": {
            "frontend": "dockerfile.v0",
            "args": {"target": "x"},
            "locals": [{"name": "context"}, {"name": "dockerfile"}],
        },
        "environment": {"platform": "linux/amd64"},
    }
    assert found["metadata"]["buildStartedOn"] == "2023-11-14T22:13:20.500000000Z"
    assert found["metadata"]["buildFinishedOn"] == "2023-11-14T22:14:20.000000000Z"
    assert found["metadata"]["completeness"] == {"parameters": False, "environment": True, "materials": False}
    assert "buildConfig" not in found
    assert "token" not in json.dumps(found)


def test_the_most() -> None:
    found = made(mode="max")
    parameters = found["invocation"]["parameters"]
    assert parameters["args"] == {"build-arg:A": "1", "label:l": "v", "target": "x"}
    assert parameters["secrets"] == [{"id": "a", "optional": True}, {"id": "token"}]
    assert parameters["ssh"] == [{"id": "default", "optional": True}]
    assert found["buildConfig"]["steps"] == [
        {"id": "step0", "name": "FROM base", "inputs": []},
        {"id": "step1", "name": "[2/3] RUN make", "inputs": ["step0:0"]},
        {"id": "step2", "name": "[3/3] COPY a /", "inputs": ["step1:0", "step0:0"]},
    ]
    told = found["metadata"]["https://mobyproject.org/buildkit@v1#metadata"]
    ((info),) = told["source"]["infos"]
    assert base64.b64decode(info["data"]) == b"FROM base\n"
    assert told["source"]["locations"]["step1"]["locations"][0]["ranges"][0]["start"] == {"line": 2}
    assert [blob["digest"] for blob in told["layers"]["step1:0"][0]] == [str(LAYER.digest)] * 2
    assert "step2:0" not in told["layers"]
    assert found["metadata"]["completeness"]["parameters"] is True


def test_version_one_has_the_same_facts() -> None:
    old, new = made(mode="max", reproducible=True), made(mode="max", version="v1", reproducible=True)
    definition, details = new["buildDefinition"], new["runDetails"]
    assert definition["resolvedDependencies"] == old["materials"]
    assert definition["externalParameters"]["configSource"] == {"path": "Buildfile"}
    assert definition["externalParameters"]["request"] == old["invocation"]["parameters"]
    assert definition["internalParameters"] == {"builderPlatform": "linux/amd64", "buildConfig": old["buildConfig"]}
    metadata = details["metadata"]
    assert metadata["invocationID"] == old["metadata"]["buildInvocationID"]
    assert metadata["startedOn"] == old["metadata"]["buildStartedOn"]
    assert metadata["buildkit_completeness"] == {"request": True, "resolvedDependencies": False}
    assert metadata["buildkit_reproducible"] is True
    assert metadata["buildkit_hermetic"] is False


def test_a_context_from_elsewhere() -> None:
    context = Material("https://example.org/it.git#main", (("sha1", "3f78" * 10),))
    found = made(replace(FACTS, context=context, locals=(), materials=(context,)))
    assert found["invocation"]["configSource"] == {
        "uri": context.uri,
        "digest": {"sha1": "3f78" * 10},
        "entryPoint": "Buildfile",
    }
    assert found["metadata"]["completeness"]["materials"] is True
    new = made(replace(FACTS, context=context, locals=()), version="v1")
    assert new["buildDefinition"]["externalParameters"]["configSource"]["path"] == "Buildfile"


@pytest.mark.parametrize(("network", "hermetic"), [("none", True), ("default", False), ("host", False)])
def test_hermetic_is_what_reaches_nothing(network: str, hermetic: bool) -> None:
    graph = Graph((BASE, replace(RUN, network=network), COPY), ())
    found = made(replace(FACTS, graph=graph, locals=()))
    assert found["metadata"]["https://mobyproject.org/buildkit@v1#hermetic"] is hermetic
    local = made(replace(FACTS, graph=graph))
    assert local["metadata"]["https://mobyproject.org/buildkit@v1#hermetic"] is False


def test_the_builder_s_name() -> None:
    assert made(builder_id="https://ci.example/7")["builder"] == {"id": "https://ci.example/7"}
    assert (
        made(builder_id="https://ci.example/7", version="v1")["runDetails"]["builder"]["id"] == "https://ci.example/7"
    )


def test_the_same_facts_are_the_same_bytes_and_others_another_invocation() -> None:
    assert predicate(FACTS, Provenance()) == predicate(FACTS, Provenance())
    later = made(replace(FACTS, finished=FACTS.finished + 1))["metadata"]["buildInvocationID"]
    assert later != made()["metadata"]["buildInvocationID"]


def test_secrets_among_options_are_masked() -> None:
    found = arguments(
        {"GITHUB_TOKEN": "t0p", "HTTP_PROXY": "http://me:t0p@proxy", "https_proxy": "http://me:t0p@proxy", "A": "1"},
        [("l", "v")],
        {"src": "https://me:t0p@example.org/x.git", "dir": "/home/t0p", "img": "docker-image://alpine"},
        {"target": "", "platform": "linux/amd64"},
    )
    assert found == {
        "build-arg:A": "1",
        "build-arg:GITHUB_TOKEN": "***",
        "context:dir": "local:dir",
        "context:img": "docker-image://alpine",
        "context:src": found["context:src"],
        "label:l": "v",
        "platform": "linux/amd64",
    }
    assert "t0p" not in json.dumps(found)


def test_a_layout_does_not_tell_its_path() -> None:
    found = material_of(replace(BASE, reference="oci-layout:/home/me/base:1"), unpublished)
    assert found.uri == "pkg:oci/layout?platform=linux%2Famd64"
    assert found.digest == (("sha256", MANIFEST.hex),)
