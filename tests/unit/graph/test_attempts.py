"""How a RUN is tried: what --retry and --timeout say, and which of a build's and a step's own wins."""

from __future__ import annotations

import pytest

from builder.errors import BuildfileError
from builder.graph.attempts import ONCE, Attempts, FlagValueError, attempts, spoken
from builder.graph.lower import LowerOptions, lower
from builder.graph.vertex import Run
from builder.lang.parser import parse
from builder.lang.source import Source
from tests.support.corpus import AMD64, Images

S = 10**9


def lowered(line: str, default: Attempts = ONCE) -> Run:
    source = Source("Buildfile", f"FROM base\n{line}\n")
    options = LowerOptions(AMD64, AMD64, attempts=default)
    (run,) = (v for v in lower(parse(source), source, options, Images()).vertices if isinstance(v, Run))
    return run


@pytest.mark.parametrize(
    ("retry", "timeout", "wanted"),
    [
        (None, None, Attempts()),
        ("3", None, Attempts(3)),
        ("0", "0", Attempts()),
        ("2,delay=1.5s", "10m", Attempts(2, 1_500_000_000, 600 * S)),
        ("100", "1h30m", Attempts(100, 0, 5400 * S)),
    ],
)
def test_values(retry: str | None, timeout: str | None, wanted: Attempts) -> None:
    assert attempts(retry, timeout) == wanted


@pytest.mark.parametrize(
    "retry", ["", "x", "-1", "101", "1e1", "²", "3,delay=", "3,delay=-1s", "3,wait=1s", "9" * 5000]
)
def test_what_is_no_number_of_retries_is_refused(retry: str) -> None:
    with pytest.raises(FlagValueError) as caught:
        attempts(retry, None)
    assert caught.value.hint


@pytest.mark.parametrize("timeout", ["", "10", "-1s", "1y", "10 m", "9" * 30 + "h"])
def test_what_is_no_duration_is_refused(timeout: str) -> None:
    with pytest.raises(FlagValueError):
        attempts(None, timeout)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(600 * S, "10m"), (3600 * S, "1h"), (610 * S, "10m10s"), (10 * S, "10s"), (S // 2, "500ms"), (36060 * S, "10h1m")],
)
def test_durations_are_spoken_without_zeros(nanoseconds: int, text: str) -> None:
    assert spoken(nanoseconds) == text


def test_the_flags_of_a_run_win_one_by_one() -> None:
    build = Attempts(5, S, 60 * S)
    assert lowered("RUN x", build).attempts == build
    assert lowered("RUN --retry=1 x", build).attempts == Attempts(1, 0, 60 * S)
    assert lowered("RUN --retry=0 --timeout=0 x", build).attempts == Attempts()
    assert lowered("RUN --timeout=2s --retry=2,delay=3s x").attempts == Attempts(2, 3 * S, 2 * S)


@pytest.mark.parametrize(
    ("line", "column", "message"),
    [
        ("RUN --timeout=soon make", 15, "--timeout: 'soon' is not a duration"),
        ("RUN --retry=often make", 13, "--retry: 'often' does not say how often to try again"),
    ],
)
def test_errors_stand_where_the_value_does(line: str, column: int, message: str) -> None:
    with pytest.raises(BuildfileError) as caught:
        lowered(line)
    assert caught.value.message == message
    assert caught.value.where is not None
    assert (caught.value.where.line, caught.value.where.column) == (2, column)


def test_the_shell_is_known() -> None:
    source = Source("Buildfile", 'FROM base\nSHELL ["/bin/bash", "-c"]\nRUN ["x"]\n')
    (run,) = (
        v for v in lower(parse(source), source, LowerOptions(AMD64, AMD64), Images()).vertices if isinstance(v, Run)
    )
    assert run.shell == ("/bin/bash", "-c")
