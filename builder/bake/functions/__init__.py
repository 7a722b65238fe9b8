"""The functions that expressions of a bake file have, with buildx's names: those of go-cty and a few of its own."""

from __future__ import annotations

from collections.abc import Mapping

from builder.bake.functions import collections, encoding, network, numbers, texts, times
from builder.bake.functions.declare import Function

FUNCTIONS: Mapping[str, Function] = {
    **numbers.FUNCTIONS,
    **texts.FUNCTIONS,
    **collections.FUNCTIONS,
    **encoding.FUNCTIONS,
    **times.FUNCTIONS,
    **network.FUNCTIONS,
}
# What the evaluator does itself: it needs the expressions, not their values.
SPECIAL = ("try", "can", "convert")
# What buildx has and this has not, and why.
MISSING: Mapping[str, str] = {
    "bcrypt": "it gives another value each time, so that no build would be the same",
    "rsadecrypt": "keys are no business of a bake file: give secrets by `secret`",
    "byteslen": "no function gives bytes",
    "bytesslice": "no function gives bytes",
}
