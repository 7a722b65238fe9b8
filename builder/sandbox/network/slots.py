"""`Networks`: the networks of a worker's steps, each made when one is wanted and used again after.

    step ── joined ──▶ a free network, else a new one ──▶ StepSpec with its namespace, resolv.conf and hosts
                          ▲                 │
                          └── step ended ───┘     thrown away after an insecure step, which may have changed it

One step at a time uses a network, so that steps do not see each other's sockets; its processes are gone when it ends.
"""

from __future__ import annotations

import ipaddress
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from builder import spans
from builder.errors import CanceledError, HostError, PybuildError
from builder.events import Emit, Warned
from builder.sandbox.launcher import Call, Launcher
from builder.sandbox.network import probe
from builder.sandbox.network.hold import hold
from builder.sandbox.network.names import resolver_files
from builder.sandbox.network.programs import FORWARDER, Program
from builder.sandbox.spec import Namespace, Network, StepSpec

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy")


class _Slot(Struct):
    call: Call[None]
    namespace: Namespace


class Networks:
    """Networks for steps run by `launcher`. `memory` is the file in which the probe's answer is kept.

    Its methods may be called from any thread. It is ended by `close`, or with the launcher.
    """

    def __init__(self, launcher: Callable[[], Launcher], memory: Path, emit: Emit) -> None:
        self._launcher, self._memory, self._emit = launcher, memory, emit
        self._lock, self._asking = threading.Lock(), threading.Lock()
        self._answer: probe.Answer | None = None
        self._calls: list[Call[None]] = []
        self._free: list[_Slot] = []
        self._coming: list[Call[None]] = []
        self._warned: set[str] = set()
        self._canceled = False

    @contextmanager
    def joined(self, spec: StepSpec) -> Iterator[StepSpec]:
        """`spec` with its network and the files that say how names are found, as long as the context lasts.

        Where no network can be made, the host's is used with a warning. Raises HostError for a `host-gateway` this
        machine does not have, CanceledError.
        """
        if spec.network is not Network.DEFAULT:
            yield _dressed(spec, own=spec.network is Network.NONE)
            return
        with spans.span("set-up"):
            slot = self._taken()
        if slot is None:
            yield _dressed(spec, own=False)
            return
        self._check_proxies(spec)
        try:
            yield _dressed(replace(spec, namespace=slot.namespace), own=True, forwarder=FORWARDER)
        finally:
            self._give_back(slot, again=not spec.insecure)

    def expect(self) -> None:
        """Begin to make one, where it is known how: for a step that will want it, and need not wait then."""
        known = probe.remembered(self._memory)
        if known is not None and known.program is not None and not self._coming:
            with suppress(HostError):  # the step that wants it will tell
                self._coming.append(self._begun(known.program))

    def answer(self) -> probe.Answer:
        """Which program makes them; found out at the first call."""
        with self._asking:
            if self._answer is None:
                self._answer = probe.answer(lambda program: self._end(self._made(program).call), self._memory)
            return self._answer

    def cancel(self) -> None:
        """End all networks, those being made too; no more can be made."""
        with self._lock:
            self._canceled = True
            for call in self._calls:
                call.cancel()

    def close(self) -> None:
        """End all networks; none is in use any more."""
        with self._lock:
            calls = [*(slot.call for slot in self._free), *self._coming]
            for call in self._coming:
                call.cancel()  # it may still have to put away what was made ready for a step
            self._free, self._coming = [], []
        for call in calls:
            self._end(call)

    # --- slots -----------------------------------------------------------------------------------

    def _taken(self) -> _Slot | None:
        with self._lock:
            while self._free:
                slot = self._free.pop()
                if slot.call.running():
                    return slot
                self._calls.remove(slot.call)
                slot.call.end()
            coming = self._coming.pop() if self._coming else None
        answer = self.answer()
        if answer.program is not None:
            try:
                return self._arrived(coming or self._begun(answer.program))
            except HostError as error:
                # No step after this one tries it, but the next build does.
                probe.forget(self._memory)
                answer = self._answer = probe.Answer(reasons=((answer.program.name, error.message),))
        self._warn("none", f"steps use the host's network: none of their own can be made ({answer.hint()})")
        return None

    def _made(self, program: Program) -> _Slot:
        return self._arrived(self._begun(program))

    def _begun(self, program: Program) -> Call[None]:
        call = self._launcher().call(hold, None, program)
        with self._lock:
            self._calls.append(call)
            if self._canceled:
                call.cancel()
        return call

    def _arrived(self, call: Call[None]) -> _Slot:
        try:
            fd = call.receive_fd()
        except BaseException as error:
            self._end(call)
            if self._canceled:
                raise CanceledError("canceled") from error
            raise
        try:
            return _Slot(call, Namespace(f"/proc/{call.pid}/ns/net", os.fstat(fd).st_ino))
        finally:
            os.close(fd)

    def _give_back(self, slot: _Slot, *, again: bool) -> None:
        if again and slot.call.running():
            with self._lock:
                self._free.append(slot)
        else:
            self._end(slot.call)

    def _end(self, call: Call[None]) -> None:
        with self._lock, suppress(ValueError):
            self._calls.remove(call)
        if call.canceled:
            with suppress(PybuildError, OSError):
                call.result()
        else:
            call.end()

    # --- warnings, each once ---------------------------------------------------------------------

    def _check_proxies(self, spec: StepSpec) -> None:
        for name, value in spec.env:
            if name.lower() in _PROXIES and _on_loopback(value):
                self._warn(
                    "proxy",
                    f"{name.lower()} is on this machine's loopback, out of steps' reach (but for --network host)",
                )

    def _warn(self, kind: str, text: str) -> None:
        with self._lock:
            new = kind not in self._warned
            self._warned.add(kind)
        if new:
            self._emit(Warned(text))


def _dressed(spec: StepSpec, *, own: bool, forwarder: str = "") -> StepSpec:
    files = resolver_files(spec.hostname, spec.names, own=own, forwarder=forwarder)
    return replace(spec, mounts=(*files, *spec.mounts))


def _on_loopback(proxy: str) -> bool:
    try:
        host = urlsplit(proxy if "//" in proxy else f"//{proxy}").hostname or ""
    except ValueError:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
