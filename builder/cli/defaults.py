"""Options that are not given: what variables and files say of them (config/defaults), handed to click.

A variable is called by command and option, PYBUILD_BUILD_JOBS for `build --jobs`. It counts before files; the command
line before both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from builder.cli.words import COMMANDS
from builder.config.places import contents
from builder.errors import UsageError, suggestion

if TYPE_CHECKING:
    from builder.config.settings import Value

# What --root says decides where all else is looked for; and help is no option of what is done.
_NEVER = ("root", "help")
# Commands that read a Buildfile as `build` does, with the options that say which, and what of it.
_READERS = ("graph", "lint", "lock", "context.ls")
_RECIPE = ("file", "target", "build-arg", "build-context", "platform", "source-date-epoch")


def settable(command: click.Command) -> dict[str, click.Option]:
    """The options of a command that may have a default elsewhere, by their names without dashes."""
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    words = [(word, option) for option in options for word in option.opts if word.startswith("--")]
    return {name: option for word, option in words if (name := word.removeprefix("--")) not in _NEVER}


def variables(path: str, name: str, option: click.Option) -> list[str]:
    """The variables that say the value of an option of the command `path`, such as `cache.ls`, the first before others.

    The first is called by both, what follows by what it is in all commands.
    """
    own = f"PYBUILD_{path}_{name}".upper().replace(".", "_").replace("-", "_")
    known = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
    return list(dict.fromkeys((own, *known)))


def given(command: click.Command, parent: click.Context | None) -> dict[str, Any]:
    """What files say of the options of `command`, by the names of its parameters; and lets variables say the same.

    Raises UsageError for what is no option of it, or cannot be its value.
    """
    path = path_of(command, parent)
    for name, option in settable(command).items():
        option.envvar = variables(path, name, option)
    if not contents():
        return {}
    # lazy: few have a file
    from builder.config.defaults import defaults

    found = defaults()
    for name, value in found.items():
        if name.split(".")[0] not in COMMANDS:
            first = name.split(".")[0]
            raise UsageError(f"there is no command {first}", where=value.where, hint=suggestion(first, COMMANDS))
    return {option.name or "": taken for option, _, taken in values(path, command, found).values()}


def path_of(command: click.Command, parent: click.Context | None) -> str:
    """What a command is called in files: its name after those of the groups it is in, but for the program's."""
    above = []
    while parent is not None and parent.parent is not None:
        above.append(parent.command.name or "")
        parent = parent.parent
    return ".".join((*reversed(above), command.name or ""))


def values(path: str, command: click.Command, found: Mapping[str, Value]) -> dict[str, tuple[click.Option, Value, Any]]:
    """What `found` says of the options of the command `path`, by their names, with the value as click takes it.

    A command that reads a Buildfile reads it as `build` does, where nothing else is said. Raises UsageError.
    """
    options = settable(command)
    said: dict[str, Value] = {}
    if path in _READERS:
        said = {each: found[f"build.{each}"] for each in _RECIPE if each in options and f"build.{each}" in found}
    for name, value in found.items():
        above, _, option = name.rpartition(".")
        if above != path:
            continue
        if option not in options:
            words = f"{path.replace('.', ' ')} has no option --{option}"
            raise UsageError(words, where=value.where, hint=suggestion(option, options))
        said[option] = value
    with click.Context(command) as context:
        return {each: (options[each], value, _taken(context, options[each], value)) for each, value in said.items()}


def _taken(context: click.Context, option: click.Option, value: Value) -> Any:
    """The value as click takes it from files. Raises UsageError for what it could not take."""
    said = value.value
    several = option.multiple or option.nargs != 1
    words = said if several and isinstance(said, list) else [said]
    for word in words:
        is_switch = isinstance(word, bool)
        if is_switch != option.is_flag or not isinstance(word, str | int | float):
            raise _refused(option, value, "use true or false" if option.is_flag else "use a string, or a number")
    taken: Any = words[0] if option.is_flag else [str(word) for word in words] if several else str(words[0])
    try:
        option.type_cast_value(context, taken)
    except click.BadParameter as error:
        raise _refused(option, value, error.message) from error
    return taken


def _refused(option: click.Option, value: Value, hint: str) -> UsageError:
    return UsageError(f"{option.opts[-1]} cannot be {value.said!r}", where=value.where, hint=hint)
