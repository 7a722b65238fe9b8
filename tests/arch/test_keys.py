"""No field of a vertex is forgotten: each says whether it is part of the cache key."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from builder.graph import vertex


@pytest.mark.parametrize("kind", get_args(vertex.Vertex), ids=lambda k: k.__name__)
def test_every_field_says_whether_it_is_in_the_key(kind: type) -> None:
    for field in dataclasses.fields(kind):
        rule = field.metadata.get("key")
        assert rule in ("in", "input") or (isinstance(rule, str) and rule.startswith("out: ") and len(rule) > 10), (
            f"{kind.__name__}.{field.name} must be declared by key_in, key_input or key_out"
        )


@pytest.mark.parametrize("kind", get_args(vertex.Vertex), ids=lambda k: k.__name__)
def test_inputs_are_marked_as_inputs(kind: type) -> None:
    for field in dataclasses.fields(kind):
        is_vertex = "VertexId" in str(field.type)
        assert is_vertex == (field.metadata["key"] == "input"), f"{kind.__name__}.{field.name}"
