from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from builder.views.report.layout import laid_out


@st.composite
def graphs(draw: st.DrawFn) -> list[list[int]]:
    count = draw(st.integers(0, 20))
    return [draw(st.lists(st.integers(0, n - 1), unique=True, max_size=3)) if n else [] for n in range(count)]


@given(graphs())
def test_every_vertex_has_a_place_of_its_own_below_all_it_stands_on(inputs: list[list[int]]) -> None:
    layout = laid_out(inputs)
    assert len(set(layout.places)) == len(inputs)
    for number, below in enumerate(inputs):
        column, row = layout.places[number]
        assert 0 <= column < layout.columns
        assert 0 <= row < layout.rows
        assert all(layout.places[needed][1] < row for needed in below)
    assert sorted(layout.edges) == sorted((needed, n) for n, below in enumerate(inputs) for needed in below)


def test_a_stage_is_a_column_and_a_column_is_taken_again_below_its_end() -> None:
    #      base ─ compile ─ compile ┐
    #         └── docs ───── docs ──┴ result
    layout = laid_out([[], [0], [1], [0], [3], [2, 4]])
    assert layout.places == ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (0, 3))
    assert laid_out([[], [0], [0], [2], [3]]).columns == 2
    apart = laid_out([[], [0], [1], [2], [], [4, 3], [5]])
    assert apart.places[5] == (1, 4), "below a gap: what ends above is another chain"


def test_nothing_is_no_picture() -> None:
    assert laid_out([]).rows == laid_out([]).columns == 0
