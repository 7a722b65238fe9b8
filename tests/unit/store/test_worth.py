from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from builder.digest import Digest
from builder.store.worth import HALF_LIFE, Candidate, evicted, rank, worth

NOW = 1e9
DAY = 86400.0


def candidate(name: str, *, size: int = 1 << 20, seconds: float = 1.0, age: float = 0.0, hits: int = 0) -> Candidate:
    return Candidate(Digest.of(name.encode()), (), size, seconds, NOW - age, hits)


def test_what_costs_more_is_used_more_or_takes_less_is_worth_more() -> None:
    usual = worth(candidate("a"), NOW)
    assert worth(candidate("a", seconds=100), NOW) > 50 * usual
    assert worth(candidate("a", size=2 << 20), NOW) == usual / 2
    assert worth(candidate("a", hits=1), NOW) == 2 * usual
    assert worth(candidate("a", age=HALF_LIFE), NOW) == usual / 2


def test_a_compiled_layer_outlives_a_copied_one_until_it_is_old() -> None:
    compiled, copied = candidate("compiled", seconds=600, age=10 * DAY), candidate("copied", seconds=0.1, age=DAY)
    assert evicted([compiled, copied], 1 << 20, NOW) == [copied]
    forgotten = candidate("compiled", seconds=600, age=120 * DAY)
    assert evicted([forgotten, copied], 1 << 20, NOW) == [forgotten]


def test_of_equal_worth_the_one_not_used_longest_goes_and_what_was_just_used_last() -> None:
    older, newer = candidate("older", age=3 * 3600), candidate("newer", age=2 * 3600, seconds=1.05)
    just = candidate("just", age=60, size=1 << 30)
    assert evicted([just, newer, older], 0, NOW) == [older, newer, just]


def test_what_is_idle_goes_also_when_there_is_room() -> None:
    idle, busy = candidate("idle", seconds=600, age=3 * DAY), candidate("busy")
    assert evicted([idle, busy], 1 << 40, NOW, 2 * DAY) == [idle]
    assert evicted([idle, busy], 0, NOW, 2 * DAY) == [idle, busy]


def test_a_clock_that_was_wrong_keeps_nothing_for_ever() -> None:
    ahead = candidate("ahead", age=-365 * DAY)
    assert evicted([ahead, candidate("now")], 1 << 20, NOW) == [ahead]


candidates = st.lists(
    st.builds(
        candidate,
        st.text(max_size=8),
        size=st.integers(0, 1 << 40),
        seconds=st.floats(-1, 1e6),
        age=st.floats(-1e9, 1e9),
        hits=st.integers(-1, 1 << 40),
    ),
    unique_by=lambda c: c.diff_id,
)


@given(candidates, st.integers(0, 1 << 42), st.none() | st.floats(0, 1e9))
def test_as_few_go_as_suffice(found: list[Candidate], most: int, idle: float | None) -> None:
    gone = evicted(found, most, NOW, idle)
    assert len({c.diff_id for c in gone}) == len(gone)
    staying = [c for c in found if c not in gone]
    assert sum(c.bytes for c in staying) <= most
    assert idle is None or all(abs(NOW - c.last_used) < idle for c in staying)
    for_room = [c for c in gone if idle is None or abs(NOW - c.last_used) < idle]
    if for_room:
        assert sum(c.bytes for c in staying) + for_room[-1].bytes > most, "the last one need not have gone"
        assert all(rank(c, NOW) >= rank(for_room[-1], NOW) for c in staying)
