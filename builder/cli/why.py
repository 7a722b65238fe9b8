"""`cache why`: why the steps of a build ran."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from builder.cli.help import command
from builder.cli.images import spell
from builder.cli.listing import echo_document
from builder.cli.options import JSON, TABLE, format_option, root_option, session

if TYPE_CHECKING:
    from builder.api.why import Cause, Explained, Why
    from builder.keys.diff import Difference

_REASONS = {
    "never-built": "never built: no earlier step is like it",
    "no-cache": "it was told to run: --no-cache or its like",
    "expired": "expired: its result is older than --cache=ttl= lets it be",
    "volatile": "it runs in every build: --cache=never",
    "lost": "its layer was missing from the store",
}
# The same of a step below.
_CAUSES = {
    "never-built": "it is new",
    "no-cache": "it was told to run, by --no-cache or its like",
    "expired": "it ran, for its result had expired",
    "volatile": "it ran, as in every build, by --cache=never",
    "lost": "it ran, for its layer was missing from the store",
    "evicted": "it ran, for its record had been evicted",
}
# How much is shown of a long text, around where it begins to differ.
_BEFORE, _AFTER = 20, 50


@command(("pybuild cache why", "see what has changed"), short="Say why the steps of the last build ran", name="why")
@click.argument("step", default="", metavar="[STEP|FILE:LINE]")
@click.option("--last", is_flag=True, help="Of the last build: the default.")
@click.option("--build", "build_id", default="", metavar="ID", help="Of this build, as `pybuild logs --list` shows it.")
@click.option("--json", "as_json", is_flag=True, help="Same as --format json.")
@format_option
@root_option
def why(step: str, last: bool, build_id: str, as_json: bool, form: str, root: str | None) -> None:
    """Say why the steps of the last build ran: the first input that differs from the nearest earlier record."""
    from builder.api.why import explain

    if last and build_id:
        raise click.UsageError("--last and --build exclude each other.")
    with session(root) as opened:
        found = explain(opened, step, build_id)
    if as_json or form != TABLE:
        echo_document(found, JSON if as_json else form)
        return
    for line in _lines(found, all_of=bool(step)):
        click.echo(line)


def _lines(found: Explained, *, all_of: bool) -> Iterator[str]:
    now = time.time()
    if found.later is not None:
        at = spell(now - found.later.at).lower()
        yield f"The last build, of {found.later.buildfile}, {at} ago, took every step from the cache: nothing missed."
        if found.build is not None:
            yield "Of the last build that ran something:"
            yield ""
    if found.build is None:
        return
    ran = sum(step.ran for step in found.build.steps)
    cached = sum(step.state == "cached" for step in found.build.steps)
    at = spell(now - found.build.started).lower()
    yield f"build {found.build.id} of {found.build.buildfile}, {at} ago: {ran} ran, {cached} cached"
    for step in found.steps:
        yield ""
        yield f"{step.place}  {step.name}"
        yield from (f"    {line}" for line in _step(step, all_of=all_of))


def _step(step: Why, *, all_of: bool) -> Iterator[str]:
    if not step.reason:
        if step.after:
            yield f"cached, although {_listed(step.after)} ran: what it takes of that is as before"
        else:
            yield "cached: it did not miss"
        return
    differences = step.differences if all_of else step.differences[:1]
    if step.reason == "evicted":
        yield f"evicted on {_date(step.at)} by {step.by}"
    elif step.reason != "inputs":
        yield _REASONS.get(step.reason, step.reason)
    for difference in differences:
        yield from _difference(difference, step.because if difference is step.differences[0] else ())
    rest = len(step.differences) - len(differences)
    if rest:
        yield f"and {rest} more difference{'s' * (rest > 1)}"
    if all_of and step.compared is not None:
        yield f"compared with {step.compared.key[:12]}, made {_date(step.compared.created)} at {step.compared.place}"
    if step.unchanged:
        yield "it made the same as before"


def _difference(difference: Difference, because: tuple[Cause, ...]) -> Iterator[str]:
    if difference.files:
        file, rest = difference.files[0], len(difference.files) - 1
        told = _file(file.path, file.change, file.before, file.after)
        yield f"of what it takes, {told}{f', and {rest} more' if rest else ''}"
    if not because:
        if not difference.files:
            yield said(difference)
        return
    first, root = because[0], because[-1]
    verb = "it takes files of" if difference.input == "source" else "it stands on"
    told = _told(root)
    if len(because) == 1:
        yield f"{verb} {first.name} ({first.place}), which changed{f': {told}' if told else ''}"
        return
    yield f"{verb} {first.name} ({first.place}), which changed"
    yield f"root cause: {root.name} ({root.place}){f': {told}' if told else ''}"


def _told(cause: Cause) -> str:
    if cause.difference is not None:
        return said(cause.difference)
    return _CAUSES.get(cause.reason, cause.reason)


def said(difference: Difference) -> str:
    """A difference in words."""
    before, after = _excerpts(difference.before, difference.after)
    values = f"{before or '(nothing)'} → {after or '(nothing)'}" if before or after else ""
    name, change = difference.name, difference.change
    match difference.input:
        case "file":
            return _file(name, change, difference.before, difference.after)
        case "files":
            return f"the files it takes{f' for {name}' if name else ''} changed; which, is not known any more"
        case "argument" | "variable":
            word = "ARG" if difference.input == "argument" else "ENV"
            if change == "changed":
                return f"{word} {name}: {values}"
            return f"{word} {name} {change}: {difference.after or difference.before or '(empty)'}"
        case "secret":
            return f"the {'value' if change == 'changed' else 'cachekey'} of the secret {name} {change}"
        case "mount":
            return f"mount {name}: {change}{f' {values}' if values else ''}"
        case "source":
            return f"what it takes{f' for {name}' if name else ''} of another stage or image {change}"
        case "fetched":
            return f"what is fetched changed: {difference.before} → {difference.after}"
        case "below":
            return "what it stands on changed"
        case "base":
            return f"another image: {difference.before or 'another base'} → {difference.after}"
        case _:
            return f"{name} {change}{f': {values}' if values else ''}"


def _file(path: str, change: str, before: str, after: str) -> str:
    plain = {"content": "content changed", "added": "added", "removed": "removed"}
    if change.startswith("xattr "):
        return f"{path}: extended attribute {change.removeprefix('xattr ')} changed"
    before, after = _excerpts(before, after)
    return f"{path}: {plain.get(change) or f'{change} {before} → {after}'}"


def _excerpts(before: str, after: str) -> tuple[str, str]:
    """Two texts, short; long ones around where they begin to differ."""
    if len(before) <= _BEFORE + _AFTER and len(after) <= _BEFORE + _AFTER:
        return _one_line(before), _one_line(after)
    pairs = zip(before, after, strict=False)
    at = next((n for n, (old, new) in enumerate(pairs) if old != new), min(len(before), len(after)))
    return _excerpt(before, at), _excerpt(after, at)


def _excerpt(text: str, at: int) -> str:
    start = max(0, at - _BEFORE)
    end = at + _AFTER
    return f"{'…' * bool(start)}{_one_line(text[start:end])}{'…' * (end < len(text))}"


def _one_line(text: str) -> str:
    return text.replace("\n", "⏎")


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(names)


def _date(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
