"""What is told of the images of a build: gathered when it is done, written by whatever writes the images."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from msgspec import Struct

from builder.api.session import Session
from builder.attest.options import Asked, asked
from builder.attest.provenance import Facts, Material, arguments, material_of, predicate
from builder.attest.subject import image_purl
from builder.digest import Digest
from builder.errors import BadInputError, NotFoundError
from builder.export.base import Attest, Attestation
from builder.graph.contexts import TARGET
from builder.graph.reach import below
from builder.graph.remote import redacted
from builder.graph.vertex import BaseImage, BindMount, Copy, GitTree, Graph, Run, Target, UrlFile, Vertex, VertexId
from builder.image.attestation import Predicate, attestation
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor, Layer
from builder.image.manifest import Index
from builder.image.platform import host
from builder.image.reference import Reference
from builder.lang.source import Source
from builder.request import BuildRequest
from builder.solve.result import Stack
from builder.sources.contexts import main_source
from builder.sources.remotes import Remotes

_SHA1 = 40


def wanted(request: BuildRequest) -> Asked:
    """What a build is asked to tell of its images. Raises UsageError."""
    found = asked(request.attest, request.provenance, request.sbom)
    for form in found.sboms:
        # lazy: only a build that lists packages; that what writes them is missing is told before anything runs
        from builder.attest.documents import writer

        writer(form)
    return found


@contextmanager
def instead(session: Session, names: tuple[Reference, ...], index: Index) -> Iterator[None]:
    """Forget, at the end, indexes that had `names`, have none now, and name the same images as `index`.

    Provenance tells of each build, so the same image gets another index each time: older ones are of no use here.
    """
    images = session.store.images
    before = [found for name in names if (found := images.index_of(str(name))) is not None]
    yield
    now = {found.descriptor.digest: found for found in images.indexes()}
    wanted = {entry.descriptor.digest for entry in index.images}
    for old in dict.fromkeys(each.descriptor for each in before):
        found = now.get(old.digest)
        if found is None or found.names:
            continue
        try:
            same = {entry.descriptor.digest for entry in images.document(found).images} == wanted
        except (BadInputError, NotFoundError):
            continue  # damaged: `cache verify` tells of it
        if same:
            images.remove(found)


class Told(Struct, frozen=True):
    """What was built: the graph, the Buildfile, what gave what is from elsewhere, the layers of each vertex."""

    graph: Graph
    source: Source
    remotes: Remotes
    stacks: Mapping[int, Stack]


class Telling:
    """Tells of the images of one build. `names` are what they are going to be called; `began` is when it began."""

    def __init__(
        self,
        session: Session,
        request: BuildRequest,
        built: Told,
        asked: Asked,
        names: tuple[Reference, ...],
        began: float,
    ) -> None:
        self._session, self._request, self._built = session, request, built
        self._asked, self._names, self._began = asked, names, began

    def of(self, target: Target, config: ImageConfig, layers: tuple[Layer, ...]) -> Attest:
        """What tells of the image of `target`: it is asked with the manifest that the image has in the end."""
        held: list[Predicate] = []

        def attest(image: Descriptor) -> Attestation:
            if not held:  # once, whatever becomes of the image
                held.extend(self._predicates(target, config, layers))
            urls = [image_purl(name, target.platform) for name in self._names]
            return Attestation(*attestation(image, urls, held))

        return attest

    def _predicates(self, target: Target, config: ImageConfig, layers: tuple[Layer, ...]) -> list[Predicate]:
        found = [self._sbom(form, config, layers) for form in self._asked.sboms]
        if self._asked.provenance is not None:
            found.append(predicate(self._facts(target, layers), self._asked.provenance))
        return found

    # --- what is in it ---------------------------------------------------------------------------

    def _sbom(self, form: str, config: ImageConfig, layers: tuple[Layer, ...]) -> Predicate:
        # lazy: only a build that lists packages
        import msgspec

        from builder.attest.collect import inventory_of
        from builder.attest.documents import FORMATS, document
        from builder.attest.subject import subject_of

        inventory = inventory_of(self._session.launcher(), self._session.store.root, layers)
        subject = subject_of(Digest.of(config.to_json()), config, self._names)
        return Predicate(FORMATS[form], msgspec.json.encode(document(form, inventory, subject)))

    # --- how it came about -----------------------------------------------------------------------

    def _facts(self, target: Target, layers: tuple[Layer, ...]) -> Facts:
        graph, request = self._built.graph, self._request
        vertices = below(graph, target.top)
        epoch = graph.epoch
        context = self._context()
        others = {
            "target": request.target,
            "platform": request.platform,
            "add-hosts": ",".join(request.add_hosts),
            "force-network-mode": "" if request.network == "default" else request.network,
            "no-cache": "" if not (request.no_cache or request.no_cache_filter) else ",".join(request.no_cache_filter),
        }
        return Facts(
            graph=graph,
            vertices={number: self._layers(number, target, layers) for number in vertices},
            buildfile=self._built.source.name,
            text=self._built.source.text.encode(errors="surrogateescape"),
            context=context,
            locals=tuple(sorted(self._locals(vertices, remote=context is not None))),
            arguments=arguments(request.build_args, request.labels, request.contexts, others),
            materials=tuple(dict.fromkeys(filter(None, (context, *self._materials(vertices))))),
            builder=host(),
            started=self._began if epoch is None else epoch,
            finished=time.time() if epoch is None else epoch,
        )

    def _layers(self, number: VertexId, target: Target, layers: tuple[Layer, ...]) -> tuple[Descriptor, ...]:
        """The layers of the image that a step stands for; none for a step whose files are not in it as layers.

        They may be dated (SOURCE_DATE_EPOCH), and then differ from the step's own; merged ones stand for no step.
        """
        own, all_of_it = self._built.stacks.get(number), self._built.stacks.get(target.top)
        if own is None or all_of_it is None or len(all_of_it.layers) != len(layers):
            return ()
        depth = len(own.layers)
        return tuple(layer.blob for layer in layers[:depth]) if all_of_it.layers[:depth] == own.layers else ()

    def _materials(self, vertices: list[VertexId]) -> list[Material]:
        found = [self._material(self._built.graph.vertices[number]) for number in vertices]
        return [material for material in found if material is not None]

    def _material(self, vertex: Vertex) -> Material | None:
        if isinstance(vertex, BaseImage) and vertex.reference.startswith(TARGET):
            return None  # it was made here, a moment before
        if isinstance(vertex, BaseImage):
            return material_of(vertex, self._session.store.elsewhere.published_as)
        if isinstance(vertex, UrlFile):
            return Material(redacted(vertex.url), (("sha256", self._built.remotes.current(vertex).digest.hex),))
        if isinstance(vertex, GitTree):
            commit = self._built.remotes.resolved(vertex).commit
            named = f"{redacted(vertex.remote)}#{vertex.ref}" if vertex.ref else redacted(vertex.remote)
            return Material(named, (("sha1" if len(commit) == _SHA1 else "sha256", commit),))
        return None

    def _context(self) -> Material | None:
        """Where the build context came from; None for a directory, or an archive on standard input."""
        keep = self._request.build_args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR", "")
        source = main_source(self._request.context, keep_git_dir=bool(keep))
        return None if source is None else self._material(source)

    def _locals(self, vertices: list[VertexId], *, remote: bool) -> set[str]:
        """The contexts of this machine that something is taken of, and the Buildfile, by the names BuildKit has."""
        file = self._request.file
        found = set() if remote and (file is None or not (file == "-" or file.startswith("/"))) else {"dockerfile"}
        for number in vertices:
            for context in _contexts(self._built.graph.vertices[number]):
                if context or not remote:
                    found.add(context or "context")
        return found


def _contexts(vertex: Vertex) -> set[str]:
    """The build contexts a step takes something of: their names, empty for the main one."""
    if isinstance(vertex, Copy):
        here = [part for part in vertex.also if part.source is None and part.paths]
        return {vertex.context} if here or (vertex.source is None and vertex.paths) else set()
    if isinstance(vertex, Run):
        return {m.context for m in vertex.mounts if isinstance(m, BindMount) and m.origin is None}
    return set()
