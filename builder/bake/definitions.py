"""What bake files define: variables, functions, and blocks that may refer to each other, each evaluated when asked for.

A later file's variable, function, attribute or group stands for an earlier one's; targets of one name are merged.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec import Struct, field

from builder.bake import syntax
from builder.bake.evaluate import Budget, Evaluator
from builder.bake.functions import FUNCTIONS, MISSING, SPECIAL
from builder.bake.shape import MATRIX_HINT, NAME, at_block, at_setting, bad_name, checked_label, label, only, word
from builder.bake.target import KEYS, Group, Target, merged, read
from builder.bake.values import MOST, MeaningError, Value, elements, to_bool, to_list, to_object, to_string
from builder.bake.variables import VARIABLE_KEYS, Shown, from_environment, type_of_variable
from builder.errors import alike

BLOCKS = ("target", "group", "variable", "function")
_OF_TARGET = (*KEYS, "matrix", "name")
_OF_GROUP = ("targets", "description")
_OF_FUNCTION = ("params", "variadic_params", "result")


class Config(Struct, frozen=True):
    """All that bake files define, evaluated. `warnings` tell what they say that means nothing here."""

    groups: Mapping[str, Group] = field(default_factory=dict)
    targets: Mapping[str, Target] = field(default_factory=dict)
    variables: tuple[Shown, ...] = ()
    warnings: tuple[str, ...] = ()


class Given(Struct, frozen=True):
    """What comes from outside: `look_up` gives variables of the command line or the environment, None for none;
    `fixed` are those that no file can define.
    """

    look_up: Callable[[str], str | None]
    fixed: Mapping[str, str] = field(default_factory=dict)


def evaluated(bodies: Sequence[syntax.Body], given: Given) -> Config:
    """What the files with these bodies define, in their order. Raises BuildfileError with the place."""
    return Definitions(bodies, given).config()


class _Named(Struct, frozen=True):
    """A block under one of its names: a matrix gives several. `own` are the values of the matrix there.

    `number` is which block of its kind it is.
    """

    number: int
    name: str
    block: syntax.Block
    own: Mapping[str, Value]


class Definitions:
    """The scope in which expressions of bake files are evaluated."""

    def __init__(self, bodies: Sequence[syntax.Body], given: Given) -> None:
        self._given = given
        self._budget = Budget()
        self._settings = {one.name: one for body in bodies for one in body.settings}
        blocks = [block for body in bodies for block in body.blocks]
        self._unknown = [block for block in blocks if block.kind not in BLOCKS]
        self._variables = {label(block): block for block in blocks if block.kind == "variable"}
        self._functions = {label(block): block for block in blocks if block.kind == "function"}
        self._blocks = {kind: [block for block in blocks if block.kind == kind] for kind in ("target", "group")}
        self._named: dict[str, list[_Named]] | None = None
        self._values: dict[str, Value] = dict(given.fixed)
        self._attributes: dict[tuple[str, str, str], Any] = {}
        self._going: list[str] = []

    def config(self) -> Config:
        """All of it. Raises BuildfileError."""
        shown = tuple(self._shown(name) for name in sorted(self._variables) if name not in self._given.fixed)
        self._validate()
        for name in sorted(self._functions):
            self._checked_function(name)
        targets: dict[str, Target] = {}
        for one in self._of("target"):
            target = Target(one.name, self._read_all("target", one))
            targets[one.name] = merged(targets[one.name], target) if one.name in targets else target
        groups = {one.name: self._group(one) for one in self._of("group")}
        for called, names in self._matrices().items():
            groups.setdefault(called, Group(called, tuple(dict.fromkeys(names))))
        for name in self._settings:
            if name not in self._variables:
                self.variable(name)
        warnings = (f"{b.source.name}:{b.span.line}: {b.kind} is no kind of block" for b in self._unknown)
        return Config(groups, targets, shown, tuple(warnings))

    # --- the scope -------------------------------------------------------------------------------

    def variable(self, name: str) -> Value:
        """The value of a variable, of an attribute of a file, or of all `target` and `group` blocks."""
        if name in self._values:
            return self._values[name]
        if name in ("target", "group"):
            return _Blocks(self, name)
        if name not in self._variables and name not in self._settings:
            close = alike(name, [*self._variables, *self._settings, *self._values])
            raise MeaningError(f"there is no variable {name}", f"did you mean {close}?" if close else None)
        with self._entered(f"variable {name}"):
            value = self._values[name] = self._computed(name)
        return value

    def call(self, name: str, arguments: list[Value]) -> Value:
        """What a function gives: one of the files' own, or of those there are."""
        if name in self._functions:
            return self._called(name, arguments)
        if name in FUNCTIONS:
            return FUNCTIONS[name].call(arguments)
        if name in MISSING:
            raise MeaningError("this function is not here", MISSING[name])
        close = alike(name, [*FUNCTIONS, *SPECIAL, *self._functions])
        raise MeaningError("there is no such function", f"did you mean {close}()?" if close else None)

    def names(self, kind: str) -> list[str]:
        """The names of the blocks of a kind."""
        return sorted({one.name for one in self._of(kind)})

    def attribute(self, kind: str, name: str, key: str) -> Any:
        """What the blocks of that name say of `key`, the last of them that does; None when none does."""
        found = [one for one in self._of(kind) if one.name == name and one.block.body.setting(key) is not None]
        return self._attribute(kind, found[-1], key) if found else None

    # --- variables -------------------------------------------------------------------------------

    def _computed(self, name: str) -> Value:
        block, setting = self._variables.get(name), self._settings.get(name)
        if block is None:
            assert setting is not None
            return self._worth(setting)
        wanted = type_of_variable(block)
        default = setting or block.body.setting("default")
        value = None if default is None else self._worth(default)
        try:
            return from_environment(
                name,
                value,
                wanted,
                self._given.look_up,
                has_default=default is not None,
                as_json=f"{name}_JSON" not in self._variables,
            )
        except MeaningError as error:
            raise at_block(block, error) from None

    def _worth(self, setting: syntax.Setting, own: Mapping[str, Value] | None = None) -> Value:
        return Evaluator(setting.source, self, self._budget, own or {}).value(setting.value)

    def _shown(self, name: str) -> Shown:
        block = self._variables[name]
        only(block, VARIABLE_KEYS, ("validation",))
        try:
            value = self.variable(name)
        except MeaningError as error:
            raise at_block(block, error) from None
        description = block.body.setting("description")
        told = "" if description is None else self._text(description)
        return Shown.of(name, value, type_of_variable(block), told)

    def _validate(self) -> None:
        for block in self._variables.values():
            for check in (one for one in block.body.blocks if one.kind == "validation"):
                condition, message = check.body.setting("condition"), check.body.setting("error_message")
                if condition is None or message is None:
                    raise at_block(check, MeaningError("a validation has a condition and an error_message"))
                try:
                    good = to_bool(self._worth(condition))
                except MeaningError as error:
                    raise at_setting(condition, error) from None
                if not good:
                    raise at_setting(condition, MeaningError(f"{label(block)}: {self._text(message)}"))

    def _text(self, setting: syntax.Setting) -> str:
        try:
            return to_string(self._worth(setting))
        except MeaningError as error:
            raise at_setting(setting, error) from None

    @contextmanager
    def _entered(self, what: str) -> Iterator[None]:
        """While `what` is evaluated. Raises MeaningError when that needs itself."""
        if what in self._going:
            path = [*self._going[self._going.index(what) :], what]
            raise MeaningError(f"{what} needs itself", " → ".join(path) if len(path) > 2 else None)
        self._going.append(what)
        try:
            yield
        finally:
            self._going.pop()

    # --- functions -------------------------------------------------------------------------------

    def _checked_function(self, name: str) -> tuple[list[str], str | None, syntax.Setting]:
        """The names of a function's parameters, of the one that takes all others, and its result."""
        block = self._functions[name]
        only(block, _OF_FUNCTION)
        params, rest, result = map(block.body.setting, _OF_FUNCTION)
        if params is None or result is None:
            raise at_block(block, MeaningError("a function has params and a result"))
        if not isinstance(params.value, syntax.Tuple):
            raise at_setting(params, MeaningError("params is a list of names"))
        names = [word(item, params) for item in params.value.items]
        return names, None if rest is None else word(rest.value, rest), result

    def _called(self, name: str, arguments: list[Value]) -> Value:
        names, rest, result = self._checked_function(name)
        if len(arguments) < len(names) or (rest is None and len(arguments) > len(names)):
            raise MeaningError(f"it takes {len(names)} values, and not {len(arguments)}")
        own = dict(zip(names, arguments, strict=False))
        if rest is not None:
            own[rest] = arguments[len(names) :]
        with self._entered(f"function {name}"):
            return self._worth(result, own)

    # --- blocks ----------------------------------------------------------------------------------

    def _of(self, kind: str) -> list[_Named]:
        if self._named is None:
            self._named = {
                "group": [_Named(n, checked_label(one), one, {}) for n, one in enumerate(self._blocks["group"])],
                "target": [one for n, block in enumerate(self._blocks["target"]) for one in self._expanded(n, block)],
            }
        return self._named[kind]

    def _expanded(self, number: int, block: syntax.Block) -> Iterator[_Named]:
        """A block under the names that its matrix gives it."""
        own_label, name = checked_label(block), block.body.setting("name")
        matrix = block.body.setting("matrix")
        if matrix is None:
            if name is not None:
                raise at_setting(name, MeaningError("a name needs a matrix", "a target is called as its block"))
            yield _Named(number, own_label, block, {})
            return
        seen = set[str]()
        for own in self._cells(matrix):
            try:
                found = own_label if name is None else to_string(self._worth(name, own))
            except MeaningError as error:
                raise at_setting(name or matrix, error) from None
            if not NAME.fullmatch(found):
                raise at_setting(name or matrix, bad_name(found))
            if found in seen:
                raise at_setting(name or matrix, MeaningError(f"the name {found!r} comes twice", MATRIX_HINT))
            seen.add(found)
            yield _Named(number, found, block, own)

    def _cells(self, matrix: syntax.Setting) -> Iterator[dict[str, Value]]:
        try:
            axes = elements(to_object(self._worth(matrix)))
            columns = [to_list(values) for _, values in axes]
        except MeaningError as error:
            raise at_setting(matrix, MeaningError(f"a matrix has lists by names: {error.message}")) from None
        size = 1
        for column in columns:
            size *= len(column)
        if size > MOST // 100:
            raise at_setting(matrix, MeaningError(f"this gives {size} targets"))
        # As in buildx, the first axis changes fastest.
        for cell in itertools.product(*reversed(columns)):
            yield dict(zip([name for name, _ in axes], reversed(cell), strict=True))

    def _matrices(self) -> dict[str, list[str]]:
        """The names that blocks of one label have become, where a matrix has given them others."""
        found: dict[str, list[str]] = {}
        for one in self._of("target"):
            found.setdefault(label(one.block), []).append(one.name)
        return {called: names for called, names in found.items() if set(names) != {called}}

    def _group(self, one: _Named) -> Group:
        for key in ("matrix", "name"):
            setting = one.block.body.setting(key)
            if setting is not None:
                raise at_setting(setting, MeaningError(f"a group has no {key}"))
        said = self._read_all("group", one)
        return Group(one.name, tuple(dict.fromkeys(said.get("targets", ()))), said.get("description", ""))

    def _read_all(self, kind: str, one: _Named) -> dict[str, Any]:
        keys = _OF_TARGET if kind == "target" else _OF_GROUP
        only(one.block, keys)
        said = {
            setting.name: self._attribute(kind, one, setting.name)
            for setting in one.block.body.settings
            if setting.name not in ("matrix", "name")
        }
        return {key: value for key, value in said.items() if value is not None}

    def _attribute(self, kind: str, one: _Named, key: str) -> Any:
        at = (kind, f"{one.number} {one.name}", key)
        if at not in self._attributes:
            setting = one.block.body.setting(key)
            assert setting is not None
            try:
                with self._entered(f"{kind}.{one.name}.{key}"):
                    value = self._worth(setting, one.own)
                self._attributes[at] = _as_list(value) if key == "targets" else read(key, value)
            except MeaningError as error:
                raise at_setting(setting, error) from None
        return self._attributes[at]


