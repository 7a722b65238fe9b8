"""`OverlayMount`: what every assembler is asked for, in overlayfs's own words."""

from __future__ import annotations

from msgspec import Struct


class OverlayMount(Struct, frozen=True):
    """`lowers` (topmost first) shown at `target`, under the writable top `upper`; read-only without one.

    `work` is overlayfs's own directory beside `upper`. `volatile`: it need not outlive a power cut, and `work` is used
    once.
    """

    lowers: tuple[str, ...]
    target: str
    upper: str | None = None
    work: str | None = None
    volatile: bool = False
