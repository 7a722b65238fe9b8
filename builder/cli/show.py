"""`cache show`: one cached step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from builder.cli.help import command
from builder.cli.images import spell
from builder.cli.listing import echo_document
from builder.cli.options import JSON, TABLE, format_option, root_option, session
from builder.lang.sizes import size

if TYPE_CHECKING:
    from builder.api.cache import Shown

_WIDTH = 14


@command(
    ("pybuild cache show 1a2b3c", "see what its key is made of"),
    short="Show a cached step, its key and its layer",
)
@click.argument("key", metavar="KEY|FILE:LINE")
@click.option("--files", is_flag=True, help="Also the files its key is made of, and those of its layer.")
@click.option("--json", "as_json", is_flag=True, help="Same as --format json.")
@format_option
@root_option
def show(key: str, files: bool, as_json: bool, form: str, root: str | None) -> None:
    """Show a cached step: what its key is made of, what it stood on, its layer."""
    from builder.api.cache import show as find

    with session(root) as opened:
        found = find(opened, key, files=files)
    if as_json or form != TABLE:
        echo_document(found, JSON if as_json else form)
        return
    for line in (*_lines(found), *_preimage(found.preimage), *_files(found)):
        click.echo(line.rstrip())


def _lines(found: Shown) -> Iterator[str]:
    now = time.time()
    yield _row("key", found.key)
    yield _row("step", found.step)
    yield _row("place", f"{found.place}{f', stage {found.stage}' if found.stage else ''}")
    yield _row("made", f"{spell(now - found.created)} ago, in {found.seconds:.1f}s")
    yield _row("last used", f"{spell(now - found.last_used)} ago; {found.hits} hits")
    for one in found.inputs:
        digest = one.digest.removeprefix("sha256:")[:12]
        yield _row("stood on", " ".join(filter(None, (digest, one.name, "" if one.known else "(no longer here)"))))
    yield _row("layer", found.diff_id)
    if found.blob:
        yield _row("content ID", found.content_id)
        yield _row("blob", f"{found.blob}, {size(found.blob_size)}; {size(found.size)} as tar")
    else:
        yield _row("blob", "missing")


def _row(name: str, value: str) -> str:
    return f"{name:<{_WIDTH}}{value}"


def _preimage(fields: dict[str, Any]) -> Iterator[str]:
    # lazy: the command's own imports, so that --help is fast
    from builder.keys.diff import told

    yield ""
    yield "the key is made of"
    for name, value in sorted(fields.items()):
        if name == "env":
            yield from (f"  {'env':<{_WIDTH}}{told(variable)}={told(text)}" for variable, text in value)
        elif isinstance(value, list):
            yield from (f"  {name:<{_WIDTH}}{told(item)}" for item in value)
        else:
            text = told(value).replace("\n", f"\n{'':<{_WIDTH + 2}}")
            yield f"  {name:<{_WIDTH}}{text}"


def _files(found: Shown) -> Iterator[str]:
    if found.files is None:
        return
    yield ""
    yield "files of its key"
    for taken in found.taken or ():
        yield f"  {taken.kind:<8} {taken.mode:>4} {taken.content[:12]:<12} {taken.path}"
    if found.taken is None:
        yield "  the list is not kept"
    yield ""
    yield "files of its layer"
    for file in found.files:
        link = f" → {file.link}" if file.link else ""
        owner = f"{file.uid}:{file.gid}"
        yield f"  {file.kind:<8} {file.mode:>4} {owner:<9} {file.size:>9} {file.path or '.'}{link}"
