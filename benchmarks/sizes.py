"""How large the inputs of the cases are: as the targets say, or just large enough to see that a case works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """`few` is what peers do too of what grows; the last figures are for pybuild alone: others need minutes."""

    files: int
    big_files: int
    big_bytes: int
    layers: tuple[int, ...]
    sleep: int
    few_steps: tuple[int, int]
    steps: tuple[int, ...]
    few_tree: tuple[int, int]
    tree: tuple[int, ...]
    few_images: tuple[int, int]
    images: tuple[int, ...]


FULL = Sizes(
    files=20_000,
    big_files=8,
    big_bytes=66_125_000,
    # of an image of 148 MB: a base and what is put on it, as images usually are
    layers=(75_000_000, 35_000_000, 25_000_000, 13_000_000),
    sleep=1,
    few_steps=(10, 100),
    steps=(200, 500),
    few_tree=(1_000, 10_000),
    tree=(100_000,),
    few_images=(1, 100),
    images=(5_000,),
)

SHORT = Sizes(
    files=200,
    big_files=2,
    big_bytes=1_000_000,
    layers=(1_000_000, 500_000),
    sleep=1,
    few_steps=(2, 4),
    steps=(6,),
    few_tree=(10, 100),
    tree=(200,),
    few_images=(1, 4),
    images=(8,),
)
