"""The canary's steps over a small cloud in memory: what lets a release go on, what does not, and what is recorded."""

import json
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import given, settings
from hypothesis import strategies as st

from components.service.functions import FUNCTIONS, KEYS
from release.analysis.probes import questions
from release.analysis.verdict import Outcome, Verdict
from release.artifacts.store import release_id
from release.ledger.lifecycle import Deployment, ReleaseId
from release.pulumi.stack import ReleaseInput
from release.rollout.canary import Canary, CanaryFailed
from tests.examples import examples
from tests.unit.release.release_world import World, client_error


@dataclass
class Candidate:
    """Release 2 in a world in which release 1 serves, and what the canary recorded of it."""

    world: World
    manifest: Any
    hand_over: dict
    confirmed: Deployment
    verdicts: list[Verdict] = field(default_factory=list)

    def __post_init__(self):
        self.context = self.world.context()
        self.release = release_id(self.manifest)

    def up(self, traffic):
        self.world.stack.up(ReleaseInput(self.hand_over, self.confirmed.stable, traffic))

    @property
    def named(self):
        """What its answers say of it."""
        return {"release": self.release.sha, "digest": self.release.digest}

    def breaks(self, broken):
        self.world.broken[self.manifest.digest] = broken

    def canary(self, *, code=None, **options):
        code = code or {name: one.code_sha256 for name, one in self.manifest.functions.items()}
        return Canary(self.context, self.release, code, self.verdicts.append, **options)

    def dark(self, **options):
        self.canary(**options).analyse_dark(self.confirmed)

    def weighted(self, **options):
        self.canary(**options).watch_weighted(self.confirmed, self.world.stack.outputs())

    def live(self, **options):
        self.canary(**options).watch_live(self.world.stack.outputs())

    def why_not_weighted(self, stable=None, functions=KEYS):
        return self.canary(code=dict.fromkeys(functions, "")).why_not_weighted(
            self.confirmed.stable if stable is None else stable
        )

    def said(self):
        return [(verdict.subject, str(verdict.outcome)) for verdict in self.verdicts if not verdict.passed]


def stored(world, number):
    """A release in prod's own bucket, and how it is handed over."""
    manifest, context = world.offer(number), world.context()
    return manifest, context.releases.store(manifest, context.promotions.packages(manifest), b"program")


def candidate_in(world):
    manifest, hand_over = stored(world, 1)
    world.stack.up(ReleaseInput(hand_over, {}, 0))
    world.stack.up(ReleaseInput(hand_over, {}, 100, confirmed=True))
    context, outputs = world.context(), world.stack.outputs()
    confirmed = Deployment(
        release=release_id(manifest),
        built_at=manifest.built_at,
        at=context.clock.stamp(),
        hand_over=hand_over,
        functions={name: context.traffic.deployed(name) for name in manifest.functions},
        dashboard_url=outputs["dashboard_url"],
        on_call_topic=outputs["on_call_topic"],
        alarms=tuple(outputs["alarms"]),
    )
    manifest, hand_over = stored(world, 2)
    made = Candidate(world, manifest, hand_over, confirmed)
    made.up(0)
    return made


@pytest.fixture
def world(tmp_path, monkeypatch):
    made = World(tmp_path, monkeypatch, metric_delay_s=180, watch_poll_s=5, weighted_requests=60, settle_s=0)
    made.metrics_late_s = 180
    return made


@pytest.fixture
def candidate(world):
    return candidate_in(world)


def fails(step, subject, outcome=Outcome.FAIL, **options):
    with pytest.raises(CanaryFailed) as failed:
        step(**options)
    assert (failed.value.verdict.subject, failed.value.verdict.outcome) == (subject, outcome)
    return failed.value


def on_live(answer):
    return lambda function, alias, _event: answer if (function, alias) == ("dashboard", "live") else None


def on(function, alias):
    return lambda asked, where, _event: RuntimeError("x") if (asked, where) == (function, alias) else None


# Dark

DUELS = [f"duel of {key}" for key in KEYS]


