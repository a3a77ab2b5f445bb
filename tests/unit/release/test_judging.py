"""Judge, watch, probes and traffic: what is measured, and what a measurement that failed means."""

import io
import json
import math
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import cycle
from threading import Lock
from time import sleep
from types import SimpleNamespace

import httpx
import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console as RichConsole

from components.naming import names
from components.service.functions import KEYS
from release.analysis.alarms import AlarmWatch, alarm_states, look_at_alarms
from release.analysis.counts import Counts
from release.analysis.health import Health, HealthAnswer, await_health, get_health
from release.analysis.probes import Probes, StableVersion, questions, url_event
from release.analysis.statistics import chance, limit_for, percentile
from release.analysis.verdict import AlarmState, Outcome, Sample, Taken, analyse, analyse_alarms, worst
from release.analysis.watch import watch
from release.clients.aws import Aws
from release.clock import Clock
from release.console import Console
from release.errors import ReleaseError, UsageError
from release.ledger.lifecycle import ReleaseId
from release.settings import ReleaseSettings
from release.traffic.aliases import Traffic
from tests.unit.release.release_world import client_error

RELEASE = ReleaseId(digest="a" * 64, sha="b" * 40)
QUIET = Console(RichConsole(file=io.StringIO()))


def samples(right=0, wrong=0, unmeasured=0):
    return (
        [Sample("x", Taken.RIGHT, ms=1.0)] * right
        + [Sample("x", Taken.WRONG, "bad", 1.0)] * wrong
        + [Sample("x", Taken.UNMEASURED, "silence")] * unmeasured
    )


def outcome(taken, wanted=10, wrong_limit=4, unmeasured_limit=5):
    return analyse("x", taken, wanted=wanted, wrong_limit=wrong_limit, unmeasured_limit=unmeasured_limit).outcome


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        (samples(right=10), Outcome.PASS),
        (samples(right=10, wrong=3), Outcome.PASS),
        (samples(right=10, wrong=4), Outcome.FAIL),
        (samples(wrong=4), Outcome.FAIL),
        (samples(right=9), Outcome.INCONCLUSIVE),
        (samples(right=10, unmeasured=5), Outcome.INCONCLUSIVE),
        (samples(unmeasured=50), Outcome.INCONCLUSIVE),
        ([], Outcome.INCONCLUSIVE),
    ],
)
def test_three_verdicts(taken, expected):
    assert outcome(taken) is expected


@given(st.integers(0, 30), st.integers(0, 10), st.integers(0, 10))
def test_a_pass_was_always_measured_and_more_wrong_answers_never_make_one(right, wrong, unmeasured):
    before = outcome(samples(right, wrong, unmeasured))
    if before is Outcome.PASS:
        assert right + wrong >= 10
        assert wrong < 4
        assert unmeasured < 5
    if before is not Outcome.PASS and right + wrong >= 10:
        assert outcome(samples(right, wrong + 1, unmeasured)) is not Outcome.PASS


@given(st.integers(0, 30), st.integers(0, 20), st.integers(0, 20), st.integers(-5, 20))
def test_a_fail_wins_over_everything_that_could_not_be_measured(right, wrong, unmeasured, wanted):
    found = outcome(samples(right, wrong, unmeasured), wanted=wanted)
    assert (found is Outcome.FAIL) == (wrong >= 4)
    if not right + wrong:
        assert found is Outcome.INCONCLUSIVE


def test_a_verdict_says_why_with_the_commonest_complaint():
    verdict = analyse("x", samples(right=3, wrong=4), wanted=1, wrong_limit=4, unmeasured_limit=1)
    assert verdict.why == "4 of 7 wrong: bad"
    assert json.dumps(verdict.as_dict())


def test_several_verdicts_come_to_the_worst_of_them_and_none_at_all_to_nothing():
    assert worst([Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL]) is Outcome.FAIL
    assert worst([Outcome.PASS, Outcome.INCONCLUSIVE]) is Outcome.INCONCLUSIVE
    assert worst([Outcome.PASS]) is Outcome.PASS
    assert worst([]) is Outcome.INCONCLUSIVE


# Alarms

ALARMS = ["a-errors", "b-errors"]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([("a-errors", "OK"), ("b-errors", "OK")], Outcome.PASS),
        ([("a-errors", "OK"), ("b-errors", "INSUFFICIENT_DATA")], Outcome.INCONCLUSIVE),
        ([("a-errors", "INSUFFICIENT_DATA"), ("b-errors", "ALARM")], Outcome.FAIL),
        ([("a-errors", "OK"), ("b-errors", "ALARM")], Outcome.FAIL),
        ([("b-errors", "ALARM")], Outcome.FAIL),
        ([("a-errors", "OK")], Outcome.INCONCLUSIVE),
        ([], Outcome.INCONCLUSIVE),
    ],
)
def test_all_named_alarms_must_exist_have_a_state_and_not_ring(found, expected):
    assert analyse_alarms(ALARMS, [AlarmState(*alarm) for alarm in found]).outcome is expected


