"""Jobs: work in a thread of its own, its events, its result, its end; from threads and from asyncio."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable

import pytest

from builder.api.client.jobs import Job, in_job, start
from builder.errors import CanceledError, UsageError
from builder.events import Event, LogLine, Note, Progress, Work
from builder.stopping import Stop

Emit = Callable[[Event], None]


def telling(count: int) -> int:
    """Work that tells of what it does."""

    def work(emit: Emit, stop: Stop) -> int:
        for number in range(count):
            emit(Note(str(number)))
        return count

    return in_job(work)


def endless(begun: threading.Event) -> None:
    """Work that ends when it is stopped."""

    def work(emit: Emit, stop: Stop) -> None:
        ended = threading.Event()
        stop.then(ended.set)
        emit(Note("begun"))
        begun.set()
        ended.wait()
        stop.check()

    in_job(work)


def failing() -> int:
    raise UsageError("no", hint="yes")


@pytest.fixture(autouse=True)
def no_thread_is_left() -> object:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def test_a_job_gives_its_events_and_its_result() -> None:
    job = start(telling, 3)
    assert [event.text for event in job if isinstance(event, Note)] == ["0", "1", "2"]
    assert job.result() == job.result() == 3
    assert list(job) == []
    assert job.done()


def test_events_that_nobody_asked_for_are_dropped_by_who_wants_the_result() -> None:
    job = start(telling, 3)
    assert job.result() == 3
    assert list(job) == []


def test_what_is_just_called_is_done_in_a_job_too() -> None:
    def work(emit: Emit, stop: Stop) -> str:
        emit(Note("unheard"))
        return threading.current_thread().name

    assert in_job(work) == "pybuild-job"


def test_what_is_called_in_a_job_is_part_of_it() -> None:
    def several() -> int:
        return telling(1) + telling(2)

    job = start(several)
    assert len(list(job)) == 3
    assert job.result() == 3


def test_an_error_is_raised_by_the_result_and_after_the_events() -> None:
    job = start(failing)
    with pytest.raises(UsageError, match="no") as caught:
        list(job)
    assert caught.value.hint == "yes"
    with pytest.raises(UsageError):
        job.result()
    job.close()


def test_a_job_that_goes_on_may_be_waited_for_again() -> None:
    begun = threading.Event()
    job = start(endless, begun)
    with pytest.raises(TimeoutError):
        job.result(timeout=0.01)
    assert not job.done()
    job.cancel()
    with pytest.raises(CanceledError):
        job.result(timeout=60)


def test_leaving_the_block_stops_it() -> None:
    with start(endless, threading.Event()) as job:
        assert next(job) == Note("begun")
    assert job.done()
    job.close()
    with pytest.raises(CanceledError):
        next(job)


def test_one_that_is_stopped_before_it_waits_does_not_wait() -> None:
    may_go_on = threading.Event()

    def late() -> None:
        may_go_on.wait()
        endless(threading.Event())

    job = start(late)
    job.cancel()
    may_go_on.set()
    job.close()
    with pytest.raises(CanceledError):
        job.result()


def test_what_counts_is_stopped_by_its_own_progress() -> None:
    def counting(emit: Emit, stop: Stop) -> None:
        emit(LogLine(0, "told", 0.0))
        number = 0
        while True:
            emit(Progress(Work.FETCH, "endless", number, 0))
            number += 1

    job: Job[None] = start(in_job, counting)
    next(job)
    job.close()
    with pytest.raises(CanceledError):
        job.result()


def test_ctrl_c_stops_what_the_main_thread_waits_for() -> None:
    begun = threading.Event()
    ended = []

    def work() -> None:
        try:
            endless(begun)
        finally:
            ended.append(True)

    def interrupt() -> None:
        begun.wait()
        os.kill(os.getpid(), signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        in_job(lambda emit, stop: work())
    assert ended
    interrupting.join()


def test_it_can_be_awaited_while_other_tasks_go_on() -> None:
    async def main() -> tuple[int, int]:
        may_end = threading.Event()

        async def other() -> int:
            await asyncio.sleep(0)
            may_end.set()
            return 1

        task = asyncio.create_task(other())
        return await start(lambda: int(may_end.wait())), await task

    assert asyncio.run(main()) == (1, 1)


def test_its_events_can_be_awaited() -> None:
    async def main() -> list[Event]:
        async with start(telling, 3) as job:
            return [event async for event in job]

    assert asyncio.run(main()) == [Note("0"), Note("1"), Note("2")]


def test_errors_come_to_who_awaits() -> None:
    async def main() -> None:
        with pytest.raises(UsageError):
            await start(failing)
        with pytest.raises(UsageError):
            async for _ in start(failing):
                pass

    asyncio.run(main())


@pytest.mark.parametrize("awaited", ["result", "events", "block"])
def test_canceling_the_task_stops_the_job(awaited: str) -> None:
    jobs = []

    async def waiting(job: Job[None]) -> None:
        if awaited == "result":
            await job
        elif awaited == "events":
            async for _ in job:
                pass
        else:
            async with job:
                await asyncio.sleep(3600)

    async def main() -> None:
        begun = threading.Event()
        jobs.append(start(endless, begun))
        task = asyncio.create_task(waiting(jobs[0]))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert jobs[0].done(), "nothing of it goes on"

    asyncio.run(main())
    with pytest.raises(CanceledError):
        jobs[0].result()


def test_several_may_wait_for_one() -> None:
    async def main() -> list[int]:
        may_end = threading.Event()
        job = start(lambda: int(may_end.wait()))

        async def awaited() -> int:
            return await job

        tasks = [asyncio.create_task(awaited()) for _ in range(3)]
        await asyncio.sleep(0)
        may_end.set()
        return await asyncio.gather(*tasks)

    assert asyncio.run(main()) == [1, 1, 1]