def test_a_sound_candidate_is_asked_by_every_row_of_the_table_and_in_a_duel_of_each_function(candidate):
    candidate.dark()
    rows = [f"{row.function}: {row.probe.name}" for row in questions(candidate.release, "right-key")]
    assert [verdict.subject for verdict in candidate.verdicts] == ["code of candidate", *rows, *DUELS]
    assert all(verdict.passed for verdict in candidate.verdicts)
    assert {alias for _, alias, _, _ in candidate.world.functions.calls if alias != "live"} == {"candidate", "1"}


@pytest.mark.parametrize("function", KEYS)
def test_every_function_can_fail_in_the_dark(candidate, function):
    candidate.breaks(on(function, "candidate"))
    with pytest.raises(CanaryFailed, match=f"^{function}: .*fail"):
        candidate.dark()
    assert candidate.verdicts[-1].outcome is Outcome.FAIL


@pytest.mark.parametrize(("acts_after_s", "outcome"), [(12, Outcome.PASS), (40, Outcome.FAIL)])
def test_rights_that_do_not_act_yet_are_waited_for_and_not_for_ever(tmp_path, monkeypatch, acts_after_s, outcome):
    candidate = candidate_in(World(tmp_path, monkeypatch, watch_poll_s=5, settle_s=30))
    began = candidate.world.now
    denied = RuntimeError("AccessDenied")
    candidate.breaks(
        lambda *_: denied if (candidate.world.now - began).total_seconds() < acts_after_s else None,
    )
    if outcome is Outcome.PASS:
        candidate.dark()
        assert all(verdict.passed for verdict in candidate.verdicts)
    else:
        fails(candidate.dark, "dashboard: health")


def test_what_is_right_at_once_is_asked_once_because_the_news_service_counts(tmp_path, monkeypatch):
    candidate = candidate_in(World(tmp_path, monkeypatch, watch_poll_s=5, settle_s=30))
    asked = []
    candidate.breaks(lambda function, _, event: asked.append(function) if event == {"probe": True} else None)
    candidate.dark()
    assert asked == ["ingestion"]


def test_what_is_wrong_at_first_is_never_judged_by_that_answer_but_asked_anew(tmp_path, monkeypatch):
    candidate = candidate_in(World(tmp_path, monkeypatch, watch_poll_s=5, settle_s=30))
    answers = iter([RuntimeError("AccessDenied"), None])
    news = {"probe": True}
    candidate.breaks(lambda function, _, event: next(answers, RuntimeError("x")) if event == news else None)
    fails(candidate.dark, "ingestion: reads the news")


@pytest.mark.parametrize("answer", [{"fetched": 0}, RuntimeError("another error")])
def test_a_function_that_must_raise_fails_when_it_answers_or_raises_something_else(candidate, answer):
    candidate.breaks(
        lambda function, _, event: answer if function == "ingestion" and event.get("tags") == "none" else None
    )
    fails(candidate.dark, "ingestion: raises when it fails")


@pytest.mark.parametrize(
    ("opens", "subject"),
    [
        (lambda key: "right-key".startswith(key) and key, "dashboard: beginning of the key is refused"),
        (lambda key: key.lower() == "right-key", "dashboard: key in another case is refused"),
    ],
)
def test_a_key_that_is_only_like_the_right_one_must_not_open(candidate, opens, subject):
    def opened(function, _alias, event):
        shown = event.get("headers", {}).get("authorization", "").removeprefix("Bearer ")
        opened = function == "dashboard" and event["rawPath"] == "/api/items" and opens(shown)
        return {"statusCode": 200, "body": "{}"} if opened and shown != "right-key" else None

    candidate.breaks(opened)
    fails(candidate.dark, subject)


def test_a_page_that_does_not_escape_what_it_is_asked_is_wrong(candidate):
    raw = {"statusCode": 200, "body": "<bdi><b>&</bdi>"}
    candidate.breaks(lambda _function, _alias, event: raw if event.get("rawPath") == "/" else None)
    fails(candidate.dark, "dashboard: page escapes")


def test_health_that_no_version_answers_is_wrong(candidate):
    latest = {"statusCode": 200, "body": json.dumps({"status": "ok", "version": "$LATEST"} | candidate.named)}
    candidate.breaks(lambda _function, _alias, event: latest if event.get("rawPath") == "/health" else None)
    fails(candidate.dark, "dashboard: health")


