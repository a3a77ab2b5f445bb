"""Metric math of an alarm: one expression over metrics, period by period. Pure.

What alarms of this repository use is evaluated, by the rules of the CloudWatch user guide ("Using metric math"); all
else is refused by name. The expression is read by Python's own tokenizer and parser: but for AND and OR the syntax is
the same.
"""

import ast
import io
import keyword
import operator
import tokenize
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

_ARITHMETIC: Final[dict[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: Final[dict[type[ast.cmpop], Callable[[float, float], bool]]] = {
    ast.GtE: operator.ge,
    ast.Gt: operator.gt,
    ast.LtE: operator.le,
    ast.Lt: operator.lt,
}
_LOGICAL: Final = {"AND": "and", "OR": "or"}

Point = float | None
"""A value of one period; None where there is none."""
_Value = Callable[[Mapping[str, Point]], Point]
"""The value of a part of an expression, from those of the metrics by id."""


class UnsupportedFormulaError(ValueError):
    """An expression that is not evaluated here; the message says what in it."""


class Formula:
    """An expression.

    Args:
        expression: as CloudWatch takes it.
        names: the ids of the metrics that it may name.

    Raises:
        UnsupportedFormulaError: what it says is not evaluated here.
    """

    def __init__(self, expression: str, names: frozenset[str]) -> None:
        self._expression, self._names = expression, names
        tree = _parsed(expression)
        if _is_scalar(tree):
            raise self._unsupported(tree, "a number alone is no time series")
        self._value = self._compiled(tree)

    def series(self, metrics: Mapping[str, Mapping[int, float]]) -> dict[int, float]:
        """Return start of period to value, where there is one: for each period in which a metric has one."""
        points = {}
        for start in sorted({start for values in metrics.values() for start in values}):
            point = self.point({name: metrics.get(name, {}).get(start) for name in self._names})
            if point is not None:
                points[start] = point
        return points

    def point(self, metrics: Mapping[str, Point]) -> Point:
        """Return the value of one period."""
        return self._value(metrics)

    def _compiled(self, node: ast.AST) -> _Value:
        """Return how a part of the expression is calculated."""
        match node:
            case ast.Name(id=name):
                return self._metric(node, name)
            case ast.Constant(value=value):
                return self._number(node, value)
            case ast.BinOp(left=left, op=op, right=right):
                return self._calculated(node, _ARITHMETIC.get(type(op)), left, right)
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return self._calculated(node, _COMPARISONS.get(type(op)), left, right)
            case ast.BoolOp(op=op, values=values):
                return self._combined(all if isinstance(op, ast.And) else any, values)
            case ast.Call(func=ast.Name(id="IF"), args=[condition, true, false], keywords=[]):
                return self._chosen(condition, true, false)
        raise self._unsupported(node, "it is not evaluated here")

    def _metric(self, node: ast.AST, name: str) -> _Value:
        if name not in self._names:
            raise self._unsupported(node, "no metric has this id")
        return lambda metrics: metrics[name]

    def _number(self, node: ast.AST, value: object) -> _Value:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._unsupported(node, "it is no number")
        return lambda _: float(value)

    def _calculated(
        self, node: ast.AST, calculate: Callable[[float, float], float] | None, left: ast.expr, right: ast.expr
    ) -> _Value:
        """A series without a value counts as 0 beside one that has one, and what is divided by 0 has none."""
        if calculate is None or (_is_scalar(left) and _is_scalar(right)):
            raise self._unsupported(node, "it is not evaluated here")
        sides = [(self._compiled(side), _is_scalar(side)) for side in (left, right)]

        def value(metrics: Mapping[str, Point]) -> Point:
            points = [side(metrics) for side, _ in sides]
            if all(point is None or scalar for point, (_, scalar) in zip(points, sides, strict=True)):
                return None
            try:
                return float(calculate(*(point or 0.0 for point in points)))
            except ZeroDivisionError:
                return None

        return value

    def _combined(self, rule: Callable[[Iterable[Point]], bool], nodes: Sequence[ast.expr]) -> _Value:
        """AND and OR; a side without a value counts as 0 beside one that has one."""
        sides = [self._compiled(node) for node in nodes]

        def value(metrics: Mapping[str, Point]) -> Point:
            points = [side(metrics) for side in sides]
            return None if all(point is None for point in points) else float(rule(points))

        return value

    def _chosen(self, condition: ast.expr, true: ast.expr, false: ast.expr) -> _Value:
        """IF: the guide's tables tell what becomes of each value that is missing."""
        if _is_scalar(condition):
            raise self._unsupported(condition, "a condition that is a number is not evaluated here")
        asked, chosen, otherwise = (self._compiled(node) for node in (condition, true, false))

        def value(metrics: Mapping[str, Point]) -> Point:
            holds = asked(metrics)
            if holds:
                return chosen(metrics) or 0.0
            return None if holds is None and not _is_scalar(false) else otherwise(metrics)

        return value

    def _unsupported(self, node: ast.AST, why: str) -> UnsupportedFormulaError:
        return UnsupportedFormulaError(f"{_told(node)!r} in {self._expression!r}: {why}")


def _parsed(expression: str) -> ast.expr:
    """Return the tree of an expression, in which AND and OR are Python's."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(expression).readline))
        if wrong := next((one.string for one in tokens if keyword.iskeyword(one.string)), None):
            raise UnsupportedFormulaError(f"the expression {expression!r}: CloudWatch knows no {wrong}")
        # Pairs of kind and text: with their places they would have to keep their lengths.
        return ast.parse(
            tokenize.untokenize((one.type, _LOGICAL.get(one.string, one.string)) for one in tokens).strip(), mode="eval"
        ).body
    except (SyntaxError, tokenize.TokenError) as error:
        raise UnsupportedFormulaError(f"the expression {expression!r} cannot be read here: {error}") from error


def _told(node: ast.AST) -> str:
    text = ast.unparse(node)
    for ours, python in _LOGICAL.items():
        text = text.replace(f" {python} ", f" {ours} ")
    return text


def _is_scalar(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant)
