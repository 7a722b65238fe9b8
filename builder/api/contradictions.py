"""Options of a build that cannot be meant together, each with the reason: looked through before anything runs.

What a command line cannot say together for reasons of its own is told in cli/build and cli/aliases.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from builder.errors import UsageError
from builder.image import pulling
from builder.request import BuildRequest

if TYPE_CHECKING:
    from builder.export.annotate import Annotation
    from builder.export.select import Output

# As in export/base, which most builds do not load.
_STDOUT = "-"
# Whether it is so, what is said then, and what to do.
_Rule = tuple[bool, str, str]


def refuse(request: BuildRequest, *, offline: bool) -> None:
    """Raise UsageError for what contradicts itself in how something is built."""
    _check(_of_building(request, offline=offline))


class Results(Struct, frozen=True):
    """What becomes of an image: its `names`, where it goes, whether it is for `several` platforms or `told` of."""

    names: bool
    outputs: Sequence[Output]
    annotations: Sequence[Annotation]
    several: bool
    told: bool


def refuse_results(request: BuildRequest, asked: Results) -> None:
    """Raise UsageError for what contradicts itself in what becomes of an image."""
    _check(_of_results(request, asked))


def _check(rules: Iterator[_Rule]) -> None:
    for holds, message, hint in rules:
        if holds:
            raise UsageError(message, hint=hint)


def _of_building(request: BuildRequest, *, offline: bool) -> Iterator[_Rule]:
    one = "leave one of them away"
    yield request.no_lock and request.locked, "--no-lock leaves locks alone, and --locked wants one", one
    lock_file = request.lock_file is not None
    yield request.no_lock and lock_file, "--no-lock leaves locks alone, and --lock-file wants one", one
    asks = request.pull in (pulling.ALWAYS, pulling.NEWER)
    yield offline and asks, f"--pull={request.pull} asks registries, and --offline forbids it", one
    both = request.no_hosts and bool(request.add_hosts)
    yield both, "--no-hosts leaves /etc/hosts alone, and --add-host adds to it", one
    elsewhere = request.ignore_file is not None and not Path(request.context).is_dir()
    yield elsewhere, "ignore files count in directories of this machine only", "leave --ignorefile away"
    read = request.context == "-" and request.file == "-"
    yield read, "standard input cannot be both the build context and the Buildfile", "give one of them as a file"


def _of_results(request: BuildRequest, asked: Results) -> Iterator[_Rule]:
    outputs = asked.outputs
    archive = asked.several and any(output.kind == "docker" and output.writes for output in outputs)
    yield archive, "a docker archive holds no image for several platforms", "use type=oci, or one platform"
    nameless = not asked.names and any(output.sends and not output.names for output in outputs)
    yield nameless, "what is pushed needs a name", "give it one: -t REGISTRY/NAME, or name=REGISTRY/NAME"
    stays = request.sign_key is not None and not any(output.sends for output in outputs)
    yield stays, "--sign-key signs what is pushed, and nothing is", "give --push too"
    gone = bool(request.manifest and outputs) and not (asked.names or any(output.loads for output in outputs))
    yield gone, "--manifest is of images in the store, and this is only written elsewhere", "give --load"
    for annotation in asked.annotations:
        wrong = annotation.of_index and not (asked.several or asked.told)
        said = f"--annotation {annotation.kind}:{annotation.key}: an image for one platform has no index"
        yield wrong, said, "annotate its manifest"
    files = (request.iidfile, request.metadata_file, *(output.place for output in outputs))
    written = [file for file in files if file is not None and file != _STDOUT]
    for path, times in Counter(Path(file).absolute() for file in written).items():
        shared = times > 1 and not path.is_char_device()  # as /dev/null is
        shown = next(file for file in written if Path(file).absolute() == path)
        yield shared, f"two things would be written to {shown}", "give each a file of its own"