def test_a_key_without_letters_has_no_other_case_and_is_asked_for_as_a_wrong_one():
    release = ReleaseId(digest="d" * 64, sha="5" * 40)
    (row,) = [one for one in questions(release, "1234") if one.probe.key == "other case"]
    assert row.event["headers"]["authorization"].startswith("Bearer wrong-")


def test_a_candidate_with_other_code_is_not_even_asked(candidate):
    code = {name: one.code_sha256 for name, one in candidate.manifest.functions.items()}
    with pytest.raises(CanaryFailed, match="analysis has code"):
        candidate.dark(code=code | {"analysis": "A" * 43 + "="})
    assert len(candidate.verdicts) == 1


def test_a_function_without_a_question_is_never_let_through(candidate):
    candidate.world.functions.put_alias("prod-sentiment-archive", "candidate", "1")
    candidate.world.functions.published["prod-sentiment-archive"] = {
        "1": candidate.world.functions.published["prod-sentiment-analysis"]["1"]
    }
    code = {name: one.code_sha256 for name, one in candidate.manifest.functions.items()}
    archive = candidate.world.functions.published["prod-sentiment-archive"]["1"]["code"]
    with pytest.raises(CanaryFailed, match="no question for archive"):
        candidate.dark(code=code | {"archive": archive})


def test_the_table_has_a_question_for_every_function_of_the_program(candidate):
    assert {row.function for row in questions(candidate.release, "right-key")} == set(KEYS)
    assert all(spec.sample for spec in FUNCTIONS)


# Inconclusive: once more, then never


def throttling(world, monkeypatch, times, operation="invoke"):
    """Make the first calls fail with an answer that says nothing about the code."""
    act, left = getattr(world.functions, operation), [client_error("TooManyRequestsException")] * times

    def throttled(**call):
        if left:
            raise left.pop()
        return act(**call)

    monkeypatch.setattr(world.functions, operation, throttled)


def test_what_could_not_be_measured_is_taken_once_more(candidate, monkeypatch):
    throttling(candidate.world, monkeypatch, 1)
    candidate.dark()
    first, second = candidate.verdicts[1:3]
    assert (first.subject, first.outcome) == (second.subject, Outcome.INCONCLUSIVE)
    assert first.numbers["extended"]
    assert second.passed
    assert "extended" not in second.numbers


def test_what_cannot_be_measured_twice_ends_the_canary(candidate, monkeypatch):
    throttling(candidate.world, monkeypatch, 2)
    fails(candidate.dark, "dashboard: health", Outcome.INCONCLUSIVE)
    assert candidate.said() == [("dashboard: health", "inconclusive")] * 2


def test_a_persons_reason_accepts_what_is_inconclusive_and_is_kept_with_it(candidate, monkeypatch):
    throttling(candidate.world, monkeypatch, 2)
    candidate.dark(accept_inconclusive="Lambda is throttled today, see status page")
    accepted = [verdict for verdict in candidate.verdicts if "accepted" in verdict.numbers]
    assert [verdict.subject for verdict in accepted] == ["dashboard: health"]
    assert accepted[0].numbers["accepted"] == "Lambda is throttled today, see status page"
    assert accepted[0].outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("reason", ["", "  "])
def test_no_reason_accepts_nothing(candidate, monkeypatch, reason):
    throttling(candidate.world, monkeypatch, 2)
    fails(candidate.dark, "dashboard: health", Outcome.INCONCLUSIVE, accept_inconclusive=reason)


def test_no_reason_makes_a_fail_pass(candidate):
    candidate.breaks(on("analysis", "candidate"))
    fails(candidate.dark, "analysis: scores an item as positive", accept_inconclusive="I want it")


def test_a_fail_wins_over_an_alarm_that_proves_nothing(candidate):
    candidate.up(10)
    candidate.breaks(on_live(RuntimeError("x")))
    candidate.world.alarms.pop("prod-sentiment-analysis-errors")
    with pytest.raises(CanaryFailed, match=r"10 %: fail|version 2: fail"):
        candidate.weighted(accept_inconclusive="the alarm is gone")
    assert ("alarms", "inconclusive") in candidate.said()


