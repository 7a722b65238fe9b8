"""How an image came about, as a SLSA provenance predicate in BuildKit's form (docs/attestations/slsa-definitions.md).

Two versions of the same facts: v0.2, which BuildKit writes by default, and v1. With mode `min` arguments, labels,
secrets, the steps and the Buildfile are left out. Steps stand as names with their inputs, where BuildKit has its own
instructions for the builder (LLB). Pure.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from builder.attest.options import MAX, V02, V1, Provenance
from builder.attest.subject import image_purl
from builder.digest import Digest
from builder.graph.remote import redacted
from builder.graph.scope import PROXY_ARGS
from builder.graph.vertex import BaseImage, Graph, Run, SecretMount, SshMount, VertexId, inputs
from builder.image.attestation import SLSA_V02, SLSA_V1, Predicate
from builder.image.config import timestamp
from builder.image.descriptor import Descriptor
from builder.image.manifest import descriptor_document
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.lang.secretnames import names_secret

_TYPES = {V02: SLSA_V02, V1: SLSA_V1}
# What says how the fields are meant.
_BUILD_TYPE = "https://mobyproject.org/buildkit@v1"
_BUILD_TYPE_V1 = "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md"
_FRONTEND = "dockerfile.v0"
_MASKED = "***"


class Material(Struct, frozen=True):
    """Something the build took from elsewhere: where from, and what it was, by algorithm and hexadecimal digest."""

    uri: str
    digest: tuple[tuple[str, str], ...]

    def document(self) -> dict[str, Any]:
        """As both versions have it."""
        return {"uri": self.uri, "digest": dict(self.digest)}


class Facts(Struct, frozen=True):
    """All there is to tell. Times are seconds since the epoch.

    `context` is where the build context came from, None for what lies on this machine; `locals` are the names of the
    contexts that do. `vertices` are the steps of the image in order, with the layers each stands for; `arguments` are
    the build's options by BuildKit's names.
    """

    graph: Graph
    vertices: Mapping[VertexId, tuple[Descriptor, ...]]
    buildfile: str
    text: bytes
    context: Material | None
    locals: tuple[str, ...]
    arguments: Mapping[str, str]
    materials: tuple[Material, ...]
    builder: Platform
    started: float
    finished: float


def material_of(base: BaseImage, published: Callable[[Reference, Digest], Digest | None]) -> Material:
    """An image as BuildKit names it: a package URL and the digest of its manifest.

    `published` is the digest under which a repository has a manifest of this store; None: the same, or unknown.
    """
    scheme, _, path = base.reference.partition("oci-layout:")
    if not scheme and path:
        # A path of this machine says nothing elsewhere, and may say too much.
        return Material(f"pkg:oci/layout?platform={str(base.platform).replace('/', '%2F')}", _sha256(base.manifest))
    reference = Reference.parse(base.reference).tagged()
    return Material(image_purl(reference, base.platform), _sha256(published(reference, base.manifest) or base.manifest))


def _sha256(digest: Digest) -> tuple[tuple[str, str], ...]:
    return (("sha256", digest.hex),)


def predicate(facts: Facts, asked: Provenance) -> Predicate:
    """The predicate of the version and mode that are asked for."""
    most = asked.mode == MAX
    made = _v1(facts, asked, most=most) if asked.version == V1 else _v02(facts, asked, most=most)
    return Predicate(_TYPES[asked.version], msgspec.json.encode(made))


# --- the two versions --------------------------------------------------------------------------------


def _v02(facts: Facts, asked: Provenance, *, most: bool) -> dict[str, Any]:
    source = {**(facts.context.document() if facts.context else {}), "entryPoint": facts.buildfile}
    made: dict[str, Any] = {
        "builder": {"id": asked.builder_id},
        "buildType": _BUILD_TYPE,
        "materials": [material.document() for material in facts.materials],
        "invocation": {
            "configSource": source,
            "parameters": _request(facts, most=most),
            "environment": {"platform": str(facts.builder)},
        },
    }
    if most:
        made["buildConfig"] = {"steps": _steps(facts)}
    complete = _complete(facts, most=most)
    made["metadata"] = {
        "buildInvocationID": _invocation(facts, asked),
        "buildStartedOn": timestamp(facts.started),
        "buildFinishedOn": timestamp(facts.finished),
        "completeness": {"parameters": complete[0], "environment": True, "materials": complete[1]},
        "reproducible": asked.reproducible,
        f"{_BUILD_TYPE}#hermetic": _hermetic(facts),
        f"{_BUILD_TYPE}#metadata": _metadata(facts) if most else {},
    }
    return made


def _v1(facts: Facts, asked: Provenance, *, most: bool) -> dict[str, Any]:
    source = {**(facts.context.document() if facts.context else {}), "path": facts.buildfile}
    internal: dict[str, Any] = {"builderPlatform": str(facts.builder)}
    if most:
        internal["buildConfig"] = {"steps": _steps(facts)}
    complete = _complete(facts, most=most)
    return {
        "buildDefinition": {
            "buildType": _BUILD_TYPE_V1,
            "externalParameters": {"configSource": source, "request": _request(facts, most=most)},
            "internalParameters": internal,
            "resolvedDependencies": [material.document() for material in facts.materials],
        },
        "runDetails": {
            "builder": {"id": asked.builder_id},
            "metadata": {
                "invocationID": _invocation(facts, asked),
                "startedOn": timestamp(facts.started),
                "finishedOn": timestamp(facts.finished),
                "buildkit_metadata": _metadata(facts) if most else {},
                "buildkit_hermetic": _hermetic(facts),
                "buildkit_completeness": {"request": complete[0], "resolvedDependencies": complete[1]},
                "buildkit_reproducible": asked.reproducible,
            },
        },
    }


# --- their parts -------------------------------------------------------------------------------------


def _request(facts: Facts, *, most: bool) -> dict[str, Any]:
    private = ("build-arg:", "label:")
    args = {name: value for name, value in facts.arguments.items() if most or not name.startswith(private)}
    made: dict[str, Any] = {"frontend": _FRONTEND, "args": args}
    if most:
        secrets, agents = _secrets(facts)
        made["secrets"] = [{"id": name, **({} if required else {"optional": True})} for name, required in secrets]
        made["ssh"] = [{"id": name, **({} if required else {"optional": True})} for name, required in agents]
    made["locals"] = [{"name": name} for name in facts.locals]
    return made


def _secrets(facts: Facts) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
    """The secrets and agents that steps ask for, by id, and whether one of them needs it."""
    secrets: dict[str, bool] = {}
    agents: dict[str, bool] = {}
    for mount in (mount for vertex in _runs(facts) for mount in vertex.mounts):
        if isinstance(mount, SecretMount | SshMount):
            found = secrets if isinstance(mount, SecretMount) else agents
            found[mount.id] = found.get(mount.id, False) or mount.required
    return sorted(secrets.items()), sorted(agents.items())


def _runs(facts: Facts) -> list[Run]:
    vertices = (facts.graph.vertices[number] for number in facts.vertices)
    return [vertex for vertex in vertices if isinstance(vertex, Run)]


def _complete(facts: Facts, *, most: bool) -> tuple[bool, bool]:
    """Whether all options are told, and all the build was made of: files of this machine have no name elsewhere."""
    left_out = not most and any(name.startswith(("build-arg:", "label:")) for name in facts.arguments)
    return not left_out, not facts.locals


def _hermetic(facts: Facts) -> bool:
    return not facts.locals and all(vertex.network == "none" for vertex in _runs(facts))


def _invocation(facts: Facts, asked: Provenance) -> str:
    """Another for each build, but for one in the time of SOURCE_DATE_EPOCH: what is the same then has the same."""
    same = [facts.started, facts.finished, facts.buildfile, facts.text, sorted(facts.arguments.items())]
    materials = [material.document() for material in facts.materials]
    return Digest.of(msgspec.json.encode([*same, materials, asked.builder_id])).hex[:25]


def _steps(facts: Facts) -> list[dict[str, Any]]:
    made, names = [], _names(facts)
    for number, name in names.items():
        vertex = facts.graph.vertices[number]
        needs = [f"{names[needed]}:0" for needed in inputs(vertex)]
        made.append({"id": name, "name": vertex.origin.name, "inputs": needs})
    return made


def _names(facts: Facts) -> dict[VertexId, str]:
    """What the steps are called: by their place among those of the image."""
    return {number: f"step{place}" for place, number in enumerate(facts.vertices)}


def _metadata(facts: Facts) -> dict[str, Any]:
    """The Buildfile, which lines of it the steps are, and the layers that the steps stand for."""
    locations, layers, names = {}, {}, _names(facts)
    for number, stack in facts.vertices.items():
        step, line = names[number], facts.graph.vertices[number].origin.line
        if line:
            locations[step] = {"locations": [{"ranges": [{"start": {"line": line}, "end": {"line": line}}]}]}
        if stack:
            layers[f"{step}:0"] = [[descriptor_document(blob) for blob in stack]]
    data = base64.b64encode(facts.text).decode()
    infos = [{"filename": facts.buildfile, "language": "Dockerfile", "data": data}]
    return {"source": {"locations": locations, "infos": infos}, "layers": layers}


def arguments(
    build_args: Mapping[str, str],
    labels: Sequence[tuple[str, str]],
    contexts: Mapping[str, str],
    others: Mapping[str, str],
) -> dict[str, str]:
    """The options of a build by BuildKit's names, sorted. `others` are named so already; empty ones are left out.

    Values of arguments that are called as secrets are masked, proxies left out: what is told travels with the image.
    """
    found = {f"label:{name}": value for name, value in labels}
    for name, value in build_args.items():
        if name not in PROXY_ARGS:
            found[f"build-arg:{name}"] = _MASKED if names_secret(name) else value
    for name, value in contexts.items():
        remote = "://" in value or value.startswith("target:")
        found[f"context:{name}"] = redacted(value) if remote else f"local:{name}"
    return dict(sorted({**found, **{name: value for name, value in others.items() if value}}.items()))
