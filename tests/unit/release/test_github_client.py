"""The client of GitHub: what it repeats, what it never sends twice, and what it refuses to believe."""

import base64
import gzip
import json
from datetime import UTC, datetime

import httpx
import pytest
from nacl.public import PrivateKey, SealedBox

from release.clients.github import GitHub, GitHubError
from release.clients.rest import OversizeError
from tests.unit.release.doctor_world import a_run

TOKEN = "ghs_never-to-be-told"
API = "https://api.github.test"


class Waits:
    """A clock that only notes how long it was asked to wait."""

    def __init__(self):
        self.slept = []

    def sleep(self, seconds):
        self.slept.append(seconds)

    @staticmethod
    def now():
        return FixedNow


class FixedNow:
    @staticmethod
    def timestamp():
        return 1_000_000.0


class Wire:
    """Answers in order; the last one stays. Notes every request."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.seen = []

    def __call__(self, request):
        self.seen.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        answer = answer(request) if callable(answer) else answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def calls(self):
        return [f"{request.method} {request.url.path.removeprefix('/repos/o/r/')}" for request in self.seen]


def ok(body, **headers):
    return lambda _: httpx.Response(200, json=body, headers=headers)


def says(status, message="no", **headers):
    return lambda _: httpx.Response(
        status, json={"message": message}, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


@pytest.fixture
def clock():
    return Waits()


@pytest.fixture
def github(clock):
    def make(*answers):
        wire = Wire(*answers)
        return GitHub(TOKEN, "o/r", API, clock, httpx.MockTransport(wire)), wire

    return make


def attempt(status, number=123, run_attempt=2):
    return {"id": number, "run_attempt": run_attempt, "status": status}


# The environment


def test_github_is_there_only_with_a_token_and_the_name_of_a_repository():
    whole = {"GITHUB_TOKEN": TOKEN, "GITHUB_REPOSITORY": "o/r"}
    assert GitHub.from_environment(whole).repository == "o/r"
    for name in whole:
        assert GitHub.from_environment({**whole, name: ""}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"GITHUB_REPOSITORY": "o"},
        {"GITHUB_REPOSITORY": "o/r/../x"},
        {"GITHUB_API_URL": "http://api.github.test"},
        {"GITHUB_API_URL": "api.github.test"},
        {"GITHUB_TOKEN": f"{TOKEN}\n"},
        {"GITHUB_TOKEN": f"{TOKEN}\u2028"},
    ],
)
def test_a_token_goes_to_a_repository_over_a_safe_line_or_nowhere(change):
    client = GitHub.from_environment({"GITHUB_TOKEN": TOKEN, "GITHUB_REPOSITORY": "o/r", **change})
    with pytest.raises(GitHubError) as error:
        client.run_has_ended("1.1")
    assert TOKEN not in json.dumps(error.value.as_dict())


def test_every_call_carries_the_token_and_the_version_of_the_api(github):
    client, wire = github(ok(attempt("completed")))
    client.run_has_ended("123.2")
    headers = wire.seen[0].headers
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["x-github-api-version"] == "2022-11-28"


# What is repeated


@pytest.mark.parametrize(
    "trouble", [says(500), says(502), says(503), httpx.ReadTimeout("slow"), httpx.ConnectError("x")]
)
def test_trouble_on_the_way_costs_a_question_nothing_but_time(github, clock, trouble):
    client, wire = github(trouble, trouble, ok(attempt("completed")))
    assert client.run_has_ended("123.2") is True
    assert len(wire.seen) == 3
    assert len(clock.slept) == 2


def test_trouble_that_does_not_end_is_an_error_after_five_tries(github):
    client, wire = github(says(503, "unavailable"))
    with pytest.raises(GitHubError, match="did not answer GET") as error:
        client.run_has_ended("123.2")
    assert "HTTP 503: unavailable" in error.value.why
    assert len(wire.seen) == 5


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422, 301])
def test_a_plain_no_is_not_asked_again(github, status):
    client, wire = github(says(status))
    with pytest.raises(GitHubError, match="did not answer"):
        client.run_has_ended("123.2")
    assert len(wire.seen) == 1


@pytest.mark.parametrize(
    ("limited", "seconds"),
    [
        (says(429, retry_after="7"), 7),
        (says(403, "You have exceeded a secondary rate limit", retry_after="7"), 7),
        (says(403, x_ratelimit_remaining="0", x_ratelimit_reset="1000030"), 30),
        (says(403, "You have exceeded a secondary rate limit"), 60),
        (says(503, retry_after="11"), 11),
        (says(503, retry_after="Mon, 12 Jan 1970 13:46:51 GMT"), 11),
        (says(429, retry_after="Monday, 12-Jan-70 13:46:47 GMT"), 7),
        (says(429, retry_after=" 7 "), 7),
        (says(429, retry_after="Mon, 12 Jan 1970 13:46:39 GMT"), 0),
        *((says(429, retry_after=nonsense), 60) for nonsense in ("nan", "inf", "-7", "7.5", "1e3", "soon", "99 Foo")),
    ],
)
def test_a_limit_is_waited_out_as_long_as_github_says(github, clock, limited, seconds):
    client, _ = github(limited, ok(attempt("completed")))
    assert client.run_has_ended("123.2") is True
    assert seconds <= clock.slept[0] < seconds + 8


def test_a_limit_that_lasts_longer_than_a_release_can_wait_is_an_error_at_once(github, clock):
    client, _ = github(says(403, x_ratelimit_remaining="0", x_ratelimit_reset="1003600"))
    with pytest.raises(GitHubError):
        client.run_has_ended("123.2")
    assert clock.slept == []


@pytest.mark.parametrize(
    "answer",
    [
        says(401, f"Bad credentials {TOKEN}"),
        httpx.ReadError(f"while sending Bearer {TOKEN}"),
        lambda _: httpx.Response(200, text=f"<html>{TOKEN}</html>"),
        ok({"id": TOKEN, "run_attempt": 2, "status": "completed"}),
    ],
)
def test_the_token_is_in_no_message(github, answer):
    client, _ = github(answer)
    with pytest.raises(GitHubError) as error:
        client.run_has_ended("123.2")
    told = json.dumps(error.value.as_dict()) + repr(error.value) + repr(error.value.__cause__) + repr(client)
    assert TOKEN not in told


# Lists


def test_a_list_is_followed_page_by_page_as_the_link_leads(github):
    following = f'<{API}/repos/o/r/commits/abc/pulls?page=2>; rel="next"'
    client, wire = github(
        ok([{"number": 1, "merged_at": "2026-01-01T00:00:00Z"}, {"number": 2, "merged_at": None}], link=following),
        ok([{"number": 3, "merged_at": "2026-01-01T00:00:00Z"}]),
    )
    assert client.merged_pulls_of("abc") == [1, 3]
    assert wire.seen[0].url.params["per_page"] == "100"
    assert wire.seen[1].url.params["page"] == "2"


def test_the_token_does_not_follow_a_link_to_another_host(github):
    client, wire = github(ok([], link='<https://elsewhere.test/repos/o/r/x?page=2>; rel="next"'))
    with pytest.raises(GitHubError, match="another address"):
        client.merged_pulls_of("abc")
    assert len(wire.seen) == 1


def test_a_list_without_an_end_is_an_error_and_not_a_part_of_it(github):
    client, _ = github(ok([], link=f'<{API}/repos/o/r/x?page=2>; rel="next"'))
    with pytest.raises(GitHubError, match="more than"):
        client.merged_pulls_of("abc")


# Runs


@pytest.mark.parametrize(
    ("status", "ended"),
    [
        ("completed", True),
        *((status, False) for status in ("queued", "in_progress", "waiting", "requested", "pending")),
    ],
)
def test_a_run_has_ended_when_github_says_completed(github, status, ended):
    client, wire = github(ok(attempt(status)))
    assert client.run_has_ended("123.2") is ended
    assert wire.calls == ["GET actions/runs/123/attempts/2"]


@pytest.mark.parametrize(
    "answer",
    [
        ok(attempt("")),
        ok(attempt("stale")),
        ok(attempt("completed", number=124)),
        ok(attempt("completed", run_attempt=1)),
        ok({"id": 123, "run_attempt": 2}),
        ok({"id": 123, "run_attempt": 2, "status": None}),
        ok([]),
        says(404, "Not Found"),
        says(500),
    ],
)
def test_an_answer_that_does_not_say_it_is_no_end(github, answer):
    client, _ = github(answer)
    with pytest.raises(GitHubError):
        client.run_has_ended("123.2")


@pytest.mark.parametrize("run", ["local-abcdef012345", "", "12x", "1.2.3", "../5"])
def test_github_knows_nothing_of_runs_that_are_not_its_own(github, run):
    client, wire = github(ok(attempt("completed")))
    with pytest.raises(GitHubError, match="knows nothing"):
        client.run_has_ended(run)
    assert wire.seen == []


def test_waiting_runs_are_those_that_wait_for_an_approval_or_for_a_runner(github):
    def answer(request):
        run = a_run(id=5, html_url="https://github.test/5")
        newer = {**run, "id": 7, "status": "queued"}
        found = {"waiting": [run], "queued": [run, newer]}.get(request.url.params["status"], [])
        return httpx.Response(200, json={"total_count": len(found), "workflow_runs": found})

    client, wire = github(answer)
    assert [(run.id, run.url) for run in client.waiting_runs("x.yml")] == [
        (7, "https://github.test/5"),
        (5, "https://github.test/5"),
    ]
    assert set(wire.calls) == {"GET actions/workflows/x.yml/runs"}
    assert {request.url.params["status"] for request in wire.seen} == {"waiting", "queued", "requested", "pending"}


def test_cancelling_a_run_that_has_ended_meanwhile_is_fine(github):
    client, wire = github(says(409, "Cannot cancel a workflow run that is completed."), ok(attempt("completed")))
    client.cancel(123)
    assert wire.calls == ["POST actions/runs/123/cancel", "GET actions/runs/123"]


def test_a_run_that_cannot_be_cancelled_and_goes_on_is_an_error(github):
    client, _ = github(says(409), ok(attempt("in_progress")))
    with pytest.raises(GitHubError):
        client.cancel(123)


# Issues


class Issues:
    """GitHub's issues in memory. `fault` is called after every request has been done, and may spoil its answer."""

    def __init__(self, fault=lambda request, answer: answer):
        self.issues = []
        self.fault = fault

    def __call__(self, request):
        return self.fault(request, self._answer(request))

    def _answer(self, request):
        path = request.url.path.removeprefix("/repos/o/r/").split("/")
        body = json.loads(request.content or b"null")
        match [request.method, *path]:
            case ["GET", "issues"]:
                return httpx.Response(200, json=[one for one in self.issues if one["state"] == "open"])
            case ["POST", "issues"]:
                self.add(**body)
                return httpx.Response(201, json=self.issues[-1])
            case ["PATCH", "issues", number]:
                self.issues[int(number) - 1] |= body
                return httpx.Response(200, json=self.issues[int(number) - 1])
            case ["GET", "issues", number, "comments"]:
                return httpx.Response(200, json=self.issues[int(number) - 1]["said"])
            case ["POST", "issues", number, "comments"]:
                self.issues[int(number) - 1]["said"].append(body)
                return httpx.Response(201, json=body)
        return httpx.Response(404, json={"message": "Not Found"})

    def add(self, *, title="", body="", labels=(), **of):
        number = len(self.issues) + 1
        one = {
            "number": number,
            "html_url": f"https://github.test/issues/{number}",
            "state": "open",
            "user": {"type": "Bot"},
            "author_association": "NONE",
            "title": title,
            "body": body,
            "labels": list(labels),
            "said": [],
        }
        self.issues.append({**one, **of})


