"""Schedule expressions: `at(...)`, `rate(...)` and `cron(...)` as EventBridge Scheduler writes them. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_AT: Final = "at(%Y-%m-%dT%H:%M:%S)"
_RATE: Final = re.compile(r"rate\(([1-9]\d{0,5}) (minute|hour|day)s?\)")
_CRON: Final = re.compile(r"cron\(\S+(?: \S+){5}\)")


class ExpressionError(ValueError):
    """An expression that AWS would refuse."""


@dataclass(frozen=True, slots=True)
class At:
    """Once, at a moment (UTC)."""

    moment: datetime


@dataclass(frozen=True, slots=True)
class Rate:
    """Again and again."""

    interval: timedelta


@dataclass(frozen=True, slots=True)
class Cron:
    """At times of the calendar, which are read and not computed."""

    expression: str


def parse(expression: str) -> At | Rate | Cron:
    """Read an expression, whose times are meant in UTC.

    Raises:
        ExpressionError: It is none.
    """
    if expression.startswith("at("):
        try:
            return At(datetime.strptime(expression, _AT).replace(tzinfo=UTC))
        except ValueError:
            raise ExpressionError(f"Invalid Schedule Expression {expression}.") from None
    if rate := _RATE.fullmatch(expression):
        return Rate(timedelta(**{f"{rate[2]}s": int(rate[1])}))
    if _CRON.fullmatch(expression):
        return Cron(expression)
    raise ExpressionError(f"Invalid Schedule Expression {expression}.")
