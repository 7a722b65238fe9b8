"""HCL's tokens to a syntax tree, by the grammar: the only importer of Lark here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedToken, v_args
from lark.exceptions import VisitError
from lark.lexer import Lexer
from msgspec.structs import replace

from builder.bake import syntax
from builder.bake.tokens import PUNCTUATION, Places, template, tokens
from builder.bake.values import MeaningError, to_number
from builder.errors import BuildfileError
from builder.lang import grammar
from builder.lang.source import Source, Span

_WORDS = {
    **{kind: text for text, kind in PUNCTUATION.items() if kind not in ("EQUALITY", "COMPARISON", "PRODUCT")},
    "NAME": "a name",
    "_NEWLINE": "the end of the line",
    "QUOTE": "a string",
    "UNQUOTE": "the end of the string",
    "_PART_END": "}",
    "$END": "the end of the file",
}
_TELLING = ("_ASSIGN", "LBRACE", "RBRACE", "_RPAR", "RSQB", "_COLON", "_COMMA", "_NEWLINE", "_PART_END", "NAME", "IN")
_CONSTANTS = {"true": True, "false": False, "null": None}


def parse(source: Source) -> syntax.Body:
    """The syntax tree of a file. Raises BuildfileError with the place."""
    found = _parsed(source, "file", tokens(source))
    assert isinstance(found, syntax.Body)
    return found


def parse_template(source: Source, start: int, end: int) -> syntax.Template:
    """What lies between two offsets as a template, as JSON strings are. Raises BuildfileError with the place."""
    found = _parsed(source, "template", template(source, start, end))
    assert isinstance(found, syntax.Template)
    return found


def too_deep(source: Source) -> BuildfileError:
    """The error for what this machine's stack does not hold."""
    return BuildfileError(f"{source.name} has an expression that is too long", where=source.where(Span(1, 1, 1, 1)))


@cache
def _lark(start: str) -> Lark:
    return Lark(
        (grammar.directory() / "hcl.lark").read_text(),
        parser="lalr",
        lexer=_Given,
        start=start,
        maybe_placeholders=False,
    )


class _Given(Lexer):
    """What Lark takes for a lexer: the tokens are made already."""

    def __init__(self, _: Any) -> None:
        pass

    def lex(self, data: Iterable[Token]) -> Iterator[Token]:  # type: ignore[override]  # what is parsed is no text
        return iter(data)


def _parsed(source: Source, start: str, found: Iterable[Any]) -> syntax.Body | syntax.Template:
    places = Places(source.text)

    def made() -> Iterator[Token]:
        for one in found:
            span = places.span(one.start, one.end)
            token = Token(one.kind, one.text, one.start, span.line, span.column, span.end_line, span.end_column)
            token.end_pos = one.end
            yield token

    try:
        tree = _lark(start).parse(made())
        return _Reader(source).transform(tree)  # type: ignore[no-any-return]
    except UnexpectedToken as error:
        raise _unexpected(source, error, places) from None
    except (VisitError, RecursionError) as error:
        if isinstance(error, VisitError) and isinstance(error.orig_exc, BuildfileError):
            raise error.orig_exc from None
        if isinstance(error, RecursionError) or isinstance(error.orig_exc, RecursionError):
            raise too_deep(source) from None
        raise


def _unexpected(source: Source, error: UnexpectedToken, places: Places) -> BuildfileError:
    token = error.token
    end = len(source.text)
    span = places.span(end, end + 1) if token.type == "$END" else _span(token)
    said = _WORDS.get(token.type, repr(str(token)))
    wanted = [_WORDS.get(kind, kind.lower()) for kind in _TELLING if kind in error.accepts]
    hint = f"there can be {_listed(wanted)}" if wanted else "there is to be a value"
    return BuildfileError(f"{said} is not expected here", where=source.where(span), hint=hint)


def _listed(words: list[str]) -> str:
    quoted = [word if word[0].isalpha() else f"'{word}'" for word in words]
    return " or ".join(filter(None, (", ".join(quoted[:-1]), quoted[-1])))


def _span(token: Token) -> Span:
    assert token.line and token.column and token.end_line and token.end_column
    return Span(token.line, token.column, token.end_line, token.end_column)


def _over(first: Span, last: Span) -> Span:
    return Span(first.line, first.column, last.end_line, last.end_column)


class _Splat(syntax.Splat, frozen=True):
    """One that has not ended yet: what follows belongs to its elements; `whole`, indexes too."""

    whole: bool = True