def test_an_alarm_that_cannot_act_or_no_alarm_at_all_proves_nothing():
    muted = AlarmState("a-errors", "OK", actions_enabled=False)
    assert analyse_alarms(["a-errors"], [muted]).outcome is Outcome.INCONCLUSIVE
    assert analyse_alarms([], []).outcome is Outcome.INCONCLUSIVE


def test_an_alarm_that_is_missing_and_one_that_is_muted_are_two_blind_spots():
    muted = AlarmState("a-errors", "OK", actions_enabled=False)
    assert analyse_alarms(["a-errors", "b-errors"], [muted]).numbers["blind"] == 2


@pytest.mark.parametrize("state", ["OK", "ALARM"])
def test_what_an_alarm_says_counts_only_after_one_full_evaluation_of_its_configuration(state):
    def verdict(age_s, scale=1.0):
        changed = AlarmState("a-errors", state, age_s=age_s, evaluation_s=180)
        return analyse_alarms(["a-errors"], [changed], scale)

    assert verdict(179).outcome is Outcome.INCONCLUSIVE
    assert "not evaluated since it was changed: a-errors" in verdict(179).why
    assert verdict(179).numbers["waiting"] == 1
    after = Outcome.PASS if state == "OK" else Outcome.FAIL
    assert verdict(180).outcome is after
    assert verdict(9, scale=20).outcome is after


def cloudwatch(*alarms, composites=(), per_page=100):
    """A client that knows these alarms, answers in pages and takes at most 100 names."""

    def describe_alarms(AlarmNames, AlarmTypes, MaxRecords, NextToken="0"):  # noqa: N803 -- boto3's names
        assert len(AlarmNames) <= MaxRecords <= 100
        found = [alarm for alarm in alarms if alarm["AlarmName"] in AlarmNames] if "MetricAlarm" in AlarmTypes else []
        first, last = int(NextToken), int(NextToken) + per_page
        more = {"NextToken": str(last)} if len(found) > last else {}
        shown = list(composites) if "CompositeAlarm" in AlarmTypes else []
        return {"MetricAlarms": found[first:last], "CompositeAlarms": shown, **more}

    return SimpleNamespace(describe_alarms=describe_alarms)


def described(name, state="OK", **values):
    return {
        "AlarmName": name,
        "StateValue": state,
        "StateReason": "tested",
        "ActionsEnabled": True,
        "Period": 60,
        "EvaluationPeriods": 3,
        "AlarmConfigurationUpdatedTimestamp": NOW - timedelta(hours=1),
        **values,
    }


def looked(client, names, now=NOW):
    return analyse_alarms(names, alarm_states(client, names, now)).outcome


def test_more_alarms_than_one_answer_holds_are_all_looked_at():
    names = [f"alarm-{number}" for number in range(250)]
    assert looked(cloudwatch(*map(described, names), per_page=30), names) is Outcome.PASS
    one_rings = [described(name, "ALARM" if name == "alarm-249" else "OK") for name in names]
    assert looked(cloudwatch(*one_rings, per_page=30), names) is Outcome.FAIL


def test_a_composite_alarm_judges_nothing():
    composite = {"AlarmName": "all", "StateValue": "OK", "ActionsEnabled": True}
    assert looked(cloudwatch(composites=[composite]), ["all"]) is Outcome.INCONCLUSIVE
    ringing = composite | {"AlarmName": "a-errors", "StateValue": "ALARM"}
    assert looked(cloudwatch(described("a-errors"), composites=[ringing]), ["a-errors"]) is Outcome.PASS


@pytest.mark.parametrize(
    ("values", "evaluation_s"),
    [
        ({}, 180),
        ({"Period": None, "Metrics": [{"MetricStat": {"Period": 300}}, {"Expression": "a/b"}]}, 900),
        ({"Period": None, "Metrics": [{"Expression": "a/b", "Period": 120}]}, 360),
        ({"Period": None}, 180),
    ],
    ids=["one metric", "several metrics", "an expression", "no period at all"],
)
def test_the_age_of_an_alarm_is_compared_with_all_its_periods(values, evaluation_s):
    alarm = described("a-errors", **values)
    assert looked(cloudwatch(alarm), ["a-errors"]) is Outcome.PASS
    changed_at = alarm["AlarmConfigurationUpdatedTimestamp"]
    assert looked(cloudwatch(alarm), ["a-errors"], changed_at + timedelta(seconds=evaluation_s)) is Outcome.PASS
    earlier = changed_at + timedelta(seconds=evaluation_s - 1)
    assert looked(cloudwatch(alarm), ["a-errors"], earlier) is Outcome.INCONCLUSIVE


def test_cloudwatch_that_does_not_answer_is_inconclusive():
    def silent(**_):
        raise EndpointConnectionError(endpoint_url="http://cloudwatch.test")

    assert look_at_alarms(SimpleNamespace(describe_alarms=silent), ALARMS, Clock()).outcome is Outcome.INCONCLUSIVE


# Statistics


