"""How far apart the runs of a schedule are: of an expression as EventBridge Scheduler writes them. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Final

_RATE: Final = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_CRON: Final = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
_PART: Final = re.compile(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?")
_ONE_DAY_OF_A_MONTH: Final = re.compile(r"L|\w*[LW]|\w+#\d", re.IGNORECASE)
_SECONDS: Final = {"minute": 60, "hour": 3600, "day": 86400}
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIRST, _LAST = date(2024, 1, 1), date(2032, 1, 1)
"""Eight years hold two leap days, and each month on each weekday."""
_SUNDAY: Final = 7


class ScheduleError(ValueError):
    """An expression that names no runs, or an end of them."""


def longest_gap(expression: str) -> int:
    """The longest time from one run to the next, in seconds.

    `L`, `W` and `#` name one day of a month: they are not counted, so that the answer may be too long, never too short.
    Raises `ScheduleError`.
    """
    if rate := _RATE.fullmatch(expression):
        return int(rate[1]) * _SECONDS[rate[2]]
    cron = _CRON.fullmatch(expression)
    if not cron:
        raise ScheduleError("it is neither rate(N minutes|hours|days) nor cron(six fields)")
    minutes, hours, day, month, weekday, year = cron.groups()
    if year != "*":
        raise ScheduleError("its runs end: the sixth field, the year, is not *")
    if (day == "?") == (weekday == "?"):
        raise ScheduleError("exactly one of its third and fifth field, day of month and day of week, must be ?")
    times = sorted(
        hour * 60 + minute for hour in _numbers(hours, "hour", 0, 23) for minute in _numbers(minutes, "minute", 0, 59)
    )
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    days = list(_days(_months(month), _chosen_days(day, weekday)))
    if len(days) < 2:  # noqa: PLR2004
        raise ScheduleError("it has no runs")
    gaps += [(later - earlier).days * 24 * 60 + times[0] - times[-1] for earlier, later in itertools.pairwise(days)]
    return max(gaps) * 60


def _days(months: set[int], chosen: Callable[[date], bool]) -> Iterator[date]:
    for number in range((_LAST - _FIRST).days):
        day = _FIRST + timedelta(days=number)
        if day.month in months and chosen(day):
            yield day


def _months(field: str) -> set[int]:
    return _numbers(field, "month", 1, 12, _MONTHS)


def _chosen_days(day: str, weekday: str) -> Callable[[date], bool]:
    field = day if weekday == "?" else weekday
    counted = ",".join(part for part in field.split(",") if not _ONE_DAY_OF_A_MONTH.fullmatch(part))
    if not counted:  # once a month at most, whatever else is in it
        return lambda moment: moment.day == 1
    if weekday == "?":
        days = _numbers(counted, "day of month", 1, 31)
        return lambda moment: moment.day in days
    weekdays = _numbers(counted, "day of week", 1, 7, _WEEKDAYS)
    return lambda moment: moment.isoweekday() % _SUNDAY + 1 in weekdays


def _numbers(field: str, what: str, low: int, high: int, names: tuple[str, ...] = ()) -> set[int]:
    """The values of a field; `names` are words for its values, from `low` on."""
    found: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        first = _number(match[1], low, names) if match and match[1] != "*" else low
        last = _number(match[2], low, names) if match and match[2] else None
        if last is None:
            last = high if match and (match[1] == "*" or match[3]) else first
        step = int(match[3] or 1) if match else 0
        if not match or (match[1] == "*" and match[2]) or not low <= first <= last <= high or not step:
            raise ScheduleError(f"its {what} {part!r} is none: allowed are {low} to {high}, lists, ranges and steps")
        found.update(range(first, last + 1, step))
    return found


def _number(text: str, low: int, names: tuple[str, ...]) -> int:
    if text.upper() in names:
        return names.index(text.upper()) + low
    return int(text) if text.isdecimal() else -1
