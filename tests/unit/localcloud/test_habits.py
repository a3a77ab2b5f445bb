"""The table of AWS's habits: off by default, repeatable, each with its test and its row in the documentation."""

import re
from pathlib import Path

import pytest

from localcloud.errors import LocalCloudError
from localcloud.habits import CONCURRENCY, HABITS, LATE_METRICS, SLOW_URLS, VARIABLE, Habits

ROOT = Path(__file__).parents[3]
TESTS = ROOT / "tests" / "localcloud" / "test_habits.py"
PAGE = ROOT / "docs" / "reference" / "local-cloud.md"


def habits(names, **more):
    return Habits.from_environment({VARIABLE: names} | more)


def test_all_are_off_unless_switched_on():
    off = Habits.from_environment({})
    assert [habit.name for habit in HABITS if off.has(habit) or off.seconds(habit, "anything")] == []


def test_all_or_some_are_switched_on_by_name():
    assert [habit for habit in HABITS if not habits("all").has(habit)] == []
    some = habits("late-metrics,concurrency")
    assert [habit for habit in HABITS if some.has(habit)] == [LATE_METRICS, CONCURRENCY]


def test_an_unknown_name_is_refused_with_those_that_there_are():
    with pytest.raises(LocalCloudError, match=r"knows no lazy(?s:.)+all, cold-starts, concurrency, late-"):
        habits("late-metrics,lazy")


def test_a_delay_lies_between_the_sizes_is_repeatable_and_goes_by_as_fast_as_the_clock():
    drawn = [habits("all").seconds(LATE_METRICS, f"fn/{number}") for number in range(1000)]
    assert 60 <= min(drawn) < 65
    assert 175 < max(drawn) <= 180
    assert drawn == [habits("all").seconds(LATE_METRICS, f"fn/{number}") for number in range(1000)]
    assert habits("all", LOCALCLOUD_SEED="2").seconds(LATE_METRICS, "fn/1") != drawn[1]
    assert habits("all", LOCALCLOUD_CLOCK="x60").seconds(LATE_METRICS, "fn/1") == pytest.approx(drawn[1] / 60)
    assert habits("slow-urls").seconds(SLOW_URLS, "fn/1") != habits("late-metrics").seconds(SLOW_URLS, "fn/1") == 0


def test_each_row_has_a_test_of_its_name():
    tests = re.findall(r"^def test_(\w+)", TESTS.read_text(), re.MULTILINE)
    assert [habit.name for habit in HABITS if habit.name.replace("-", "_") not in tests] == []


def test_the_page_has_each_row_as_it_is_in_the_table():
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+) \| (.*) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    assert rows == [(habit.name, habit.aws, size(habit), habit.source) for habit in HABITS]


def size(habit):
    if not habit.most:
        return "-"
    return (
        f"{habit.least:g} {habit.unit}"
        if habit.least == habit.most
        else f"{habit.least:g} to {habit.most:g} {habit.unit}"
    )
