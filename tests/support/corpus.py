"""The corpus: realistic Buildfiles, and base images that every one of them may ask for."""

from __future__ import annotations

from pathlib import Path

from builder.digest import Digest
from builder.graph.lower import Base, LowerOptions, lower
from builder.graph.vertex import Graph
from builder.image.config import ImageConfig
from builder.image.platform import Platform
from builder.lang.parser import parse
from builder.lang.source import Source

DIRECTORY = Path(__file__).parents[1] / "corpus"
EXAMPLES = Path(__file__).parents[2] / "examples"
AMD64 = Platform("linux", "amd64")
OPTIONS = LowerOptions(AMD64, AMD64)


class Images:
    """A resolver that knows every image: each has a PATH and a command, and `triggers` for ONBUILD."""

    def __init__(self, triggers: tuple[str, ...] = ()) -> None:
        self.triggers = triggers

    def base(self, reference: str, platform: Platform) -> Base:
        config = ImageConfig(platform, env=(("PATH", "/bin"),), cmd=("base",), on_build=self.triggers)
        return Base(reference, Digest.of(reference.encode(errors="surrogateescape")), config)


def files() -> list[Path]:
    found = sorted(DIRECTORY.glob("*.Buildfile"))
    assert len(found) >= 150
    return found


def source(path: Path) -> Source:
    return Source("Buildfile", path.read_bytes().decode())


def built(text: Source) -> Graph:
    """`text` parsed and lowered."""
    return lower(parse(text), text, OPTIONS, Images())
