"""One line per line, for logs and pipes, in the shape of BuildKit's plain progress.

Of steps that run side by side one has the word: its lines are written at once, and those of others wait for it to end,
to fall silent, or to have talked for long enough. So what a step says stands together, and nobody waits for long.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from builder.events import (
    BuildDone,
    BuildFailed,
    BuildStarted,
    CacheState,
    Event,
    LogLine,
    Note,
    Progress,
    StageSkipped,
    VertexDone,
    VertexFailed,
    VertexStarted,
    Warned,
    Work,
)
from builder.lang.sizes import size

if TYPE_CHECKING:
    from builder.progress.folds import Folds
    from builder.progress.look import Look, Screen, Whole

SKIPPED = "SKIPPED (not needed)"
# In seconds: how long a step that says nothing keeps others waiting, and how long any does (BuildKit's is 5, too).
_SILENT, _LONGEST = 1.0, 5.0
# What depends on others, too, for how long it takes.
_SENT = (Work.PULL, Work.FETCH, Work.PUSH)


class Plain:
    """Writes to `out`. Steps get numbers in the order in which they are first heard of."""

    def __init__(self, out: Screen, look: Look) -> None:
        self._out, self._look = out, look
        self._numbers: dict[int, int] = {}
        self._names: dict[int, str] = {}
        self._began: dict[int, float] = {}
        # Of each job: when it was first heard of, how many tenths of it were told, and when.
        self._jobs: dict[tuple[Work, str], tuple[float, int, float]] = {}
        # Who has the word, and when it last said something.
        self._open: int | None = None
        self._heard = 0.0
        # What others wait to say, since when any does, and which of them have ended.
        self._held: dict[int, list[str]] = {}
        self._since = 0.0
        self._ended: list[int] = []
        self._timer: threading.Timer | None = None
        # How often each has had the word: a log that was not interrupted need not be told again.
        self._turns: dict[int, int] = {}
        self._failed: int | None = None
        self._said: int | None = None
        self._folds = self._folded(look)
        self._lock = threading.Lock()

    @staticmethod
    def _folded(look: Look) -> Folds | None:
        if look.folds == "none":
            return None
        # lazy: few services fold what they are told
        from builder.progress.folds import folds

        return folds(look.folds)

    def __call__(self, event: Event) -> None:
        """Draw one event; from any thread."""
        with self._lock:
            self._draw(event)

    def close(self) -> None:
        """Say what still waits."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._close()

    def untold(self, last: Sequence[str], whole: Whole) -> Sequence[str]:
        """All of it, so that it can be read at once; nothing where it stands right above, as a whole."""
        failed = self._failed
        if failed is not None and failed == self._said and self._turns.get(failed) == 1:
            return ()
        return whole() if self._folds is None else [self._folds.harmless(line) for line in whole()]

    def _draw(self, event: Event) -> None:
        match event:
            case VertexStarted(vertex=vertex, name=name, time=began):
                self._began[vertex] = began
                self._say(vertex, name, [])
            case VertexDone(vertex=vertex, name=name, state=state, seconds=seconds):
                ended = f"DONE {seconds:.1f}s" if state is CacheState.DONE else str(state)
                self._say(vertex, name, [ended], ended=True)
            case VertexFailed(vertex=vertex, name=name, message=message, canceled=canceled):
                if not canceled:
                    self._failed = vertex
                self._say(vertex, name, ["CANCELED" if canceled else f"ERROR: {clean(message)}"], ended=True)
            case StageSkipped(vertex=vertex, name=name):
                self._say(vertex, name, [SKIPPED], ended=True)
            case LogLine(vertex=vertex, text=text, time=at):
                since = at - self._began.get(vertex, at)
                self._say(vertex, "", [f"{since:.3f} {self._printed(text)}"], at)
            case Progress(vertex=vertex):
                self._job(event, vertex)
            case Warned(message=message, place=place):
                self._warn(message, place)
            case Note(text=text):
                self._write([clean(text)])
            case BuildDone():
                self._close()
                self._write(["", *summary(event)])
            case BuildFailed(message=message, place=place):
                self._close()
                if self._folds is not None and not event.canceled:
                    self._raw(self._folds.error(clean(message), place))
            case BuildStarted():
                pass

    # --- steps ---------------------------------------------------------------------------------

    def _say(self, vertex: int, name: str, lines: list[str], at: float | None = None, *, ended: bool = False) -> None:
        """Lines of a step, when it has the word. The last one of a step that has `ended` tells how."""
        number = self._numbers.setdefault(vertex, len(self._numbers) + 1)
        self._names.setdefault(vertex, clean(name))
        lines = self._stamped([f"#{number} {line}" for line in lines], at)
        if self._open is None:
            self._turn(vertex)
        if self._open == vertex:
            self._tell(lines, ended=ended)
        else:
            self._hold(vertex, lines, ended=ended)

    def _tell(self, lines: list[str], *, ended: bool) -> None:
        assert self._open is not None
        self._heard = time.monotonic()
        self._said = self._open
        if not ended:
            self._raw(lines)
            if self._held:
                self._look_at_time()
            return
        self._raw([*lines[:-1], *self._folded_end(), *lines[-1:]])
        self._open = None
        self._next()

    def _hold(self, vertex: int, lines: list[str], *, ended: bool) -> None:
        if not self._held:
            self._since = time.monotonic()
        self._held.setdefault(vertex, []).extend(lines)
        if ended:
            self._ended.append(vertex)
        self._look_at_time()

    def _look_at_time(self) -> None:
        """Give the word to another if it is time; see to it that somebody looks again."""
        now = time.monotonic()
        if self._held and (now - self._heard >= _SILENT or now - self._since >= _LONGEST):
            self._yield()
            self._next()
        if self._held and self._timer is None:
            self._timer = threading.Timer(_SILENT, self._tick)
            self._timer.daemon = True
            self._timer.start()

    def _tick(self) -> None:
        with self._lock, suppress(OSError):  # the next event meets the same, where it is told
            self._timer = None
            self._look_at_time()

    def _turn(self, vertex: int) -> None:
        """Give the word to a step."""
        self._open, self._heard = vertex, time.monotonic()
        self._said = vertex
        self._turns[vertex] = self._turns.get(vertex, 0) + 1
        head = f"#{self._numbers[vertex]} {self._names[vertex]}"
        if self._folds is None:
            self._raw(["", *self._stamped([head])])
        elif vertex in self._began:
            self._raw(self._folds.begin(self._numbers[vertex], head))
        else:
            self._raw(self._stamped([head]))  # one line more is not worth unfolding

    def _yield(self) -> None:
        """Take the word from who has it, who will go on."""
        if self._open is not None:
            self._raw([*self._stamped([f"#{self._numbers[self._open]} ..."]), *self._folded_end()])
            self._open = None

    def _next(self) -> None:
        """Have those speak that have ended meanwhile, and give the word to another that waits."""
        for vertex in self._ended:
            lines = self._held.pop(vertex)
            self._turn(vertex)
            self._raw([*lines[:-1], *self._folded_end(), *lines[-1:]])
            self._open = None
        self._ended.clear()
        waiting = next(iter(self._held), None)
        if waiting is not None:
            self._since = time.monotonic()
            self._turn(waiting)
            self._raw(self._held.pop(waiting))

    def _close(self) -> None:
        """Nobody will say more."""
        self._yield()
        while self._held:
            self._next()
            self._yield()

    def _folded_end(self) -> list[str]:
        began = self._open is not None and self._open in self._began
        return [] if self._folds is None or not began else self._folds.end()

    # --- other lines ---------------------------------------------------------------------------

    def _job(self, event: Progress, vertex: int | None) -> None:
        """A line for each tenth of a job, or now and then for one whose length is not known."""
        key, now = (event.kind, event.name), time.monotonic()
        since, tenth, last = self._jobs.setdefault(key, (now, -1, -_LONGEST))
        if event.kind not in _SENT and now - since < _SILENT:
            return  # what is done on this machine is told of when it takes long
        reached = event.current * 10 // event.total if event.total else tenth
        if reached <= tenth and now - last < _LONGEST:
            return
        self._jobs[key] = since, max(tenth, reached), now
        whole = f" / {size(event.total)}" if event.total else ""
        line = f"{event.kind} {clean(event.name)} {size(event.current)}{whole}"
        if vertex in self._names and vertex is not None:
            self._say(vertex, "", [line])
        else:
            self._write([line])

    def _warn(self, message: str, place: str) -> None:
        if self._folds is not None and (lines := self._folds.warning(clean(message), place)):
            self._raw(lines)
            return
        self._write([f"WARNING: {f'{clean(place)}: ' if place else ''}{clean(message)}"])

    def _printed(self, text: str) -> str:
        """A line of a step's output."""
        if text.isprintable() and self._folds is None:
            return text
        # lazy: most lines are plain text
        from builder.progress.clean import clean, colored

        shown = colored(text) if self._look.color else clean(text)
        return shown if self._folds is None else self._folds.harmless(shown)

    def _write(self, lines: list[str]) -> None:
        self._said = None
        self._raw(self._stamped(lines))

    def _stamped(self, lines: list[str], at: float | None = None) -> list[str]:
        if not self._look.timestamps:
            return lines
        now = time.time() if at is None else at
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03}Z"
        return [f"{stamp} {line}" if line else line for line in lines]

    def _raw(self, lines: list[str]) -> None:
        if lines:
            self._out.write("".join(f"{line}\n" for line in lines))


def clean(text: str) -> str:
    """`text`, one line, as what can be seen of it (progress/clean)."""
    if text.isprintable():
        return text
    # lazy: names and messages mostly are
    from builder.progress.clean import clean as cleaned

    return cleaned(text)


def summary(event: BuildDone) -> list[str]:
    """The last lines of a build; what it took stands at their very end."""
    built = " ".join(filter(None, ("built", event.image, ", ".join(event.names))))
    return [built, "; ".join(figures(event))]


def figures(event: BuildDone) -> list[str]:
    """What is told of a build in the end: sizes, steps, and what it took."""
    count = event.cached + event.ran
    steps = f"{event.cached} of {count} steps cached" if count else "no steps"
    saved = f", {spent(event.saved)} saved" if event.cached else ""
    return [f"{size(event.size)}, {size(event.new)} of it new", steps + saved, f"in {spent(event.seconds)}"]


def spent(seconds: float) -> str:
    """A duration: `1.5s`, `2m 05s`, `1h 02m`."""
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    minutes = whole // 60
    return f"{minutes}m {whole % 60:02}s" if minutes < 60 else f"{minutes // 60}h {minutes % 60:02}m"
