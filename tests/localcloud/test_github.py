"""The local GitHub over HTTP: shapes, refusals, and secrets that go in and never come out."""

from base64 import b64decode, b64encode

import httpx
import pytest
from nacl.public import PublicKey, SealedBox

from release.clients.github import GitHub, GitHubError
from release.gates.approval import asking, decide
from release.gates.dependency_updates import PATTERN
from release.git.history import changes_between, steps_between
from tests.fixtures import dependabot
from tests.localcloud.parts import running_part

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
    refused = httpx.get(f"{address}/api/v3{REPOSITORY}")
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
    assert (reviewer["login"], reviewer["type"]) == ("traylorre", "User")
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


def test_lists_come_in_pages(api):
    labels = [f"l{number}" for number in range(5)]
    number = api.post(f"{REPOSITORY}/issues", json={"title": "many labels", "labels": labels}).json()["number"]
    first = api.get(f"{REPOSITORY}/issues/{number}/labels", params={"per_page": 3})
    second = httpx.get(first.links["next"]["url"], headers={"Authorization": "token x"})
    assert [one["name"] for one in (*first.json(), *second.json())] == labels
    assert "next" not in second.links


def test_a_deployment_keeps_its_statuses_newest_first(api):
    new = {"ref": "a" * 40, "environment": "staging"}
    deployment = api.post(f"{REPOSITORY}/deployments", json=new).json()
    statuses = f"{REPOSITORY}/deployments/{deployment['id']}/statuses"
    for state in ("in_progress", "success"):
        assert api.post(statuses, json={"state": state}).status_code == 201
    assert api.post(statuses, json={"state": "done"}).status_code == 422
    assert [one["state"] for one in api.get(statuses).json()] == ["success", "in_progress"]
    assert {one["environment"] for one in api.get(statuses).json()} == {"staging"}
    found = api.get(f"{REPOSITORY}/deployments", params={"sha": "a" * 40, "environment": "staging"}).json()
    assert [one["id"] for one in found] == [deployment["id"]]
    assert api.get(f"{REPOSITORY}/deployments", params={"sha": "b" * 40, "environment": "staging"}).json() == []
    assert api.post(f"{REPOSITORY}/deployments/1/statuses", json={"state": "success"}).status_code == 404
    assert api.post(f"{REPOSITORY}/deployments", json={}).status_code == 422


def test_issues_are_listed_while_they_are_open_and_keep_their_comments_in_order(api):
    issues = f"{REPOSITORY}/issues"
    issue = api.post(issues, json={"title": "rolled back", "labels": ["release"]}).json()
    assert (issue["state"], [label["name"] for label in issue["labels"]]) == ("open", ["release"])
    # A token that belongs to nobody is a job's.
    assert (issue["user"]["login"], issue["author_association"]) == ("github-actions[bot]", "NONE")
    comments = f"{issues}/{issue['number']}/comments"
    first = api.post(comments, json={"body": "one"}).json()
    api.post(comments, json={"body": "two"})
    assert api.patch(f"{issues}/comments/{first['id']}", json={"body": "once"}).json()["body"] == "once"
    assert [one["body"] for one in api.get(comments).json()] == ["once", "two"]
    assert issue["number"] in [one["number"] for one in api.get(issues, params={"labels": "release"}).json()]
    assert api.get(issues, params={"labels": "other"}).json() == []

    closed = api.patch(f"{issues}/{issue['number']}", json={"state": "closed"}).json()
    assert (closed["state"], closed["title"]) == ("closed", "rolled back")
    assert issue["number"] not in [one["number"] for one in api.get(issues).json()]
    assert issue["number"] in [one["number"] for one in api.get(issues, params={"state": "all"}).json()]
    for path, body in (("/999", {"state": "closed"}), ("/comments/1", {"body": "x"})):
        assert api.patch(f"{issues}{path}", json=body).status_code == 404
    for body in ({"body": ""}, {"body": "x" * 65_537}):
        assert api.patch(f"{issues}/comments/{first['id']}", json=body).status_code == 422
        assert api.post(comments, json=body).status_code == 422
    assert api.post(f"{issues}/999/comments", json={"body": "x"}).status_code == 404
    for body in ({}, {"title": ""}, {"title": "x", "body": "x" * 65_537}):
        assert api.post(issues, json=body).status_code == 422