# Whether traffic can be shared


def test_weights_apply_between_two_versions_of_a_function_with_a_url(candidate):
    assert candidate.why_not_weighted() == ""
    assert candidate.why_not_weighted({"dashboard": "1"}) == ""


@pytest.mark.parametrize(
    ("stable", "functions", "why"),
    [
        ({}, KEYS, "no stable version of dashboard"),
        ({"analysis": "1"}, KEYS, "no stable version of dashboard"),
        ({"analysis": "1"}, ["analysis"], "no function has a URL"),
        ({"dashboard": "2"}, KEYS, "dashboard did not change"),
    ],
)
def test_weights_do_not_apply_without_something_to_share(candidate, stable, functions, why):
    assert why in candidate.why_not_weighted(stable, functions)


@pytest.mark.parametrize(
    ("configuration", "why"),
    [
        ({"Role": "arn:aws:iam::123456789012:role/other"}, "dashboard gets another role"),
        (
            {"DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:123456789012:q"}},
            "dashboard gets another dead-letter configuration",
        ),
    ],
)
def test_lambda_shares_traffic_only_between_versions_with_the_same_role_and_dead_letters(candidate, configuration, why):
    candidate.world.configurations[candidate.manifest.digest] = configuration
    assert why in candidate.why_not_weighted()


def test_an_empty_dead_letter_configuration_is_none(candidate):
    candidate.world.configurations[candidate.manifest.digest] = {"DeadLetterConfig": {}}
    assert candidate.why_not_weighted() == ""


CALLED = "a run of each schedule, a message to the topic, questions to live"

# A tenth of the traffic


def test_a_sound_release_passes_its_tenth(candidate):
    candidate.up(10)
    before = candidate.world.now
    candidate.weighted()
    subjects = [verdict.subject for verdict in candidate.verdicts]
    counts = "calls of prod-sentiment-dashboard version 2"
    assert subjects == ["weights of live", "health at 10 %", counts, "alarms", "weights of live"]
    assert all(verdict.passed for verdict in candidate.verdicts)
    by_subject = {verdict.subject: verdict.numbers for verdict in candidate.verdicts}
    assert by_subject["health at 10 %"]["of_new"] >= 1
    assert by_subject[counts]["invocations"] >= by_subject["health at 10 %"]["of_new"]
    assert (candidate.world.now - before).total_seconds() >= 240


def test_a_release_that_always_fails_at_ten_percent_is_found_long_before_the_window_ends(candidate):
    candidate.up(10)
    candidate.breaks(on_live(RuntimeError("x")))
    before = candidate.world.now
    fails(candidate.weighted, "calls of prod-sentiment-dashboard version 2")
    assert (candidate.world.now - before).total_seconds() < 240


def test_errors_that_health_does_not_show_are_found_by_the_counts_of_the_version(candidate):
    candidate.up(10)
    users_only = RuntimeError("x")
    candidate.breaks(lambda function, alias, event: users_only if event.get("rawPath") == "/api/items" else None)
    failed = fails(candidate.weighted, "calls of prod-sentiment-dashboard version 2")
    assert failed.verdict.numbers["errors"] >= 2


def test_ten_percent_that_are_not_there_are_no_canary(candidate):
    fails(candidate.weighted, "weights of live")


def test_weights_that_somebody_takes_off_meanwhile_end_the_canary(candidate):
    candidate.up(10)
    alarms, since = candidate.world.alarms, candidate.world.now

    class Meddling(dict):
        def items(self):
            if (candidate.world.now - since).total_seconds() > 200:
                candidate.up(0)
            return super().items()

    candidate.world.alarms = Meddling(alarms)
    fails(candidate.weighted, "weights of live")
    assert candidate.verdicts[1].passed


def test_a_ringing_alarm_ends_the_tenth(candidate):
    candidate.up(10)
    candidate.world.alarms["prod-sentiment-ingestion-errors"] = "ALARM"
    fails(candidate.weighted, "alarms")


