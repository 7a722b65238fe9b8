"""What is in images of the store and their layers, read from the layers' blobs: nothing is mounted, nothing runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile

from msgspec import Struct

from builder.api.session import Session, platform_of
from builder.digest import Digest
from builder.errors import NotFoundError, UsageError
from builder.image.config import ImageConfig
from builder.image.descriptor import Layer
from builder.layers.entry import Kind
from builder.layers.laid import Node, Tree
from builder.solve.result import places_of
from builder.store.catalog import StoredImage
from builder.views import contents, imagediff
from builder.views.explored import Explored
from builder.views.filetree import TreeRow, all_below, changed, rows, safe
from builder.views.imagediff import ImageDifference, Side
from builder.views.waste import Analysis, Step, analyzed


class Looked(Struct, frozen=True):
    """An image that stays as it is while it is looked at: with `places`, those of its history, as `places_of`."""

    image: StoredImage
    config: ImageConfig
    layers: tuple[Layer, ...]
    places: tuple[str, ...]

    @property
    def steps(self) -> list[Step]:
        """What made each of its layers."""
        pairs = zip(self.config.history, self.places, strict=True)
        told = [(entry.created_by, place) for entry, place in pairs if not entry.empty_layer][: len(self.layers)]
        told += [("", "")] * (len(self.layers) - len(told))
        return [Step(number, safe(text), safe(place)) for number, (text, place) in enumerate(told, 1)]


class Asked(Struct, frozen=True):
    """What `IMAGE[@LAYER][:PATH]` asks for: the number of its layer from 0 on, None for all; the path may be empty."""

    looked: Looked
    layer: int | None
    path: str

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers up to the one that is asked for."""
        return self.looked.layers if self.layer is None else self.looked.layers[: self.layer + 1]


@contextmanager
def looking(session: Session, text: str, platform: str = "") -> Iterator[Looked]:
    """The image `text` names; of an index that for `platform`. Raises NotFoundError."""
    with session.store.leases.working():
        found = _looked(session, text, platform)
        if found is None:
            raise NotFoundError(f"no such image: {text}", hint="pybuild images lists what there is")
        yield found


@contextmanager
def asking(session: Session, text: str, platform: str = "") -> Iterator[Asked]:
    """The image, layer and path that `text` names, `IMAGE[@LAYER][:PATH]`. Raises NotFoundError, UsageError.

    A layer is named by its number from 1 on, the lowest first, or by the beginning of its diff ID or of the digest of
    its blob. An image may have a digest in its name: what is one as a whole comes first.
    """
    name, colon, path = text.partition(":/")
    path = f"/{path}" if colon else ""
    with session.store.leases.working():
        found = _looked(session, name, platform)
        if found is not None:
            yield Asked(found, None, path)
            return
        image, at, layer = name.rpartition("@")
        found = _looked(session, image, platform) if at else None
        if found is None:
            raise NotFoundError(f"no such image: {image or name}", hint="pybuild images lists what there is")
        yield Asked(found, _layer(found, image, layer), path)


def analyze(session: Session, text: str, platform: str = "") -> Analysis:
    """What the layers of an image take, and what of that is wasted. Raises NotFoundError, BadInputError."""
    with looking(session, text, platform) as looked:
        stacked = contents.laid(session.store.blobs, looked.layers, digests=True)
        identifier, chosen = str(looked.image.config), str(looked.config.platform)
        return analyzed(identifier, chosen, looked.layers, looked.steps, stacked)


@contextmanager
def exploring(session: Session, text: str, platform: str = "") -> Iterator[Explored]:
    """An image that is looked through; nothing of it is read yet. Raises NotFoundError."""
    with looking(session, text, platform) as looked:
        title = str(looked.image.config), str(looked.config.platform)
        yield Explored(title, session.store.blobs, looked.layers, looked.steps)


