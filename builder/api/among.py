"""One build among others of the same bake: what it takes of them, and how they take turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Semaphore

from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import NotFoundError
from builder.graph.contexts import TARGET, Contexts, ImageContext, canonical
from builder.graph.lower import Base, LowerOptions, Resolver
from builder.image.config import ImageConfig
from builder.image.descriptor import Layer
from builder.image.manifest import Manifest
from builder.image.platform import Platform
from builder.solve.worker import Outcome, Passing, Task, Worker
from builder.store.images import Images


class Image(Struct, frozen=True):
    """What a target has made for a platform: its config and its layers, which are in the store."""

    platform: Platform
    config: ImageConfig
    layers: tuple[Layer, ...]


class Among(Struct, frozen=True):
    """What a build shares: `contexts` are names that stand for targets, and `results` the images of those, by target.

    `whole`: others stand on it, so that its layers are needed here. `turns` are as many as steps may run at once.
    """

    contexts: Mapping[str, str]
    results: Mapping[str, Sequence[Image]]
    turns: Semaphore
    whole: bool = False

    def named(self, options: LowerOptions) -> LowerOptions:
        """`options` with the contexts that are targets."""
        named = {canonical(name): ImageContext(TARGET + target) for name, target in self.contexts.items()}
        both = Contexts({**options.contexts.named, **named}, options.contexts.stages)
        return replace(options, contexts=both) if named else options

    def over(self, images: Images, resolver: Resolver) -> Resolver:
        """`resolver`, which finds the results of targets too, as images that `images` need not keep."""
        return _Results(self, images, resolver)

    def worker(self, worker: Worker) -> Worker:
        """`worker`, in turns with the other builds."""
        return _InTurns(worker, self.turns)


class _Results(Struct, frozen=True):
    among: Among
    images: Images
    inner: Resolver

    def base(self, reference: str, platform: Platform) -> Base:
        """The result of a target, or an image; see graph.lower.Resolver."""
        if not reference.startswith(TARGET):
            return self.inner.base(reference, platform)
        made = self.among.results[reference.removeprefix(TARGET)]
        # As in BuildKit, what was built for one platform alone serves all.
        found = made[0] if len(made) == 1 else next((one for one in made if one.platform == platform), None)
        if found is None:
            raise NotFoundError(f"{reference} is not built for {platform}")
        manifest = Digest.of(Manifest.of(found.config.to_json(), found.layers).to_json())
        self.images.lend(manifest, found.layers)
        return Base(reference, manifest, found.config)


class _InTurns(Passing):
    """A worker of which only so many tasks run at once as there are turns, whichever build they are of."""

    def __init__(self, inner: Worker, turns: Semaphore) -> None:
        super().__init__(inner)
        self.turns = turns

    def run(
        self,
        task: Task,
        stack: tuple[Layer, ...],
        output: Callable[[bytes], None],
        meanwhile: Callable[[], object],
    ) -> Outcome:
        """Do `task` when it is its turn."""
        with self.turns:
            return super().run(task, stack, output, meanwhile)