@given(st.integers(1, 300), st.integers(0, 12), st.sampled_from(["0", "0.001", "0.05", "0.5", "1"]))
def test_the_chance_is_that_of_the_binomial_distribution(size, errors, rate):
    share = Fraction(rate)
    fewer = sum(
        math.comb(size, count) * share**count * (1 - share) ** (size - count) for count in range(min(errors, size + 1))
    )
    assert chance(size, errors, float(rate)) == pytest.approx(float(1 - fewer), abs=1e-9)


def exact_tails(size, rate):
    """The chances of at least 0, 1, 2, ... wrong of `size`, in 60 digits and as far as they matter."""
    with localcontext() as context:
        context.prec = 60
        share = Decimal(rate)
        exactly, tails = (1 - share) ** size, [Decimal(1)]
        for count in range(size + 1):
            tails.append(tails[-1] - exactly)
            if tails[-1] < Decimal("1e-12"):
                break
            exactly *= share / (1 - share) * (size - count) / (count + 1)
    return tails


@pytest.mark.parametrize("size", [0, 1, 2, 7, 50, 800, 3200, 10**5, 10**6])
@pytest.mark.parametrize("rate", ["0.001", "0.01"])
def test_the_limit_is_the_smallest_one_that_hardly_any_sound_release_reaches_up_to_a_million_samples(size, rate):
    tails = exact_tails(size, rate)
    # Not 0.1 % itself, the exact chance of one of one.
    for false_alarms in (0.00101, 0.05):
        limit = limit_for(size, float(rate), false_alarms)
        assert limit == max(1, next(count for count, tail in enumerate(tails) if tail <= Decimal(str(false_alarms))))
        assert chance(size, limit, float(rate)) == pytest.approx(float(tails[limit]), rel=1e-6, abs=1e-12)


def test_a_limit_has_a_least_and_none_is_reached_by_what_always_fails():
    assert limit_for(10, 0.0, 0.001) == 1
    assert limit_for(10, 0.0, 0.001, least=2) == 2
    assert limit_for(10, 1.0, 0.001) == 11
    assert limit_for(0, 0.001, 0.001, least=2) == 2


def test_percentiles_are_values_that_occurred():
    assert [percentile([1, 2, 3, 4], percent) for percent in (50, 75, 99)] == [2, 3, 4]


# Health through the URL


def answering(monkeypatch, *answers):
    left = list(answers)

    def get(url, timeout):
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("release.analysis.health.httpx.get", get)


def health(digest=RELEASE.digest, status=200, state="ok"):
    return httpx.Response(status, json={"status": state, "release": RELEASE.sha, "digest": digest, "version": "7"})


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        (health(), Taken.RIGHT),
        (health(digest="f" * 64), Taken.WRONG),
        (health(status=503, state="denied"), Taken.WRONG),
        (httpx.Response(200, json=["ok"]), Taken.UNMEASURED),
        (httpx.Response(502, text="Internal Server Error"), Taken.UNMEASURED),
        (httpx.ReadTimeout("slow"), Taken.UNMEASURED),
        (httpx.ConnectError("refused"), Taken.UNMEASURED),
    ],
)
def test_what_a_health_answer_proves(monkeypatch, answer, taken):
    answering(monkeypatch, answer)
    assert get_health("https://d.test/", 1).sample(RELEASE).taken is taken


def test_restored_means_several_await_health_in_a_row(monkeypatch):
    settings = ReleaseSettings(restored_answers=3, restored_limit_s=1000)
    asked = []
    answers = iter([health(), health(digest="f" * 64), health(), health(), health()])
    monkeypatch.setattr("release.analysis.health.httpx.get", lambda url, timeout: asked.append(url) or next(answers))
    assert await_health("https://d.test/", RELEASE, settings, Clock(1000)) == ""
    assert asked == ["https://d.test/health"] * 5


class Time(Clock):
    """Time that only waiting lets pass."""

    waited: float

    def __init__(self):
        super().__init__()
        object.__setattr__(self, "waited", 0.0)

    def sleep(self, seconds):
        object.__setattr__(self, "waited", self.waited + seconds)

    def monotonic(self):
        return self.waited

    def now(self):
        return NOW + timedelta(seconds=self.waited)


def alarm_says(*states, **values):
    """A CloudWatch whose one alarm has these states in turn, the last for ever."""
    left = list(states)

    def describe_alarms(AlarmNames, **_):  # noqa: N803 -- boto3's name
        state = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(state, Exception):
            raise state
        return {"MetricAlarms": [described(AlarmNames[0], state, **values)] if state else []}

    return SimpleNamespace(describe_alarms=describe_alarms)


def not_passed(verdicts):
    return [(verdict.subject, str(verdict.outcome)) for verdict in verdicts if not verdict.passed]


