"""What to change so that bytes are not wasted: a sentence for each way in which two steps waste them."""

from __future__ import annotations

import re

from builder.views.leftovers import cache_of

# How BuildKit and the old docker build begin what they write into a history: `RUN |1 A=b /bin/sh -c …`,
# `/bin/sh -c #(nop) COPY file:…`, `|1 A=b /bin/sh -c …`.
_BUILDKIT = re.compile(r"([A-Z]+)\s")
_NOP = re.compile(r"/bin/sh -c #\(nop\)\s+([A-Z]+)\s")
_OLD_RUN = re.compile(r"(?:\|\d+ .*)?/bin/sh -c ", re.DOTALL)

_JOIN = "do both in one RUN, joined by &&: a layer keeps what it ended with, and not what came before"
_ADVICE = {
    ("deleted", "RUN", "RUN"): _JOIN,
    ("deleted", "COPY", "RUN"): "do not copy what is deleted again: name it in .dockerignore or --exclude, or have the "
    "RUN see it by --mount=type=bind in place of the COPY",
    ("replaced", "RUN", "RUN"): _JOIN,
    ("replaced", "COPY", "RUN"): "have the RUN read the first one by --mount=type=bind in place of the COPY, so that "
    "only what it makes is kept",
    ("replaced", "COPY", "COPY"): "copy it once: leave it out of the first COPY by --exclude or .dockerignore",
    ("replaced", "RUN", "COPY"): "copy it before the RUN, or do not make it there",
    ("owner", "COPY", "RUN"): "set the owner where it is copied: COPY --chown=USER:GROUP",
    ("owner", "COPY", "COPY"): "copy it once, with the owner it shall have: COPY --chown=USER:GROUP",
    ("owner", "RUN", "RUN"): "change the owner in the RUN that makes it, joined by &&",
    ("mode", "COPY", "RUN"): "set the mode where it is copied: COPY --chmod=MODE",
    ("mode", "COPY", "COPY"): "copy it once, with the mode it shall have: COPY --chmod=MODE",
    ("mode", "RUN", "RUN"): "change the mode in the RUN that makes it, joined by &&",
    ("same content", "COPY", "COPY"): "copy it once: leave it out of one COPY by --exclude or .dockerignore",
    ("same content", "COPY", "RUN"): "the RUN writes the same again, or changes times or attributes: it should leave "
    "it alone",
    ("same content", "RUN", "RUN"): "both write the same: do it once, or join them by &&",
}  # fmt: skip
_OTHER = {
    "deleted": "leave it out where it is written: what a later step deletes stays in the image",
    "replaced": "write it once: the first one stays in the image",
    "owner": "give it its owner where it is written: a change copies the whole file",
    "mode": "give it its mode where it is written: a change copies the whole file",
    "same content": "write it once: the same content is in the image twice",
}
_BASE = {
    "deleted": "the base has it, and deleting does not make it smaller: take a base without it, or copy what is needed "
    "out of it into another (COPY --from)",
    "replaced": "the base has it: a newer base may have the newer one already",
    "owner": "the base has it, and a change of the owner copies the whole file: do without, or name fewer files",
    "mode": "the base has it, and a change of the mode copies the whole file: do without, or name fewer files",
    "same content": "the base has the same already: leave it alone",
}


def advice(how: str, directory: str, written: str, wasted: str, *, in_base: bool, again: bool) -> str:
    """What to do about files below `directory` that the step `written` made and the step `wasted` hid, as `how` says.

    `in_base`: the former is of a base that was not built here; `again`: both are the same.
    """
    if again:
        return "the layer has it twice: so it was written by what made it"
    if in_base:
        return _BASE[how]
    first, second = instruction(written), instruction(wasted)
    cache = cache_of(directory)
    if cache is not None and first == "RUN":
        return f"keep it out of the image: RUN --mount=type=cache,target=/{cache}"
    return _ADVICE.get((how, first, second), _OTHER[how])


def instruction(step: str) -> str:
    """RUN, COPY (also of ADD) or another instruction that a history tells of; empty for what is none."""
    found = _NOP.match(step) or _BUILDKIT.match(step)
    if found is not None:
        return "COPY" if found[1] == "ADD" else found[1]
    return "RUN" if _OLD_RUN.match(step) else ""
