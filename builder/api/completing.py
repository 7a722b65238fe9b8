"""What shells offer while a command line is written: names in the store, stages and arguments of the Buildfile at hand.

Nothing is made for it, no store either, and what cannot be read gives nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from builder.errors import BuildfileError

if TYPE_CHECKING:
    from builder.lang import ast
    from builder.store.open import Store

# A stage or an argument in a Buildfile that is still being written, and cannot be parsed.
_STAGE = re.compile(r"^[ \t]*FROM[ \t]+.*[ \t]AS[ \t]+(\S+)", re.IGNORECASE | re.MULTILINE)
_ARG = re.compile(r"^[ \t]*ARG[ \t]+(\w+)", re.IGNORECASE | re.MULTILINE)


class Offer(NamedTuple):
    """A word, and what it stands for; with a `kind` one of what the shell finds by itself."""

    word: str = ""
    said: str = ""
    kind: str = ""


class Stored:
    """Words from the store at `root`, None for the default one."""

    def __init__(self, root: str | None) -> None:
        self._root = Path(root) if root else None

    @contextmanager
    def _open(self) -> Iterator[Store | None]:
        # lazy: options and commands are completed without it
        from builder.store.open import Store, located

        if not (located(self._root) / "index.json").exists():
            yield None
            return
        store = Store.open(self._root)
        try:
            yield store
        finally:
            store.close()

    def images(self) -> list[Offer]:
        """Names of images, and the IDs of those that have none."""
        with self._open() as store:
            if store is None:
                return []
            names = [Offer(name) for index in store.images.indexes() for name in index.names]
            names += [Offer(name) for image in store.images.all() for name in image.names]
            # An image without a name may be one of an index.
            nameless = [image for image in store.images.all() if not image.names and not store.images.within(image)]
            return [*names, *(Offer(image.config.hex[:12], "without a name") for image in nameless)]

    def containers(self, running: bool | None = None) -> list[Offer]:
        """Names of containers; only of those that run, or do not."""
        with self._open() as store:
            if store is None:
                return []
            # lazy: only for containers
            from builder.runtime.containers import Containers

            known = Containers(store.root)
            return [
                Offer(each.name, f"{each.image} {' '.join(each.command)}")
                for each in known.all()
                if running is None or known.running(each) == running
            ]

    def steps(self) -> list[Offer]:
        """Keys of cached steps."""
        with self._open() as store:
            if store is None:
                return []
            # lazy: only for the cache
            from builder.views.records import records

            return [Offer(row.key[:12], f"{row.place} {row.step}") for row in records(store.records, store.layers)]

    def mounts(self) -> list[Offer]:
        """IDs of cache mounts."""
        with self._open() as store:
            if store is None:
                return []
            # lazy: only for cache mounts
            from builder.snapshots.cachestock import named

            return [Offer(about.id) for about in named(store.root).values()]

    def builds(self) -> list[Offer]:
        """IDs of builds there are logs of."""
        with self._open() as store:
            if store is None:
                return []
            # lazy: only for logs
            from builder.solve.journal import builds

            return [Offer("last"), *(Offer(build.id, build.buildfile) for build in builds(store.root))]

    def failed(self) -> list[Offer]:
        """IDs of failed steps that are kept."""
        with self._open() as store:
            if store is None:
                return []
            # lazy: only for them
            from builder.solve.failed import FailedSteps

            return [Offer(step.id, step.name) for step in FailedSteps(store.root).all()]

    def stages(self, context: str, file: str | None) -> list[Offer]:
        """The named stages of the Buildfile that is meant."""
        # lazy: only for Buildfiles
        from builder.lang.ast import From

        source, tree = self._buildfile(context, file)
        if tree is None:
            return [Offer(name) for name in _STAGE.findall(source)]
        found = [one for one in tree.instructions if isinstance(one, From)]
        return [Offer(one.name, f"FROM {one.image}") for one in found if one.name]

    def arguments(self, context: str, file: str | None) -> list[Offer]:
        """The arguments of the Buildfile that is meant."""
        # lazy: only for Buildfiles
        from builder.lang.ast import Arg

        source, tree = self._buildfile(context, file)
        if tree is None:
            return [Offer(name) for name in dict.fromkeys(_ARG.findall(source))]
        found = [pair for one in tree.instructions if isinstance(one, Arg) for pair in one.pairs]
        return [Offer(pair.key, pair.value or "") for pair in {pair.key: pair for pair in found}.values()]

    def _buildfile(self, context: str, file: str | None) -> tuple[str, ast.Buildfile | None]:
        """Its text and its syntax tree; without the latter while it cannot be parsed."""
        # lazy: as above
        from builder.sources import buildfile

        path = buildfile.find(context, file)
        if not Path(path).is_file():  # a pipe would have to be read twice
            return "", None
        source = buildfile.read(path)
        with self._open() as store:
            try:
                return source.text, buildfile.parsed(source, None if store is None else store.memo)
            except BuildfileError:
                return source.text, None