def watched(monkeypatch, answers, alarms=None, clock=None, **settings):
    """What did not pass in a watch of 180 s: three periods of the alarm, and metrics that are never late."""
    answering(monkeypatch, *answers)
    values = ReleaseSettings(**{"watch_poll_s": 5, "settle_s": 10, "metric_delay_s": 0, **settings})
    clock = clock or Time()
    looks = [
        Health("https://d.test", RELEASE, values, clock),
        AlarmWatch(alarms or alarm_says("OK"), ["a-errors"], values, clock),
    ]
    return not_passed(watch(looks, values, clock, QUIET))


@pytest.mark.parametrize("late", [0, 180])
def test_a_quiet_watch_lasts_until_every_alarm_could_have_seen_its_first_call(monkeypatch, late):
    clock = Time()
    assert watched(monkeypatch, [health()], clock=clock, metric_delay_s=late) == []
    assert clock.waited == 180 + late


def test_the_previous_release_may_answer_for_a_moment_only(monkeypatch):
    old = health(digest="f" * 64)
    assert watched(monkeypatch, [old, health()]) == []
    assert watched(monkeypatch, [health(), old, old, old]) == [("health through live", "fail")]
    assert watched(monkeypatch, [old], settle_s=0) == [("health through live", "fail")]


def test_a_failing_health_or_alarm_ends_the_window_at_once(monkeypatch):
    clock = Time()
    assert watched(monkeypatch, [health(status=503)], clock=clock) == [("health through live", "fail")]
    ringing = alarm_says("OK", "ALARM")
    assert watched(monkeypatch, [health()], ringing, clock=clock) == [("alarms", "fail")]
    assert clock.waited == 10


def test_a_url_that_cannot_be_reached_is_inconclusive_and_one_lost_answer_is_not(monkeypatch):
    silence = httpx.ConnectError("refused")
    assert watched(monkeypatch, [silence]) == [("health through live", "inconclusive")]
    assert watched(monkeypatch, [health(), silence, health()]) == []
    assert watched(monkeypatch, [silence, silence, health()]) == []


def test_an_answer_that_is_missing_at_the_end_prolongs_the_window(monkeypatch):
    clock, silence = Time(), httpx.ConnectError("refused")
    assert watched(monkeypatch, [*[health()] * 36, silence, silence, health()], clock=clock) == []
    assert clock.waited == 190


def test_late_answers_fail_a_release_only_when_there_are_too_many(monkeypatch):
    def answered(*milliseconds):
        left = [HealthAnswer(ms, 200, health().json()) for ms in milliseconds]
        monkeypatch.setattr("release.analysis.health.get_health", lambda *_: left.pop(0) if len(left) > 1 else left[0])
        values, clock = ReleaseSettings(metric_delay_s=0), Time()
        looks = [Health("https://d.test", RELEASE, values, clock), AlarmWatch(alarm_says("OK"), ["a"], values, clock)]
        return not_passed(watch(looks, values, clock, QUIET))

    assert answered(3100, 40) == []
    assert answered(40, 3100, 3100, 40) == []
    assert answered(3100) == [("health through live", "fail")]


def test_an_alarm_that_waits_for_its_first_state_is_looked_at_until_the_window_ends(monkeypatch):
    clock = Time()
    late = alarm_says(*["INSUFFICIENT_DATA"] * 6, "OK")
    assert watched(monkeypatch, [health()], late, clock=clock) == []
    assert watched(monkeypatch, [health()], alarm_says("INSUFFICIENT_DATA")) == [("alarms", "inconclusive")]


def test_an_alarm_that_was_changed_rings_only_after_it_was_evaluated(monkeypatch):
    changed = NOW - timedelta(seconds=160)
    stale = alarm_says("ALARM", "ALARM", "OK", AlarmConfigurationUpdatedTimestamp=changed)
    assert watched(monkeypatch, [health()], stale) == []
    rings = alarm_says("ALARM", AlarmConfigurationUpdatedTimestamp=changed)
    assert watched(monkeypatch, [health()], rings) == [("alarms", "fail")]


@pytest.mark.parametrize("state", [None, EndpointConnectionError(endpoint_url="x")], ids=["missing", "no answer"])
def test_an_alarm_that_sees_nothing_ends_the_window_after_a_few_looks(monkeypatch, state):
    clock = Time()
    assert watched(monkeypatch, [health()], alarm_says(state), clock=clock) == [("alarms", "inconclusive")]
    assert clock.waited == 10
    assert watched(monkeypatch, [health()], alarm_says(state, state, "OK")) == []


# A tenth of the traffic

STABLE = ReleaseId(digest="5" * 64, sha="6" * 40)


def of_stable(status=200, state="ok"):
    return httpx.Response(status, json={"status": state, "release": STABLE.sha, "digest": STABLE.digest})


def tenth(monkeypatch, new, stable=None, **settings):
    """The verdict over a window at 10 %, in which every tenth request meets `new`."""
    count = iter(range(10**6))

    def get(url, timeout):
        answer = new if next(count) % 10 == 9 else (stable or of_stable())
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("release.analysis.health.httpx.get", get)
    values, clock = ReleaseSettings(**settings), Time()
    (verdict,) = watch([Health("https://d.test", RELEASE, values, clock, STABLE)], values, clock, QUIET)
    return verdict