@pytest.mark.parametrize("state", ["INSUFFICIENT_DATA", None], ids=["never evaluated", "missing"])
def test_an_alarm_that_proves_nothing_extends_the_window_once_and_then_ends_it(candidate, state):
    candidate.up(10)
    candidate.world.alarms["prod-sentiment-ingestion-errors"] = state
    if state is None:
        candidate.world.alarms.pop("prod-sentiment-ingestion-errors")
    fails(candidate.weighted, "alarms", Outcome.INCONCLUSIVE)
    assert candidate.said().count(("alarms", "inconclusive")) == 2


def test_a_reason_accepts_an_alarm_that_proves_nothing_but_all_else_is_looked_at_to_the_end(candidate):
    candidate.up(10)
    candidate.world.alarms.pop("prod-sentiment-ingestion-errors")
    before = candidate.world.now
    candidate.weighted(accept_inconclusive="the alarm is made anew")
    assert candidate.said() == [("alarms", "inconclusive")] * 2
    assert (candidate.world.now - before).total_seconds() >= 480
    since = candidate.world.now
    candidate.breaks(lambda *_: RuntimeError("x") if (candidate.world.now - since).total_seconds() > 100 else None)
    with pytest.raises(CanaryFailed, match=r"10 %: fail|version 2: fail"):
        candidate.weighted(accept_inconclusive="the alarm is made anew")


def test_an_alarm_that_is_evaluated_in_the_second_window_is_enough(candidate):
    candidate.up(10)
    since = candidate.world.now
    name = "prod-sentiment-ingestion-errors"

    class Late(dict):
        def items(self):
            passed = (candidate.world.now - since).total_seconds()
            return {**self, name: "OK" if passed > 300 else "INSUFFICIENT_DATA"}.items()

    candidate.world.alarms = Late(candidate.world.alarms)
    candidate.weighted()
    assert candidate.said() == [("alarms", "inconclusive")]


def test_a_tenth_that_nobody_met_is_inconclusive(candidate, monkeypatch):
    candidate.up(10)
    monkeypatch.setattr(
        candidate.world.functions, "serves", lambda function, alias="live": {candidate.confirmed.stable[function]: 1.0}
    )
    failed = fails(candidate.weighted, "health at 10 %", Outcome.INCONCLUSIVE)
    assert "met the new release" in failed.verdict.why


def test_a_cloud_that_does_not_say_where_live_points_is_inconclusive(candidate, monkeypatch):
    candidate.up(10)

    def silent(**call):
        if call["Name"] == "live":
            raise EndpointConnectionError(endpoint_url="http://lambda.test")
        return dict(candidate.world.functions.aliases[call["FunctionName"], call["Name"]])

    monkeypatch.setattr(candidate.world.functions, "get_alias", silent)
    fails(candidate.weighted, "weights of live", Outcome.INCONCLUSIVE)


# Everybody


def test_a_sound_release_passes_at_a_hundred_percent(candidate):
    candidate.up(100)
    before = candidate.world.now
    candidate.live()
    subjects = [verdict.subject for verdict in candidate.verdicts]
    counts = [f"calls of prod-sentiment-{name}" for name in sorted(KEYS)]
    assert subjects == ["code of live", "health through live", CALLED, *counts, "alarms"]
    assert all(verdict.passed for verdict in candidate.verdicts)
    assert 240 <= (candidate.world.now - before).total_seconds() < 320
    # Its run and a question; its message.
    for function, times in (("ingestion", 2), ("analysis", 1)):
        assert candidate.world.functions.calls[function, "live", "2", "right"] == times


@pytest.mark.parametrize(("analyzed_after_s", "passes"), [(0, True), (60, True), (10_000, False)])
def test_an_article_must_be_analyzed_within_the_length_of_a_watch(candidate, analyzed_after_s, passes):
    candidate.up(100)
    began = candidate.world.now
    waiting = {"known": 1, "announced": 1} | candidate.named

    def still_pending(_function, alias, event):
        asked = alias == "live" and event.get("announce")
        return waiting if asked and (candidate.world.now - began).total_seconds() < analyzed_after_s else None

    candidate.breaks(still_pending)
    if passes:
        candidate.live()
    else:
        failed = fails(candidate.live, CALLED, Outcome.INCONCLUSIVE)
        assert "announced is 1, not 0" in str(failed)