def compare(session: Session, before: str, after: str, platform: str = "", *, times: bool = False) -> ImageDifference:
    """What differs between two images; with `times` also when files and images were made.

    `platform` is that of both, or those of each with a comma between. Raises NotFoundError, BadInputError, UsageError.
    """
    first, comma, second = platform.partition(",")
    with looking(session, before, first) as one, looking(session, after, second if comma else first) as other:
        blobs, trees = session.store.blobs, (Tree(), Tree())
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one.layers, other.layers, strict=False)))
        for layer in one.layers[:shared]:
            entries = list(contents.entries(blobs, layer, digests=True))  # read once for both
            for tree in trees:
                tree.lay(entries)
        for tree, looked in zip(trees, (one, other), strict=True):
            for layer in looked.layers[shared:]:
                tree.lay(contents.entries(blobs, layer, digests=True))
        return ImageDifference(
            _side(before, one),
            _side(after, other),
            imagediff.configs(one.config, other.config, times=times),
            tuple(imagediff.files(trees[0].root, trees[1].root, times=times)),
        )


def tree(session: Session, text: str, platform: str = "", *, whole: bool = False) -> list[TreeRow]:
    """The files of what `text` asks for (see `asking`), each directory before what is in it.

    Of a layer those that it changed, or with `whole` all that shows with that layer on top. Raises NotFoundError,
    BadInputError.
    """
    with asking(session, text, platform) as asked:
        if asked.layer is None or whole:
            path, node = contents.shown(session.store.blobs, asked.layers).resolve(asked.path)
            return rows(all_below(node, path))
        shown = contents.shown(session.store.blobs, asked.layers[:-1])
        changes = shown.lay(contents.entries(session.store.blobs, asked.layers[-1], digests=False))
        items = changed(shown.root, changes)
    path = asked.path.strip("/")
    found = [item for item in items if not path or item.path == path or item.path.startswith(f"{path}/")]
    if not found:
        raise NotFoundError(f"the layer changes nothing at {asked.path}", hint="--all shows all that is there")
    return rows(found)


def cat(session: Session, text: str, platform: str = "") -> Iterator[bytes]:
    """What is in the regular file that `IMAGE[@LAYER]:PATH` leads to, links followed inside the image.

    Raises NotFoundError, UsageError for what is no regular file, BadInputError.
    """
    with asking(session, text, platform) as asked:
        if not asked.path:
            raise UsageError(f"{text} names no file", hint="name one by its absolute path: IMAGE:/PATH")
        path, node = contents.shown(session.store.blobs, asked.layers).resolve(asked.path)
        if node.kind is not Kind.FILE:
            raise UsageError(f"/{safe(path)} is {_WHAT[node.kind]}", hint=_hint(node))
        yield from contents.data(session.store.blobs, asked.layers, node.file)


_WHAT = {
    Kind.DIRECTORY: "a directory",
    Kind.SYMLINK: "a link",
    Kind.CHAR: "a device",
    Kind.BLOCK: "a device",
    Kind.FIFO: "a named pipe",
}


def _hint(node: Node) -> str:
    return "pybuild tree lists what is in it" if node.kind is Kind.DIRECTORY else "only regular files are shown"


def _side(name: str, looked: Looked) -> Side:
    return Side(name, str(looked.image.config), str(looked.config.platform))


def _looked(session: Session, text: str, platform: str) -> Looked | None:
    images = session.store.images
    claimed = images.claimed(text, platform_of(platform) if platform else None)
    if claimed is None:
        return None
    image, config = claimed
    places = places_of(session.store, image.config, len(config.history))
    return Looked(image, config, images.layers(image.manifest.digest), tuple(places))


def _layer(looked: Looked, image: str, text: str) -> int:
    """The number, from 0, of the layer `text` names."""
    count = len(looked.layers)
    if text.isdecimal() and len(text) <= _LONGEST_NUMBER:
        if 1 <= int(text) <= count:
            return int(text) - 1
        raise NotFoundError(f"{image} has no layer {text}", hint=f"it has {count}, the lowest is 1")
    digits = text.removeprefix("sha256:")
    found = [n for n, layer in enumerate(looked.layers) if any(d.hex.startswith(digits) for d in _digests(layer))]
    if not found or not digits:
        raise NotFoundError(f"{image} has no layer {text}", hint="pybuild analyze lists its layers")
    if len({looked.layers[n].diff_id for n in found}) > 1:
        raise UsageError(f"{text} begins the digests of several layers", hint="give more digits")
    return found[-1]


# What is longer is the beginning of a digest: the kernel stacks 500 layers at most.
_LONGEST_NUMBER = 3


def _digests(layer: Layer) -> tuple[Digest, Digest]:
    return layer.diff_id, layer.blob.digest
