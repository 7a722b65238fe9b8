"""`diff`: what a container changed of its image; or what differs between two images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from builder.cli.help import command, section
from builder.cli.listing import Listing, echo_document, echo_listing
from builder.cli.options import TABLE, echo_lines, format_option, root_option, session

if TYPE_CHECKING:
    from builder.api.session import Session
    from builder.views.imagediff import Difference, FileDifference, ImageDifference

# As Docker's API numbers them
_KINDS = {"C": 0, "A": 1, "D": 2}
# Of a value of a config, as many characters are shown.
_LONGEST = 60


@command(
    ("pybuild diff web", "see what a container has changed"),
    ("pybuild diff app:1 app:2", "see what is another file, or another setting, in the newer image"),
    ("pybuild diff --exit-code app:1 app:2", "have a script know whether anything is"),
    short="Show what a container changed, or two images differ",
)
@section(
    "Two images",
    click.option("--exit-code", is_flag=True, help="End with 1 when they differ."),
    click.option("--times", is_flag=True, help="Also what is of another time only."),
    click.option("--platform", default="", metavar="OS/ARCH[,OS/ARCH]", help="Which images of indexes; or of each."),
)
@format_option
@root_option
@click.argument("names", nargs=-1, required=True, metavar="CONTAINER | IMAGE IMAGE")
def diff(names: tuple[str, ...], form: str, exit_code: bool, times: bool, platform: str, root: str | None) -> None:
    """Show what a container changed of its image: A added, C changed, D deleted. With two images, what differs.

    One name is that of a container, two are those of images, whatever else is called so.
    """
    if len(names) > 2:
        raise click.UsageError("diff takes one container, or two images.")
    if len(names) == 1:
        if exit_code or times or platform:
            raise click.UsageError("--exit-code, --times and --platform go with two images.")
        with session(root) as opened:
            _of_container(opened, names[0], form)
        return
    from builder.api.insight import compare

    with session(root) as opened:
        found = compare(opened, names[0], names[1], platform, times=times)
    if form != TABLE:
        echo_document(found, form)
    else:
        echo_lines(_lines(found))
    if exit_code and found.any:
        click.get_current_context().exit(1)


_CHANGES: Listing[tuple[str, str]] = Listing(
    headings={"Kind": "KIND", "Path": "PATH"},
    columns=("Kind", "Path"),
    fields=lambda change, _: dict(zip(("Kind", "Path"), change, strict=True)),
)


def _of_container(opened: Session, name: str, form: str) -> None:
    from builder.api.changes import diff as find

    found = find(opened, name)
    if form != TABLE:
        echo_listing(_CHANGES, found, form, facts=lambda change: {"Path": change[1], "Kind": _KINDS[change[0]]})
        return
    for kind, path in found:
        click.echo(f"{kind} {path}".encode(errors="surrogateescape"))


def _lines(found: ImageDifference) -> Iterator[str]:
    from builder.lang.sizes import size

    for sign, side in (("---", found.before), ("+++", found.after)):
        yield f"{sign} {side.name}  {side.id.removeprefix('sha256:')[:12]}  {side.platform}"
    if not found.any:
        yield "no difference"
    for one in found.config:
        yield f"  {one.field}: {_shown(one.before)} → {_shown(one.after)}"
    parts = []
    for word in ("added", "removed", "changed"):
        same = [file for file in found.files if file.change == word]
        if same:
            parts.append(f"{len(same)} {word} ({size(sum(file.size for file in same))})")
    if parts:
        yield f"Files: {', '.join(parts)}"
    for file in found.files:
        yield _file(file)


def _file(file: FileDifference) -> str:
    from builder.lang.sizes import size

    letter = {"added": "A", "removed": "D", "changed": "C"}[file.change]
    more = ", ".join(map(_field, file.fields)) or (size(file.size) if file.type == "file" else file.type)
    return f"{letter} {file.path}  {more}"


def _field(one: Difference) -> str:
    from builder.lang.sizes import size

    if one.field == "content" or one.field.startswith("xattr"):
        return one.field
    if one.field == "size":
        return f"size {size(int(one.before))} → {size(int(one.after))}"
    return f"{one.field} {one.before} → {one.after}"


def _shown(value: str) -> str:
    if not value:
        return "nothing"
    return value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…"