def test_there_is_one_open_issue_per_key_and_what_comes_later_is_a_comment(github):
    issues = Issues()
    client, _ = github(issues)
    first = client.upsert_issue("prod-abc", "prod: rolled back\nhttps://x", "one", ["release"])
    assert client.upsert_issue("prod-abc", "prod: rolled back again", "two") == first
    other = client.upsert_issue("prod-abcd", "another", "three")
    assert other != first
    assert [one["title"] for one in issues.issues] == ["prod: rolled back https://x", "another"]
    assert issues.issues[0]["labels"] == ["release"]
    assert issues.issues[0]["body"].startswith("one\n\n<!-- sentiment-pipeline prod-abc -->")
    assert [one["body"].partition("\n")[0] for one in issues.issues[0]["said"]] == ["two"]


def test_a_closed_issue_stays_closed_and_a_new_one_is_opened(github):
    issues = Issues()
    client, _ = github(issues)
    client.upsert_issue("k", "t", "one")
    issues.issues[0]["state"] = "closed"
    assert client.upsert_issue("k", "t", "two") == "https://github.test/issues/2"


@pytest.mark.parametrize(
    "of", [{"user": {"type": "User"}}, {"user": None}, {"pull_request": {"url": "x"}, "author_association": "OWNER"}]
)
def test_an_issue_of_a_stranger_and_a_pull_request_are_not_taken_for_ours(github, of):
    issues = Issues()
    issues.add(body="<!-- sentiment-pipeline k -->", **of)
    client, _ = github(issues)
    assert client.upsert_issue("k", "t", "b") == "https://github.test/issues/2"
    assert issues.issues[0]["said"] == []


