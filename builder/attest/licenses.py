"""What packages state of their licenses → SPDX license expressions. What SPDX does not know becomes a reference."""

from __future__ import annotations

import re
from functools import cache

from license_expression import ExpressionError, Licensing, get_spdx_licensing
from msgspec import Struct

from builder.digest import Digest

_LONGEST = 500
# Names that Debian (DEP 5), Fedora (before SPDX) and PyPI's classifiers have for licenses of SPDX's list.
_NAMES = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "apache-2": "Apache-2.0",
    "asl 2.0": "Apache-2.0",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "expat": "MIT",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "mplv2.0": "MPL-2.0",
    "psf": "PSF-2.0",
    "python software foundation license": "PSF-2.0",
    "zlib/libpng": "Zlib",
}
# GPL-2+, LGPL-2.1, GPLv3+, AGPL-3.0+, GFDL-1.3
_GNU = re.compile(r"(A?GPL|LGPL|GFDL)-?v?(\d)(?:\.(\d))?(\+)?", re.IGNORECASE)
_JOINTS = re.compile(r"(\(|\)|(?<=[\s)])(?:and|or)(?=[\s(]))", re.IGNORECASE)
_JOINT = ("", "(", ")", "and", "or")
_REFERENCE = re.compile(r"[^A-Za-z0-9.-]+")


class Stated(Struct, frozen=True):
    """An SPDX expression, and the text behind each `LicenseRef-` in it."""

    expression: str
    references: tuple[tuple[str, str], ...] = ()


@cache
def licensing() -> Licensing:
    """What parses SPDX expressions; made once, which takes 20 ms."""
    return get_spdx_licensing()


def stated(texts: tuple[str, ...]) -> Stated | None:
    """All that is stated, joined by AND; None when that is nothing, or too long to be an expression."""
    texts = tuple(filter(None, texts))
    if not texts or sum(map(len, texts)) > _LONGEST:
        return None
    found = [_one(text) for text in texts]
    parts = dict.fromkeys(f"({one.expression})" if " " in one.expression else one.expression for one in found)
    joined = " AND ".join(parts) if len(parts) > 1 else found[0].expression
    references = dict(pair for one in found for pair in one.references)
    return Stated(joined, tuple(sorted(references.items())))


@cache
def _one(text: str) -> Stated:
    """One statement: an expression of SPDX's, or names joined by and, or and brackets."""
    whole = _known(text)
    if whole is not None:
        return Stated(whole)
    # A comma binds in DEP 5 less than and, or; elsewhere it means and, or nothing: only a person can tell.
    parts = [part.strip() for part in _JOINTS.split(text)] if "," not in text else [text]
    named = {part: _named(part) for part in parts if part.lower() not in _JOINT}
    expression = _known(" ".join(named.get(part, part.upper()) for part in parts))
    if expression is None:
        name = _reference(text)
        return Stated(name, ((name, text),))
    return Stated(expression, tuple((name, part) for part, name in named.items() if _is_reference(name)))


def _named(word: str) -> str:
    """SPDX's name for a license, else a reference."""
    known = _known(_NAMES.get(word.lower(), word)) or _gnu(word)
    return known or _reference(word)


def _gnu(word: str) -> str | None:
    match = _GNU.fullmatch(word)
    if match is None:
        return None
    family, major, minor, later = match.groups()
    return _known(f"{family.upper()}-{major}.{minor or 0}-{'or-later' if later else 'only'}")


def _reference(text: str) -> str:
    """A name of our own for a license: what is not in it of the text is told apart by a digest."""
    name = _REFERENCE.sub("-", text).strip("-")[:80]
    return (
        f"LicenseRef-{name}" if name == text else f"LicenseRef-{name or 'unnamed'}-{Digest.of(text.encode()).hex[:8]}"
    )


def _is_reference(name: str) -> bool:
    return name.startswith("LicenseRef-")


def _known(text: str) -> str | None:
    """`text` as SPDX writes it, when it is an expression of licenses that are in its list (or references)."""
    try:
        parsed = licensing().parse(text, validate=False, strict=True)
        if parsed is None or any(not _is_reference(k) for k in licensing().unknown_license_keys(parsed)):
            return None
        return str(parsed.render())
    except (ExpressionError, RecursionError, IndexError):  # the last for brackets with nothing in them
        return None
    except Exception as error:  # the parser's own errors have no common class that is public
        if type(error).__module__.split(".")[0] in ("boolean", "license_expression"):
            return None
        raise
