"""What an expression is worth, in a scope that knows variables and functions."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import fmod
from typing import Protocol, assert_never

from msgspec import Struct, field

from builder.bake import syntax
from builder.bake.types import converted, type_of
from builder.bake.values import (
    MOST,
    MeaningError,
    Value,
    elements,
    equal,
    joined,
    kind,
    number,
    to_bool,
    to_list,
    to_number,
    to_string,
    unified,
)
from builder.errors import BuildfileError
from builder.lang.source import Source, Span

# So many parts of expressions are looked at, of a whole project, before it is given up: a hundred nested loops over a
# few names would never end.
_MOST_STEPS = 500_000


class Scope(Protocol):
    """What names mean. Raises MeaningError for one that means nothing, BuildfileError for what it means."""

    def variable(self, name: str) -> Value:
        """The value of a variable."""
        ...

    def call(self, name: str, arguments: list[Value]) -> Value:
        """What a function gives."""
        ...


class Budget(Struct):
    """How much may be evaluated still."""

    left: int = _MOST_STEPS


class Evaluator(Struct, frozen=True):
    """Evaluates expressions of `source`. `own` are names that mean something here alone, as in a for expression."""

    source: Source
    scope: Scope
    budget: Budget
    own: Mapping[str, Value] = field(default_factory=dict)
    it: Value = None

    def value(self, node: syntax.Expression) -> Value:
        """What `node` is worth. Raises BuildfileError with the place."""
        self.budget.left -= 1
        if self.budget.left < 0:
            raise self.error("this project takes too long to evaluate", node.span)
        try:
            return self._value(node)
        except MeaningError as error:
            raise self.error(error.message, node.span, error.hint) from None
        except RecursionError:  # so deep that there is no room for the error: who called has it, or who called that
            raise self.error("names and values need each other more deeply than can be followed", node.span) from None

    def error(self, message: str, span: Span, hint: str | None = None) -> BuildfileError:
        """An error at a place of the source."""
        return BuildfileError(message, where=self.source.where(span), hint=hint)

    def _with(self, names: Mapping[str, Value]) -> Evaluator:
        return Evaluator(self.source, self.scope, self.budget, {**self.own, **names}, self.it)

    def _value(self, node: syntax.Expression) -> Value:
        match node:
            case syntax.Literal(value=value):
                return value
            case syntax.Template():
                return self._template(node)
            case syntax.TemplateIf(condition=condition):
                return self._text(node.then if to_bool(self.value(condition)) else node.otherwise)
            case syntax.TemplateFor(names=names, collection=collection, body=body):
                return joined(each._text(body) for each in self._each(names, collection))
            case syntax.Variable(name=name):
                return self.own[name] if name in self.own else self.scope.variable(name)
            case syntax.Attribute(of=of, name=name):
                return _item(self.value(of), name)
            case syntax.Index(of=of, key=key):
                return _item(self.value(of), self.value(key))
            case syntax.Splat(of=of, each=each):
                return self._splat(self.value(of), each)
            case syntax.It():
                return self.it
            case syntax.Call():
                return self._call(node)
            case syntax.Tuple(items=items):
                return [self.value(item) for item in items]
            case syntax.Object(items=items):
                return {self._key(key): self.value(value) for key, value in items}
            case syntax.For():
                return self._for(node)
            case syntax.Unary(operator="-", operand=operand):
                return number(-to_number(self.value(operand)))
            case syntax.Unary(operand=operand):
                return not to_bool(self.value(operand))
            case syntax.Binary():
                return self._binary(node)
            case syntax.Conditional(condition=condition):
                return self._conditional(to_bool(self.value(condition)), node)
            case syntax.Parentheses(inner=inner):
                return self.value(inner)
            case _:
                assert_never(node)

    # --- templates -----------------------------------------------------------------------------

    def _template(self, node: syntax.Template) -> Value:
        if len(node.parts) == 1 and not isinstance(node.parts[0], syntax.TemplateIf | syntax.TemplateFor):
            return self.value(node.parts[0])
        return self._text(node)

    def _text(self, node: syntax.Template) -> str:
        return joined(self._part(part) for part in node.parts)

    def _part(self, part: syntax.Expression) -> str:
        value = self.value(part)
        try:
            return to_string(value)
        except MeaningError as error:
            raise self.error(
                error.message, part.span, "a list becomes text by join(), all else by jsonencode()"
            ) from None

    # --- collections ---------------------------------------------------------------------------

    def _key(self, key: syntax.Expression) -> str:
        if isinstance(key, syntax.Variable):
            return key.name
        if isinstance(key, syntax.Literal) and not isinstance(key.value, str):
            return to_string(key.value) if key.value is not None else "null"
        return to_string(self.value(key))

    def _each(self, names: Sequence[str], collection: syntax.Expression) -> Iterator[Evaluator]:
        try:
            found = elements(self.value(collection))
        except MeaningError as error:
            raise self.error(error.message, collection.span) from None
        for key, value in found:
            yield self._with({names[-1]: value} if len(names) == 1 else {names[0]: key, names[1]: value})

    def _for(self, node: syntax.For) -> Value:
        each = (
            one
            for one in self._each(node.names, node.collection)
            if node.condition is None or to_bool(one.value(node.condition))
        )
        if node.key is None:
            return [one.value(node.value) for one in each]
        found: dict[str, Value] = {}
        for one in each:
            key, value = to_string(one.value(node.key)), one.value(node.value)
            if node.group:
                found.setdefault(key, []).append(value)
            elif key in found:
                raise self.error(f"the key {key!r} comes twice", node.key.span, "value... makes lists of them")
            else:
                found[key] = value
        return found

    def _splat(self, of: Value, each: syntax.Expression) -> list[Value]:
        found = of if isinstance(of, list) else [] if of is None else [of]
        return [Evaluator(self.source, self.scope, self.budget, self.own, one).value(each) for one in found]

    # --- functions and operators ---------------------------------------------------------------

    def _call(self, node: syntax.Call) -> Value:
        if node.name in ("try", "can"):
            return self._try(node)
        if node.name == "convert" and len(node.arguments) == 2:
            return converted(self.value(node.arguments[0]), type_of(node.arguments[1], self.source))
        arguments = [self.value(argument) for argument in node.arguments]
        if node.expand:
            arguments[-1:] = to_list(arguments[-1])
        if len(arguments) > MOST:
            raise MeaningError(f"{node.name}() is given too much")
        try:
            return self.scope.call(node.name, arguments)
        except MeaningError as error:
            raise self.error(f"{node.name}(): {error.message}", node.span, error.hint) from None

    def _try(self, node: syntax.Call) -> Value:
        """`try(a, b…)`: the first that can be evaluated; `can(a)`: whether it can be."""
        if not node.arguments:
            raise MeaningError("it needs an expression")
        for argument in node.arguments:
            try:
                value = self.value(argument)
            except BuildfileError:
                if self.budget.left < 0:
                    raise
                continue
            return value if node.name == "try" else True
        if node.name == "can":
            return False
        raise MeaningError("none of what is tried can be evaluated")

    def _binary(self, node: syntax.Binary) -> Value:
        left = self.value(node.left)
        if node.operator in ("&&", "||"):
            decided = to_bool(left) == (node.operator == "||")
            return to_bool(left) if decided else to_bool(self.value(node.right))
        right = self.value(node.right)
        if node.operator in ("==", "!="):
            return equal(left, right) == (node.operator == "==")
        return arithmetic(node.operator, to_number(left), to_number(right))

    def _conditional(self, condition: bool, node: syntax.Conditional) -> Value:
        """One of two. Only the chosen one is evaluated, but where the other says of what kind it is."""
        chosen, other = (node.then, node.otherwise) if condition else (node.otherwise, node.then)
        value = self.value(chosen)
        if isinstance(value, str | None | list | Mapping) or not _is_text(other):
            return value
        return unified([value, ""])[0]


def _is_text(node: syntax.Expression) -> bool:
    return isinstance(node, syntax.Template) and (
        len(node.parts) != 1 or (isinstance(node.parts[0], syntax.Literal) and isinstance(node.parts[0].value, str))
    )


def _item(of: Value, key: Value) -> Value:
    """An element of a list or an object."""
    match of:
        case list():
            index = to_number(key)
            if not isinstance(index, int) or not 0 <= index < len(of):
                raise MeaningError(f"there is no element {to_string(index)}: the list has {len(of)}")
            return of[index]
        case Mapping():
            name = to_string(key)
            try:
                return of[name]
            except KeyError:
                raise MeaningError(f"there is no {name!r} in this object") from None
        case None:
            raise MeaningError("this is null, and has nothing in it")
        case _:
            raise MeaningError(f"a {kind(of)} has nothing in it")


_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def arithmetic(sign: str, left: float, right: float) -> int | float | bool:
    """Two numbers and what stands between them. Raises MeaningError."""
    if sign in ("/", "%"):
        if right == 0:
            raise MeaningError("nothing can be divided by zero")
        if sign == "%":
            return number(fmod(left, right))
        exact = isinstance(left, int) and isinstance(right, int) and left % right == 0
        return number(left // right if exact else left / right)
    result = _ARITHMETIC[sign](left, right)
    return result if isinstance(result, bool) else number(result)