@pytest.mark.parametrize("there", [False, True], ids=["new issue", "comment"])
@pytest.mark.parametrize("lost", [httpx.ReadTimeout("lost"), httpx.Response(502, json={"message": "lost"})])
@pytest.mark.parametrize("times", [1, 2])
def test_an_answer_lost_after_the_act_makes_nothing_twice(github, there, lost, times):
    left = [times]

    def lose(request, answer):
        if request.method == "POST" and left[0]:
            left[0] -= 1
            if isinstance(lost, Exception):
                raise lost
            return lost
        return answer

    issues = Issues()
    client, _ = github(issues)
    if there:
        client.upsert_issue("k", "t", "before")
    issues.fault = lose
    assert client.upsert_issue("k", "t", "b") == "https://github.test/issues/1"
    assert len(issues.issues) == 1
    assert len(issues.issues[0]["said"]) == int(there)


def test_a_post_that_was_never_done_is_done_after_the_trouble(github):
    left = [2]

    class Broken(Issues):
        def __call__(self, request):
            if request.method == "POST" and left[0]:
                left[0] -= 1
                return httpx.Response(502, json={"message": "bad gateway"})
            return super().__call__(request)

    issues = Broken()
    client, _ = github(issues)
    assert client.upsert_issue("k", "t", "b") == "https://github.test/issues/1"
    assert len(issues.issues) == 1