def test_a_run_is_shown_by_attempt_and_by_status_until_it_is_cancelled(api, address):
    runs = f"{REPOSITORY}/actions/runs"
    assert api.get(f"{runs}/31").status_code == 404
    seeds = (
        {"id": 31, "status": "completed", "conclusion": "failure"},
        {"id": 31, "run_attempt": 2, "status": "waiting", "head_sha": "a" * 40},
        {"id": 32, "status": "waiting", "workflow": "watch.yml"},
    )
    for seed in seeds:
        assert httpx.put(f"{address}/_localcloud/runs", json=seed).status_code == 204
    assert api.get(f"{runs}/31").json()["status"] == "waiting"
    assert api.get(f"{runs}/31/attempts/1").json()["status"] == "completed"
    assert api.get(f"{runs}/31/attempts/3").status_code == 404
    assert [one["id"] for one in api.get(runs, params={"status": "waiting"}).json()["workflow_runs"]] == [32, 31]
    mine = f"{REPOSITORY}/actions/workflows/build-and-promote.yml/runs"
    assert [one["id"] for one in api.get(mine, params={"status": "waiting"}).json()["workflow_runs"]] == [31]
    assert api.get(mine, params={"status": "queued"}).json() == {"total_count": 0, "workflow_runs": []}

    assert api.post(f"{runs}/31/cancel").status_code == 202
    assert (api.get(f"{runs}/31").json()["status"], api.get(f"{runs}/31").json()["conclusion"]) == (
        "completed",
        "cancelled",
    )
    assert api.post(f"{runs}/31/cancel").status_code == 409
    assert httpx.put(f"{address}/_localcloud/runs", json={"id": 33, "status": "over"}).status_code == 422


def test_a_pull_request_shows_its_commits_and_files_and_who_wrote_them(api, address):
    for seed in ({"sha": "c1", "pulls": [7]}, {"sha": "c2", "author": None, "verified": False, "pulls": [7]}):
        assert httpx.put(f"{address}/_localcloud/commits", json=seed).status_code == 204
    files = [{"filename": "lambdas/dashboard/uv.lock", "sha": "b1"}]
    seed = {"number": 7, "head": {"sha": "c2"}, "commits": ["c1", "c2"], "files": files, "merge_commit_sha": "c3"}
    assert httpx.put(f"{address}/_localcloud/pulls", json=seed).status_code == 204

    first, second = api.get(f"{REPOSITORY}/pulls/7/commits").json()
    assert (first["author"]["id"], first["committer"]["id"]) == (49_699_333, 19_864_447)
    assert first["commit"]["verification"]["verified"] is True
    assert (second["author"], second["commit"]["verification"]["reason"]) == (None, "unsigned")
    assert api.get(f"{REPOSITORY}/commits/c1").json() == first
    pull = api.get(f"{REPOSITORY}/pulls/7").json()
    assert (pull["merged"], pull["commits"], pull["changed_files"], pull["merge_commit_sha"]) == (True, 2, 1, "c3")
    assert pull["base"]["repo"] == pull["head"]["repo"]
    (listed,) = api.get(f"{REPOSITORY}/commits/c2/pulls").json()
    assert (listed["number"], "merged" in listed, listed["merged_at"] is None) == (7, False, False)
    assert api.get(f"{REPOSITORY}/pulls/7/files").json() == [{**files[0], "status": "modified"}]
    assert api.get(f"{REPOSITORY}/pulls/8").status_code == 404

    fork = {**seed, "number": 8, "head": {"sha": "c2", "repo": "somebody/sentiment-pipeline"}, "merged": False}
    httpx.put(f"{address}/_localcloud/pulls", json=fork)
    shown = api.get(f"{REPOSITORY}/pulls/8").json()
    assert shown["head"]["repo"]["id"] != shown["base"]["repo"]["id"]
    assert shown["merged_at"] is None
    httpx.put(f"{address}/_localcloud/pulls", json={**fork, "head": {"sha": "c2", "repo": None}})
    assert api.get(f"{REPOSITORY}/pulls/8").json()["head"]["repo"] is None
    for wrong in ({"number": 9}, {**seed, "commits": ["unknown"]}, {**seed, "user": "nobody"}):
        assert httpx.put(f"{address}/_localcloud/pulls", json=wrong).is_error


# The releaser's client against it


@pytest.fixture
def github(address):
    client = GitHub("made-up", "local/sentiment-pipeline", f"{address}/api/v3")
    yield client
    client.close()


def test_the_releaser_asks_for_runs_and_calls_them_off(github, address):
    for seed in ({"id": 51, "run_attempt": 2}, {"id": 52, "status": "waiting", "head_sha": "d" * 40}):
        httpx.put(f"{address}/_localcloud/runs", json=seed)
    assert github.run_has_ended("51.2") is False
    httpx.put(f"{address}/_localcloud/runs", json={"id": 51, "run_attempt": 2, "status": "completed"})
    assert github.run_has_ended("51.2") is True
    with pytest.raises(GitHubError, match="did not answer"):
        github.run_has_ended("999.1")
    assert ("d" * 40) in [run.head_sha for run in github.waiting_runs("build-and-promote.yml")]
    github.cancel(52)
    github.cancel(52)
    assert github.run_has_ended("52.1") is True