def _as_list(value: Value) -> list[str]:
    return [to_string(one) for one in to_list(value)]


class _Blocks(Mapping[str, Value]):
    """`target` or `group` as a value: its blocks by name."""

    def __init__(self, definitions: Definitions, kind: str) -> None:
        self._definitions, self._kind = definitions, kind

    def __getitem__(self, name: str) -> Value:
        if name not in self._definitions.names(self._kind):
            raise KeyError(name)
        return _Block(self._definitions, self._kind, name)

    def __iter__(self) -> Iterator[str]:
        raise MeaningError(f"{self._kind} alone is no value", f"write {self._kind}.NAME.KEY")

    def __len__(self) -> int:
        return len(self._definitions.names(self._kind))


class _Block(Mapping[str, Value]):
    """A block as a value: its keys, each evaluated when it is asked for."""

    def __init__(self, definitions: Definitions, kind: str, name: str) -> None:
        self._definitions, self._kind, self._name = definitions, kind, name
        self._keys: Iterable[str] = ("name", *KEYS) if kind == "target" else ("name", *_OF_GROUP)

    def __getitem__(self, key: str) -> Value:
        if key not in self._keys:
            raise KeyError(key)
        return self._name if key == "name" else self._definitions.attribute(self._kind, self._name, key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(list(self._keys))
