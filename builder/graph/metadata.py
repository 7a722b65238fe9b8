"""Instructions that only change the image's config, one small function each."""

from __future__ import annotations

import re

from builder.graph.gotext import duration, parse_duration, quoted, quoted_list, quoted_rune
from builder.graph.state import ENTRY_SIZE, StageState
from builder.image.config import Healthcheck
from builder.lang import ast

# signal(7), without the SIG
_SIGNALS = frozenset(
    [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "IOT", "BUS", "FPE", "KILL", "USR1", "SEGV",
        "USR2", "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU",
        "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "POLL", "PWR", "SYS", "RTMIN", "RTMAX",
    ]
)  # fmt: skip
_REALTIME = re.compile(r"RTM(?:IN\+|AX-)(\d{1,2})")
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/([A-Za-z]*))?")
# Docker refuses shorter ones: a check cannot be run more often.
_SHORTEST_NS = 1_000_000


def apply(instruction: ast.AnyInstruction, state: StageState) -> bool:
    """Change `state` as `instruction` says; False when it is not a metadata instruction."""
    match instruction:
        case ast.Env():
            _env(instruction, state)
        case ast.Arg():
            _arg(instruction, state)
        case ast.Label():
            _label(instruction, state)
        case ast.User():
            _user(instruction, state)
        case ast.Cmd():
            _cmd(instruction, state)
        case ast.Entrypoint():
            _entrypoint(instruction, state)
        case ast.Expose():
            _expose(instruction, state)
        case ast.Volume():
            _volume(instruction, state)
        case ast.StopSignal():
            _stop_signal(instruction, state)
        case ast.Healthcheck():
            _healthcheck(instruction, state)
        case ast.Shell():
            state.set(shell=instruction.argv)
            state.record(f"SHELL [{' '.join(instruction.argv)}]")
        case ast.OnBuild():
            # No line in the history: it has done nothing to this image.
            state.triggers.append(instruction.text)
        case ast.Maintainer():
            state.set(author=instruction.name)
            state.record(f"MAINTAINER {instruction.name}")
        case _:
            return False
    return True


def command_argv(command: ast.Command, state: StageState) -> tuple[str, ...]:
    """The argv of a command: a shell form becomes one argument of SHELL."""
    match command:
        case ast.ExecForm(argv=argv):
            return argv
        case ast.ShellForm(text=text):
            return (*state.shell, text)


def _pairs(pairs: tuple[ast.Pair, ...], state: StageState, instruction: ast.Instruction) -> list[tuple[str, str]]:
    # All pairs see the environment from before the instruction: expand first, set afterwards.
    found = []
    for pair in pairs:
        key = state.word(pair.key, instruction.span)
        if not key:
            raise state.wrong("a name must not be empty", instruction.span, near=pair.key)
        found.append((key, state.word(pair.value or "", instruction.span)))
    return found


def _env(instruction: ast.Env, state: StageState) -> None:
    pairs = _pairs(instruction.pairs, state, instruction)
    state.scope.set(pairs)
    state.record("ENV " + " ".join(f"{k}={v}" for k, v in pairs))


def _arg(instruction: ast.Arg, state: StageState) -> None:
    shown = []
    for pair in instruction.pairs:
        default = None if pair.value is None else state.word(pair.value, instruction.span)
        value = state.scope.declare(pair.key, default)
        shown.append(pair.key if value is None else f"{pair.key}={value}")
    state.record("ARG " + " ".join(shown))


def _label(instruction: ast.Label, state: StageState) -> None:
    pairs = _pairs(instruction.pairs, state, instruction)
    state.labels.update(pairs)
    state.record("LABEL " + " ".join(f"{k}={v}" for k, v in pairs))


def _user(instruction: ast.User, state: StageState) -> None:
    user = state.word(instruction.user, instruction.span)
    state.set(user=user)
    state.record(f"USER {user}")


def _cmd(instruction: ast.Cmd, state: StageState) -> None:
    argv = command_argv(instruction.command, state)
    state.set(cmd=argv, args_escaped=True)
    state.cmd_set = True
    state.record(f"CMD {quoted_list(argv)}")


def _entrypoint(instruction: ast.Entrypoint, state: StageState) -> None:
    argv = command_argv(instruction.command, state)
    state.set(entrypoint=argv)
    if not state.cmd_set:
        state.set(cmd=None)
    state.record(f"ENTRYPOINT {quoted_list(argv)}")


