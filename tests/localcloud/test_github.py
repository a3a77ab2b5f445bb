"""The local GitHub over HTTP: shapes, refusals, and secrets that go in and never come out."""

from base64 import b64decode, b64encode

import httpx
import pytest
from nacl.public import PublicKey, SealedBox
from parts import running_part

REPOSITORY = "/repos/local/sentiment-pipeline"


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return tmp_path_factory.mktemp("github") / "github.log"


@pytest.fixture(scope="module")
def address(log):
    with running_part("github", log) as url:
        yield url


@pytest.fixture(scope="module")
def api(address):
    with httpx.Client(base_url=f"{address}/api/v3", headers={"Authorization": "Bearer made-up"}) as client:
        yield client


@pytest.fixture
def environment(api, request):
    path = f"{REPOSITORY}/environments/{request.node.name.replace('[', '-').replace(']', '')[:60]}"
    api.put(path, json={"deployment_branch_policy": {"protected_branches": False, "custom_branch_policies": True}})
    yield path
    api.delete(path)


def test_a_request_without_a_token_is_refused_and_an_unknown_route_is_logged(address, api, log):
    refused = httpx.get(f"{address}/api/v3/user")
    assert (refused.status_code, refused.json()["message"]) == (401, "Requires authentication")
    unknown = api.get("/repos/local/sentiment-pipeline/made-up")
    assert unknown.status_code == 404
    assert unknown.json() == {
        "message": "Not Found",
        "documentation_url": "https://docs.github.com/rest",
        "status": "404",
    }
    assert "unknown route: GET /api/v3/repos/local/sentiment-pipeline/made-up" in log.read_text()
    assert api.post("/graphql", json={}).status_code in (404, 405)


def test_users_and_the_repository_have_ids_and_the_owner_is_a_person(api, address):
    reviewer = api.get("/users/TRAYLORRE").json()
    assert api.get(f"/user/{reviewer['id']}").json() == reviewer
    assert api.get("/user").json()["login"] == "local"
    assert api.get("/orgs/local").status_code == 404
    assert api.get("/users/nobody").status_code == 404
    assert api.get(REPOSITORY).json()["full_name"] == "local/sentiment-pipeline"
    assert api.get(f"/repositories/{api.get(REPOSITORY).json()['id']}").json() == api.get(REPOSITORY).json()
    made = httpx.post(f"{address}/_localcloud/users", json={"login": "second-reviewer"}).json()
    assert api.get("/users/second-reviewer").json()["id"] == made["id"]


def test_an_environment_shows_its_protection_rules_and_goes_back_to_defaults_when_they_are_left_out(api):
    path = f"{REPOSITORY}/environments/production"
    reviewer = api.get("/users/traylorre").json()
    settings = {
        "reviewers": [{"type": "User", "id": reviewer["id"]}],
        "prevent_self_review": True,
        "can_admins_bypass": False,
        "wait_timer": 5,
        "deployment_branch_policy": {"protected_branches": False, "custom_branch_policies": True},
    }
    made = api.put(path, json=settings).json()
    assert api.get(path).json() == made
    rules = {rule["type"]: rule for rule in made["protection_rules"]}
    assert rules["wait_timer"]["wait_timer"] == 5
    assert rules["required_reviewers"]["prevent_self_review"] is True
    assert rules["required_reviewers"]["reviewers"] == [{"type": "User", "reviewer": reviewer}]
    assert made["deployment_branch_policy"] == settings["deployment_branch_policy"]
    assert made["can_admins_bypass"] is False
    assert api.get(f"{REPOSITORY}/environments").json()["total_count"] >= 1

    plain = api.put(path, json={"reviewers": None, "deployment_branch_policy": None}).json()
    assert (plain["id"], plain["protection_rules"], plain["can_admins_bypass"]) == (made["id"], [], True)
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404


@pytest.mark.parametrize(
    "settings",
    [
        {"reviewers": [{"type": "User", "id": 1}]},
        {"reviewers": [{"type": "User", "id": 90_000_002}] * 7},
        {"wait_timer": 43_201},
        {"deployment_branch_policy": {"protected_branches": True, "custom_branch_policies": True}},
    ],
)
def test_settings_that_github_refuses_are_refused(api, settings):
    answer = api.put(f"{REPOSITORY}/environments/refused", json=settings)
    assert (answer.status_code, answer.json()["message"]) == (422, "Validation Failed")
    assert api.get(f"{REPOSITORY}/environments/refused").status_code == 404


def test_branch_rules_are_made_changed_and_deleted(api, environment):
    rules = f"{environment}/deployment-branch-policies"
    rule = api.post(rules, json={"name": "main", "type": "branch"}).json()
    assert (rule["name"], rule["type"]) == ("main", "branch")
    assert api.post(rules, json={"name": "main"}).status_code == 303
    assert api.put(f"{rules}/{rule['id']}", json={"name": "release/*"}).json()["name"] == "release/*"
    assert api.get(rules).json()["branch_policies"] == [api.get(f"{rules}/{rule['id']}").json()]
    assert api.delete(f"{rules}/{rule['id']}").status_code == 204
    assert api.get(f"{rules}/{rule['id']}").status_code == 404
    api.put(environment, json={})
    assert api.post(rules, json={"name": "main"}).status_code == 404


