"""`import builder`: images built and run by a program of one's own, whose threads, signals and output stay its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

import builder
from builder.events import BuildDone, LogLine, VertexDone
from tests.support.program import Pybuild
from tests.support.waiting import wait_for

TOP = Path(__file__).parents[2]
# None of these needs a network, which takes longer than all else.
run, build = partial(builder.run, network="none"), partial(builder.build, network="none")
# Sleeps until it is stopped, once it has said so.
ENDLESS = "FROM base\nRUN echo begun; sleep 3600\n"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[builder.Store]:
    with builder.Store(tmp_path_factory.mktemp("api") / "store") as store:
        store.import_from_host(["sh", "cat", "sleep"], "base")
        yield store
    assert not list((store.root / "tmp").iterdir())


class Own:
    """What this process has: threads, descriptors, children, handlers of signals, mounts."""

    def __init__(self) -> None:
        self.threads = set(threading.enumerate())
        own = set(os.listdir("/proc/self/fd")) - {"0", "1", "2"}  # those pytest changes
        self.descriptors = {(fd, target) for fd in own if (target := _target(fd))}
        self.children = _children()
        self.handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
        self.mounts = Path("/proc/self/mountinfo").read_text()
        self.here = Path.cwd()
        self.mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())

    def check(self) -> None:
        wait_for(lambda: set(threading.enumerate()) == self.threads, lambda: f"{threading.enumerate()}")
        now = Own()
        assert now.descriptors == self.descriptors
        assert (now.handlers, now.mask) == (self.handlers, self.mask)
        assert (now.mounts, now.here) == (self.mounts, self.here)
        wait_for(lambda: _children() == self.children, lambda: f"{_children() - self.children}")


def _target(fd: str) -> str:
    try:
        found = os.readlink(f"/proc/self/fd/{fd}")
    except FileNotFoundError:
        return ""  # the one that listed them
    return "" if found.endswith("(deleted)") else found  # pytest's, which comes and goes


def _children() -> set[str]:
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that has just ended
            found |= {*(task / "children").read_text().split()}
    return found


@pytest.fixture(autouse=True)
def nothing_is_left_or_printed(store: builder.Store, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    store.do(lambda session: session.launcher())
    before = Own()
    yield
    before.check()
    assert not list((store.root / "locks").glob("lease-*"))
    assert capfd.readouterr() == ("", "")


# --- images ----------------------------------------------------------------------------------------


def test_a_build_gives_an_image_that_can_be_run(store: builder.Store) -> None:
    image = build(
        None,
        buildfile='FROM base\nARG WORD\nRUN echo $WORD > /word\nENTRYPOINT ["cat"]\nCMD ["/word"]\n',
        tags=["words", "words:2"],
        build_args={"WORD": "hello"},
        labels={"kind": "test"},
        store=store,
    )
    assert image.names == ("words:2", "words:latest")
    assert image == store.image("words") == store.image(image.id[:20]) == store.image(image.digest)
    assert image.platform in image.platforms
    assert image.config.cmd == ("/word",)
    assert dict(image.config.labels) == {"kind": "test"}
    assert image.size == sum(layer.size for layer in image.layers) > 0
    assert image.history()[2].created_by.startswith("RUN |1 WORD=hello")
    assert run(image).stdout == b"hello\n"
    assert run("words:2", store=store).returncode == 0
    assert [each.names[0] for each in store.images()] == ["words:2", "base:latest"]
    image = image.tag("other")
    image.untag("words:2")
    image.remove(force=True)
    assert [each.names[0] for each in store.images()] == ["base:latest"]


def test_files_of_the_context_and_a_named_buildfile(store: builder.Store, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("content")
    (tmp_path / "Other").write_text(
        "FROM base\nCOPY a.txt /\nRUN --mount=type=secret,id=key cat /run/secrets/key > /k\n"
    )
    (tmp_path / "key").write_text("secret")
    image = build(tmp_path, file=tmp_path / "Other", secrets={"key": tmp_path / "key"}, store=store)
    assert run(image, ["cat", "/a.txt", "/k"]).stdout == b"contentsecret"
    image.export(tmp_path / "files")
    assert (tmp_path / "files" / "a.txt").read_text() == "content"
    image.save(tmp_path / "image.tar")
    with builder.Store(tmp_path / "store") as other:
        (loaded,) = other.load(tmp_path / "image.tar")
        assert loaded.id == image.id
        assert loaded != image
        assert run(loaded, ["cat", "/a.txt"]).stdout == b"content"


def test_what_is_run_is_told_of_as_subprocess_does(store: builder.Store) -> None:
    words = ["sh", "-c", "cat; echo err >&2; exit 3"]
    done = run("base", words, input=b"in" * 100_000, env={"A": "b"}, store=store)
    assert (done.args, done.returncode, done.stdout, done.stderr) == (words, 3, b"in" * 100_000, b"err\n")
    with pytest.raises(subprocess.CalledProcessError):
        run("base", ["sh", "-c", "exit 4"], check=True, store=store)
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        run("base", ["sh", "-c", "echo begun; sleep 3600"], timeout=0.5, store=store)
    assert caught.value.stdout == b"begun\n"
    assert store.containers(all=True) == []


def test_a_container_with_a_name_stays(store: builder.Store) -> None:
    run("base", ["sh", "-c", "exit 5"], name="kept", store=store)
    (kept,) = store.containers(all=True)
    assert (kept.name, kept.state, kept.wait()) == ("kept", "exited", 5)
    kept.remove()
    assert store.containers(all=True) == []


def test_the_cache_is_measured_and_pruned(store: builder.Store) -> None:
    build(None, buildfile="FROM base\nRUN echo pruned > /x\n", tags="short-lived", store=store).remove()
    before = store.usage()
    pruned = store.prune()
    assert pruned.freed > 0
    assert [entry.step for entry in pruned.entries if "pruned" in entry.step]
    assert sum(kind.bytes for kind in store.usage().kinds) < sum(kind.bytes for kind in before.kinds)


# --- errors ----------------------------------------------------------------------------------------


def test_errors_say_where_and_what_next(store: builder.Store) -> None:
    with pytest.raises(builder.BuildfileError) as wrong:
        build(None, buildfile="FROM base\nRUN --moutn=type=tmpfs,target=/x true\n", store=store)
    assert (str(wrong.value.where), wrong.value.hint) == ("<inline>:2:5", "did you mean --mount?")
    with pytest.raises(builder.StepFailedError) as failed:
        build(None, buildfile="FROM base\n\nRUN echo said; exit 7\n", store=store)
    assert (failed.value.status, failed.value.log) == (7, ("said",))
    assert failed.value.where is not None
    assert (failed.value.where.line, failed.value.where.source) == (3, "RUN echo said; exit 7")
    with pytest.raises(builder.NotFoundError, match="no such image: nothing"):
        store.image("nothing")
    with pytest.raises(builder.UsageError):
        build(None, buildfile="FROM base\n", memory="much", store=store)
    with pytest.raises(TypeError):
        build(None, buildfile="FROM base\n", tag="x", store=store)  # type: ignore[call-arg]
    with pytest.raises(builder.UsageError, match="is not SRC:DST"):
        run("base", ["sh"], volumes="x", store=store)


# --- events, threads, asyncio ----------------------------------------------------------------------


def test_events_come_while_it_is_built(store: builder.Store) -> None:
    job = builder.start(build, None, buildfile="FROM base\nRUN echo one; echo two\n", store=store)
    events = list(job)
    assert [event.text for event in events if isinstance(event, LogLine)] == ["one", "two"]
    assert [event.image for event in events if isinstance(event, BuildDone)] == [job.result().id]


def test_two_builds_at_once_run_what_they_share_once(store: builder.Store) -> None:
    text = "FROM base\nRUN sleep 0.3; cat /proc/sys/kernel/random/uuid > /shared\nRUN echo {} > /own\n"
    jobs = [builder.start(build, None, buildfile=text.format(n), store=store) for n in range(2)]
    events = [list(job) for job in jobs]
    images = [job.result() for job in jobs]
    shared = {run(image, ["cat", "/shared"]).stdout for image in images}
    assert len(shared) == 1
    states = [e.state for each in events for e in each if isinstance(e, VertexDone) and "uuid" in e.name]
    assert sorted(state.name for state in states) == ["DONE", "LOCAL"]


def test_a_build_in_a_thread_of_the_caller(store: builder.Store) -> None:
    found: list[builder.Image] = []
    thread = threading.Thread(
        target=lambda: found.append(build(None, buildfile="FROM base\nRUN echo thread > /x\n", store=store))
    )
    thread.start()
    thread.join()
    assert run(found[0], ["cat", "/x"]).stdout == b"thread\n"


def test_a_build_among_other_tasks(store: builder.Store) -> None:
    async def main() -> tuple[builder.Image, int]:
        job = builder.start(build, None, buildfile="FROM base\nRUN sleep 0.2; echo tasks > /x\n", store=store)
        turns = 0
        while not job.done():
            await asyncio.sleep(0.01)
            turns += 1
        return await job, turns

    image, turns = asyncio.run(main())
    assert turns > 2
    assert run(image, ["cat", "/x"]).stdout == b"tasks\n"


def begun(job: builder.Job[builder.Image]) -> None:
    assert any(isinstance(event, LogLine) and event.text == "begun" for event in job)


def test_what_is_stopped_leaves_nothing(store: builder.Store) -> None:
    with builder.start(build, None, buildfile=ENDLESS, tags="never", store=store) as job:
        begun(job)
    with pytest.raises(builder.CanceledError):
        job.result()
    with pytest.raises(builder.NotFoundError):
        store.image("never")


def test_a_task_that_is_canceled_stops_its_build(store: builder.Store) -> None:
    async def main() -> None:
        async with builder.start(build, None, buildfile=ENDLESS, store=store) as job:
            await anext(event async for event in job if isinstance(event, LogLine))
            task = asyncio.ensure_future(job)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert job.done()

    asyncio.run(main())


def test_ctrl_c_stops_the_build_and_is_raised(store: builder.Store) -> None:
    def interrupt() -> None:
        logs = store.root / "logs"
        wait_for(lambda: any("begun again" in path.read_text() for path in logs.rglob("*") if path.is_file()))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        build(None, buildfile=ENDLESS.replace("begun", "begun again"), store=store)
    thread.join()


def test_builds_that_are_stopped_while_they_begin_leave_nothing(tmp_path: Path) -> None:
    """Networks, and what is made ready for steps, are on their way then."""
    with builder.Store(tmp_path / "store") as own:
        own.import_from_host(["sh", "sleep"], "base")
        texts = [f"FROM base\nRUN true {number}\nRUN sleep 3600\n" for number in range(5)]
        jobs = [builder.start(builder.build, None, buildfile=text, store=own) for text in texts]
        for number, job in enumerate(jobs):
            for _ in range(number + 1):
                next(job)
            job.close()
    assert not list((own.root / "tmp").iterdir())
    assert not list((own.root / "locks").glob("lease-*"))


def test_a_container_is_stopped_too(store: builder.Store) -> None:
    job = builder.start(builder.run, "base", ["sleep", "3600"], store=store)
    wait_for(lambda: store.containers() != [], lambda: "it does not run")
    time.sleep(0.1)
    job.close()
    with pytest.raises(builder.CanceledError):
        job.result()
    assert store.containers(all=True) == []


def test_a_helper_that_was_killed_is_started_again(store: builder.Store) -> None:
    with builder.Store(store.root) as other:
        before = _children()
        run("base", ["sh", "-c", "true"], store=other)
        (helper,) = _children() - before
        os.kill(int(helper), signal.SIGKILL)
        wait_for(lambda: _state(helper) == "Z", lambda: _state(helper))
        assert run("base", ["sh", "-c", "true"], store=other).returncode == 0


def _state(pid: str) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


# --- programs --------------------------------------------------------------------------------------

PROGRAM = """
import sys
import builder
before = {name for name in sys.modules if name.startswith("builder")}
with builder.Store(sys.argv[1]) as store:
    store.import_from_host(["sh", "cat"], "base")
    image = builder.build(None, buildfile="FROM base\\nRUN echo ran > /x\\n", store=store)
    assert builder.run(image, ["cat", "/x"]).stdout == b"ran\\n"
heavy = {"click", "rich", "builder.cli", "builder.progress"}
print(",".join(sorted(before)), sorted(heavy & set(sys.modules)))
"""


def test_a_program_of_an_ordinary_user(as_user: Pybuild) -> None:
    command = [*as_user.prefix[:-1], PROGRAM, str(as_user.root)]
    done = subprocess.run(command, cwd=as_user.work, env={**os.environ, **as_user.env}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded, heavy = done.stdout.split(" ", 1)
    assert heavy == "[]\n", "nothing that draws"
    assert loaded == "builder,builder.version", "`import builder` alone loads next to nothing"
    assert done.stderr == ""
