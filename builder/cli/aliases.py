"""Options of `build` that buildah and podman have, or `docker build` before BuildKit, as what they mean here.

What is asked by them is folded into what the other options ask; docs/cli.md says of each whether it is the same. Those
that ask for what is always so are taken and change nothing; asking for the contrary is refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from builder.cli.help import F, section
from builder.cli.options import BUILT, RESULTS, REUSED, SHOWN, STEPS, gathering
from builder.cli.spelling import Choice
from builder.errors import UsageError
from builder.image import pulling


def _bool(*names: str, help: str = "") -> Any:
    """A Go flag, which may stand alone or have a value; None where it is not given."""
    return click.option(*names, type=bool, is_flag=False, flag_value="true", metavar="[=BOOL]", help=help)


def settled(name: str, so: bool | None, why: str = "", hint: str = "") -> Callable[[F], F]:
    """A flag for what is `so` anyway, which help does not show; None: whatever it says. The contrary is refused."""

    def check(ctx: click.Context, option: click.Parameter, value: bool | None) -> None:
        if so is not None and value is (not so):
            raise UsageError(f"{name}={str(value).lower()}: {why}", hint=hint)

    return click.option(
        name, type=bool, is_flag=False, flag_value="true", metavar="[=BOOL]", hidden=True, expose_value=False,
        callback=check,
    )  # fmt: skip


def _isolation(ctx: click.Context, option: click.Parameter, value: str | None) -> None:
    if value not in (None, "default"):
        raise UsageError(f"--isolation={value}: steps have pybuild's own isolation", hint="pybuild doctor tells of it")


_SETTLED = (
    settled("--compress", None),
    settled("--force-rm", None),
    settled("--no-hostname", True, "/etc/hostname in steps is the image's", "RUN hostname shows what they are called"),
    settled("--rm", True, "there are no intermediate containers to keep", "--keep-failed keeps steps that fail"),
    settled("--disable-content-trust", True, "there is no Docker Content Trust", "--verify-key asks for signatures"),
    settled("--disable-compression", True, "what is kept is as it is kept", "compression=… of an --output compresses"),
    settled("--skip-unused-stages", True, "what the target does not need is not built", "build each by its --target"),
    settled("--inherit-labels", True, "labels of base images are taken over", "--unsetlabel NAME leaves one out"),
    settled("--inherit-annotations", False, "annotations of base images are not taken over", "--annotation sets one"),
    settled("--created-annotation", False, "the time of an image is in its config", "--annotation sets one"),
    settled("--compat-volumes", False, "what a RUN writes below a VOLUME stays", "RUN --mount=type=tmpfs forgets it"),
    settled("--logsplit", False, "the log of all platforms is one", "build each by its --platform"),
    settled("--identity-label", False, "images do not say what has built them", "--label NAME=VALUE does"),
    click.option("--isolation", metavar="default", hidden=True, expose_value=False, callback=_isolation),
)
_OPTIONS = (
    section(
        BUILT,
        click.option("--os", "system", metavar="OS", help="Of --platform, this part alone."),
        click.option("--arch", metavar="ARCH", help="Of --platform, this part alone."),
        click.option("--variant", metavar="VARIANT", help="Of --platform, this part alone."),
        click.option(
            "--from", "base", default="", metavar="IMAGE", help="Take IMAGE in place of that of the first FROM."
        ),
        click.option(
            "--build-arg-file",
            "build_arg_files",
            multiple=True,
            metavar="FILE",
            help="File with a NAME=VALUE on each line, as --build-arg takes them.",
        ),
        _bool(
            "--http-proxy", help="Give steps the proxies of the environment, as --build-arg HTTP_PROXY and so on do."
        ),
        click.option(
            "--env",
            "env",
            multiple=True,
            metavar="NAME[=VALUE]",
            help="Variable of steps and image, as ENV at the top.",
        ),
        click.option("--ignorefile", "ignore_file", metavar="FILE", help="Ignore rules, in place of .dockerignore."),
        click.option("--timestamp", metavar="SECONDS", help="The same as --source-date-epoch SECONDS."),
    ),
    section(
        RESULTS,
        click.option("--unsetenv", "unset_env", multiple=True, metavar="NAME", help="Variable that the image has not."),
        click.option(
            "--unsetlabel", "unset_labels", multiple=True, metavar="NAME", help="Label that base images do not hand on."
        ),
        _bool("--omit-history", help="Leave the history of the image empty."),
        _bool("--layers", help="=false is short for --squash: what is built is one layer."),
        _bool("--squash-all", help="Short for --squash=scratch: the base image is in the one layer, too."),
        click.option("--manifest", metavar="NAME", help="Add the image to the index NAME, made if it is not there."),
        click.option(
            "--format",
            "form",
            type=Choice(("oci", "docker")),
            help="Media types of what is written or pushed, if any is.",
        ),
        _bool("--rewrite-timestamp", help="Short for rewrite-timestamp=true of every --output that has it."),
    ),
    section(
        REUSED,
        _bool("--pull-always", help="Short for --pull=always."),
        _bool("--pull-never", help="Short for --pull=never."),
    ),
    section(
        STEPS,
        click.option(
            "-v",
            "--volume",
            "volumes",
            multiple=True,
            metavar="SRC:DST[:ro]",
            help="Directory or file of this machine to show in steps.",
        ),
        click.option("--device", "devices", multiple=True, metavar="SRC[:DST]", help="Device to show in steps."),
        click.option(
            "--security-opt",
            "security",
            multiple=True,
            metavar="OPTION",
            help="no-new-privileges or seccomp=unconfined.",
        ),
        click.option("--cap-drop", multiple=True, metavar="NAME", help="Capability that steps have not; or all."),
        _bool("--no-hosts", help="Leave /etc/hosts in steps to the image."),
        click.option("--retry-delay", metavar="TIME", help="The delay of --retry."),
    ),
    section(
        SHOWN,
        click.option("--logfile", metavar="FILE", help="Show the work at the end of FILE, and none of it here."),
    ),
    *_SETTLED,
)
_NAMES = (
    "system", "arch", "variant", "build_arg_files", "http_proxy", "timestamp", "layers", "squash_all", "form",
    "rewrite_timestamp", "pull_always", "pull_never", "retry_delay",
)  # fmt: skip
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY")


def alias_options(command: F) -> F:
    """The options, which `command` is handed as the others that mean the same."""
    return gathering(RESULTS, _OPTIONS, gathered_aliases, command)


def gathered_aliases(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options `given`, with what these say folded into the others. Raises UsageError for what contradicts."""
    rest, asked = dict(given), {name: given[name] for name in _NAMES}
    for name in _NAMES:
        del rest[name]
    rest["omit_history"], rest["no_hosts"] = bool(rest["omit_history"]), bool(rest["no_hosts"])
    if not any(value is not None and value != () for value in asked.values()):
        return rest
    folded = _Folded(rest)
    folded.set("platform", _platform(asked["system"], asked["arch"], asked["variant"]), "--os, --arch or --variant")
    folded.set("source_date_epoch", asked["timestamp"], "--timestamp")
    folded.set("squash", "" if asked["layers"] is False else None, "--layers=false")
    folded.set("squash", "scratch" if asked["squash_all"] else None, "--squash-all")
    folded.set("pull", pulling.ALWAYS if asked["pull_always"] else None, "--pull-always")
    folded.set("pull", pulling.NEVER if asked["pull_never"] else None, "--pull-never")
    rest["build_args"] = (*_file_lines(asked["build_arg_files"]), *rest["build_args"])
    rest["argument_files"] = asked["build_arg_files"]
    if asked["http_proxy"]:
        rest["build_args"] = (*_proxies(rest["build_args"]), *rest["build_args"])
    rest["retry"] = _delayed(rest["retry"], asked["retry_delay"])
    more = {"oci-mediatypes": None if asked["form"] is None else str(asked["form"] == "oci").lower()}
    more["rewrite-timestamp"] = "true" if asked["rewrite_timestamp"] else None
    if any(more.values()):
        texts = (*rest["outputs"], *(("type=registry",) if rest["push"] else ()))
        rest["outputs"], rest["push"] = tuple(_with(text, more) for text in texts), False
    return rest


