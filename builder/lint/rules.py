"""The rules: one row each in `RULES`. Names, conditions and places are those of BuildKit's build checks."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from builder.errors import PybuildError
from builder.graph.gotext import quoted
from builder.graph.walk import Entry, Line
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.lang import ast
from builder.lang.secretnames import names_secret
from builder.lint.file import File, Hit, Rule

_RESERVED = ("context", "scratch")
_REMOTE = re.compile(r"https?://|git://|ssh://|git@|[^/]+@[^/]+:")
_LAYOUT = "oci-layout:"
_EVERYTHING = ("*", "**", "**/*")


# --- how the file is written ---------------------------------------------------------------------


def _stage_name_casing(file: File) -> Iterator[Hit]:
    for entry in file.walk.entries:
        name = entry.stage.origin.name or ""
        if name != name.lower():
            yield Hit(entry.stage.origin, f"Stage name '{name}' should be in lower case")


def _from_as_casing(file: File) -> Iterator[Hit]:
    for entry in file.walk.entries:
        origin = entry.stage.origin
        written, as_ = origin.written, origin.as_ or "AS"
        if origin.name is None or _mixed(written):
            continue
        if as_ != (as_.lower() if written.islower() else as_.upper()):
            yield Hit(origin, f"'{as_}' and '{written}' should be in the same case")


def _no_empty_continuation(file: File) -> Iterator[Hit]:
    for instruction in file.tree.instructions:
        if instruction.blank:
            yield Hit(instruction, "A continued instruction has an empty line inside", instruction.blank)


def _consistent_instruction_casing(file: File) -> Iterator[Hit]:
    words = [instruction.written for instruction in file.staged() if not _mixed(instruction.written)]
    lower = 2 * sum(word.islower() for word in words) > len(words)
    for instruction in file.staged():
        word = instruction.written
        if word != (word.lower() if lower else word.upper()):
            case = "lowercase" if lower else "uppercase"
            yield Hit(instruction, f"Instruction '{word}' should be in the case of most others ({case})")


def _mixed(word: str) -> bool:
    return word not in (word.lower(), word.upper())


def _legacy_key_value_format(file: File) -> Iterator[Hit]:
    for line in file.lines():
        if isinstance(line.instruction, ast.Env | ast.Label) and line.instruction.legacy:
            word = line.instruction.written
            yield Hit(line.instruction, f'"{word} key=value" is to be written instead of the old "{word} key value"')


def _maintainer_deprecated(file: File) -> Iterator[Hit]:
    for instruction in file.tree.instructions:
        if isinstance(instruction, ast.Maintainer):
            yield Hit(instruction, "MAINTAINER is deprecated: a label names the author")


def _invalid_definition_description(file: File) -> Iterator[Hit]:
    for instruction in file.tree.instructions:
        if isinstance(instruction, ast.From) and instruction.name:
            keyword, names = "FROM", [instruction.name.lower()]
        elif isinstance(instruction, ast.Arg):
            keyword, names = "ARG", [pair.key for pair in instruction.pairs]
        else:
            continue
        if instruction.comments and instruction.comments[-1].split(" ")[0] not in names:
            name = names[0] if len(names) == 1 else "<arg_key>"
            yield Hit(instruction, f"The comment above {keyword} should read `# {name} <description>`")


# --- stages --------------------------------------------------------------------------------------


def _duplicate_stage_name(file: File) -> Iterator[Hit]:
    seen = set()
    for entry in file.walk.entries:
        name = entry.stage.name
        if name and name in seen:
            yield Hit(entry.stage.origin, f"Stage name {quoted(name)} is given twice")
        seen.add(name)


def _reserved_stage_name(file: File) -> Iterator[Hit]:
    for entry in file.walk.entries:
        if entry.stage.name in _RESERVED:
            yield Hit(entry.stage.origin, f"Stage name {quoted(entry.stage.name)} is a reserved word")


def _undefined_arg_in_from(file: File) -> Iterator[Hit]:
    known = file.walk.outer.args
    for entry in file.walk.entries:
        for word in (entry.image, entry.platform):
            for unset in word.unset if word else ():
                if unset.name not in known:
                    hint = f" (did you mean {unset.near}?)" if unset.near else ""
                    yield Hit(entry.stage.origin, f"FROM uses '{unset.name}', which no ARG before it declares{hint}")


def _invalid_default_arg_in_from(file: File) -> Iterator[Hit]:
    for entry in file.walk.entries:
        if entry.fallback is not None and not _is_reference(entry.fallback):
            image = entry.stage.origin.image
            yield Hit(entry.stage.origin, f"With the defaults of its ARGs, {image} is empty or no image's name")


def _is_reference(text: str) -> bool:
    if text.startswith(_LAYOUT):
        return True
    try:
        Reference.parse(text)
    except PybuildError:
        return False
    return True


def _redundant_target_platform(file: File) -> Iterator[Hit]:
    for entry in file.walk.entries:
        word = entry.platform
        alone = word is not None and word.used == ("TARGETPLATFORM",) and not word.unset
        if word and alone and word.text == file.walk.outer.visible.get("TARGETPLATFORM"):
            yield Hit(entry.stage.origin, f"Platform {entry.stage.origin.platform} in FROM is the default already")


def _from_platform_flag_const_disallowed(file: File) -> Iterator[Hit]:
    for entry in file.walk.entries:
        word = entry.platform
        if word is None or word.used or word.unset:
            continue
        parts = _platform_parts(word.text)
        if parts and not any(part in entry.stage.name for part in parts):
            yield Hit(entry.stage.origin, f"FROM --platform should not be the constant {quoted(word.text)}")


def _platform_parts(text: str) -> tuple[str, ...]:
    """Operating system and architecture; none when it is no platform at all."""
    try:
        platform = Platform.parse(text)
    except PybuildError:
        return tuple(text.split("/")[:2]) if re.fullmatch(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_.-]+){1,2}", text) else ()
    return platform.os, platform.architecture


def _invalid_base_image_platform(file: File) -> Iterator[Hit]:
    for entry in file.entries():
        actual = entry.ground.platform
        if actual is None:
            continue
        expected = _expected(entry, file)
        if expected and (expected.os, expected.architecture) != (actual.os, actual.architecture):
            message = f"Base image {entry.stage.origin.image} is for {quoted(str(actual))}"
            yield Hit(entry.stage.origin, f"{message}, and {quoted(str(expected))} is expected")


def _expected(entry: Entry, file: File) -> Platform | None:
    try:
        return Platform.parse(entry.platform.text if entry.platform else file.expected)
    except PybuildError:
        return None


# --- what instructions do ------------------------------------------------------------------------


def _json_args_recommended(file: File) -> Iterator[Hit]:
    for line in file.lines():
        command = line.instruction
        if not isinstance(command, ast.Cmd | ast.Entrypoint) or line.shell:
            continue
        if isinstance(command.command, ast.ShellForm):
            yield Hit(command, f"JSON form is better for {command.written}: a shell keeps signals from the program")


def _undefined_var(file: File) -> Iterator[Hit]:
    declared = set(file.walk.outer.args)
    for line in file.walk.lines:
        if isinstance(line.instruction, ast.Arg | ast.Env):
            declared.update(line.words)
    for line in file.lines():
        for name, near in ((unset.name, unset.near) for unset in line.unset):
            # A name in capitals may come from a base image that is not known here: GOPATH is no misspelt PATH.
            slip = near and abs(len(near) - len(name)) < 2
            if line.known or slip or name in declared or name != name.upper():
                hint = f" (did you mean ${near}?)" if near else ""
                yield Hit(line.instruction, f"Variable '${name}' is not defined here{hint}")


def _workdir_relative_path(file: File) -> Iterator[Hit]:
    paths: dict[int, list[Line]] = {}
    for line in file.lines():
        if isinstance(line.instruction, ast.Workdir):
            paths.setdefault(line.stage.index, []).append(line)
    settled: set[int] = set()
    for entry in file.walk.entries:
        index = entry.stage.index
        if entry.parent is not None and entry.parent.index in settled:
            settled.add(index)
        for line in paths.get(index, ()):
            if index not in settled and not line.words[0].startswith("/"):
                path = quoted(line.words[0])
                yield Hit(line.instruction, f"WORKDIR {path} is relative to whatever the base image says")
            settled.add(index)


def _multiple_instructions_disallowed(file: File) -> Iterator[Hit]:
    last: dict[tuple[int, type], Line] = {}
    for line in file.lines():
        kind = type(line.instruction)
        if kind not in (ast.Cmd, ast.Entrypoint, ast.Healthcheck):
            continue
        earlier = last.get((line.stage.index, kind))
        if earlier is not None:
            message = f"Of several {line.instruction.written} in one stage only the last counts"
            yield Hit(earlier.instruction, message, cause=line.instruction)
        last[line.stage.index, kind] = line


def _secrets_used_in_arg_or_env(file: File) -> Iterator[Hit]:
    for line in file.lines():
        if isinstance(line.instruction, ast.Arg | ast.Env):
            keyword = "ARG" if isinstance(line.instruction, ast.Arg) else "ENV"
            for name in line.words:
                if names_secret(name):
                    yield Hit(line.instruction, f"Secrets do not belong into an image ({keyword} {quoted(name)})")


def _copy_ignored_file(file: File) -> Iterator[Hit]:
    ignore = file.ignore
    # With a `!` in the ignore file, something below what is hidden may still be there.
    if any(rule.negated for rule in ignore.rules):
        return
    everything = any(rule.pattern in _EVERYTHING for rule in ignore.rules)
    for line in file.lines():
        copy = line.instruction
        if not isinstance(copy, ast.Copy | ast.Add) or (isinstance(copy, ast.Copy) and copy.from_):
            continue
        for word in line.words:
            path = posixpath.normpath(word) if word else "."
            if _REMOTE.match(word) or (path in (".", "/") and not everything):
                continue
            rule = ignore.hiding(path)
            if rule is not None:
                verb = "Copy" if isinstance(copy, ast.Copy) else "Add"
                yield Hit(copy, f"{verb} of {quoted(path)}, which {ignore.place(rule)} keeps out of the build context")


def _expose_proto_casing(file: File) -> Iterator[Hit]:
    for line, port in _ports(file):
        protocol = port.rpartition(":")[2].partition("/")[2]
        if protocol != protocol.lower():
            yield Hit(line.instruction, f"The protocol of '{port}' should be in lower case")


def _expose_invalid_format(file: File) -> Iterator[Hit]:
    for line, port in _ports(file):
        if port.rpartition(":")[0].strip(":"):
            yield Hit(line.instruction, f"EXPOSE takes neither an address nor a port of the host: '{port}'")


def _ports(file: File) -> Iterator[tuple[Line, str]]:
    for line in file.lines():
        if isinstance(line.instruction, ast.Expose):
            for word in line.words:
                for port in word.split():
                    yield line, port


RULES = (
    Rule("StageNameCasing", "Names of stages are in lower case", _stage_name_casing),
    Rule("FromAsCasing", "AS is in the case of its FROM", _from_as_casing),
    Rule("NoEmptyContinuation", "No empty line stands inside a continued instruction", _no_empty_continuation),
    Rule("ConsistentInstructionCasing", "All instructions are in one case", _consistent_instruction_casing),
    Rule("DuplicateStageName", "No two stages have one name", _duplicate_stage_name),
    Rule("ReservedStageName", "No stage is called scratch or context", _reserved_stage_name),
    Rule("JSONArgsRecommended", "CMD and ENTRYPOINT are in JSON form, for signals", _json_args_recommended),
    Rule("MaintainerDeprecated", "A label names the author, not MAINTAINER", _maintainer_deprecated),
    Rule("UndefinedArgInFrom", "FROM uses declared arguments only", _undefined_arg_in_from),
    Rule("WorkdirRelativePath", "The first WORKDIR is absolute", _workdir_relative_path),
    Rule("UndefinedVar", "Variables are defined before they are used", _undefined_var),
    Rule("MultipleInstructionsDisallowed", "What counts once is written once", _multiple_instructions_disallowed),
    Rule("LegacyKeyValueFormat", "ENV and LABEL are written with =", _legacy_key_value_format),
    Rule("InvalidBaseImagePlatform", "A base image is for the platform of the build", _invalid_base_image_platform),
    Rule("RedundantTargetPlatform", "FROM does not name the default platform", _redundant_target_platform),
    Rule("SecretsUsedInArgOrEnv", "ARG and ENV hold no secrets", _secrets_used_in_arg_or_env),
    Rule("InvalidDefaultArgInFrom", "FROM is valid with the defaults of its arguments", _invalid_default_arg_in_from),
    Rule("FromPlatformFlagConstDisallowed", "FROM --platform is no constant", _from_platform_flag_const_disallowed),
    Rule("CopyIgnoredFile", "COPY and ADD name nothing the ignore file hides", _copy_ignored_file),
    Rule(
        "InvalidDefinitionDescription",
        "A comment right above a named FROM or an ARG describes it",
        _invalid_definition_description,
        experimental=True,
    ),
    Rule("ExposeProtoCasing", "Protocols in EXPOSE are in lower case", _expose_proto_casing),
    Rule("ExposeInvalidFormat", "EXPOSE names ports only", _expose_invalid_format),
)
