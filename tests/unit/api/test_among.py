"""What builds of one bake share: the results of targets as base images, and turns of steps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType

import pytest

from builder.api.among import Among, Image
from builder.digest import Digest
from builder.errors import NotFoundError
from builder.graph.contexts import Contexts, ImageContext, LocalContext
from builder.graph.lower import Base, LowerOptions
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor, Layer
from builder.image.platform import Platform
from builder.layers.copyjob import Chosen
from builder.solve.worker import DirectoryTask, Outcome, Task

AMD64, ARM64, RISCV = (Platform("linux", name) for name in ("amd64", "arm64", "riscv64"))


@dataclass
class Lent:
    """The part of Images that is asked."""

    layers: dict[Digest, tuple[Layer, ...]] = field(default_factory=dict)

    def lend(self, manifest: Digest, layers: tuple[Layer, ...]) -> None:
        self.layers[manifest] = layers


class Others:
    def base(self, reference: str, platform: Platform) -> Base:
        return Base(reference, Digest.of(b"other"), ImageConfig(platform))


def layer(text: str) -> Layer:
    digest = Digest.of(text.encode())
    return Layer(digest, digest, 1, Descriptor("application/vnd.oci.image.layer.v1.tar+zstd", digest, 1))


def among(*images: Image, turns: int = 1) -> Among:
    return Among({"base:latest": "oven"}, {"oven": images}, threading.Semaphore(turns))


def test_contexts_that_are_targets_stand_beside_the_others() -> None:
    options = LowerOptions(AMD64, AMD64, contexts=Contexts(MappingProxyType({"src": LocalContext("src")}), {"a": "b"}))
    named = among().named(options).contexts
    assert named.find("base") == ImageContext("target:oven")
    assert named.named["src"] == LocalContext("src")
    assert named.stages == {"a": "b"}
    assert Among({}, {}, threading.Semaphore()).named(options) is options


def test_a_result_is_found_by_its_platform() -> None:
    images = Lent()
    amd, arm = (Image(platform, ImageConfig(platform), (layer(str(platform)),)) for platform in (AMD64, ARM64))
    resolver = among(amd, arm).over(images, Others())  # type: ignore[arg-type]  # all that is asked of them
    found = resolver.base("target:oven", ARM64)
    assert (found.reference, found.config) == ("target:oven", arm.config)
    assert images.layers == {found.manifest: arm.layers}
    assert resolver.base("docker.io/library/target:oven", AMD64).manifest == Digest.of(b"other")
    with pytest.raises(NotFoundError, match="not built for linux/riscv64"):
        resolver.base("target:oven", RISCV)
    alone = among(amd).over(images, Others())  # type: ignore[arg-type]  # as above
    assert alone.base("target:oven", ARM64).config == amd.config, "what is for one platform serves all"


class Worker:
    """Counts how many tasks run at once."""

    def __init__(self) -> None:
        self.most = self.now = 0
        self.gate, self.lock = threading.Barrier(2, timeout=10), threading.Lock()

    def run(
        self,
        task: Task,
        stack: tuple[Layer, ...],
        output: Callable[[bytes], None],
        meanwhile: Callable[[], object],
    ) -> Outcome:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.gate.wait()
        with self.lock:
            self.now -= 1
        return Outcome(None)

    def start(self) -> None: ...
    def expect_network(self) -> None: ...
    def chosen(self, stack: tuple[Layer, ...], asked: tuple[Chosen, ...]) -> list[bytes]:
        return []

    def dated(self, layer: Layer, epoch: int, since: int) -> Layer:
        return layer

    def cancel(self) -> None: ...
    def close(self) -> None: ...


def test_only_so_many_steps_run_at_once() -> None:
    worker = Worker()
    in_turns = among(turns=2).worker(worker)
    task = DirectoryTask("/x", "")
    threads = [threading.Thread(target=in_turns.run, args=(task, (), print, int)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert worker.most == 2