def test_at_ten_percent_either_release_may_answer(monkeypatch):
    verdict = tenth(monkeypatch, health())
    assert verdict.passed
    assert verdict.numbers["asked"] >= 120
    assert verdict.numbers["of_new"] == verdict.numbers["measured"] == verdict.numbers["asked"] // 10
    assert verdict.numbers["of_stable"] == verdict.numbers["asked"] - verdict.numbers["of_new"]


@pytest.mark.parametrize(
    "answer",
    [
        health(status=503, state="denied"),
        httpx.Response(200, json={"status": "unwell", "release": RELEASE.sha, "digest": RELEASE.digest}),
    ],
    ids=["its own fault", "unwell"],
)
def test_a_new_release_that_answers_wrong_fails_at_its_second_answer(monkeypatch, answer):
    verdict = tenth(monkeypatch, answer)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.numbers["wrong"] == 2
    assert verdict.numbers["asked"] <= 22


def test_a_window_in_which_nobody_met_the_new_release_proves_nothing(monkeypatch):
    verdict = tenth(monkeypatch, of_stable())
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "none of" in verdict.why


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(502, text="x"), httpx.Response(200, json={"status": "ok"}), httpx.ReadTimeout("slow")],
    ids=["raises", "signs nothing", "no answer"],
)
def test_answers_that_nobody_signs_prove_nothing_and_are_left_to_the_counts(monkeypatch, answer):
    verdict = tenth(monkeypatch, answer)
    assert (verdict.outcome, verdict.numbers["wrong"]) == (Outcome.INCONCLUSIVE, 0)


def test_a_third_release_that_answers_is_not_what_was_asked(monkeypatch):
    assert tenth(monkeypatch, health(digest="f" * 64)).outcome is Outcome.FAIL


def test_a_stable_release_that_gets_unwell_beside_the_new_one_counts_against_it(monkeypatch):
    verdict = tenth(monkeypatch, health(), stable=of_stable(503, "denied"))
    assert verdict.outcome is Outcome.FAIL
    assert "the stable release" in verdict.why


def test_answers_of_the_stable_release_show_that_the_url_can_be_reached(monkeypatch):
    assert tenth(monkeypatch, httpx.ConnectError("refused")).outcome is Outcome.INCONCLUSIVE
    silent = tenth(monkeypatch, httpx.ConnectError("refused"), stable=httpx.ConnectError("refused"))
    assert (silent.outcome, silent.numbers["unmeasured"]) == (Outcome.INCONCLUSIVE, 30)


# Counts of one version


def counting(*answers):
    """A CloudWatch that counts (invocations, errors) in turn, `None` for no data."""
    left, asked = list(answers), []

    def get_metric_data(**call):
        asked.append(call)
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, dict):
            return answer
        return {
            "MetricDataResults": [
                {"Id": key, "StatusCode": "Complete", "Values": [] if value is None else [float(value)]}
                for key, value in zip(("invocations", "errors"), answer, strict=True)
            ]
        }

    return SimpleNamespace(get_metric_data=get_metric_data, asked=asked)


def counted(client, version="7", answered=1, **settings):
    """The verdict over what a CloudWatch counts while the releaser itself was answered so often, at the beginning."""
    values, clock = ReleaseSettings(**{"metric_delay_s": 0, **settings}), Time()
    moments = [NOW] * answered
    names_ = names("prod").function("dashboard")
    counts = Counts(client, names_, values, clock, since=NOW, answered=moments, version=version)
    (verdict,) = watch([counts], values, clock, QUIET)
    return verdict


def test_calls_are_counted_for_the_version_that_ran_behind_live():
    client = counting((31, 0))
    verdict = counted(client)
    assert verdict.passed
    assert (verdict.numbers["invocations"], verdict.numbers["errors"]) == (31, 0)
    for query in client.asked[0]["MetricDataQueries"]:
        metric = query["MetricStat"]["Metric"]
        assert metric["Namespace"] == "AWS/Lambda"
        assert {one["Name"]: one["Value"] for one in metric["Dimensions"]} == {
            "FunctionName": "prod-sentiment-dashboard",
            "Resource": "prod-sentiment-dashboard:live",
            "ExecutedVersion": "7",
        }
        assert query["MetricStat"]["Stat"] == "Sum"
    assert client.asked[0]["StartTime"] == NOW
    assert client.asked[0]["EndTime"] > NOW


def test_errors_of_the_new_version_fail_it_at_once():
    client = counting((3, 0), (9, 1), (12, 2), (99, 0))
    verdict = counted(client)
    assert (verdict.outcome, verdict.why) == (Outcome.FAIL, "2 of 12 failed")
    assert len(client.asked) == 3


def test_at_a_hundred_percent_the_calls_of_live_are_counted_whatever_version_ran():
    client = counting((31, 0))
    assert counted(client, version="").passed
    for query in client.asked[0]["MetricDataQueries"]:
        assert {one["Name"] for one in query["MetricStat"]["Metric"]["Dimensions"]} == {"FunctionName", "Resource"}