def test_a_body_longer_than_github_takes_is_cut_and_keeps_its_marker(github):
    issues = Issues()
    client, _ = github(issues)
    client.upsert_issue("k", "t" * 300, "x" * 70_000)
    made = issues.issues[0]
    assert len(made["body"]) <= 65_536
    assert "<!-- sentiment-pipeline k -->" in made["body"]
    assert len(made["title"]) <= 256


def test_an_issue_that_is_kept_opens_says_what_is_now_and_closes_with_a_reason(github):
    issues = Issues()
    client, wire = github(issues)
    address = client.keep_issue("watch-prod", "prod: 1 finding", "one", labels=["release"])
    assert client.keep_issue("watch-prod", "prod: 2 findings", "two", "new: b") == address
    (issue,) = issues.issues
    assert (issue["title"], issue["body"].splitlines()[0]) == ("prod: 2 findings", "two")
    assert [one["body"].splitlines()[0] for one in issue["said"]] == ["new: b"]
    before = len(wire.calls)
    client.keep_issue("watch-prod", "prod: 2 findings", "two")
    assert [call for call in wire.calls[before:] if not call.startswith("GET")] == []
    assert client.close_issue("watch-prod", "all is well") == address
    assert (issue["state"], issue["said"][-1]["body"].splitlines()[0]) == ("closed", "all is well")
    assert client.close_issue("watch-prod", "all is well") == ""
    assert client.keep_issue("watch-prod", "prod: 1 finding", "three") != address


def test_news_whose_answer_was_lost_is_told_once(github):
    lost = []

    def fault(request, answer):
        if request.method == "POST" and request.url.path.endswith("/comments") and not lost:
            lost.append(request)
            return httpx.ReadTimeout("lost")
        return answer

    issues = Issues(fault)
    client, _ = github(issues)
    client.keep_issue("watch-prod", "t", "one")
    client.keep_issue("watch-prod", "t", "two", "new: b")
    assert len(lost) == 1
    assert len(issues.issues[0]["said"]) == 1


@pytest.mark.parametrize("key", ["", "a b", "a-->b", "a--b", "a\n"])
def test_a_key_cannot_end_its_comment(github, key):
    client, _ = github(Issues())
    with pytest.raises(ValueError, match="HTML comment"):
        client.upsert_issue(key, "t", "b")


# Deployments


