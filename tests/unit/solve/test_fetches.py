from __future__ import annotations

import threading

import pytest

from builder.errors import CanceledError, NotFoundError
from builder.solve.fetches import Fetches
from builder.sources.together import Together


def test_all_is_done_or_the_first_trouble_is_raised() -> None:
    done = set[int]()
    Fetches().each(lambda item, together: done.add(item), range(20), 3)
    assert done == set(range(20))

    def trouble(item: int, together: Together) -> None:
        if item == 5:
            raise NotFoundError("five")

    with pytest.raises(NotFoundError, match="five"):
        Fetches().each(trouble, range(20), 3)


def test_trouble_is_told_also_when_the_rest_ends_late(monkeypatch: pytest.MonkeyPatch) -> None:
    late = threading.Event()
    cancel = Together.cancel

    def slowly(together: Together) -> None:
        cancel(together)
        late.wait(0.5)

    monkeypatch.setattr(Together, "cancel", slowly)

    def trouble(item: int, together: Together) -> None:
        raise NotFoundError("lost")

    with pytest.raises(NotFoundError, match="lost"):
        Fetches().each(trouble, range(3), 3)


def test_who_waits_for_the_network_keeps_nobody_waiting_who_cancels() -> None:
    fetches, stalls, over = Fetches(), threading.Event(), threading.Event()
    raised = list[BaseException]()

    def stall(item: int, together: Together) -> None:
        stalls.set()
        over.wait(60)

    def fetch() -> None:
        try:
            fetches.each(stall, range(3), 3)
        except CanceledError as error:
            raised.append(error)

    thread = threading.Thread(target=fetch)
    thread.start()
    assert stalls.wait(30)
    fetches.cancel()
    thread.join(30)
    over.set()
    assert not thread.is_alive()
    assert len(raised) == 1
