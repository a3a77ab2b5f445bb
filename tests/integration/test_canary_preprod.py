"""M18: what production's canary will rely on, tried before production: the health answer, the key check, the judge.

The judge's own questions are put to preprod's candidate, as they will be put to production's: a question that a sound
release cannot answer would stop every release, and one that any answer satisfies would stop none.
"""

import io
import time
from dataclasses import replace

import boto3
import pytest
from rich.console import Console as RichConsole

from components.naming import CANDIDATE, names
from components.service.functions import FUNCTIONS, KEYS, WITH_URL
from release.analysis.answers import AnswerKind
from release.analysis.probes import Probes, duel_questions, questions, what_is_wrong_with_health
from release.console import Console
from release.ledger.lifecycle import ReleaseId
from release.settings import ReleaseSettings

pytestmark = pytest.mark.deployed

PRIVATE = ("/", "/api/items", "/api/metrics")
AN_HOUR_S = 3600
OPEN = {"health", "items without a key", "unknown path"}
"""Questions of the duel that are answered alike whatever key is shown."""


def test_health_names_the_release_that_was_deployed_and_nothing_else(dashboard, release):
    answer = dashboard.get("/health")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"status", "release", "digest", "version"}
    assert body["status"] == "ok"
    assert {name: body[name] for name in release} == release


def test_health_names_a_published_version(dashboard):
    assert dashboard.get("/health").json()["version"].isdigit(), "$LATEST would change under its callers"


def test_every_answer_comes_from_the_same_release(dashboard, release):
    assert {dashboard.get("/health").json()["digest"] for _ in range(10)} == {release["digest"]}


def test_warm_health_answers_within_a_second(dashboard):
    dashboard.get("/health")
    assert sorted(dashboard.get("/health").elapsed.total_seconds() for _ in range(5))[2] < 1


def test_health_needs_no_key_and_no_cache_keeps_it(dashboard):
    assert dashboard.get("/health").headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", PRIVATE)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic d3Jvbmc6d3Jvbmc="},
        {"X-API-Key": "wrong"},
        {"X-API-Key": ""},
    ],
    ids=["no key", "wrong bearer", "empty bearer", "another scheme", "wrong key", "empty key"],
)
def test_what_needs_the_key_is_closed_without_it(dashboard, path, headers):
    answer = dashboard.get(path, headers=headers)
    assert answer.status_code == 401
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize("path", PRIVATE)
def test_a_part_of_the_key_or_more_than_the_key_is_a_wrong_key(dashboard, api_key, path):
    for wrong in (api_key[:-1], api_key[:1], f"{api_key}x", api_key.swapcase()):
        assert dashboard.get(path, headers={"X-API-Key": wrong}).status_code == 401
    assert dashboard.get(path, headers={"X-API-Key": api_key}).status_code == 200


@pytest.mark.parametrize("path", PRIVATE)
def test_both_ways_to_show_the_key_open_it(dashboard, api_key, path):
    assert dashboard.get(path, headers={"Authorization": f"Bearer {api_key}"}).status_code == 200
    assert dashboard.get(path, headers={"X-API-Key": api_key}).status_code == 200


@pytest.fixture(scope="module")
def judge(release):
    """Asks the candidate of preprod as production's judge asks its own."""

    def ask(question, digest=""):
        identity = ReleaseId(digest=digest or release["digest"], sha=release["release"])
        settings, quiet = (
            replace(ReleaseSettings(), answer_limit_s=10),
            Console(RichConsole(file=io.StringIO())),
        )
        return Probes(boto3.client("lambda"), names("preprod"), identity, settings, quiet).ask(question, CANDIDATE)

    return ask


@pytest.fixture(scope="module")
def identity(release):
    return ReleaseId(digest=release["digest"], sha=release["release"])


def test_every_question_of_the_judge_is_answered_right_by_this_release(judge, identity, api_key):
    # As the canary does: a probe may ask what follows from a question of the duel.
    duels = (one for spec in FUNCTIONS for one in duel_questions(spec, identity, api_key))
    asked = [*duels, *questions(identity, api_key)]
    answers = {f"{one.function}: {one.probe.name}": judge(one) for one in asked}
    assert {name: answer.said for name, answer in answers.items() if answer.case.kind is not AnswerKind.SUCCESS} == {}
    assert {one.function for one in asked} == set(KEYS)


def test_every_question_that_names_the_release_takes_this_one_for_wrong_when_another_is_expected(judge):
    other = ReleaseId(digest="0" * 64, sha="0" * 40)
    naming = [one for one in questions(other, "") if "refused" not in one.probe.name and not one.probe.error]
    assert {judge(one).case.kind for one in naming} == {AnswerKind.FAILURE}
    assert {one.function for one in naming} == set(KEYS)


def test_the_users_requests_of_the_judge_are_wrong_with_a_wrong_key(judge, identity):
    urls = [spec for spec in FUNCTIONS if spec.key in WITH_URL]
    asked = {one.probe.name: judge(one).case.kind for spec in urls for one in duel_questions(spec, identity, "wrong")}
    assert {name for name, kind in asked.items() if kind is AnswerKind.SUCCESS} == OPEN


def test_health_of_another_release_is_wrong_in_the_window_too(dashboard, identity):
    answer = dashboard.get("/health")
    assert what_is_wrong_with_health(answer.status_code, answer.json(), identity) == ""
    other = ReleaseId(digest="0" * 64, sha=identity.sha)
    assert "another release" in what_is_wrong_with_health(answer.status_code, answer.json(), other)


def test_what_the_judge_leaves_behind_is_marked_goes_in_an_hour_and_is_not_shown(judge, identity, table, read_api):
    question = next(one for one in questions(identity, "") if one.function == "analysis")
    assert judge(question).case.kind is AnswerKind.SUCCESS
    made = {"source_id": f"probe#release-positive-{identity.digest[:16]}", "timestamp": "1970-01-01T00:00:00Z"}
    item = table.get_item(Key=made, ConsistentRead=True)["Item"]
    assert item["probe"] is True
    assert item["expires_at"] <= time.time() + AN_HOUR_S + 60
    listed = read_api("/api/items", tag=item["tag"], limit=100)["items"]
    assert [one for one in listed if one["source_id"] == item["source_id"]] == []