def test_the_status_goes_to_the_newest_deployment_of_that_commit_and_environment(github):
    client, wire = github(ok([{"id": 8}, {"id": 7}]), ok({"id": 1}))
    client.set_deployment_status("a" * 40, "production", "failure", "x\n" * 200, "https://run", "")
    assert wire.calls == ["GET deployments", "POST deployments/8/statuses"]
    assert dict(wire.seen[0].url.params) == {"sha": "a" * 40, "environment": "production", "per_page": "100"}
    sent = json.loads(wire.seen[1].content)
    assert (sent["state"], sent["log_url"], "environment_url" in sent) == ("failure", "https://run", False)
    assert len(sent["description"]) <= 140
    assert "\n" not in sent["description"]


def test_without_a_deployment_one_is_made_that_merges_nothing_and_waits_for_nothing(github):
    client, wire = github(ok([]), ok({"id": 9}), ok({"id": 1}))
    client.set_deployment_status("a" * 40, "production", "success", "confirmed")
    assert wire.calls == ["GET deployments", "POST deployments", "POST deployments/9/statuses"]
    assert json.loads(wire.seen[1].content) == {
        "ref": "a" * 40,
        "environment": "production",
        "auto_merge": False,
        "required_contexts": [],
    }


# Secrets of environments


def test_a_secret_travels_in_a_box_that_only_the_keys_owner_can_open(github):
    key = PrivateKey.generate()
    public = {"key_id": "7", "key": base64.b64encode(bytes(key.public_key)).decode()}
    client, wire = github(ok(public), ok({}))
    client.seal("production", "PROD_KEY", "very secret")
    assert wire.calls == [
        "GET environments/production/secrets/public-key",
        "PUT environments/production/secrets/PROD_KEY",
    ]
    sent = json.loads(wire.seen[1].content)
    assert sent["key_id"] == "7"
    assert "very secret" not in wire.seen[1].content.decode()
    assert SealedBox(key).decrypt(base64.b64decode(sent["encrypted_value"])) == b"very secret"


def test_a_public_key_that_is_none_is_refused_before_anything_is_sent(github):
    client, wire = github(ok({"key_id": "7", "key": "c2hvcnQ="}))
    with pytest.raises(GitHubError, match="public key"):
        client.seal("production", "PROD_KEY", "very secret")
    assert len(wire.calls) == 1


def test_of_the_secrets_of_an_environment_the_names_and_times_are_known(github):
    listed = {"total_count": 1, "secrets": [{"name": "A", "created_at": "x", "updated_at": "2026-11-23T06:00:00Z"}]}
    client, wire = github(ok(listed))
    assert client.environment_secrets("a/b") == {"A": datetime(2026, 11, 23, 6, tzinfo=UTC)}
    assert wire.seen[0].url.raw_path.startswith(b"/repos/o/r/environments/a%2Fb/secrets?")


def test_an_environment_that_does_not_exist_is_told_apart(github):
    client, _ = github(says(404))
    with pytest.raises(GitHubError) as missing:
        client.environment_secrets("production")
    assert missing.value.status == 404


# What a run of strangers' code left

BLOB = "https://blobs.test/a?sig=never-to-be-told-either"


def redirect(place=BLOB, status=302):
    return lambda _: httpx.Response(status, headers={"location": place} if place else {})


