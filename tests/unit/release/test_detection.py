"""What the dark sample finds and how often it cries wolf: the bounds behind docs/figures/detection.md."""

import math

import pytest

from bench.detection import ERROR_RATES, RUNS, SAMPLE, SIZES, exact, measured, percent

DEFAULT = SAMPLE


def test_the_default_sample_finds_what_it_promises():
    assert DEFAULT == 800
    assert exact(DEFAULT, 0.05) >= 0.99
    assert exact(DEFAULT, 0.01) >= 0.95
    assert exact(DEFAULT, 1.0) == 1.0


@pytest.mark.parametrize("size", SIZES)
def test_a_sound_release_is_hardly_ever_taken_for_a_broken_one(size):
    assert exact(size, 0.001) <= 0.01
    assert exact(size, 0.0) == 0.0


@pytest.mark.parametrize("rate", ERROR_RATES)
def test_the_verdict_code_fails_as_many_releases_as_the_distribution_says(rate):
    runs = 100
    expected = exact(DEFAULT, rate)
    within = 5 * math.sqrt(expected * (1 - expected) / runs) + 1e-9
    assert measured(DEFAULT, rate, runs) == pytest.approx(
        expected, abs=max(within, 1 / runs if 0 < expected < 1 else 0)
    )


@pytest.mark.parametrize("size", SIZES)
def test_a_release_that_always_fails_always_fails(size):
    assert measured(size, 1.0, runs=20) == 1.0
    assert measured(size, 0.0, runs=20) == 0.0


def test_a_chance_is_never_rounded_to_certainty():
    assert [percent(share) for share in (0, 0.00005, 0.0090377, 0.99999, 1)] == [
        "0.00%",
        "< 0.01%",
        "0.90%",
        "> 99.99%",
        "100.00%",
    ]
    assert RUNS >= 1000
