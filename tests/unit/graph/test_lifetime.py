"""How long the result of a RUN is good: what --cache says."""

from __future__ import annotations

import pytest

from builder.errors import BuildfileError
from builder.graph.attempts import FlagValueError
from builder.graph.lifetime import lifetime
from builder.graph.lower import LowerOptions, lower
from builder.graph.vertex import Run
from builder.lang.parser import parse
from builder.lang.source import Source
from tests.support.corpus import AMD64, Images

HOUR = 3600 * 10**9


def lowered(line: str) -> Run:
    source = Source("Buildfile", f"FROM base\n{line}\n")
    (run,) = (
        v for v in lower(parse(source), source, LowerOptions(AMD64, AMD64), Images()).vertices if isinstance(v, Run)
    )
    return run


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("never", 0),
        ("ttl=0", 0),
        ("ttl=90s", HOUR // 40),
        ("ttl=12h", 12 * HOUR),
        ("ttl=7d", 168 * HOUR),
        ("ttl=1w2d3h", 219 * HOUR),
        ("ttl=999999w", 999999 * 168 * HOUR),
    ],
)
def test_values(text: str, wanted: int) -> None:
    assert lifetime(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "always", "ttl", "ttl=", "ttl=-1s", "ttl=1h2d", "ttl=1.5d", "ttl=7", "ttl=²d", "TTL=1d", "ttl=1y"]
)
def test_what_says_no_time_is_refused(text: str) -> None:
    with pytest.raises(FlagValueError) as caught:
        lifetime(text)
    assert caught.value.hint


def test_a_run_has_what_it_says() -> None:
    assert lowered("RUN make").lifetime is None
    assert lowered("RUN --cache=never make").lifetime == 0
    assert lowered("RUN --cache=ttl=1h make").lifetime == HOUR


def test_the_error_is_in_its_place() -> None:
    with pytest.raises(BuildfileError) as caught:
        lowered("RUN --cache=ttl=soon make")
    assert "--cache: 'soon' is not a duration" in caught.value.message
    assert caught.value.where is not None
    assert (caught.value.where.line, caught.value.where.column) == (2, 13)
