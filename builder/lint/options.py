"""Which rules count: `# check=skip=A,B;experimental=C;error=true`, and the comments above an instruction."""

from __future__ import annotations

import re

from msgspec import Struct

from builder.errors import BuildfileError
from builder.lang.gobool import parse_bool
from builder.lint.file import Rule

_CHECK = re.compile(r"check\s*=\s*(\S+)", re.IGNORECASE)
_IGNORE = re.compile(r"pybuild:\s*ignore\s*=\s*(.+)", re.IGNORECASE)
ALL = "all"


class Options(Struct, frozen=True):
    """Rules to leave out, experimental rules to apply (`all` for each), and whether a finding is an error."""

    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    error: bool = False

    @classmethod
    def parse(cls, text: str) -> Options:
        """Read the value of a check directive. Raises BuildfileError without a place."""
        found = cls()
        for part in filter(None, text.strip().split(";", 2)):
            key, equals, value = (piece.strip() for piece in part.partition("="))
            if key not in ("skip", "experimental", "error") or not equals:
                raise BuildfileError(
                    f"check has no option {part!r}", hint="write skip=RULE,…;experimental=RULE,…;error=true"
                )
            if key == "error":
                if parse_bool(value) is None:
                    raise BuildfileError(f"check: error is true or false, not {value!r}")
                found = cls(found.skip, found.experimental, bool(parse_bool(value)))
            elif key == "skip":
                found = cls(_names(value), found.experimental, found.error)
            else:
                found = cls(found.skip, _names(value), found.error)
        return found

    def skips(self, rule: Rule) -> bool:
        """Whether `rule` is left out by name, or with all."""
        return bool(self.skip & {rule.name, ALL})

    def allows(self, rule: Rule) -> bool:
        """Whether `rule` counts. An experimental one must be asked for, and then `skip` has no say."""
        return bool(self.experimental & {rule.name, ALL}) if rule.experimental else not self.skips(rule)


def own(comments: tuple[str, ...]) -> Options:
    """What the comments above an instruction say: `# pybuild: ignore=RULE,…`, and the first `# check=…`.

    One that cannot be read says nothing.
    """
    skip = [_names(found[1]) for found in map(_IGNORE.match, comments) if found]
    check = next(filter(None, map(_CHECK.match, comments)), None)
    try:
        options = Options.parse(check[1]) if check else Options()
    except BuildfileError:
        options = Options()
    return Options(options.skip.union(*skip), options.experimental)


def _names(text: str) -> frozenset[str]:
    return frozenset(filter(None, (name.strip() for name in text.split(","))))