@v_args(inline=True)
class _Reader(Transformer[Token, Any]):
    """Each rule's node."""

    def __init__(self, source: Source) -> None:
        super().__init__(visit_tokens=False)
        self.source = source

    def file(self, body: syntax.Body) -> syntax.Body:
        return body

    def body(self, *elements: syntax.Setting | syntax.Block) -> syntax.Body:
        settings = [one for one in elements if isinstance(one, syntax.Setting)]
        seen = dict[str, syntax.Setting]()
        for one in settings:
            if one.name in seen:
                raise BuildfileError(
                    f"{one.name} is set twice",
                    where=self.source.where(one.span),
                    hint=f"it was set on line {seen[one.name].span.line} before",
                )
            seen[one.name] = one
        return syntax.Body(tuple(settings), tuple(one for one in elements if isinstance(one, syntax.Block)))

    def setting(self, name: Token, value: syntax.Expression) -> syntax.Setting:
        return syntax.Setting(str(name), value, _span(name), self.source)

    def block(self, kind: Token, *rest: Any) -> syntax.Block:
        *labels, _, body, _ = rest
        return syntax.Block(str(kind), tuple(labels), body, _span(kind), self.source)

    def label(self, label: Token | syntax.Template) -> str:
        if isinstance(label, Token):
            return str(label)
        if all(isinstance(part, syntax.Literal) for part in label.parts):
            return "".join(str(part.value) for part in label.parts if isinstance(part, syntax.Literal))
        raise BuildfileError("a block's name has no ${…} in it", where=self.source.where(label.span))

    # --- operators -----------------------------------------------------------------------------

    def conditional(self, condition: Any, then: Any, otherwise: Any) -> syntax.Conditional:
        return syntax.Conditional(condition, then, otherwise, _over(condition.span, otherwise.span))

    def _binary(self, left: Any, operator: Token, right: Any) -> syntax.Binary:
        return syntax.Binary(str(operator), left, right, _over(left.span, right.span))

    either = both = equality = comparison = sum = product = _binary

    def unary(self, operator: Token, operand: Any) -> syntax.Unary:
        return syntax.Unary(str(operator), operand, _over(_span(operator), operand.span))

    # --- what follows a value ------------------------------------------------------------------

    def attribute(self, of: Any, name: Token) -> syntax.Expression:
        span = _over(of.span, _span(name))
        if isinstance(of, _Splat):
            return replace(of, each=syntax.Attribute(of.each, str(name), span), span=span)
        return syntax.Attribute(of, str(name), span)

    def legacy_index(self, of: Any, number: Token) -> syntax.Expression:
        return self._index(of, syntax.Literal(int(number), _span(number)), _span(number))

    def index(self, of: Any, _: Token, key: Any, end: Token) -> syntax.Expression:
        return self._index(of, key, _span(end))

    def _index(self, of: Any, key: Any, end: Span) -> syntax.Expression:
        span = _over(of.span, end)
        if isinstance(of, _Splat) and of.whole:
            return replace(of, each=syntax.Index(of.each, key, span), span=span)
        return syntax.Index(of, key, span)

    def attribute_splat(self, of: Any, star: Token) -> syntax.Expression:
        return self._splat(of, star, whole=False)

    def splat(self, of: Any, _: Token, star: Token, __: Token) -> syntax.Expression:
        return self._splat(of, star, whole=True)

    def _splat(self, of: Any, star: Token, *, whole: bool) -> syntax.Expression:
        span = _over(of.span, _span(star))
        return _Splat(of, syntax.It(_span(star)), span, whole)

    # --- values --------------------------------------------------------------------------------

    def number(self, number: Token) -> syntax.Literal:
        try:
            value = to_number(str(number))
        except MeaningError as error:
            raise BuildfileError(error.message, where=self.source.where(_span(number)), hint=error.hint) from None
        return syntax.Literal(value, _span(number))

    def variable(self, name: Token) -> syntax.Expression:
        text = str(name)
        if text in _CONSTANTS:
            return syntax.Literal(_CONSTANTS[text], _span(name))
        return syntax.Variable(text, _span(name))

    def call(self, name: Token, *arguments: Any) -> syntax.Call:
        expand = bool(arguments) and isinstance(arguments[-1], Token)
        given = arguments[:-1] if expand else arguments
        return syntax.Call(str(name), tuple(given), expand, _span(name))

    def parentheses(self, inner: Any) -> syntax.Parentheses:
        return syntax.Parentheses(inner, inner.span)

    def tuple(self, start: Token, *rest: Any) -> syntax.Tuple:
        *items, end = rest
        return syntax.Tuple((*items,), _over(_span(start), _span(end)))

    def item(self, key: Any, value: Any) -> Any:
        return key, value

    def object(self, start: Token, *rest: Any) -> syntax.Object:
        *items, end = rest
        return syntax.Object((*items,), _over(_span(start), _span(end)))

    def names(self, *names: Token) -> list[str]:
        return [str(name) for name in names]

    def condition(self, _: Token, condition: Any) -> Any:
        return condition

    def for_tuple(
        self, start: Token, _: Token, names: Any, __: Token, collection: Any, value: Any, *rest: Any
    ) -> syntax.For:
        *condition, end = rest
        span = _over(_span(start), _span(end))
        return syntax.For((*names,), collection, None, value, next(iter(condition), None), False, span)

    def for_object(
        self, start: Token, _: Token, names: Any, __: Token, collection: Any, key: Any, value: Any, *rest: Any
    ) -> syntax.For:
        *more, end = rest
        condition = next((one for one in more if not isinstance(one, Token)), None)
        span = _over(_span(start), _span(end))
        return syntax.For((*names,), collection, key, value, condition, len(more) > (condition is not None), span)

    # --- templates -----------------------------------------------------------------------------

    def template(self, start: Token, *rest: Any) -> syntax.Template:
        *parts, end = rest
        return syntax.Template((*parts,), _over(_span(start), _span(end)))

    def text(self, text: Token) -> syntax.Literal:
        return syntax.Literal(str(text), _span(text))

    def template_if(self, _: Token, condition: Any, *rest: Any) -> syntax.TemplateIf:
        words = [number for number, part in enumerate(rest) if isinstance(part, Token)]
        then, otherwise = rest[: words[0]], rest[words[0] + 1 : words[-1]]
        span = condition.span
        return syntax.TemplateIf(condition, syntax.Template(then, span), syntax.Template(otherwise, span), span)

    def template_for(self, _: Token, names: Any, __: Token, collection: Any, *body: Any) -> syntax.TemplateFor:
        span = collection.span
        return syntax.TemplateFor(tuple(names), collection, syntax.Template(body[:-1], span), span)
