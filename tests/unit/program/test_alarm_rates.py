"""The alarm on failed calls by their share: what it finds, and how seldom it rings for nothing (bench/alarms.py)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.alarms import (
    BAKE,
    LOOK,
    RATES,
    TRAFFIC,
    a_minute,
    call_by_call,
    evaluated,
    least_errors,
    limit,
    main,
    row,
    within,
)
from release.analysis.statistics import chance
from release.settings import ReleaseSettings
from tests.unit.program.harness import ROOT

BY_RATE, BY_COUNT = row("dashboard-errors"), row("ingestion-errors")
RINGS, ONE_ERROR = evaluated(BY_RATE), evaluated(BY_COUNT)
SOUND = ReleaseSettings().sound_rate
CALLS = st.integers(0, 10**6)


def test_the_alarm_rings_at_the_rate_that_the_duel_calls_broken():
    assert BY_RATE.threshold / 100 == ReleaseSettings().broken_rate


@given(CALLS, CALLS, CALLS)
def test_more_errors_of_as_many_calls_never_silence_it(calls, errors, more):
    fewer, many = sorted((min(errors, calls), min(more, calls)))
    assert RINGS(fewer, calls) <= RINGS(many, calls)


@given(CALLS, CALLS)
def test_more_calls_with_as_many_errors_never_make_it_ring(calls, more):
    errors = min(calls, more, 50)
    fewer, many = sorted((calls, more))
    assert RINGS(errors, fewer) >= RINGS(errors, many)


@given(st.integers(1, 10**7), CALLS)
def test_a_rate_below_the_threshold_never_makes_it_ring_however_many_calls_there_are(calls, errors):
    below = min(errors, (calls - 1) // 100)
    assert not RINGS(below, calls)


@given(st.integers(500, 10**7))
def test_its_threshold_is_the_same_rate_at_every_traffic_from_the_least_number_of_errors_on(calls):
    assert least_errors(RINGS, calls) == -(-calls // 100)


@pytest.mark.parametrize(
    ("errors", "calls", "ringing"),
    [
        (1, 1, False),
        (2, 2, True),
        (2, 10, True),
        (2, 11, False),
        (4, 100, False),
        (5, 100, True),
        (5, 500, True),
        (5, 501, False),
        (0, 10, False),
        (9, None, False),
        (None, 9, False),
        (None, None, False),
    ],
)
def test_a_few_errors_ring_only_where_they_are_many_of_the_calls_and_never_without_them(errors, calls, ringing):
    assert RINGS(errors, calls) is ringing


@given(st.one_of(st.none(), st.integers(1, 10**6)))
def test_a_single_early_error_never_rings_whatever_is_known_of_the_calls(calls):
    assert not RINGS(1, calls)
    assert ONE_ERROR(1, calls)


@pytest.mark.parametrize("traffic", [1, 10, 100, 300, 450, 480, 500, 550, 1000, 10_000])
def test_a_sound_release_makes_it_ring_in_an_hour_in_one_of_a_hundred_at_most(traffic):
    assert within(BAKE, a_minute(RINGS, traffic, SOUND)) <= 0.01


def test_one_error_would_ring_for_nothing_where_calls_are_many():
    assert within(LOOK, a_minute(ONE_ERROR, 1000, SOUND)) > 0.99


@pytest.mark.parametrize("traffic", [1, 10, 100, 1000])
def test_metrics_that_come_in_pieces_hardly_make_it_ring_more_often(traffic):
    pieces = call_by_call(RINGS, traffic, SOUND)
    assert pieces >= chance(traffic, least_errors(RINGS, traffic), SOUND) * (1 - 1e-9)
    assert within(BAKE, pieces) <= 0.015


@pytest.mark.parametrize(("traffic", "rate"), [(10, 0.2), (100, 0.05), (1000, 0.05), (10_000, 0.05), (1000, 0.01)])
def test_a_broken_release_is_found_in_five_minutes(traffic, rate):
    assert within(LOOK, a_minute(RINGS, traffic, rate)) >= 0.95


def test_a_release_that_fails_all_its_calls_is_found_at_one_call_a_minute_too():
    assert within(LOOK, a_minute(RINGS, 1, 1.0)) > 0.75
    assert within(BAKE, a_minute(RINGS, 1, 1.0)) > 0.9999


@pytest.mark.parametrize("traffic", TRAFFIC)
def test_a_look_of_the_releaser_blames_a_sound_release_in_one_of_a_thousand_at_most(traffic):
    assert chance(LOOK * traffic, limit(traffic), SOUND) <= 0.001


@pytest.mark.slow
def test_the_figures_are_those_of_this_program(capsys):
    main()
    printed = capsys.readouterr().out.split("exact chances", 1)[1]
    assert printed in (ROOT / "docs" / "figures" / "alarms.md").read_text(encoding="utf-8"), (
        "python -m bench.alarms, and its output into docs/figures/alarms.md"
    )
    assert printed.count("\n| ") == len(TRAFFIC) * (len(RATES) + 1) + 4
