"""No field of a vertex is forgotten: what is not in the cache key is left out by a declaration with its reason."""

from __future__ import annotations

import pytest

from builder.graph.vertex import Keyed


def _kinds(base: type[Keyed] = Keyed) -> list[type[Keyed]]:
    return [kind for child in base.__subclasses__() for kind in (child, *_kinds(child))]


@pytest.mark.parametrize("kind", _kinds(), ids=lambda k: k.__name__)
def test_what_is_left_out_is_a_field_and_has_a_reason(kind: type[Keyed]) -> None:
    assert set(kind.LEFT_OUT) <= set(kind.__struct_fields__)
    assert all(len(reason) > 10 for reason in kind.LEFT_OUT.values())


@pytest.mark.parametrize("kind", _kinds(), ids=lambda k: k.__name__)
def test_inputs_are_declared_as_inputs(kind: type[Keyed]) -> None:
    vertices = {name for name, annotation in kind.__annotations__.items() if "VertexId" in str(annotation)}
    assert vertices == set(kind.INPUTS)
    assert {kind.TAKES} - {""} <= vertices


@pytest.mark.parametrize("kind", _kinds(), ids=lambda k: k.__name__)
def test_classes_that_are_parts_of_vertices_are_keyed_too(kind: type[Keyed]) -> None:
    """A nested struct that is no Keyed would have no canonical form: the pre-image refuses it."""
    plain = {"str", "int", "bool", "bytes", "Platform", "Digest", "VertexId", "Origin", "tuple", "None", "..."}
    keyed = {k.__name__ for k in _kinds()} | {"RunMount"}
    for name, annotation in kind.__annotations__.items():
        if "ClassVar" in str(annotation) or name in kind.LEFT_OUT:
            continue
        words = str(annotation).replace("[", " ").replace("]", " ").replace(",", " ").replace("|", " ").split()
        assert set(words) <= plain | keyed, f"{kind.__name__}.{name}"
