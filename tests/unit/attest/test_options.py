from __future__ import annotations

import pytest

from builder.attest.options import Asked, Provenance, asked
from builder.errors import UsageError


@pytest.mark.parametrize(
    ("attest", "provenance", "sbom", "found"),
    [
        ((), None, None, Asked()),
        ((), "true", None, Asked(Provenance())),
        ((), "false", "false", Asked()),
        ((), "mode=max", None, Asked(Provenance("max"))),
        ((), "mode=max,version=v1", None, Asked(Provenance("max", "v1"))),
        ((), None, "true", Asked(None, ("spdx",))),
        ((), None, "format=cyclonedx", Asked(None, ("cyclonedx",))),
        (("type=provenance,mode=max",), None, None, Asked(Provenance("max"))),
        (("type=provenance,mode=max",), "false", None, Asked()),
        (("type=provenance,mode=max,disabled=true",), None, None, Asked()),
        (("type=sbom",), None, None, Asked(None, ("spdx",))),
        (("type=sbom", "type=sbom,format=cyclonedx", "type=sbom"), None, None, Asked(None, ("spdx", "cyclonedx"))),
        (("type=sbom,format=cyclonedx",), None, "format=spdx", Asked(None, ("spdx",))),
        (
            ("type=provenance,builder-id=https://ci.example/1,reproducible=true",),
            None,
            None,
            Asked(Provenance(builder_id="https://ci.example/1", reproducible=True)),
        ),
        (('type=provenance,"builder-id=a,b"',), None, None, Asked(Provenance(builder_id="a,b"))),
    ],
)
def test_what_is_asked_for(attest: tuple[str, ...], provenance: str | None, sbom: str | None, found: Asked) -> None:
    assert asked(attest, provenance, sbom) == found
    assert bool(found) == (found != Asked())


@pytest.mark.parametrize(
    ("attest", "provenance", "sbom"),
    [
        (("sbom",), None, None),
        (("mode=max",), None, None),
        (("type=vulnerabilities",), None, None),
        (("type=provenance,mode=most",), None, None),
        (("type=provenance,version=v2",), None, None),
        (("type=provenance,other=1",), None, None),
        (("type=provenance,disabled=maybe",), None, None),
        (("type=sbom,mode=max",), None, None),
        (('type=sbom,"',), None, None),
        ((), "max", None),
        ((), "", None),
        ((), None, "generator=docker/scout"),
        ((), None, "format=syft"),
    ],
)
def test_what_cannot_be_meant(attest: tuple[str, ...], provenance: str | None, sbom: str | None) -> None:
    with pytest.raises(UsageError, match=r"--(attest|provenance|sbom)"):
        asked(attest, provenance, sbom)