def test_the_releaser_tells_people_once(github, api):
    first = github.upsert_issue("prod-test", "prod: rolled back", "one")
    assert github.upsert_issue("prod-test", "prod: rolled back", "two") == first
    number = first.rsplit("/", 1)[1]
    assert [one["body"].splitlines()[0] for one in api.get(f"{REPOSITORY}/issues/{number}/comments").json()] == ["two"]
    for state in ("in_progress", "failure"):
        github.set_deployment_status("e" * 40, "production", state, "rolled back", "https://run.test")
    (deployment,) = api.get(f"{REPOSITORY}/deployments", params={"sha": "e" * 40}).json()
    statuses = api.get(f"{REPOSITORY}/deployments/{deployment['id']}/statuses").json()
    assert [one["state"] for one in statuses] == ["failure", "in_progress"]


@pytest.mark.parametrize(
    ("wrong", "automatic"),
    [
        ({}, True),
        ({"user": "traylorre"}, False),
        ({"counts": {"commits": 2}}, False),
        ({"base": {"ref": "release"}}, False),
        ({"head": {"repo": "somebody/sentiment-pipeline"}}, False),
    ],
)
def test_the_releaser_chooses_the_gate_by_what_github_says(github, address, tmp_path, wrong, automatic):
    clone = dependabot.Clone(tmp_path / "clone", {"six": "1.17.0"})
    update = clone.update(how="merge", six="1.17.1")
    logins = {None: None, dependabot.BOT: "dependabot[bot]", dependabot.WEB_FLOW: "web-flow", dependabot.HUMAN: "local"}
    for sha, told in clone.commits.items():
        who = {name: logins[told[name]["id"]] for name in ("author", "committer")}
        seed = {"sha": sha, "pulls": clone.pulls_of[sha], **who}
        assert httpx.put(f"{address}/_localcloud/commits", json=seed).status_code == 204
    request, commits, files = clone.pulls[1]
    seed = {
        "number": 1,
        "merge_commit_sha": update,
        "commits": [one["sha"] for one in commits],
        "files": files,
        **wrong,
        "head": {"sha": request["head"]["sha"], **wrong.get("head", {})},
    }
    assert httpx.put(f"{address}/_localcloud/pulls", json=seed).status_code == 204
    steps = steps_between(clone.folder, clone.base, update, 10)
    found = decide(
        github.repository,
        [asking(clone.folder, github)(step) for step in steps],
        changes_between(clone.folder, clone.base, update, PATTERN),
    )
    assert found.automatic is automatic, found


def test_the_owner_is_an_organization_once_it_has_a_team_and_teams_can_review(tmp_path):
    with (
        running_part("github", tmp_path / "github.log") as url,
        httpx.Client(base_url=f"{url}/api/v3", headers={"Authorization": "Bearer made-up"}) as api,
    ):
        assert api.get("/orgs/local/teams/on-call").status_code == 404
        made = httpx.post(f"{url}/_localcloud/teams", json={"slug": "on-call"}).json()
        assert api.get("/orgs/local/teams/on-call").json() == made
        assert api.get("/orgs/local").json()["type"] == api.get("/users/local").json()["type"] == "Organization"
        path = f"{REPOSITORY}/environments/production"
        settings = {"reviewers": [{"type": "Team", "id": made["id"]}], "prevent_self_review": True}
        [rule] = api.put(path, json=settings).json()["protection_rules"]
        assert rule["reviewers"] == [{"type": "Team", "reviewer": made}]
        assert api.put(path, json={"reviewers": [{"type": "User", "id": made["id"]}]}).status_code == 422


PULL_REQUEST = {
    "type": "pull_request",
    "parameters": {
        "allowed_merge_methods": ["merge", "squash"],
        "dismiss_stale_reviews_on_push": True,
        "require_code_owner_review": False,
        "require_last_push_approval": False,
        "required_approving_review_count": 0,
        "required_review_thread_resolution": False,
    },
}
RULESET = {
    "name": "main",
    "target": "branch",
    "enforcement": "active",
    "bypass_actors": [],
    "conditions": {"ref_name": {"include": ["refs/heads/main"], "exclude": []}},
    "rules": [PULL_REQUEST, {"type": "deletion"}],
}


