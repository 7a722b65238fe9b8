"""Whether the words of a call of `docker build` can stand after `pybuild build`, flag by flag."""

from __future__ import annotations

from collections.abc import Iterator

import click

from builder.api.migration.commands import Wrong
from builder.cli.absent import ABSENT
from builder.cli.build import build
from builder.errors import PybuildError, UsageError
from builder.export.select import parse as parse_output
from builder.remotecache.options import parse_from, parse_to


def judged(words: list[str]) -> Iterator[Wrong]:
    """What is wrong with `words`; values that are worked out when they are run, VALUE, are not looked at."""
    options = [option for option in build.params if isinstance(option, click.Option)]
    known = {name: option for option in options for name in (*option.opts, *option.secondary_opts)}
    absent = ABSENT["build"]
    following = iter(words)
    for word in following:
        name, equals, value = word.partition("=")
        if not word.startswith("-") or word in ("-", "--"):
            continue
        if name in absent:
            why, hint = absent[name]
            yield Wrong("warning", f"{name}: {why}", hint)
        elif name.startswith("--") and name not in known:
            yield Wrong("error", f"pybuild build has no option {name}", "pybuild build --help lists those there are")
        elif name in known and not known[name].is_flag and not isinstance(known[name].flag_value, str):
            yield from _value(name, value if equals else next(following, ""))


def _value(name: str, value: str) -> Iterator[Wrong]:
    reads = {"--cache-from": parse_from, "--cache-to": parse_to, "--output": parse_output, "-o": parse_output}
    if name not in reads or "VALUE" in value or "$" in value:
        return
    try:
        reads[name](value)
    except UsageError as error:
        yield Wrong("error", error.message, error.hint or "")
    except PybuildError:
        return  # it depends on what is there when it runs