class _Folded:
    """`values` by option, in which others are folded: over what files and variables say, not over what words do."""

    def __init__(self, values: dict[str, Any]) -> None:
        source = click.get_current_context().get_parameter_source
        self._values = values
        self._by = {
            name: f"--{name.replace('_', '-')}{f' {value}' if value else ''}"
            for name, value in values.items()
            if source(name) is ParameterSource.COMMANDLINE
        }

    def set(self, name: str, value: str | None, option: str) -> None:
        """Have `option` say that `name` is `value`, unless None. Raises UsageError when another says otherwise."""
        if value is None:
            return
        if name in self._by and self._values[name] != value:
            raise UsageError(f"{option} and {self._by[name]} do not go together", hint="leave one of them away")
        self._values[name], self._by[name] = value, option


def _platform(system: str | None, arch: str | None, variant: str | None) -> str | None:
    if system is None and arch is None and variant is None:
        return None
    # lazy: few ask for a platform by its parts
    from builder.image.platform import host

    own = host()
    parts = (system or own.os, arch or own.architecture, variant or (own.variant if arch is None else ""))
    return "/".join(part for part in parts if part)


def _file_lines(files: Sequence[str]) -> list[str]:
    found = []
    for path in files:
        try:
            lines = Path(path).read_text("utf-8").splitlines()
        except OSError as error:
            raise UsageError(f"--build-arg-file {path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError:
            raise UsageError(f"--build-arg-file {path} is not UTF-8") from None
        for number, line in enumerate(map(str.strip, lines), 1):
            if line and not line.startswith("#"):
                if line.startswith("=") or "=" not in line:
                    raise UsageError(f"--build-arg-file {path}:{number}: {line!r} is not NAME=VALUE")
                found.append(line)
    return found


def _proxies(given: Sequence[str]) -> list[str]:
    """Those of the environment that no argument names, as arguments without a value."""
    named = {text.partition("=")[0] for text in given}
    both = (spelled for name in _PROXIES for spelled in (name, name.lower()))
    return [name for name in both if os.environ.get(name) and name not in named]


def _delayed(retry: str | None, delay: str | None) -> str | None:
    if delay is None:
        return retry
    if retry is None:
        raise UsageError("--retry-delay needs --retry: it is the time between tries")
    if "delay=" in retry:
        raise UsageError(f"--retry-delay and --retry {retry} do not go together", hint="leave one away")
    return f"{retry},delay={delay}"


def _with(text: str, more: Mapping[str, str | None]) -> str:
    """An --output with options that it may have and does not say itself."""
    # lazy: few builds ask for it
    from builder.export.select import FORMATS, parse

    output = parse(text)
    known = FORMATS[output.kind].options
    added = "".join(f",{k}={v}" for k, v in more.items() if v is not None and k in known and k not in output.options)
    return text + added
