"""Judge, watch, probes and traffic: what is measured, and what a measurement that failed means."""

import io
import json
from types import SimpleNamespace

import httpx
import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st
from release_world import FUNCTIONS, client_error
from rich.console import Console as RichConsole

from components.naming import names
from release.clock import Clock
from release.console import Console
from release.errors import ReleaseError, UsageError
from release.judge import AlarmState, Outcome, Sample, Taken, judge, judge_alarms, percentile
from release.lifecycle import ReleaseId
from release.probes import Probes, questions, url_event
from release.settings import Settings
from release.traffic import Traffic
from release.watch import Watch, look_at_alarms, look_at_health, right_answers

RELEASE = ReleaseId(digest="a" * 64, sha="b" * 40)
QUIET = Console(RichConsole(file=io.StringIO()), quiet=True)


def samples(right=0, wrong=0, unmeasured=0):
    return (
        [Sample("x", Taken.RIGHT, ms=1.0)] * right
        + [Sample("x", Taken.WRONG, "bad", 1.0)] * wrong
        + [Sample("x", Taken.UNMEASURED, "silence")] * unmeasured
    )


def outcome(taken, wanted=10, wrong_limit=4, unmeasured_limit=5):
    return judge("x", taken, wanted=wanted, wrong_limit=wrong_limit, unmeasured_limit=unmeasured_limit).outcome


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


def test_a_verdict_says_why_with_the_commonest_complaint():
    verdict = judge("x", samples(right=3, wrong=4), wanted=1, wrong_limit=4, unmeasured_limit=1)
    assert verdict.why == "4 of 7 wrong: bad"
    assert json.dumps(verdict.as_dict())


ALARMS = ["a-errors", "b-errors"]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([("a-errors", "OK"), ("b-errors", "INSUFFICIENT_DATA")], Outcome.PASS),
        ([("a-errors", "OK"), ("b-errors", "ALARM")], Outcome.FAIL),
        ([("b-errors", "ALARM")], Outcome.FAIL),
        ([("a-errors", "OK")], Outcome.INCONCLUSIVE),
        ([], Outcome.INCONCLUSIVE),
    ],
)
def test_all_named_alarms_must_exist_and_none_ring(found, expected):
    assert judge_alarms(ALARMS, [AlarmState(*alarm) for alarm in found]).outcome is expected


def test_an_alarm_that_cannot_act_or_no_alarm_at_all_proves_nothing():
    muted = AlarmState("a-errors", "OK", actions_enabled=False)
    assert judge_alarms(["a-errors"], [muted]).outcome is Outcome.INCONCLUSIVE
    assert judge_alarms([], []).outcome is Outcome.INCONCLUSIVE


def test_cloudwatch_that_does_not_answer_is_inconclusive():
    def silent(**_):
        raise EndpointConnectionError(endpoint_url="http://cloudwatch.test")

    assert look_at_alarms(SimpleNamespace(describe_alarms=silent), ALARMS).outcome is Outcome.INCONCLUSIVE


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

    monkeypatch.setattr("release.watch.httpx.get", get)


def health(digest=RELEASE.digest, status=200, state="ok"):
    return httpx.Response(status, json={"status": state, "release": RELEASE.sha, "digest": digest, "version": "7"})


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        (health(), Taken.RIGHT),
        (health(digest="f" * 64), Taken.WRONG),
        (health(status=503, state="denied"), Taken.WRONG),
        (httpx.Response(200, json=["ok"]), Taken.WRONG),
        (httpx.Response(502, text="Internal Server Error"), Taken.WRONG),
        (httpx.ReadTimeout("slow"), Taken.WRONG),
        (httpx.ConnectError("refused"), Taken.UNMEASURED),
    ],
)
def test_what_a_health_answer_proves(monkeypatch, answer, taken):
    answering(monkeypatch, answer)
    assert look_at_health("https://d.test/", RELEASE, 1).taken is taken


def test_restored_means_several_right_answers_in_a_row(monkeypatch):
    settings = Settings(restored_answers=3, restored_limit_s=1000)
    asked = []
    answers = iter([health(), health(digest="f" * 64), health(), health(), health()])
    monkeypatch.setattr("release.watch.httpx.get", lambda url, timeout: asked.append(url) or next(answers))
    assert right_answers("https://d.test/", RELEASE, settings, Clock(1000)) == (True, "")
    assert asked == ["https://d.test/health"] * 5


