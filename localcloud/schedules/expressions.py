"""Schedule expressions: `at(...)`, `rate(...)` and `cron(...)` as EventBridge Scheduler writes them. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_AT: Final = "at(%Y-%m-%dT%H:%M:%S)"
_RATE: Final = re.compile(r"rate\(([1-9]\d{0,5}) (minute|hour|day)s?\)")
_CRON: Final = re.compile(r"cron\(\S+(?: \S+){5}\)")


class ExpressionError(ValueError):
    """An expression or a time zone that AWS would refuse."""


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


def parse(expression: str, zone: str = "UTC") -> At | Rate | Cron:
    """Read an expression; `zone` is where the time of `at` is meant.

    Raises:
        ExpressionError: It is none.
    """
    where = _zone(zone)
    if expression.startswith("at("):
        try:
            moment = datetime.strptime(expression, _AT).replace(tzinfo=where)
        except ValueError:
            raise ExpressionError(f"Invalid Schedule Expression {expression}.") from None
        return At(moment.astimezone(UTC))
    if rate := _RATE.fullmatch(expression):
        return Rate(timedelta(**{f"{rate[2]}s": int(rate[1])}))
    if _CRON.fullmatch(expression):
        return Cron(expression)
    raise ExpressionError(f"Invalid Schedule Expression {expression}.")


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ExpressionError(f"The schedule expression timezone {name} is not valid.") from None