def test_a_ruleset_is_made_changed_and_deleted(api):
    rulesets = f"{REPOSITORY}/rulesets"
    made = api.post(rulesets, json=RULESET)
    assert made.status_code == 201
    path = f"{rulesets}/{made.json()['id']}"
    assert api.get(path).json() == made.json()
    assert {key: made.json()[key] for key in RULESET} == RULESET
    assert (made.json()["source"], made.json()["source_type"]) == ("local/sentiment-pipeline", "Repository")
    [listed] = api.get(rulesets).json()
    assert (listed["id"], "rules" in listed) == (made.json()["id"], False)
    assert api.post(rulesets, json=RULESET).json()["errors"] == ["Name must be unique"]
    assert api.put(path, json={"enforcement": "disabled"}).json()["rules"] == RULESET["rules"]
    assert api.get(path).json()["enforcement"] == "disabled"
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == api.delete(path).status_code == 404


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": ""}, "name is missing"),
        ({"enforcement": "on"}, "enforcement active"),
        ({"bypass_actors": None}, "data cannot be null"),
        ({"conditions": {}}, "needs include and exclude"),
        ({"rules": [{"type": "made_up"}]}, "not known here"),
        ({"rules": [{"type": "pull_request"}]}, "pull_request.allowed_merge_methods must be a list"),
        (
            {"rules": [PULL_REQUEST | {"parameters": PULL_REQUEST["parameters"] | {"allowed_merge_methods": []}}]},
            "must be some of merge, rebase, squash",
        ),
        (
            {
                "rules": [
                    PULL_REQUEST | {"parameters": PULL_REQUEST["parameters"] | {"required_approving_review_count": 11}}
                ]
            },
            "from 0 to 10",
        ),
        ({"rules": [PULL_REQUEST | {"parameters": PULL_REQUEST["parameters"] | {"more": 1}}]}, "is not a parameter"),
        (
            {
                "rules": [
                    {
                        "type": "required_status_checks",
                        "parameters": {
                            "strict_required_status_checks_policy": True,
                            "required_status_checks": [{"context": ""}],
                        },
                    }
                ]
            },
            "has no context",
        ),
    ],
)
def test_a_ruleset_that_github_refuses_is_refused(api, changes, complaint):
    answer = api.post(f"{REPOSITORY}/rulesets", json=RULESET | {"name": "other"} | changes)
    assert answer.status_code == 422
    assert complaint in str(answer.json()["errors"])
    assert api.get(f"{REPOSITORY}/rulesets").json() == []


def test_a_workflow_is_active_until_somebody_disables_it(api):
    watch = f"{REPOSITORY}/actions/workflows/watch.yml"
    assert api.get(watch).json()["state"] == "active"
    assert api.put(f"{watch}/disable").status_code == 204
    assert api.get(watch).json()["state"] == "disabled_manually"
    assert api.put(f"{watch}/enable").status_code == 204
    assert api.get(watch).json()["state"] == "active"


def test_what_actions_may_do_is_what_was_put_last(api):
    permissions, token = f"{REPOSITORY}/actions/permissions", f"{REPOSITORY}/actions/permissions/workflow"
    selected, subject = f"{permissions}/selected-actions", f"{REPOSITORY}/actions/oidc/customization/sub"
    assert api.get(permissions).json() == {"enabled": True, "allowed_actions": "all", "sha_pinning_required": False}
    assert api.get(selected).status_code == api.put(selected, json={}).status_code == 409

    wanted = {"enabled": True, "allowed_actions": "selected", "sha_pinning_required": True}
    assert api.put(permissions, json=wanted).status_code == 204
    assert api.get(permissions).json().items() >= wanted.items()
    chosen = {"github_owned_allowed": True, "verified_allowed": False, "patterns_allowed": ["made/up@*"]}
    assert api.put(selected, json=chosen).status_code == 204
    assert api.get(selected).json() == chosen
    assert api.put(permissions, json={"enabled": True, "allowed_actions": "some"}).status_code == 422

    writing = {"default_workflow_permissions": "write", "can_approve_pull_request_reviews": True}
    assert api.put(token, json=writing).status_code == 204
    assert api.get(token).json() == writing
    assert api.put(token, json={"default_workflow_permissions": "admin"}).status_code == 422

    assert api.get(subject).json() == {"use_default": True, "use_immutable_subject": False}
    own = {"use_default": False, "include_claim_keys": ["repo"]}
    assert api.put(subject, json=own).status_code == 201
    assert api.get(subject).json() == own | {"use_immutable_subject": False}
    assert api.put(subject, json={"use_default": True}).status_code == 201
    assert api.get(subject).json() == {"use_default": True, "use_immutable_subject": False}
    assert api.put(subject, json={}).status_code == 422
