"""All four stacks by hand: from nothing, again without a change, and down, where that is allowed."""

import json
import re
import shlex
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import yaml

from components.github_rules import CHECKS, GITHUB_ACTIONS_APP, THIRD_PARTY_ACTIONS
from components.github_secrets import BUCKET, REGION, ROLE_ARN, github_secrets
from components.identities import IDENTITIES
from components.naming import BUDGET, TRAIL, names, trail_bucket
from components.service.functions import KEYS
from tests.cloud import BIN, ROOT, SERVICE_STACKS, Cloud
from tests.engine.conftest import STACK, Service, program_copy

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    """A cloud of this module: what is destroyed here is missed by nobody."""
    running = Cloud.start(tmp_path_factory.mktemp("cloud"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def stacks(cloud):
    """All four, made from nothing, both environments at a time."""

    def make(environment):
        for stack in (f"{environment}-foundation", environment):
            cloud.run("pulumi", "up", "--yes", "--skip-preview", "--stack", stack)

    in_both_environments(make)
    return cloud


@pytest.fixture(scope="module")
def service(stacks, tmp_path_factory):
    """The service of preprod, with a release that is handed over by `deploy`."""
    return Service(cloud=stacks, scratch=tmp_path_factory.mktemp("service"))


def deploy(service):
    service.up(service.hand_over(service.release("first"), traffic=100, confirmed=True))
    # Without the version: Lambda never gives a number twice, also not to a function that is made again.
    return {name: text.split()[:-1] for name, text in service.serving().items()}


@pytest.fixture(scope="module")
def github(cloud):
    """GitHub's REST API, as anybody with an administrator's token sees it."""
    token = {"Authorization": f"Bearer {cloud.variables['GITHUB_TOKEN']}"}
    base = f"{cloud.variables['GITHUB_API_URL']}/repos/{cloud.variables['GITHUB_REPOSITORY']}"
    with httpx.Client(base_url=base, headers=token) as client:
        yield client


def local_github(cloud, path, **body):
    """Ask what only the local GitHub can be asked."""
    return httpx.post(f"{cloud.variables['GITHUB_BASE_URL']}_localcloud/{path}", json=body).raise_for_status().json()


def review(github, environment):
    """Logins or slugs of who reviews an environment's deployments, and whether nobody reviews their own."""
    rules = github.get(f"/environments/{environment}").json()["protection_rules"]
    found = [one for one in rules if one["type"] == "required_reviewers"]
    names = [one["reviewer"].get("login") or one["reviewer"]["slug"] for rule in found for one in rule["reviewers"]]
    return names, [rule["prevent_self_review"] for rule in found]


def in_both_environments(work):
    with ThreadPoolExecutor() as both:
        list(both.map(work, SERVICE_STACKS))


def documented():
    """The commands of docs/how-to/destroy.md that name production, in their order."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "how-to" / "destroy.md").read_text(), re.DOTALL)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    return [line for line in lines if any(word.startswith("prod") for word in line)]


def follow(cloud, line):
    """Run one documented command; the tests have no AWS CLI, so its one call is made by hand."""
    if line[0] == "aws":
        assert line[1:4] + line[5:] == ["dynamodb", "update-table", "--table-name", "--no-deletion-protection-enabled"]
        cloud.client("dynamodb").update_table(TableName=line[4], DeletionProtectionEnabled=False)
    else:
        cloud.run(*line)


def resources(cloud, stack):
    """What stands in the state, by URN."""
    deployment = cloud.run("pulumi", "stack", "export", "--stack", stack).json()["deployment"]
    return {resource["urn"]: resource for resource in deployment.get("resources", [])}


def inventory(cloud):
    """What there is in the cloud, looked at past the engine."""
    return {
        "tables": cloud.client("dynamodb").list_tables()["TableNames"],
        "roles": sorted(role["RoleName"] for role in cloud.client("iam").list_roles()["Roles"]),
        "queues": cloud.client("sqs").list_queues()["QueueUrls"],
        "topics": cloud.client("sns").list_topics()["Topics"],
        "logs": [group["logGroupName"] for group in cloud.client("logs").describe_log_groups()["logGroups"]],
        "buckets": [bucket["Name"] for bucket in cloud.client("s3").list_buckets()["Buckets"]],
        "secrets": sorted(secret["ARN"] for secret in cloud.client("secretsmanager").list_secrets()["SecretList"]),
        "trails": [trail["Name"] for trail in cloud.client("cloudtrail").list_trails()["Trails"]],
    }


def test_nothing_changes_the_second_time(stacks):
    def again(environment):
        for stack in (f"{environment}-foundation", environment):
            stacks.run(
                *("pulumi", "up", "--yes", "--skip-preview", "--refresh", "--expect-no-changes"), "--stack", stack
            )

    in_both_environments(again)
    stacks.run("pulumi", "refresh", "--yes", "--expect-no-changes", "--stack", "prod")
    stacks.run("pulumi", "preview", "--expect-no-changes", "--stack", "preprod-foundation")


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda one: one.github_environment)
def test_github_says_of_each_environment_what_the_table_of_identities_says(stacks, github, identity):
    name = identity.github_environment
    path = f"/environments/{name}"
    assert github.get(path).json()["can_admins_bypass"] is False
    assert review(github, name) == ((["traylorre"], [False]) if identity.reviewed else ([], []))
    branches = github.get(f"{path}/deployment-branch-policies").json()["branch_policies"]
    assert [(one["name"], one["type"]) for one in branches] == [("main", "branch")]

    variables = {one["name"]: one["value"] for one in github.get(f"{path}/variables").json()["variables"]}
    role = f"arn:aws:iam::123456789012:role/{identity.role(names(identity.environment))}"
    assert variables == {ROLE_ARN: role, REGION: "us-east-1", BUCKET: names(identity.environment).bucket}

    named = github_secrets(identity.environment)
    held = {one["name"] for one in github.get(f"{path}/secrets").json()["secrets"]}
    assert held == (set(named.of_program) if identity.secrets else set())
    for secret, held_by_aws in _arns(stacks, identity.environment).items():
        question = {"environment": name, "name": secret, "value": held_by_aws}
        assert local_github(stacks, "secrets/check", **question)["equal"] is (secret in held)


def _arns(cloud, environment):
    """What the secrets should say, looked up in the cloud."""
    own, named = names(environment), github_secrets(environment)
    arns = {
        secret: cloud.client("secretsmanager").describe_secret(SecretId=name)["ARN"]
        for secret, name in (
            (named.newsapi_secret_arn, own.newsapi_secret),
            (named.dashboard_key_secret_arn, own.dashboard_key_secret),
        )
    }
    if named.new_items_topic_arn:
        topics = [one["TopicArn"] for one in cloud.client("sns").list_topics()["Topics"]]
        [arns[named.new_items_topic_arn]] = [arn for arn in topics if arn.endswith(f":{own.new_items_topic}")]
    return arns


def test_github_says_of_the_repository_what_the_program_wants(stacks, github):
    [listed] = github.get("/rulesets").json()
    ruleset = github.get(f"/rulesets/{listed['id']}").json()
    assert (ruleset["enforcement"], ruleset["bypass_actors"]) == ("active", [])
    assert ruleset["conditions"] == {"ref_name": {"include": ["refs/heads/main"], "exclude": []}}
    rules = {rule["type"]: rule.get("parameters", {}) for rule in ruleset["rules"]}
    assert set(rules) == {"pull_request", "required_status_checks", "non_fast_forward", "deletion"}
    assert rules["pull_request"]["allowed_merge_methods"] == ["merge", "squash"]
    assert rules["pull_request"]["required_approving_review_count"] == 0
    checks = rules["required_status_checks"]["required_status_checks"]
    # The provider keeps them as a set.
    assert sorted(check["context"] for check in checks) == sorted(CHECKS)
    assert {check["integration_id"] for check in checks} == {GITHUB_ACTIONS_APP}

    permissions = github.get("/actions/permissions").json()
    assert (permissions["allowed_actions"], permissions["sha_pinning_required"]) == ("selected", True)
    selected = github.get("/actions/permissions/selected-actions").json()
    assert (selected["github_owned_allowed"], selected["verified_allowed"]) == (True, False)
    assert sorted(selected["patterns_allowed"]) == sorted(f"{action}@*" for action in THIRD_PARTY_ACTIONS)
    token = github.get("/actions/permissions/workflow").json()
    assert token == {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": False}
    assert github.get("/actions/oidc/customization/sub").json()["use_default"] is True

    guide = (ROOT / "docs" / "how-to" / "github-environments.md").read_text()
    asked = re.findall(r"^gh api repos/OWNER/REPO(/\S+)$", guide, re.MULTILINE)
    assert {github.get(path).status_code for path in asked} == {200}


def test_the_account_is_recorded_and_its_cost_is_watched(stacks):
    trails, bucket = stacks.client("cloudtrail"), trail_bucket("123456789012")
    trail = trails.get_trail(Name=TRAIL)["Trail"]
    assert (trail["IsMultiRegionTrail"], trail["LogFileValidationEnabled"]) == (True, True)
    assert trail["S3BucketName"] == bucket
    assert trails.get_trail_status(Name=TRAIL)["IsLogging"] is True
    s3 = stacks.client("s3")
    with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=bucket, Key="AWSLogs/123456789012/CloudTrail/made-up.json.gz")
    budget = stacks.client("budgets").describe_budget(AccountId="123456789012", BudgetName=BUDGET)["Budget"]
    assert (float(budget["BudgetLimit"]["Amount"]), budget["TimeUnit"]) == (10, "MONTHLY")


def test_a_team_of_the_owner_can_review_and_then_nobody_approves_their_own_change(stacks, github, tmp_path):
    local_github(stacks, "teams", slug="on-call")
    program = program_copy(tmp_path / "program")
    settings = program / "Pulumi.prod-foundation.yaml"
    chosen = yaml.safe_load(settings.read_text())
    chosen["config"]["sentiment-pipeline:reviewerTeams"] = ["on-call"]
    settings.write_text(yaml.safe_dump(chosen))
    up = ("pulumi", "up", "--yes", "--skip-preview", "--stack", "prod-foundation")
    stacks.run(*up, folder=program)
    reviewers, prevented = review(github, "production")
    assert (sorted(reviewers), prevented) == (["on-call", "traylorre"], [True])
    assert review(github, "production-rollback") == ([], [])
    [listed] = github.get("/rulesets").json()
    rules = {one["type"]: one.get("parameters") for one in github.get(f"/rulesets/{listed['id']}").json()["rules"]}
    assert rules["pull_request"]["required_approving_review_count"] == 1
    assert rules["pull_request"]["require_code_owner_review"] is True
    stacks.run(*up, "--refresh", "--expect-no-changes", folder=program)
    stacks.run(*up)
    assert review(github, "production") == (["traylorre"], [False])


def test_a_reviewer_whom_github_does_not_know_is_one_sentence_with_the_settings_name(stacks, tmp_path):
    program = program_copy(tmp_path / "program")
    settings = program / "Pulumi.prod-foundation.yaml"
    chosen = yaml.safe_load(settings.read_text())
    chosen["config"]["sentiment-pipeline:reviewers"] = ["nobody-of-this-name"]
    settings.write_text(yaml.safe_dump(chosen))
    ran = stacks.run("pulumi", "preview", "--stack", "prod-foundation", folder=program, expected=None)
    said = ran.stdout + ran.stderr
    assert ran.exit_code != 0
    assert "setting 'reviewers' names 'nobody-of-this-name', whom GitHub does not answer for" in said
    assert "Traceback" not in said


def test_preprod_goes_down_with_a_live_release_and_comes_up_again(stacks, service):
    served = deploy(service)
    assert set(served) == set(KEYS)
    stacks.run("pulumi", "destroy", "--yes", "--stack", STACK)
    assert resources(stacks, STACK) == {}
    with pytest.raises(stacks.client("lambda").exceptions.ResourceNotFoundException):
        service.serving()
    assert stacks.client("dynamodb").list_tables()["TableNames"] == [names("prod").items_table]
    assert deploy(service) == served


@pytest.mark.parametrize(
    ("stack", "named"),
    [
        ("prod", ["aws:dynamodb/table:Table::items"]),
        (
            "prod-foundation",
            [
                "aws:s3/bucket:Bucket::deployments",
                "aws:secretsmanager/secret:Secret::newsapi",
                # Its bucket is not even tried: the trail depends on it.
                "aws:cloudtrail/trail:Trail::trail",
            ],
        ),
    ],
)
def test_production_is_not_destroyed_by_one_command(stack, named, stacks):
    before = (resources(stacks, stack), inventory(stacks))
    refused = stacks.run("pulumi", "destroy", "--yes", "--stack", stack, expected=None)
    assert refused.exit_code != 0
    assert "because it is protected" in refused.stdout
    assert all(name in refused.stdout for name in named)
    assert (resources(stacks, stack), inventory(stacks)) == before


def test_production_goes_down_the_documented_way(stacks):
    def protections():
        table = stacks.client("dynamodb").describe_table(TableName=names("prod").items_table)["Table"]
        [in_state] = [found for urn, found in resources(stacks, "prod").items() if urn.endswith("Table::items")]
        return (table["DeletionProtectionEnabled"], in_state.get("protect", False))

    way = documented()
    assert [line[0] for line in way] == ["pulumi", "aws", "pulumi", "pulumi", "pulumi"]
    assert protections() == (True, True)
    for line in way[:2]:
        follow(stacks, line)
    assert protections() == (False, False)
    stacks.run("pulumi", "up", "--yes", "--skip-preview", "--refresh", "--stack", "prod")
    assert protections() == (True, True), "whoever changes their mind is protected again"

    for line in way:
        follow(stacks, line)
    assert resources(stacks, "prod") == resources(stacks, "prod-foundation") == {}
    left = inventory(stacks)
    assert not [name for name in (*left["tables"], *left["roles"], *left["logs"]) if name.startswith("prod-")]
    assert [name for name in left["buckets"] if name.startswith("prod-")] == ["prod-sentiment-pulumi-state"]


def test_a_chosen_aws_plugin_is_used_instead_of_the_stand_in(cloud, tmp_path):
    stand_in = ROOT / ".localcloud" / "engine" / "aws-plugin" / "pulumi-resource-aws"
    chosen = tmp_path / "plugin" / "pulumi-resource-aws"
    chosen.parent.mkdir()
    shutil.copy(stand_in, chosen)
    chosen.write_text(stand_in.read_text().replace("exec ", f"echo started >> {tmp_path / 'used'}\nexec "))
    base = cloud.variables | {"LOCALCLOUD_AWS_PLUGIN": str(chosen.parent)}
    subprocess.run([BIN / "localcloud", "setup"], env=base, check=True, capture_output=True)
    answer = subprocess.run(
        [BIN / "localcloud", "env", "--json"], env=base, check=True, capture_output=True, text=True
    ).stdout
    home = Path(json.loads(answer)["PULUMI_HOME"])
    assert home != Path(cloud.variables["PULUMI_HOME"])
    try:
        previewed = cloud.run(
            *("pulumi", "preview", "--stack", "preprod"),
            PULUMI_HOME=str(home),
            LOCALCLOUD_AWS_PLUGIN=str(chosen.parent),
        )
        assert "error" not in previewed.stdout
        assert (tmp_path / "used").exists()
    finally:
        shutil.rmtree(home)
