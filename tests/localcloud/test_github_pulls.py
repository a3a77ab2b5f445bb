"""What the local GitHub knows of pull requests besides their commits: runs, artifacts, statuses, comments, labels."""

import httpx
import pytest

from tests.localcloud.parts import running_part

REPOSITORY = "/repos/local/sentiment-pipeline"
FORK = "somebody/sentiment-pipeline"
HEAD = "a" * 40
PULL = {"number": 40, "user": "somebody", "merged": False, "head": {"sha": HEAD, "ref": "mine", "repo": FORK}}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with running_part("github", tmp_path_factory.mktemp("github") / "github.log") as url:
        httpx.post(f"{url}/_localcloud/users", json={"login": "somebody"})
        for login in ("somebody", "traylorre"):
            httpx.put(f"{url}/_localcloud/tokens", json={"token": f"of-{login}", "login": login})
        httpx.put(f"{url}/_localcloud/roles", json={"login": "traylorre", "role_name": "maintain"})
        yield url


@pytest.fixture
def seed(address):
    with httpx.Client(base_url=f"{address}/_localcloud") as client:
        client.put("/pulls", json=PULL)
        yield client


def _api(address, token):
    return httpx.Client(base_url=f"{address}/api/v3{REPOSITORY}", headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def api(address, seed):
    with _api(address, "made-up") as client:
        yield client


@pytest.fixture
def stranger(address, seed):
    with _api(address, "of-somebody") as client:
        yield client


@pytest.fixture
def owner(address, seed):
    with _api(address, "of-traylorre") as client:
        yield client


def test_pull_requests_are_found_by_the_branch_of_a_fork_while_they_are_open(api, seed):
    seed.put("/pulls", json={**PULL, "number": 41, "head": {"sha": "b" * 40, "ref": "mine", "repo": "other/x"}})
    seed.put("/pulls", json={**PULL, "number": 42, "state": "closed"})
    seed.put("/pulls", json={**PULL, "number": 43, "head": {"sha": HEAD, "ref": "mine", "repo": None}})

    def found(**wanted):
        return [one["number"] for one in api.get("/pulls", params=wanted).json()]

    assert found(head="Somebody:mine") == [40]
    assert found(head="somebody:mine", state="all") == [42, 40]
    assert found(head="somebody:mine", base="release") == found(head="somebody:yours") == []
    assert found(head="mine") == found() == [43, 41, 40]
    first, second = (api.get(f"/pulls/{number}").json()["head"]["repo"]["id"] for number in (40, 41))
    assert first != second
    assert api.get("/pulls", params={"state": "ended"}).status_code == 422


def test_a_run_tells_where_its_head_comes_from_and_how_its_jobs_ended(api, seed):
    run = {"id": 60, "event": "pull_request", "workflow": "stack-preview.yml", "head_sha": HEAD, "status": "completed"}
    jobs = [{"name": "Preview", "conclusion": "failure"}, {"name": "Checks"}]
    seed.put("/runs", json={**run, "head_branch": "mine", "head_repository": FORK, "jobs": jobs})
    seed.put("/runs", json={**run, "id": 61, "event": "push"})
    shown = api.get("/actions/runs/60").json()
    assert (shown["head_branch"], shown["head_repository"]["full_name"]) == ("mine", FORK)
    assert shown["head_repository"]["id"] == api.get("/pulls/40").json()["head"]["repo"]["id"]
    assert shown["repository"]["full_name"] == "local/sentiment-pipeline"
    listed = api.get("/actions/runs/60/jobs").json()["jobs"]
    assert [(job["name"], job["conclusion"]) for job in listed] == [("Preview", "failure"), ("Checks", "success")]
    mine = api.get(
        "/actions/workflows/stack-preview.yml/runs", params={"head_sha": HEAD, "event": "pull_request"}
    ).json()
    assert [one["id"] for one in mine["workflow_runs"]] == [60]


def test_an_artifact_is_fetched_from_another_host_that_refuses_the_token(api, seed):
    seed.put("/runs", json={"id": 70, "head_sha": HEAD})
    assert seed.put("/runs/71/artifacts/previews", content=b"x").status_code == 404
    made = seed.put("/runs/70/artifacts/previews", content=b"the bytes").json()
    seed.put("/runs/70/artifacts/other", content=b"", params={"size_in_bytes": 7, "expired": True})
    other, previews = api.get("/actions/runs/70/artifacts").json()["artifacts"]
    assert (previews["id"], previews["size_in_bytes"], previews["expired"]) == (made["id"], 9, False)
    assert (other["size_in_bytes"], other["expired"]) == (7, True)
    named = api.get("/actions/runs/70/artifacts", params={"name": "previews"}).json()
    assert [one["id"] for one in named["artifacts"]] == [made["id"]]

    told = api.get(f"/actions/artifacts/{made['id']}/zip")
    place = httpx.URL(told.headers["location"])
    assert (told.status_code, place.host) == (302, "localhost")
    assert httpx.get(place).content == b"the bytes"
    assert httpx.get(place, headers={"Authorization": "Bearer made-up"}).status_code == 401
    assert httpx.get(place.copy_with(query=b"sig=guessed")).status_code == 403
    assert api.get(f"/actions/artifacts/{other['id']}/zip").status_code == 410
    assert api.get(f"/actions/artifacts/{made['id']}/tar").status_code == 404


def test_a_status_of_a_commit_is_checked_and_the_newest_comes_first(api):
    for state in ("pending", "success"):
        assert api.post(f"/statuses/{HEAD}", json={"state": state, "context": "Stack previews"}).status_code == 201
    shown = api.get(f"/commits/{HEAD}/statuses").json()
    assert [one["state"] for one in shown][:2] == ["success", "pending"]
    assert shown[0]["creator"]["login"] == "github-actions[bot]"
    for wrong in (
        {"state": "neutral"},
        {"state": "success", "description": "x" * 141},
        {"state": "success", "target_url": "javascript:x"},
        {"state": "success", "conclusion": "x"},
    ):
        assert api.post(f"/statuses/{HEAD}", json=wrong).status_code == 422
    assert api.post(f"/statuses/{'f' * 40}", json={"state": "success"}).status_code == 422


def test_a_comment_on_a_pull_request_tells_who_wrote_it_and_strangers_edit_only_their_own(api, stranger, owner):
    ours = api.post("/issues/40/comments", json={"body": "ours"}).json()
    theirs = stranger.post("/issues/40/comments", json={"body": "theirs"}).json()
    assert [(one["user"]["login"], one["user"]["type"]) for one in api.get("/issues/40/comments").json()] == [
        ("github-actions[bot]", "Bot"),
        ("somebody", "User"),
    ]
    path = "/issues/comments/"
    assert stranger.patch(f"{path}{ours['id']}", json={"body": "mine"}).status_code == 403
    for who, comment in ((stranger, theirs), (owner, theirs), (api, ours)):
        assert who.patch(f"{path}{comment['id']}", json={"body": "edited", "user": "x"}).status_code == 200
    assert [one["body"] for one in api.get("/issues/40/comments").json()] == ["edited", "edited"]
    assert theirs["author_association"] == "NONE"


def test_setting_a_label_is_an_event_and_strangers_may_not(api, stranger, owner):
    labels = "/issues/40/labels"
    assert stranger.post(labels, json={"labels": ["allow"]}).status_code == 403
    for _ in range(2):
        assert [one["name"] for one in owner.post(labels, json={"labels": ["allow"]}).json()] == ["allow"]
    assert [one["name"] for one in api.get("/pulls/40").json()["labels"]] == ["allow"]
    assert 40 in [one["number"] for one in api.get("/issues", params={"labels": "allow"}).json()]
    assert owner.delete(f"{labels}/allow").json() == api.get(labels).json() == []
    assert owner.delete(f"{labels}/allow").status_code == 404
    api.post(labels, json={"labels": ["allow"]})
    events = api.get("/issues/40/events").json()
    assert [(one["event"], one["label"]["name"], one["actor"]["login"]) for one in events] == [
        ("labeled", "allow", "traylorre"),
        ("unlabeled", "allow", "traylorre"),
        ("labeled", "allow", "github-actions[bot]"),
    ]


def test_a_pull_request_is_an_issue_and_an_issue_takes_the_next_number(api):
    shown = api.get("/issues/40").json()
    assert (shown["number"], shown["user"]["login"], "pull_request" in shown) == (40, "somebody", True)
    new = api.post("/issues", json={"title": "something"}).json()["number"]
    assert new > 40
    assert api.get(f"/issues/{new}").json()["title"] == "something"


def test_somebody_has_the_role_that_was_given_or_may_read(api, seed):
    def role(login):
        shown = api.get(f"/collaborators/{login}/permission").json()
        return shown["role_name"], shown["permission"]

    assert role("TRAYLORRE") == ("maintain", "write")
    assert role("local") == ("admin", "admin")
    assert role("somebody") == ("read", "read")
    assert api.get("/collaborators/nobody/permission").status_code == 404
    assert seed.put("/roles", json={"login": "somebody", "role_name": "king"}).status_code == 422