def _ports(spec: str) -> list[str]:
    """The ports of `[[ip:]host:]port[-port][/protocol]`; where the host would publish them is not kept."""
    match = _PORT.fullmatch(spec.rpartition(":")[2])
    if match is None:
        raise ValueError(spec)
    first, protocol = int(match[1]), (match[3] or "tcp").lower()
    last = int(match[2] or first)
    if not first <= last <= 65535 or protocol not in {"tcp", "udp", "sctp"}:
        raise ValueError(spec)
    return [f"{port}/{protocol}" for port in range(first, last + 1)]


def _expose(instruction: ast.Expose, state: StageState) -> None:
    ports: dict[str, None] = {}
    for raw in instruction.ports:
        for spec in state.word(raw, instruction.span).split():
            try:
                found = _ports(spec)
            except ValueError:
                raise state.wrong(
                    f"{spec!r} is not a port",
                    instruction.span,
                    near=raw,
                    hint="write 80, 80/udp or 8000-8010/tcp",
                ) from None
            # A range may be ten thousand times as long as its text.
            state.take(ENTRY_SIZE * len(found), instruction.span)
            ports.update(dict.fromkeys(found))
    state.ports.update(ports)
    state.record(f"EXPOSE [{' '.join(ports)}]")


def _volume(instruction: ast.Volume, state: StageState) -> None:
    paths = state.words(instruction.paths, instruction.span)
    if "" in paths:
        raise state.wrong("VOLUME needs a path, not an empty word", instruction.span)
    state.volumes.update(paths)
    state.record(f"VOLUME [{' '.join(paths)}]")


def _stop_signal(instruction: ast.StopSignal, state: StageState) -> None:
    signal = state.word(instruction.signal, instruction.span)
    name = signal.upper().removeprefix("SIG")
    realtime = _REALTIME.fullmatch(name)
    known = name in _SIGNALS or (realtime is not None and int(realtime[1]) < 31)
    if not known and not (signal.isascii() and signal.isdigit() and 0 < int(signal[:9]) <= 64):
        raise state.wrong(
            f"{signal!r} is not a signal",
            instruction.span,
            near=instruction.signal,
            hint="for example SIGTERM or 15",
        )
    state.set(stop_signal=signal)
    state.record(f"STOPSIGNAL {signal}")


def _healthcheck(instruction: ast.Healthcheck, state: StageState) -> None:
    if instruction.command is None:
        check = Healthcheck(test=("NONE",))
    else:
        check = Healthcheck(
            test=_test(instruction.command),
            interval_ns=_check_duration("interval", instruction.interval, instruction, state),
            timeout_ns=_check_duration("timeout", instruction.timeout, instruction, state),
            start_period_ns=_check_duration("start-period", instruction.start_period, instruction, state),
            start_interval_ns=_check_duration("start-interval", instruction.start_interval, instruction, state),
            retries=_retries(instruction, state),
        )
    state.set(healthcheck=check)
    state.record(f"HEALTHCHECK {_shown(check)}")


def _test(command: ast.Command) -> tuple[str, ...]:
    match command:
        case ast.ExecForm(argv=argv):
            return ("CMD", *argv)
        case ast.ShellForm(text=text):
            return ("CMD-SHELL", text)


def _check_duration(name: str, text: str | None, instruction: ast.Healthcheck, state: StageState) -> int:
    if text is None:
        return 0
    try:
        value = parse_duration(text)
    except ValueError:
        raise state.wrong(
            f"--{name}: {text!r} is not a duration",
            instruction.span,
            near=text,
            hint="for example 30s or 1m30s",
        ) from None
    if value != 0 and value < _SHORTEST_NS:
        raise state.wrong(f"--{name} must not be shorter than 1ms", instruction.span, near=text)
    return value


def _retries(instruction: ast.Healthcheck, state: StageState) -> int:
    text = instruction.retries
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) < 2**31):
        raise state.wrong(f"--retries: {text!r} is not a count", instruction.span, near=text)
    return int(text)


def _shown(check: Healthcheck) -> str:
    times = (check.interval_ns, check.timeout_ns, check.start_period_ns, check.start_interval_ns)
    return f"&{{{quoted_list(check.test)} {' '.join(quoted(duration(t)) for t in times)} {quoted_rune(check.retries)}}}"