@pytest.mark.parametrize("calls", [None, 0, 11])
def test_fewer_calls_than_the_releaser_was_answered_prove_nothing(calls):
    verdict = counted(counting((calls, None)), answered=12)
    assert (verdict.outcome, verdict.why) == (
        Outcome.INCONCLUSIVE,
        f"CloudWatch counts {calls or 0} calls, of at least 12",
    )
    assert counted(counting((12, None)), answered=12).passed


def test_counts_are_waited_for_as_long_as_cloudwatch_may_be_late():
    client = counting(*[(None, None)] * 47, (1, 0))
    assert counted(client, metric_delay_s=180).passed
    assert len(client.asked) == 49


def test_one_failed_call_of_one_is_neither_a_pass_nor_a_fail():
    assert counted(counting((1, 1))).outcome is Outcome.INCONCLUSIVE
    assert counted(counting((3, 1))).passed


@pytest.mark.parametrize(("calls", "errors"), [(300, 3), (5000, 13), (50_000, 70)])
def test_a_sound_rate_of_errors_is_no_fault_however_much_traffic_there_is(calls, errors):
    assert counted(counting((calls, errors))).passed
    assert counted(counting((calls, calls // 50))).outcome is Outcome.FAIL


def test_calls_before_the_period_that_is_counted_are_not_waited_for():
    values, clock = ReleaseSettings(metric_delay_s=0), Time()
    early = [NOW - timedelta(seconds=1)]
    names_ = names("prod").function("dashboard")
    counts = Counts(counting((None, None)), names_, values, clock, since=NOW, answered=early)
    clock.sleep(119)
    assert not counts.done
    clock.sleep(1)
    assert counts.done
    assert (counts.verdict().numbers["known"], counts.verdict().outcome) == (0, Outcome.INCONCLUSIVE)


@pytest.mark.parametrize(
    "answer",
    [
        client_error("Throttling"),
        EndpointConnectionError(endpoint_url="x"),
        {"MetricDataResults": []},
        {"MetricDataResults": [{"Id": "errors", "StatusCode": "InternalError", "Values": []}]},
    ],
    ids=["throttled", "no connection", "no results", "internal error"],
)
def test_counts_that_cannot_be_had_are_inconclusive_after_a_few_looks(answer):
    client = counting(answer)
    assert counted(client).outcome is Outcome.INCONCLUSIVE
    assert len(client.asked) == 3
    assert counted(counting(answer, answer, (5, 0))).passed


def test_counts_that_come_in_pages_are_added_up():
    def page(invocations, errors, status, **more):
        results = [
            {"Id": "invocations", "StatusCode": status, "Values": [float(value) for value in invocations]},
            {"Id": "errors", "StatusCode": status, "Values": [float(value) for value in errors]},
        ]
        return {"MetricDataResults": results, **more}

    pages = [page([5, 6], [1], "PartialData", NextToken="2"), page([7], [1], "Complete")]
    verdict = counted(counting(*pages, client_error("Throttling")))
    assert verdict.numbers["invocations"] == 18
    assert verdict.outcome is Outcome.FAIL


# The candidate, by Invoke


def probes(answer, account=1000, **settings):
    limit = {"AccountLimit": {"UnreservedConcurrentExecutions": account}}
    functions = SimpleNamespace(invoke=answer, get_account_settings=lambda: limit)
    return Probes(functions, names("prod"), RELEASE, ReleaseSettings(**settings), QUIET)


def payload(document, **more):
    return {"Payload": io.BytesIO(json.dumps(document).encode()), **more}


def test_every_function_is_asked_and_what_a_probe_may_write_is_said():
    rows = questions(RELEASE, "right")
    assert {row.function for row in rows} == set(KEYS)
    assert all(row.probe.writes for row in rows)


def test_an_event_and_its_answer_name_the_release_and_this_year():
    (row,) = [one for one in questions(RELEASE, "right") if one.probe.name.startswith("stores an article once")]
    (stored,) = row.probe.answer["items"]
    (article, _) = row.event["articles"]
    year = datetime.now(UTC).year
    assert stored["url"] == article["url"] == f"https://probe.invalid/{RELEASE.digest[:16]}"
    assert stored["timestamp"] == article["publishedAt"] == f"{year}-01-01T00:00:00Z"
    left = re.compile(r"\{(digest|article|year)\}")
    assert not [row for row in questions(RELEASE, "right") if left.search(f"{row.event} {row.probe.answer}")]


NAMED = {"digest": RELEASE.digest, "release": RELEASE.sha}


@pytest.mark.parametrize(
    ("name", "answer", "why"),
    [
        ("scores an item as positive", NAMED | {"items": [{"sentiment": "positive"}]}, ""),
        (
            "scores an item as positive",
            NAMED | {"items": [{"sentiment": "neutral"}]},
            "items is [{'sentiment': 'neutral'}], not",
        ),
        ("scores an item as positive", NAMED | {"items": []}, "items is [], not"),
        ("scores an item as positive", NAMED, "items is None, not"),
        ("scores an item as positive", {"items": [{"sentiment": "positive"}]}, "another release"),
        ("reads the news", NAMED | {"announced": 0}, ""),
        ("reads the news", NAMED | {"announced": 3}, "announced is 3, not 0"),
        ("reads the news", NAMED, "announced is None, not 0"),
        ("reads the news", [], "no JSON object"),
    ],
)
def test_a_probe_is_answered_right_only_by_work_done_and_by_the_right_release(name, answer, why):
    (row,) = [one for one in questions(RELEASE, "right") if one.probe.name == name]
    wrong = row.wrong(answer)
    assert why in wrong
    assert bool(wrong) is bool(why)


GOOD = StableVersion("1", STABLE)
RAISED = {"errorType": "ImportError", "errorMessage": "x"}


def scored(release, sentiment):
    return {"digest": release.digest, "release": release.sha, "items": [{"sentiment": sentiment}]}


def duel(candidate, **settings):
    """The duel of the analysis whose stable version is always right; `candidate` answers or raises for the new one."""
    asked = Counter()

    def invoke(**call):
        asked[call["Qualifier"]] += 1
        message = json.loads(json.loads(call["Payload"])["Records"][0]["Sns"]["Message"])
        right = message["source_id"].split("-")[1]
        return payload(scored(GOOD.release, right)) if call["Qualifier"] == GOOD.version else candidate(right)

    (verdict,) = probes(invoke, **{"broken_rate": 0.2, "workers": 2, **settings}).duels({"analysis": GOOD}, "")
    return verdict, asked


def test_a_sound_candidate_passes_the_duel_with_as_many_questions_as_the_stable_version_got():
    verdict, asked = duel(lambda right: payload(scored(RELEASE, right)))
    assert verdict.passed, verdict.why
    assert asked["candidate"] == asked[GOOD.version]
    assert verdict.numbers["failed"] == verdict.numbers["stable_failed"] == 0


def test_a_release_that_always_fails_loses_the_duel_after_a_few_questions():
    verdict, asked = duel(lambda _: payload(RAISED, FunctionError="Unhandled"), broken_rate=0.01)
    assert verdict.outcome is Outcome.FAIL
    assert asked["candidate"] <= 12
    assert "ImportError" in verdict.samples[0].said


def test_an_answer_that_changes_what_the_stable_version_says_loses_the_duel():
    verdict, _ = duel(lambda right: payload(scored(RELEASE, right) | {"items": [{"sentiment": right, "score": 9}]}))
    assert verdict.passed, "an addition is no difference"
    verdict, _ = duel(lambda _: payload(scored(RELEASE, "positive")))
    assert verdict.outcome is Outcome.FAIL


@pytest.mark.parametrize(
    "error",
    [
        client_error("TooManyRequestsException"),
        client_error("ExpiredTokenException"),
        client_error("ResourceConflictException"),
        EndpointConnectionError(endpoint_url="x"),
    ],
    ids=["throttled", "expired", "updating", "no connection"],
)
def test_what_says_nothing_about_the_code_is_not_held_against_it(error):
    def silent(_):
        raise error

    verdict, _ = duel(silent)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "say nothing about the release" in verdict.why


def test_every_question_in_flight_has_a_connection_of_its_own(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert Aws().functions.meta.config.max_pool_connections >= ReleaseSettings().workers


@pytest.mark.parametrize(("account", "most"), [(1000, 6), (10, 3), (3, 1), (0, 1)])
def test_duels_run_beside_each_other_within_half_of_what_the_account_may_run_at_once(account, most):
    three = [*KEYS][:3]
    running, seen, lock = 0, [], Lock()

    def invoke(**call):
        nonlocal running
        with lock:
            running += 1
            seen.append(running)
        sleep(0.001)
        with lock:
            running -= 1
        return payload(RAISED, FunctionError="Unhandled")

    verdicts = probes(invoke, account, workers=6).duels(dict.fromkeys(three, GOOD), "")
    assert [verdict.subject for verdict in verdicts] == [f"duel of {key}" for key in three]
    assert Outcome.PASS not in {verdict.outcome for verdict in verdicts}
    assert max(seen) <= most
    assert max(seen) == most or account == 1000


def test_the_first_duel_that_is_lost_ends_the_others():
    def invoke(**call):
        if "analysis" in call["FunctionName"] and call["Qualifier"] == "candidate":
            return payload(RAISED, FunctionError="Unhandled")
        release = RELEASE if call["Qualifier"] == "candidate" else GOOD.release
        event = json.loads(call["Payload"])
        if "Records" in event:
            return payload(
                scored(release, json.loads(event["Records"][0]["Sns"]["Message"])["source_id"].split("-")[1])
            )
        named = {"digest": release.digest, "release": release.sha}
        return payload(named | {"fetched": 2, "announced": 0, "skipped": {"no_title": 1}})

    verdicts = {one.subject: one for one in probes(invoke).duels({"ingestion": GOOD, "analysis": GOOD}, "")}
    assert verdicts["duel of analysis"].outcome is Outcome.FAIL
    assert verdicts["duel of ingestion"].outcome is not Outcome.FAIL


@given(workers=st.integers(1, 4), silence=st.lists(st.booleans(), min_size=1, max_size=60))
def test_a_release_that_always_fails_never_passes_whatever_of_it_is_measured(workers, silence):
    silent = cycle(silence)

    def failing(_):
        if next(silent):
            raise client_error("ThrottlingException")
        return payload(RAISED, FunctionError="Unhandled")

    assert duel(failing, workers=workers)[0].outcome is not Outcome.PASS


def test_a_url_event_has_the_shape_of_payload_format_2():
    event = url_event("/api/items", {"authorization": "Bearer x"}, {"limit": "5"})
    assert (event["version"], event["rawPath"], event["rawQueryString"]) == ("2.0", "/api/items", "limit=5")
    assert event["requestContext"]["http"]["method"] == "GET"
    assert event["queryStringParameters"] == {"limit": "5"}


# Aliases


class OneAlias:
    def __init__(self, version="2", refusals=0):
        self.state = {"FunctionVersion": version, "RevisionId": "r1"}
        self.refusals = refusals
        self.calls = []

    def get_alias(self, **_):
        return dict(self.state)

    def update_alias(self, **call):
        self.calls.append(call)
        if self.refusals:
            self.refusals -= 1
            raise client_error("PreconditionFailedException")
        self.state = {"FunctionVersion": call["FunctionVersion"], "RevisionId": "r2"}


def test_an_alias_moves_with_its_revision_and_without_weights():
    client = OneAlias()
    assert Traffic("prod", client).move("dashboard", "1")
    (call,) = client.calls
    assert (call["FunctionName"], call["Name"], call["RevisionId"]) == ("prod-sentiment-dashboard", "live", "r1")
    assert call["RoutingConfig"] == {"AdditionalVersionWeights": {}}


@pytest.mark.parametrize("at", ["1", "3"])
def test_an_alias_moves_whichever_version_is_the_newer(at):
    client = OneAlias(at)
    assert Traffic("prod", client).move("dashboard", "2")
    assert client.state["FunctionVersion"] == "2"


def test_an_alias_that_stands_right_is_left_alone():
    client = OneAlias("1")
    assert not Traffic("prod", client).move("dashboard", "1")
    assert client.calls == []


def test_an_alias_that_somebody_moved_meanwhile_is_looked_at_again_but_not_for_ever():
    client = OneAlias(refusals=2)
    assert Traffic("prod", client).move("dashboard", "1")
    with pytest.raises(ReleaseError):
        Traffic("prod", OneAlias(refusals=99)).move("dashboard", "1")


@pytest.mark.parametrize(
    ("code", "next_step"), [("AccessDeniedException", "release doctor --stack prod"), ("ServiceException", "try again")]
)
def test_who_may_not_ask_for_an_alias_is_not_told_to_try_again(code, next_step):
    def refused(**_):
        raise client_error(code)

    with pytest.raises(ReleaseError) as raised:
        Traffic("prod", SimpleNamespace(get_alias=refused)).alias("dashboard")
    assert raised.value.next_step.startswith(next_step)


# The table of numbers, and the clock


def test_settings_come_from_the_environment_and_options_win():
    assert ReleaseSettings.load({"RELEASE_QUESTIONS": "100", "RELEASE_METRIC_DELAY_S": "12.5"}).questions == 100
    assert ReleaseSettings.load({}).watch_s == 300


@pytest.mark.parametrize(
    "environment",
    [
        {"RELEASE_QUESTIONS": "many"},
        {"RELEASE_QUESTIONS": "0"},
        {"RELEASE_QUESTIONS": "-1"},
        {"RELEASE_BROKEN_RATE": "1"},
        {"RELEASE_BROKEN_RATE": "0"},
        {"RELEASE_METRIC_DELAY_S": "-5"},
        {"RELEASE_METRIC_DELAY_S": "inf"},
        {"RELEASE_METRIC_DELAY_S": "nan"},
    ],
    ids=lambda environment: " ".join(f"{name}={value}" for name, value in environment.items()),
)
def test_settings_that_cannot_work_are_usage_errors(environment):
    with pytest.raises(UsageError):
        ReleaseSettings.load(environment)


@pytest.mark.parametrize("text", ["x20", "20", "X20"])
def test_the_clock_is_scaled_for_waiting(text):
    clock = Clock.from_environment({"LOCALCLOUD_CLOCK": text})
    assert clock.scale == 20
    began = clock.monotonic()
    clock.sleep(0.2)
    both = clock.both(began)
    assert both["clock_seconds"] == pytest.approx(20 * both["seconds"], rel=0.1)


@pytest.mark.parametrize("text", ["fast", "0", "-2", "nan", "inf"])
def test_a_clock_that_is_no_number_is_a_usage_error(text):
    with pytest.raises(UsageError):
        Clock.from_environment({"LOCALCLOUD_CLOCK": text})
