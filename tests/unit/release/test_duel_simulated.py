"""What the duel finds, whom it blames and what it costs, simulated: the bounds behind docs/figures/detection.md.

The page has 20,000 duels of each row; here are as many as are quick. A bound leaves room for chance: a rate of 99 %
shows in at least 22 of 25 duels (less is a matter of 1 in 8,000).
"""

from collections import Counter
from statistics import mean

import pytest

from bench.detection import WORLDS, duels, print_duels, watched
from components.service.functions import Trigger
from release.analysis.verdict import Outcome

WORLD = {world.name: world for world in WORLDS}


def simulated(name, runs=25):
    ended = list(duels(WORLD[name], runs, 1))
    return Counter(outcome for outcome, *_ in ended), mean(asked for _, asked, _ in ended)


@pytest.mark.parametrize(
    ("name", "questions"),
    [
        ("errors 1 %", 1000),
        ("errors 5 %", 160),
        ("errors 20 %", 40),
        ("errors 100 %", 5),
        ("stable 5 %, candidate 15 %", 200),
        ("median +50 %", 250),
        ("median +200 %", 30),
        ("one wrong field", 12),
        ("first release, errors 5 %", 120),
    ],
)
def test_a_broken_candidate_is_found(name, questions):
    outcomes, asked = simulated(name)
    assert outcomes[Outcome.FAIL] >= 22
    assert asked <= questions


@pytest.mark.parametrize(
    "name",
    [
        *("errors 0 %", "errors 0.1 %", "both 5 %", "both 20 %", "stable 5 %, candidate 0 % (a fix)"),
        *("median +20 %", "fields that change on their own", "errors of AWS 1 %", "first release, errors 0.1 %"),
    ],
)
def test_a_sound_candidate_passes(name):
    outcomes, _ = simulated(name)
    assert outcomes[Outcome.FAIL] == 0
    assert outcomes[Outcome.PASS] >= 23


def test_errors_of_aws_are_no_failures_of_the_release():
    assert simulated("errors of AWS 10 %")[0] == {Outcome.INCONCLUSIVE: 25}


def test_a_simulation_is_the_same_each_time():
    assert list(duels(WORLD["errors 5 %"], 20, 3)) == list(duels(WORLD["errors 5 %"], 20, 3))


def test_the_watch_stops_whatever_always_fails_and_nothing_that_never_does():
    class Always:
        def random(self):
            return 0.0

    assert all(watched(trigger, 1.0, Always()) for trigger in Trigger)
    assert not any(watched(trigger, 0.0, Always()) for trigger in Trigger)


def test_the_tables_have_a_row_for_every_rate(capsys):
    print_duels(4, 1, "errors 100 %")
    said = capsys.readouterr().out
    assert "\n| errors 100 % | 100.00% | 0.00% | 0.00% |" in said
    assert "\n| 100 % | 100.00% |" in said
