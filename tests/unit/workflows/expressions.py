"""GitHub's expressions, as far as job conditions use them: literals, contexts, operators and a handful of functions.

Anything else (an unknown function, a context that is not given) is an error and not `false`: a condition that cannot be
read must not look like one that does not hold.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

STATUS_FUNCTIONS = frozenset({"always", "success", "failure", "cancelled"})

_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?\d+(?:\.\d+)?)|(?P<string>'(?:[^']|'')*')|(?P<word>[A-Za-z_][A-Za-z0-9_-]*)"
    r"|(?P<operator>&&|\|\||==|!=|!|[()\[\],.]))"
)
_INTERPOLATION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_CONSTANTS = {"true": True, "false": False, "null": None}


class ExpressionError(ValueError):
    """An expression that GitHub would refuse, or that this subset does not know."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression can see: contexts by name, and the status functions of the job that it stands in."""

    contexts: Mapping[str, Any]
    status: Mapping[str, bool]


def tokens(expression: str) -> list[tuple[str, str]]:
    """The expression cut into (kind, text)."""
    found: list[tuple[str, str]] = []
    at = 0
    expression = expression.strip()
    while at < len(expression):
        match = _TOKEN.match(expression, at)
        if match is None or match.lastgroup is None:
            raise ExpressionError(f"cannot read {expression[at:]!r} in {expression!r}")
        found.append((match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    return found


def condition(text: str) -> str:
    """The expression of an `if`, which may stand with or without its braces."""
    stripped = text.strip()
    match = _INTERPOLATION.fullmatch(stripped)
    if match:
        return match.group(1)
    if "${{" in stripped:
        raise ExpressionError(f"text beside the braces makes the condition a string, which always holds: {stripped!r}")
    return stripped


def asks_for_status(expression: str) -> bool:
    """Whether the expression calls a status function; without one GitHub puts `success() &&` before it."""
    found = tokens(expression)
    return any(
        kind == "word" and text.lower() in STATUS_FUNCTIONS and found[at + 1 : at + 2] == [("operator", "(")]
        for at, (kind, text) in enumerate(found)
    )


def expressions_in(value: Any) -> list[str]:
    """Every `${{ ... }}` in a parsed YAML value, however deep."""
    if isinstance(value, str):
        return [match.group(1).strip() for match in _INTERPOLATION.finditer(value)]
    if isinstance(value, Mapping):
        return [one for item in value.values() for one in expressions_in(item)]
    if isinstance(value, Sequence):
        return [one for item in value for one in expressions_in(item)]
    return []


def truthy(value: Any) -> bool:
    """GitHub's idea of true: everything but false, 0, NaN, the empty string and null."""
    return not (value is None or value is False or value in ("", 0) or (isinstance(value, float) and math.isnan(value)))


def _number(value: Any) -> float:
    if value is None or value == "":
        return 0.0
    if isinstance(value, bool | int | float):
        return float(value)
    try:
        return float(value) if isinstance(value, str) else math.nan
    except ValueError:
        return math.nan


def equal(left: Any, right: Any) -> bool:
    """GitHub's `==`: strings without regard to case, different types as numbers."""
    if isinstance(left, str) and isinstance(right, str):
        return left.lower() == right.lower()
    if isinstance(left, bool) == isinstance(right, bool) and type(left) is type(right):
        return left == right
    return _number(left) == _number(right)


def _contains(where: Any, what: Any) -> bool:
    if isinstance(where, list):
        return any(equal(item, what) for item in where)
    return str(what or "").lower() in str(where or "").lower()


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "contains": _contains,
    "startswith": lambda where, what: str(where or "").lower().startswith(str(what or "").lower()),
    "fromjson": json.loads,
    "tojson": json.dumps,
}


class _Parser:
    """Reads and evaluates in one pass; both sides of `&&` and `||` are read, so an error on either side is found."""

    def __init__(self, expression: str, scope: Scope) -> None:
        self._expression = expression
        self._scope = scope
        self._tokens = tokens(expression)
        self._at = 0

    def whole(self) -> Any:
        value = self._or()
        if self._at < len(self._tokens):
            raise ExpressionError(f"{self._tokens[self._at][1]!r} is too much in {self._expression!r}")
        return value

    def _next(self, *operators: str) -> str | None:
        """Take the next token if it is one of `operators`."""
        if self._at < len(self._tokens) and self._tokens[self._at] in [("operator", text) for text in operators]:
            self._at += 1
            return self._tokens[self._at - 1][1]
        return None

    def _expect(self, operator: str) -> None:
        if self._next(operator) is None:
            raise ExpressionError(f"{operator!r} is missing in {self._expression!r}")

    def _or(self) -> Any:
        value = self._and()
        while self._next("||"):
            right = self._and()
            value = value if truthy(value) else right
        return value

    def _and(self) -> Any:
        value = self._comparison()
        while self._next("&&"):
            right = self._comparison()
            value = right if truthy(value) else value
        return value

    def _comparison(self) -> Any:
        value = self._unary()
        while operator := self._next("==", "!="):
            same = equal(value, self._unary())
            value = same if operator == "==" else not same
        return value

    def _unary(self) -> Any:
        if self._next("!"):
            return not truthy(self._unary())
        return self._path(self._primary())

    def _primary(self) -> Any:
        if self._next("("):
            value = self._or()
            self._expect(")")
            return value
        if self._at >= len(self._tokens):
            raise ExpressionError(f"{self._expression!r} ends too early")
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "number":
            return float(text)
        if kind == "string":
            return text[1:-1].replace("''", "'")
        if kind != "word":
            raise ExpressionError(f"{text!r} is out of place in {self._expression!r}")
        if self._next("("):
            return self._call(text)
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if text not in self._scope.contexts:
            raise ExpressionError(f"there is no context {text!r} in {self._expression!r}")
        return self._scope.contexts[text]

    def _call(self, name: str) -> Any:
        arguments: list[Any] = []
        while not self._next(")"):
            arguments.append(self._or())
            if not self._next(","):
                self._expect(")")
                break
        if name.lower() in STATUS_FUNCTIONS and not arguments:
            return self._scope.status[name.lower()]
        if name.lower() not in _FUNCTIONS:
            raise ExpressionError(f"the function {name!r} in {self._expression!r} is not known here")
        return _FUNCTIONS[name.lower()](*arguments)

    def _path(self, value: Any) -> Any:
        while operator := self._next(".", "["):
            if operator == "[":
                key = self._or()
                self._expect("]")
            else:
                kind, key = self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")
                if kind != "word":
                    raise ExpressionError(f"a name is missing behind '.' in {self._expression!r}")
                self._at += 1
            value = value.get(key) if isinstance(value, Mapping) else None
        return value


def evaluate(expression: str, scope: Scope) -> Any:
    """The value of `expression` (without braces) in `scope`; raises `ExpressionError` for what it cannot read."""
    return _Parser(expression, scope).whole()
