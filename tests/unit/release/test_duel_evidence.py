"""The tests behind the duel: their guarantees, computed exactly, and their parts against plain arithmetic."""

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.analysis.duel import DuelRule
from release.analysis.evidence import WORSE, FaultComparison, RunningEvidence, odds_steps
from release.analysis.latency import Latency

RULE = DuelRule()
odds = st.floats(0.01, 100)


@st.composite
def blocks(draw):
    asked = draw(st.integers(2, 9))
    return asked, draw(st.integers(1, asked - 1))


def comparison(*, paired=True, **other):
    limits = {"sound": 0.001, "broken": 0.01, "worse": 3.0, "alarms": 0.001, "blamed": 0.003, "missed": 0.006}
    return FaultComparison(**{**limits, **other}, paired=paired)


def expected(null, alternative, asked, failed, true):
    """The mean factor of one block when the odds ratio is `true`."""
    share = true * failed / (true * failed + asked - failed)
    ((yes,), (no,)) = (odds_steps(null, (alternative,), asked, failed, one) for one in (True, False))
    return share * math.exp(yes) + (1 - share) * math.exp(no)


@given(blocks(), odds, odds)
def test_a_block_is_a_fair_bet_under_the_null_hypothesis(block, null, alternative):
    assert expected(null, alternative, *block, true=null) == pytest.approx(1)


@given(blocks(), odds, odds, odds)
def test_a_block_gains_nothing_anywhere_on_the_side_of_the_null_hypothesis(block, null, alternative, true):
    if (true <= null) == (alternative > null):
        assert expected(null, alternative, *block, true=true) <= 1 + 1e-9


def test_a_pair_is_mcnemars_coin():
    assert odds_steps(1.0, (3.0,), 2, 1, True) == pytest.approx((math.log(0.75 / 0.5),))


@given(st.lists(st.tuples(blocks(), st.booleans()), min_size=1, max_size=30))
def test_evidence_is_the_mean_of_the_products(given_blocks):
    evidence, products, highest = RunningEvidence(len(WORSE)), [1.0] * len(WORSE), 0.0
    for (asked, failed), candidate in given_blocks:
        steps = odds_steps(1.0, WORSE, asked, failed, candidate)
        evidence.add(steps)
        products = [one * math.exp(step) for one, step in zip(products, steps, strict=True)]
        highest = max(highest, math.log(sum(products) / len(products)))
        assert evidence.now == pytest.approx(math.log(sum(products) / len(products)))
    assert evidence.highest == pytest.approx(highest)


@pytest.mark.parametrize("alpha", [0.5, 0.2, 0.05])
def test_of_all_courses_of_fair_pairs_at_most_alpha_are_ever_rejected(alpha):
    rejected = 0
    for course in product((True, False), repeat=12):
        evidence = RunningEvidence(len(WORSE))
        for candidate in course:
            evidence.add(odds_steps(1.0, WORSE, 2, 1, candidate))
        rejected += evidence.rejects(alpha)
    assert 0 < rejected / 2**12 <= alpha


def ends(rate, budget=3000):
    """The exact chances that a first release, whose answers fail at `rate`, fails and passes: no simulation."""
    pending, failed, passed = {0: 1.0}, 0.0, 0.0
    for asked in range(1, budget + 1):
        following = {}
        for count, weight in pending.items():
            for more, share in ((0, 1 - rate), (1, rate)):
                following[count + more] = following.get(count + more, 0.0) + weight * share
        pending = {}
        for count, weight in following.items():
            if weight > 0:
                level = count * math.log(10) + (asked - count) * math.log(0.99 / 0.999)
                failed += weight if level >= -math.log(RULE.alarms) else 0
                passed += weight if level <= math.log(RULE.missed) else 0
                if math.log(RULE.missed) < level < -math.log(RULE.alarms):
                    pending[count] = weight
    return failed, passed


def test_a_first_release_is_blamed_and_passed_as_rarely_as_the_rule_says():
    assert ends(0.001)[0] <= RULE.alarms
    assert ends(0.01)[1] <= RULE.missed
    assert ends(0.01)[0] >= 0.99
    assert ends(0.05)[0] >= 0.9999


@given(st.lists(st.booleans(), max_size=400))
def test_the_rate_is_walds_ratio(answers):
    one = comparison(paired=False)
    for failed in answers:
        one.add(failed, [])
    bad = sum(answers)
    assert one.rate == pytest.approx(bad * math.log(10) + (len(answers) - bad) * math.log(0.99 / 0.999))
    assert (one.failed, one.asked) == (bad, len(answers))


@given(st.lists(st.integers(0, 8), max_size=60))
def test_an_outage_that_hits_both_versions_is_no_evidence(controls):
    one = comparison()
    for count in controls:
        one.add(True, [True] * max(1, count))
    assert one.blame == pytest.approx(0)
    assert not one.failing


@given(st.lists(st.tuples(st.booleans(), st.lists(st.booleans(), min_size=1, max_size=8)), max_size=80))
def test_whom_the_stable_version_outdoes_in_failing_is_not_blamed(given_blocks):
    one = comparison()
    for candidate, stables in given_blocks:
        one.add(candidate and all(stables), stables)
    assert not one.failing


def test_only_both_rejections_together_blame():
    rate, blame = comparison(), comparison(sound=0.5, broken=0.9)
    for _ in range(20):
        rate.add(True, [True])
    for _ in range(20):
        blame.add(True, [False])
        for _ in range(20):
            blame.add(False, [False])
    assert rate.rate > -math.log(0.001)
    assert blame.blame > -math.log(0.003)
    assert not rate.failing
    assert not blame.failing


def test_a_rate_between_sound_and_broken_is_decided_by_a_last_look():
    one = comparison()
    for asked in range(3000):
        one.add(asked % 300 == 0, [False])
    assert not one.failing
    assert one.passes_at_last()
    two = comparison()
    for asked in range(3000):
        two.add(asked % 120 == 0, [False])
    assert not two.passes_at_last()


def latency(**other):
    return Latency(**{"slower": 1.25, "too_slow": 1.5, "least_ms": 5.0, "alarms": 0.0002, "missed": 0.006, **other})


@pytest.mark.parametrize(
    ("stable", "candidate", "slow"), [(40, 49, ""), (40, 61, "median"), (4, 8, ""), (4, 20, "median")]
)
def test_a_median_is_too_slow_by_ratio_and_by_milliseconds(stable, candidate, slow):
    one = latency()
    for _ in range(60):
        one.add(candidate, stable)
    assert one.failing == slow
    assert one.passing == (not slow)


def test_a_slow_end_is_found_where_the_median_is_the_same():
    one = latency()
    for pair in range(600):
        one.add(400.0 if pair % 5 == 0 else 40.0, 40.0 + pair % 3)
    assert one.failing == "95th percentile"
    assert one.numbers()["candidate"]["p50"] == 40.0
    assert one.numbers()["candidate"]["p95"] == 400.0


def test_times_of_one_kind_are_never_too_slow():
    one = latency()
    for pair in range(600):
        one.add(40.0 + pair * 7 % 30, 40.0 + pair * 11 % 30)
    assert one.passing
    assert one.failing == ""