def test_a_hundred_percent_without_metrics_is_no_pass(candidate):
    """CloudWatch says nothing, for whatever reason: then nobody knows what users get."""
    candidate.up(100)
    candidate.world.metrics_late_s = 10**6
    fails(candidate.live, "calls of prod-sentiment-analysis", Outcome.INCONCLUSIVE)


def test_the_last_calls_of_the_stable_version_do_not_count_against_the_new_one(candidate):
    candidate.world.functions.counted["dashboard", "", "wrong", candidate.world.now] += 50
    candidate.up(100)
    candidate.live()


def test_live_must_serve_what_was_built(candidate):
    assert candidate.confirmed.stable["dashboard"] == "1"
    fails(candidate.live, "code of live")


@pytest.mark.parametrize(
    ("broken", "subject"),
    [
        (on("ingestion", "live"), CALLED),
        (on("analysis", "live"), "calls of prod-sentiment-analysis"),
        (
            lambda function, *_: {"release": "x", "digest": "x"} if function == "ingestion" else None,
            CALLED,
        ),
    ],
    ids=["the schedule's run raises", "what the topic brings raises", "another release runs"],
)
def test_what_breaks_only_for_everybody_is_found(candidate, broken, subject):
    candidate.up(100)
    candidate.breaks(broken)
    fails(candidate.live, subject)


def test_a_url_that_nobody_answers_for_ends_the_watch_within_a_minute(candidate):
    """An answer that nobody signs says nothing; that there are no others is no pass either."""
    candidate.up(100)
    candidate.breaks(on("dashboard", "live"))
    before = candidate.world.now
    fails(candidate.live, "health through live", Outcome.INCONCLUSIVE)
    assert (candidate.world.now - before).total_seconds() < 60


@pytest.mark.parametrize("traffic", [10, 100])
def test_a_stack_without_a_url_cannot_be_watched_and_no_reason_helps(candidate, traffic):
    candidate.up(traffic)
    canary = candidate.canary(accept_inconclusive="I want it")
    watched = partial(canary.watch_weighted, candidate.confirmed) if traffic == 10 else canary.watch_live
    with pytest.raises(CanaryFailed, match="no output dashboard_url"):
        watched({"alarms": []})


@pytest.mark.parametrize("function", KEYS)
def test_a_function_that_has_no_live_at_all_fails_and_no_reason_helps(candidate, function):
    candidate.up(100)
    candidate.world.functions.aliases.pop((f"prod-sentiment-{function}", "live"))
    fails(candidate.live, "code of live", accept_inconclusive="I want it")


# Whatever happens


@settings(max_examples=examples(60))
@given(
    silence=st.lists(st.booleans(), min_size=1, max_size=30),
    accept=st.sampled_from(["", "I want it"]),
)
def test_a_release_that_always_fails_never_gets_user_traffic(tmp_path_factory, silence, accept):
    """Whatever of it can be measured, and whatever a person accepts: as long as one answer was measured."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        world = World(tmp_path_factory.mktemp("world"), monkeypatch)
        candidate = candidate_in(world)
        candidate.breaks(lambda *_: RuntimeError("x"))
        act, asked = world.functions.invoke, iter(silence * 1000)
        measured = []

        def invoke(**call):
            if next(asked):
                raise client_error("TooManyRequestsException")
            measured.append(call)
            return act(**call)

        monkeypatch.setattr(world.functions, "invoke", invoke)
        if accept and all(silence):
            return  # nothing at all was ever measured, and a person has said that this is enough
        with pytest.raises(CanaryFailed):
            candidate.dark(accept_inconclusive=accept)
        assert not any(key[1] == "live" and key[2] == "2" for key in world.functions.calls)


def test_whoever_watches_the_release_reads_every_verdict(candidate, monkeypatch):
    told = []
    monkeypatch.setattr(candidate.context.console, "detail", told.append)
    throttling(candidate.world, monkeypatch, 1)
    candidate.dark()
    assert [line for line in told if ": " in line and "inconclusive:" not in line] == list(map(str, candidate.verdicts))
    assert "inconclusive: taken once more" in told
