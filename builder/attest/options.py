"""What is to be told of the images of a build, as --attest, --provenance and --sbom say it (buildx's)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from builder.attest.documents import FORMATS, SPDX
from builder.errors import UsageError
from builder.lang.gobool import parse_bool
from builder.lang.mounts import MountError, fields

MIN, MAX = "min", "max"
V02, V1 = "v0.2", "v1"
_PROVENANCE = ("mode", "version", "builder-id", "reproducible", "disabled")
_SBOM = ("format", "disabled")


class Provenance(Struct, frozen=True):
    """How a build came about. `mode` min leaves out what may be private; `version` is that of SLSA's predicate."""

    mode: str = MIN
    version: str = V02
    builder_id: str = ""
    reproducible: bool = False


class Asked(Struct, frozen=True):
    """`sboms` are formats of attest.documents."""

    provenance: Provenance | None = None
    sboms: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.provenance is not None or bool(self.sboms)


def asked(attest: Sequence[str], provenance: str | None, sbom: str | None) -> Asked:
    """What --attest, --provenance and --sbom ask for; the last two count before the first. Raises UsageError."""
    found = [(text, dict(_pairs("--attest", text))) for text in attest]
    kinds = ("provenance", "sbom")
    for text, pairs in found:
        if pairs.get("type") not in kinds:
            raise UsageError(f"--attest {text}: its type is not known", hint="use type=provenance or type=sbom")
    about = {kind: [(f"--attest {text}", pairs) for text, pairs in found if pairs["type"] == kind] for kind in kinds}
    for kind, short in (("provenance", provenance), ("sbom", sbom)):
        if short is not None:
            about[kind] = [(f"--{kind}={short}", {"type": kind, **_short(kind, short)})]
    provenances = [each for option, pairs in about["provenance"] if (each := _provenance(option, pairs))]
    sboms = [form for option, pairs in about["sbom"] if (form := _sbom(option, pairs))]
    return Asked(provenances[-1] if provenances else None, tuple(dict.fromkeys(sboms)))


def _short(kind: str, text: str) -> dict[str, str]:
    """What --provenance or --sbom has for a value: a bool, or pairs."""
    told = parse_bool(text)
    return dict(_pairs(f"--{kind}", text)) if told is None else {"disabled": str(not told).lower()}


def _pairs(option: str, text: str) -> Iterator[tuple[str, str]]:
    try:
        parts = fields(text)
    except MountError as error:
        raise UsageError(f"{option} {text}: {error.message}", hint=error.hint) from error
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals:
            raise UsageError(f"{option} {text}: {part!r} is not NAME=VALUE")
        yield name.strip().lower(), value


def _provenance(option: str, pairs: dict[str, str]) -> Provenance | None:
    _known(option, pairs, _PROVENANCE)
    mode, version = pairs.get("mode", MIN), pairs.get("version", V02)
    if mode not in (MIN, MAX):
        raise UsageError(f"{option}: mode={mode} is not known", hint=f"use {MIN} or {MAX}")
    if version not in (V02, V1):
        raise UsageError(f"{option}: version={version} is not known", hint=f"use {V02} or {V1}")
    if _bool(option, pairs, "disabled"):
        return None
    return Provenance(mode, version, pairs.get("builder-id", ""), _bool(option, pairs, "reproducible"))


def _sbom(option: str, pairs: dict[str, str]) -> str | None:
    if "generator" in pairs:
        raise UsageError(f"{option}: there are no generators", hint="pybuild reads what is in an image itself")
    _known(option, pairs, _SBOM)
    form = pairs.get("format", SPDX)
    if form not in FORMATS:
        raise UsageError(f"{option}: format={form} is not known", hint=f"use {' or '.join(FORMATS)}")
    return None if _bool(option, pairs, "disabled") else form


def _known(option: str, pairs: dict[str, str], names: Sequence[str]) -> None:
    for name in pairs:
        if name not in (*names, "type"):
            raise UsageError(f"{option}: {name} is not known", hint=f"use {', '.join(names)}")


def _bool(option: str, pairs: dict[str, str], name: str) -> bool:
    found = parse_bool(pairs.get(name, "false"))
    if found is None:
        raise UsageError(f"{option}: {name}={pairs[name]} is neither true nor false")
    return found
