"""Remembers what a build came to, for `api/answered`: with the state that this build saw of all it depends on.

Nothing is read again for it: had something changed since, the answer would not hold, and so do no harm. A build is
remembered if all of it was cached and each thing it depends on has a name of the kinds that answers know; whatever is
asked that is not known here to be so goes the usual way each time.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from builder import spans
from builder.api.build import Built
from builder.api.meant import reading_of
from builder.api.session import Session
from builder.digest import Digest
from builder.errors import UsageError
from builder.graph.scope import EPOCH_ARG
from builder.graph.vertex import BaseImage, GitTree, Graph, Run, UrlFile
from builder.image import pulling
from builder.image.descriptor import Descriptor, Layer
from builder.image.manifest import Manifest
from builder.image.reference import Reference
from builder.request import BuildRequest
from builder.solve.ops import contexts_of
from builder.solve.result import undated_digest
from builder.sources import buildfile
from builder.sources.contexts import Opened
from builder.sources.proven import Proven, encoded
from builder.store.answers import DIRECTORY, Needs, hashed, state
from builder.store.answers import Answer as Answer
from builder.store.db import VERSION
from builder.store.images import StoredImage

# What may be asked of a build that is remembered: all of it stands in the words, the environment and the Buildfile.
_KNOWN = frozenset(
    (
        "context", "context_mode", "file", "tags", "target", "build_args", "labels", "load", "pull", "network",
        "add_hosts", "dns", "dns_search", "dns_options", "platform", "no_lock", "allow", "retry", "step_timeout",
        "keep_failed", "parallelism", "resources", "base", "env", "unset_env", "unset_labels", "omit_history",
        "security", "cap_drop", "no_hosts",
    )
)  # fmt: skip

Row = tuple[Any, ...]


class _Files(Struct):
    """Paths, and what the build found at each."""

    paths: list[str] = []
    contents: list[bytes | None] = []

    def add(self, path: str, content: bytes | None) -> None:
        self.paths.append(path)
        self.contents.append(content)


class _Seen(Struct):
    """What a build saw of its store: rows as store/answers asks for them, and blobs."""

    rows: set[Row] = set()
    blobs: dict[Digest, int] = {}

    def layer(self, layer: Layer) -> None:
        self.rows.add(("layer", layer.diff_id.hex, layer.blob.digest.hex, layer.blob.size))
        self.blob(layer.blob)

    def image(self, manifest: Digest, size: int, config: Descriptor) -> None:
        self.rows.add(("image", manifest.hex, config.digest.hex, size))
        self.blob(Descriptor("", manifest, size))
        self.blob(config)

    def blob(self, descriptor: Descriptor) -> None:
        self.blobs[descriptor.digest] = descriptor.size

    def named(self, kind: str) -> list[str]:
        return sorted({row[1] for row in self.rows if row[0] == kind})


def remember(session: Session, request: BuildRequest, done: Built, asked: bytes, answer: Answer) -> None:
    """Keep `answer` as that to what is `asked` (api/answered), if what was built depends on nothing else than it knows.

    `done` is what `request` came to, which stands for the same words.
    """
    if done.result.ran or not (_asks_little(session, request) and _is_closed(done.graph)):
        return
    seen, files = _Seen(), _files(request, done.opened)
    tags = [Reference.parse(tag).tagged() for tag in request.tags]
    proofs = _proofs(request, done)
    if files is None or proofs is None:
        return
    if not _bases(session, done.graph, seen) or not _image(session, done, tags, seen):
        return
    seen.rows |= {("record", r.key.hex, r.diff_id.hex, r.created) for r in done.hits}
    seen.rows.add(("schema", "", VERSION, 0))
    for vertex, stack in done.stacks.items():
        # What a step stands on is what others have made.
        own = stack.layers if isinstance(done.graph.vertices[vertex], BaseImage) else stack.layers[-1:]
        for layer in own:
            seen.layer(layer)
    names = {
        "records": [record.key.hex for record in done.hits],  # as often as each was used
        "layers": seen.named("layer"),
        "images": seen.named("image"),
        "names": seen.named("name"),
        "times": seen.named("time"),
    }
    needs = Needs(
        b"\0".join(map(os.fsencode, files.paths)),
        msgspec.json.encode(names).decode(),
        " ".join(digest.hex for digest in seen.blobs),
        proofs,
    )
    root = session.store.root
    found = state(str(root), list(seen.rows), list(seen.blobs.values()), files.contents)
    session.store.answers.keep(asked, needs, found, answer)


def _asks_little(session: Session, request: BuildRequest) -> bool:
    usual = BuildRequest()
    asked = {name for name in BuildRequest.__struct_fields__ if getattr(request, name) != getattr(usual, name)}
    return (
        asked <= _KNOWN
        and not spans.recording()
        and os.path.isdir(request.context)
        and request.file != "-"
        and request.pull in (pulling.MISSING, pulling.NEVER)
        and request.build_args.get(EPOCH_ARG) != "context"
        and not session.offline
        and (session.options is None or not session.options.verify_keys)
    )


def _is_closed(graph: Graph) -> bool:
    """Whether all comes from the store and the main build context, and no step is good for some time only."""
    return len(graph.targets) == 1 and not any(
        isinstance(vertex, UrlFile | GitTree)
        or contexts_of(vertex) - {""}
        or (isinstance(vertex, Run) and vertex.lifetime is not None)
        for vertex in graph.vertices
    )


def _proofs(request: BuildRequest, done: Built) -> bytes | None:
    """What shows that nothing has changed of what was taken of the context; None where nothing does."""
    if not done.taken:
        return b""
    proofs = tuple(selection.proof for selection in done.taken if selection.proof is not None)
    if len(proofs) < len(done.taken):
        return None
    git = reading_of(request).git
    try:
        return encoded([Proven(request.context, done.opened.source.name, git, tuple(dict.fromkeys(proofs)))])
    except UnicodeEncodeError:
        return None


def _files(request: BuildRequest, opened: Opened) -> _Files | None:
    """The files that were read, and those that would have been, were they there. None with a lock: that says more."""
    found = _Files()
    found.add(request.context, DIRECTORY)
    path = buildfile.find(request.context, request.file)
    if opened.source.name != path or opened.lock is None or (opened.lock[1] is not None and not request.no_lock):
        return None
    for candidate in buildfile.candidates(request.context) if request.file is None else ():
        if candidate == path:
            break
        found.add(candidate, None)
    found.add(path, hashed(opened.source.text.encode(errors="surrogateescape")))
    if not request.no_lock:
        found.add(opened.lock[0], None)
    ignore = opened.ignore
    content = None if ignore.text is None else hashed(ignore.text.encode(errors="surrogateescape"))
    for rules in buildfile.ignore_files(request.context, path):
        if ignore.text is not None and os.path.normpath(rules) == ignore.name:
            found.add(rules, content)
            break  # what comes after it is not read
        found.add(rules, None)
    return found


def _bases(session: Session, graph: Graph, seen: _Seen) -> bool:
    """Whether all base images are known by names or digests that the store has; notes what they are."""
    for vertex in graph.vertices:
        if isinstance(vertex, BaseImage):
            image = _base(session, vertex, seen)
            if image is None:
                return False
            config = session.store.images.manifest(image).config
            seen.image(image.manifest.digest, image.manifest.size, config)
    return True


def _base(session: Session, vertex: BaseImage, seen: _Seen) -> StoredImage | None:
    images = session.store.images
    try:
        name = Reference.parse(vertex.reference)
    except UsageError:
        return None
    if name.digest is None:
        holder = images.holder(name)
        if holder is None or images.holder(name) != holder:
            return None
        seen.rows.add(("name", str(name.tagged()), holder.hex, 0))
    elif name.digest != vertex.manifest:
        return None
    image = images.lookup(vertex.reference, vertex.platform)
    return None if image is None or image.manifest.digest != vertex.manifest else image


def _image(session: Session, done: Built, names: Sequence[Reference], seen: _Seen) -> bool:
    """Notes the image that was made, its names and its time; False when there is more to it than is known here."""
    (made,) = done.images
    for layer in made.layers:
        seen.layer(layer)
    config = made.config.to_json()
    manifest = Manifest.of(config, made.layers)
    data = manifest.to_json()
    if Digest.of(data) != done.digest:
        return False
    seen.image(done.digest, len(data), manifest.config)
    seen.rows |= {("name", str(name), done.digest.hex, 0) for name in names}
    if done.graph.epoch is None:
        target = done.graph.targets[0]
        key = undated_digest(target.config, done.stacks[target.top]).hex
        value = session.store.memo.get("created", key)
        if value is None:
            return False
        seen.rows.add(("time", key, value, 0))
    return True