def watch(monkeypatch, answers, alarms=lambda: "OK", run=None, **settings):
    answering(monkeypatch, *answers)
    monkeypatch.setattr("release.watch.alarm_states", lambda _, names: [AlarmState(n, alarms()) for n in names])
    values = {"watch_s": 40, "watch_poll_s": 5, "settle_s": 10, **settings}
    watched = Watch(
        url="https://d.test",
        release=RELEASE,
        alarms=["a-errors"],
        settings=Settings(**values),
        clock=Clock(1000),
        console=QUIET,
    )
    verdicts = watched.until_over(None, lambda: run or Sample("run", Taken.RIGHT))
    return [(verdict.subject, str(verdict.outcome)) for verdict in verdicts if not verdict.passed]


def test_a_quiet_window_passes(monkeypatch):
    assert watch(monkeypatch, [health()]) == []


def test_the_previous_release_may_answer_for_a_moment_only(monkeypatch):
    old = health(digest="f" * 64)
    assert watch(monkeypatch, [old, health()]) == []
    assert watch(monkeypatch, [health(), old, old, old]) == [("health through live", "fail")]
    assert watch(monkeypatch, [old], settle_s=0) == [("health through live", "fail")]


def test_a_failing_health_or_alarm_ends_the_window_at_once(monkeypatch):
    assert watch(monkeypatch, [health(status=503)], watch_s=10**6) == [("health through live", "fail")]
    assert watch(monkeypatch, [health()], alarms=lambda: "ALARM", watch_s=10**6) == [("alarms", "fail")]


def test_a_url_that_cannot_be_reached_is_inconclusive_and_one_lost_answer_is_not(monkeypatch):
    silence = httpx.ConnectError("refused")
    assert watch(monkeypatch, [silence]) == [("health through live", "inconclusive")]
    assert watch(monkeypatch, [health(), silence, health()]) == []


def test_the_run_of_the_schedule_must_succeed(monkeypatch):
    failed = Sample("run", Taken.WRONG, "RuntimeError")
    assert watch(monkeypatch, [health()], run=failed) == [("one run of the schedule through live", "fail")]


# The candidate, by Invoke


def probes(answer, **settings):
    return Probes(SimpleNamespace(invoke=answer), names("prod"), RELEASE, Settings(**settings), QUIET)


def payload(document, **more):
    return {"Payload": io.BytesIO(json.dumps(document).encode()), **more}


def test_every_function_is_asked_and_what_a_probe_may_write_is_said():
    rows = questions(RELEASE)
    assert {row.function for row in rows} == set(FUNCTIONS)
    assert all(row.writes for row in rows)


def test_probes_ask_the_candidate_alias():
    asked = []

    def invoke(**call):
        asked.append((call["FunctionName"], call["Qualifier"]))
        return payload({"release": RELEASE.sha, "digest": RELEASE.digest})

    list(probes(invoke).table())
    assert {qualifier for _, qualifier in asked} == {"candidate"}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (client_error("TooManyRequestsException"), Outcome.INCONCLUSIVE),
        (EndpointConnectionError(endpoint_url="x"), Outcome.INCONCLUSIVE),
        (client_error("ResourceNotFoundException"), Outcome.FAIL),
    ],
    ids=["throttled", "no connection", "no candidate"],
)
def test_what_says_nothing_about_the_code_is_not_held_against_it(error, expected):
    def invoke(**_):
        raise error

    assert probes(invoke, sample=50).sample("key").outcome is expected


def test_a_release_that_always_fails_is_found_after_a_few_requests():
    asked = []

    def invoke(**_):
        asked.append(1)
        return payload({"errorType": "ImportError", "errorMessage": "x"}, FunctionError="Unhandled")

    verdict = probes(invoke, sample=800).sample("key")
    assert verdict.outcome is Outcome.FAIL
    assert len(asked) <= 8
    assert "ImportError" in verdict.why


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


def test_an_alias_that_stands_right_is_left_alone():
    client = OneAlias("1")
    assert not Traffic("prod", client).move("dashboard", "1")
    assert client.calls == []


def test_an_alias_that_somebody_moved_meanwhile_is_looked_at_again_but_not_for_ever():
    client = OneAlias(refusals=2)
    assert Traffic("prod", client).move("dashboard", "1")
    with pytest.raises(ReleaseError):
        Traffic("prod", OneAlias(refusals=99)).move("dashboard", "1")


# The table of numbers, and the clock


def test_settings_come_from_the_environment_and_options_win():
    assert Settings.load({"RELEASE_SAMPLE": "100", "RELEASE_WATCH_S": "12.5"}).sample == 100
    assert Settings.load({"RELEASE_SAMPLE": "100"}, sample=50, watch_s=None).sample == 50
    assert Settings.load({}).watch_s == 300


@pytest.mark.parametrize("environment", [{"RELEASE_SAMPLE": "many"}, {"RELEASE_SAMPLE": "3"}, {"RELEASE_SAMPLE": "-1"}])
def test_settings_that_cannot_work_are_usage_errors(environment):
    with pytest.raises(UsageError):
        Settings.load(environment)


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