def test_a_sealed_secret_can_be_stored_and_compared_but_never_read(api, address, environment):
    by_id = environment.replace(REPOSITORY, f"/repositories/{api.get(REPOSITORY).json()['id']}")
    key = api.get(f"{by_id}/secrets/public-key").json()
    sealed = b64encode(SealedBox(PublicKey(b64decode(key["key"]))).encrypt(b"not to be told")).decode()
    secret = f"{by_id}/secrets/PROD_DASHBOARD_API_KEY"

    assert api.put(secret, json={"key_id": key["key_id"], "encrypted_value": sealed}).status_code == 201
    assert api.put(secret, json={"key_id": key["key_id"], "encrypted_value": sealed}).status_code == 204
    assert set(api.get(secret).json()) == {"name", "created_at", "updated_at"}
    assert [one["name"] for one in api.get(f"{by_id}/secrets").json()["secrets"]] == ["PROD_DASHBOARD_API_KEY"]
    question = {"environment": environment.rsplit("/", 1)[1], "name": "PROD_DASHBOARD_API_KEY"}
    for value, equal in (("not to be told", True), ("something else", False)):
        answer = httpx.post(f"{address}/_localcloud/secrets/check", json=question | {"value": value})
        assert answer.json() == {"equal": equal}
    assert api.put(secret, json={"key_id": "1", "encrypted_value": sealed}).status_code == 422
    plain = b64encode(b"not sealed at all").decode()
    assert api.put(secret, json={"key_id": key["key_id"], "encrypted_value": plain}).status_code == 422
    assert api.put(f"{by_id}/secrets/GITHUB_X", json={"key_id": key["key_id"], "encrypted_value": sealed}).is_error
    assert api.delete(secret).status_code == 204
    assert api.get(secret).status_code == 404


def test_variables_are_made_once_changed_and_deleted(api, environment):
    variables = f"{environment}/variables"
    assert api.post(variables, json={"name": "AWS_REGION", "value": "us-east-1"}).status_code == 201
    assert api.post(variables, json={"name": "AWS_REGION", "value": "us-east-1"}).status_code == 409
    assert api.patch(f"{variables}/AWS_REGION", json={"name": "AWS_REGION", "value": "eu-west-1"}).status_code == 204
    assert api.get(f"{variables}/AWS_REGION").json()["value"] == "eu-west-1"
    assert api.get(variables).json()["total_count"] == 1
    assert api.delete(f"{variables}/AWS_REGION").status_code == 204
    assert api.patch(f"{variables}/AWS_REGION", json={"name": "AWS_REGION", "value": "x"}).status_code == 404


def test_what_a_test_lays_down_is_answered_in_pages(api, address):
    path = f"{REPOSITORY}/commits/abc/pulls"
    assert api.get(path).status_code == 404
    httpx.put(f"{address}/_localcloud/documents", json={"path": path, "body": [{"number": n} for n in range(5)]})
    first = api.get(path, params={"per_page": 3})
    second = httpx.get(first.links["next"]["url"], headers={"Authorization": "token x"})
    assert [one["number"] for one in (*first.json(), *second.json())] == [0, 1, 2, 3, 4]
    assert "next" not in second.links
    httpx.put(f"{address}/_localcloud/documents", json={"path": f"{REPOSITORY}/actions/runs/5", "body": {"id": 5}})
    assert api.get(f"{REPOSITORY}/actions/runs/5").json() == {"id": 5}


def test_deployments_issues_and_comments_are_kept(api):
    deployment = api.post(f"{REPOSITORY}/deployments", json={"ref": "main", "environment": "production"}).json()
    statuses = f"{REPOSITORY}/deployments/{deployment['id']}/statuses"
    for state in ("in_progress", "success"):
        assert api.post(statuses, json={"state": state}).status_code == 201
    assert [one["state"] for one in api.get(statuses).json()] == ["success", "in_progress"]
    assert api.get(f"{REPOSITORY}/deployments", params={"environment": "preprod"}).json() == []

    issue = api.post(f"{REPOSITORY}/issues", json={"title": "rolled back"}).json()
    comments = f"{REPOSITORY}/issues/{issue['number']}/comments"
    comment = api.post(comments, json={"body": "one"}).json()
    changed = api.patch(f"{REPOSITORY}/issues/comments/{comment['id']}", json={"body": "two"}).json()
    assert (changed["body"], api.get(comments).json()[0]["body"]) == ("two", "two")
    closed = api.patch(f"{REPOSITORY}/issues/{issue['number']}", json={"state": "closed"}).json()
    assert closed["state"] == "closed"
    assert api.patch(f"{REPOSITORY}/issues/999", json={"state": "closed"}).status_code == 404