def blob(body, status=200, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: httpx.Response(status, stream=httpx.ByteStream(body), headers=named)


def test_an_archive_comes_from_another_host_that_never_sees_the_token(github):
    client, wire = github(redirect(), blob(b"bytes"))
    assert client.artifact_archive(5, 5) == b"bytes"
    first, second = wire.seen
    assert first.headers["authorization"] == f"Bearer {TOKEN}"
    assert first.url.path == "/repos/o/r/actions/artifacts/5/zip"
    assert str(second.url) == BLOB
    assert TOKEN not in str(second.headers)


def test_an_archive_ends_at_its_limit_and_is_never_decoded(github):
    client, _ = github(redirect(), blob(b"bytes!"))
    with pytest.raises(OversizeError):
        client.artifact_archive(5, 5)
    swelling = gzip.compress(bytes(1_000_000))
    client, wire = github(redirect(), blob(swelling, content_encoding="gzip"))
    assert client.artifact_archive(5, 10_000) == swelling
    assert wire.seen[1].headers["accept-encoding"] == "identity"


def test_an_archive_whose_host_stumbles_is_asked_for_again_and_one_that_is_refused_is_not(github, clock):
    client, _ = github(redirect(), blob(b"", 503), httpx.ReadTimeout("slow"), blob(b"bytes"))
    assert client.artifact_archive(5, 5) == b"bytes"
    assert len(clock.slept) == 2
    client, wire = github(redirect(), blob(b"", 403))
    with pytest.raises(GitHubError) as error:
        client.artifact_archive(5, 5)
    assert len(wire.seen) == 2
    assert "never-to-be-told" not in json.dumps(error.value.as_dict())


@pytest.mark.parametrize(
    "place", ["http://blobs.test/a", "file:///etc/passwd", "//blobs.test/a", "", "ftp://127.0.0.1/a"]
)
def test_an_archive_is_fetched_over_a_safe_line_or_not_at_all(github, place):
    client, wire = github(redirect(place), blob(b"bytes"))
    with pytest.raises(GitHubError, match="connection that anybody can change"):
        client.artifact_archive(5, 5)
    assert len(wire.seen) == 1


@pytest.mark.parametrize("status", [200, 204, 301, 404, 410])
def test_anything_but_a_redirect_to_an_archive_is_none(github, status):
    client, wire = github(redirect(status=status))
    with pytest.raises(GitHubError) as error:
        client.artifact_archive(5, 5)
    assert error.value.status == status
    assert len(wire.seen) == 1


# Comments


MARKER = "<!-- sentiment-pipeline x -->"
OURS = {"login": "github-actions[bot]", "type": "Bot"}


@pytest.mark.parametrize("lost", [httpx.ReadTimeout("lost"), httpx.Response(502, json={"message": "lost"})])
def test_a_comment_whose_answer_is_lost_is_looked_for_before_it_is_sent_again(github, lost):
    there = []

    def answer(request):
        if request.method == "GET":
            return httpx.Response(200, json=there)
        there.append({"id": 1, "user": OURS, **json.loads(request.content)})
        if isinstance(lost, Exception):
            raise lost
        return lost

    client, wire = github(answer)
    client.upsert_comment(4, MARKER, f"{MARKER}\ntext")
    assert len(there) == 1
    assert [call.split()[0] for call in wire.calls] == ["GET", "POST", "GET"]


@pytest.mark.parametrize(
    "user",
    [
        {"login": "somebody", "type": "User"},
        {"login": "github-actions[bot]", "type": "User"},
        {"login": "other[bot]", "type": "Bot"},
        None,
    ],
)
def test_a_comment_of_anybody_else_is_none_of_ours(github, user):
    client, wire = github(ok([{"id": 1, "user": user, "body": f"{MARKER}\nold"}]), ok({"id": 2}))
    client.upsert_comment(4, MARKER, f"{MARKER}\nnew")
    assert wire.calls == ["GET issues/4/comments", "POST issues/4/comments"]


def test_a_comment_of_ours_is_changed_only_where_it_differs(github):
    client, wire = github(ok([{"id": 1, "user": OURS, "body": f"{MARKER}\r\nold"}]), ok({"id": 1}))
    client.upsert_comment(4, MARKER, f"{MARKER}\nnew\n")
    assert wire.calls[1:] == ["PATCH issues/comments/1"]
    client, wire = github(ok([{"id": 1, "user": OURS, "body": f"{MARKER}\r\nold"}]))
    client.upsert_comment(4, MARKER, f"{MARKER}\nold\n")
    assert wire.calls == ["GET issues/4/comments"]


@pytest.mark.parametrize("body", ["text without it", f"{MARKER}{'x' * 65_536}"])
def test_a_comment_that_could_not_be_found_again_or_is_too_long_is_not_sent(github, body):
    client, wire = github(ok([]))
    with pytest.raises(ValueError, match="must begin with"):
        client.upsert_comment(4, MARKER, body)
    assert wire.seen == []


def test_the_description_of_a_status_is_one_short_line(github):
    client, wire = github(ok({}))
    client.set_commit_status("a" * 40, "Stack previews", "failure", "x\n" * 200, "https://run.test")
    sent = json.loads(wire.seen[0].content)
    assert len(sent["description"]) <= 140
    assert "\n" not in sent["description"]


def test_somebody_whom_github_does_not_know_here_has_no_role(github):
    assert github(says(404))[0].role("gone") == "none"
    assert github(ok({"role_name": "maintain"}))[0].role("there") == "maintain"
    with pytest.raises(GitHubError):
        github(says(403))[0].role("somebody")
