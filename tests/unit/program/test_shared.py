"""What account and repository have only once: who makes it, and what it is."""

import json

import pytest

from components import naming
from components.github_rules import CHECKS, GITHUB_ACTIONS_APP, PREVIEWS, THIRD_PARTY_ACTIONS
from components.identities import identities
from components.naming import names
from tests.unit.program.harness import ACCOUNT, STACKS, deployed, run
from tests.unit.workflows.graph import ROOT, WORKFLOWS, load

OTHER_ACCOUNT = "210987654321"
SHARED = {
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
    "aws:cloudtrail/trail:Trail",
    "aws:budgets/budget:Budget",
}
REPOSITORY = {
    "github:index/repositoryRuleset:RepositoryRuleset",
    "github:index/actionsRepositoryPermissions:ActionsRepositoryPermissions",
    "github:index/workflowRepositoryPermissions:WorkflowRepositoryPermissions",
    "github:index/actionsRepositoryOidcSubjectClaimCustomizationTemplate:"
    "ActionsRepositoryOidcSubjectClaimCustomizationTemplate",
}
TRAIL_BUCKET = naming.trail_bucket(ACCOUNT)


def _kinds(deployment):
    return {resource.typ for resource in deployment.custom} & (SHARED | REPOSITORY)


def test_one_stack_makes_what_account_and_repository_share():
    made = {stack: _kinds(deployed(stack)) for stack in STACKS}
    assert made == {
        "preprod": set(),
        "prod": set(),
        "preprod-foundation": set(),
        "prod-foundation": SHARED | REPOSITORY,
    }


def test_with_two_accounts_each_foundation_makes_its_accounts_part_and_one_the_repositorys():
    made = {stack: _kinds(run(stack, otherAccountId=OTHER_ACCOUNT)) for stack in STACKS if stack.endswith("foundation")}
    assert made == {"preprod-foundation": SHARED, "prod-foundation": SHARED | REPOSITORY}


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ("adoptGithubProvider", "aws:iam/openIdConnectProvider:OpenIdConnectProvider"),
        ("adoptTrail", "aws:cloudtrail/trail:Trail"),
    ],
)
def test_what_the_account_has_already_is_not_made_again(setting, kind):
    adopted = run("prod-foundation", **{setting: True})
    assert _kinds(adopted) == (SHARED | REPOSITORY) - {kind}
    buckets = {one.inputs["bucket"] for one in adopted.of("aws:s3/bucket:Bucket").values()}
    assert (TRAIL_BUCKET in buckets) is (setting != "adoptTrail")
    role = json.loads(adopted.one("aws:iam/role:Role", "production")["assumeRolePolicy"])
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
    assert role["Statement"][0]["Principal"]["Federated"] == provider


def test_the_oidc_provider_keeps_its_name_in_stacks_that_have_it():
    provider = deployed("prod-foundation").of("OpenIdConnectProvider")["github"]
    assert provider.protect
    assert provider.urn.endswith(
        "::sentiment:shared:Shared$aws:iam/openIdConnectProvider:OpenIdConnectProvider::github"
    )


# The audit trail


def test_every_role_of_ci_waits_for_the_provider_that_it_trusts():
    deployment = deployed("prod-foundation")
    (provider,) = deployment.of("iam/openIdConnectProvider:OpenIdConnectProvider").values()
    roles = deployment.of("iam/role:Role")
    waiting = {name for name, role in roles.items() if provider.urn in role.dependencies}
    assert waiting == {one.github_environment for one in identities("prod")}


def test_the_trail_sees_all_regions_and_cannot_be_rewritten_unnoticed():
    trail = deployed("prod-foundation").one("cloudtrail/trail:Trail", "trail")
    assert (trail["name"], trail["s3BucketName"]) == (naming.TRAIL, TRAIL_BUCKET)
    assert trail["isMultiRegionTrail"] is trail["includeGlobalServiceEvents"] is True
    assert trail["enableLogFileValidation"] is trail["enableLogging"] is True


@pytest.mark.parametrize(
    ("settings", "buckets"), [({}, ["prod", "preprod"]), ({"otherAccountId": OTHER_ACCOUNT}, ["prod"])]
)
def test_the_trail_has_every_management_event_and_writes_to_the_deployment_buckets_of_its_account(settings, buckets):
    management, data = run("prod-foundation", **settings).one("cloudtrail/trail:Trail", "trail")["eventSelectors"]
    assert management == {"readWriteType": "All", "includeManagementEvents": True}
    assert (data["readWriteType"], data["includeManagementEvents"]) == ("WriteOnly", False)
    [objects] = data["dataResources"]
    assert objects == {"type": "AWS::S3::Object", "values": [f"arn:aws:s3:::{names(one).bucket}/" for one in buckets]}


def test_the_bucket_of_the_trail_is_private_versioned_encrypted_and_kept():
    deployment = deployed("prod-foundation")
    assert deployment.of("aws:s3/bucket:Bucket")["trail"].protect
    assert deployment.one("BucketVersioning", "trail")["versioningConfiguration"] == {"status": "Enabled"}
    assert all(value for key, value in deployment.one("PublicAccessBlock", "trail").items() if key != "bucket")
    assert deployment.one("OwnershipControls", "trail")["rule"] == {"objectOwnership": "BucketOwnerEnforced"}
    [rule] = deployment.one("LifecycleConfiguration", "trail")["rules"]
    assert rule["expiration"]["days"] >= 365
    assert rule["noncurrentVersionExpiration"]["noncurrentDays"] >= 90


def test_only_this_trail_writes_to_its_bucket_and_only_the_administrator_deletes():
    policy = json.loads(deployed("prod-foundation").one("aws:s3/bucketPolicy:BucketPolicy", "trail")["policy"])
    statements = {one["Sid"]: one for one in policy["Statement"]}
    this_trail = f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/{naming.TRAIL}"
    allowed = [one for one in statements.values() if one["Effect"] == "Allow"]
    assert {one["Sid"] for one in allowed} == {"LookAtTheBucket", "WriteLogs"}
    for one in allowed:
        assert one["Principal"] == {"Service": "cloudtrail.amazonaws.com"}
        assert one["Condition"]["StringEquals"]["aws:SourceArn"] == this_trail
    assert statements["WriteLogs"]["Resource"] == [f"arn:aws:s3:::{TRAIL_BUCKET}/AWSLogs/{ACCOUNT}/*"]
    assert statements["WriteLogs"]["Condition"]["StringEquals"]["s3:x-amz-acl"] == "bucket-owner-full-control"
    assert statements["TlsOnly"]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    deletes = statements["OnlyTheAdministratorDeletes"]
    assert deletes["Action"] == ["s3:DeleteObject", "s3:DeleteObjectVersion"]
    assert "AWSReservedSSO_AdministratorAccess" in deletes["Condition"]["ArnNotLike"]["aws:PrincipalArn"]


# The budget


def _subscribers(deployment):
    budget = deployment.one("aws:budgets/budget:Budget", "monthly")
    kinds = ("subscriberEmailAddresses", "subscriberSnsTopicArns")
    return [{kind: one[kind] for kind in kinds if kind in one} for one in budget["notifications"]]


def test_on_call_hears_of_the_cost_before_during_and_after():
    budget = run("prod-foundation", monthlyBudgetUsd=25).one("aws:budgets/budget:Budget", "monthly")
    assert (budget["name"], budget["limitAmount"], budget["limitUnit"]) == (naming.BUDGET, "25", "USD")
    notified = [(one["notificationType"], one["threshold"], one["thresholdType"]) for one in budget["notifications"]]
    assert notified == [("ACTUAL", 80, "PERCENTAGE"), ("ACTUAL", 100, "PERCENTAGE"), ("FORECASTED", 100, "PERCENTAGE")]


def test_every_notification_has_somebody_to_hear_it():
    mails = ["on-call@example.org", "second@example.org"]
    assert _subscribers(run("prod-foundation", onCallEmails=mails)) == [{"subscriberEmailAddresses": mails}] * 3
    topic = f"arn:aws:sns:us-east-1:{ACCOUNT}:prod-sentiment-on-call"
    assert _subscribers(deployed("prod-foundation")) == [{"subscriberSnsTopicArns": [topic]}] * 3
    own = run("preprod-foundation", otherAccountId=OTHER_ACCOUNT)
    assert _subscribers(own) == [{"subscriberSnsTopicArns": [topic.replace("prod-", "preprod-")]}] * 3


# The repository


def _rules(**settings):
    return run("prod-foundation", **settings).one("RepositoryRuleset", "main")


def test_main_is_reached_through_a_pull_request_that_passed_and_by_nothing_else():
    ruleset = _rules()
    assert (ruleset["target"], ruleset["enforcement"]) == ("branch", "active")
    assert ruleset["conditions"] == {"refName": {"includes": ["refs/heads/main"], "excludes": []}}
    assert "bypassActors" not in ruleset
    rules = ruleset["rules"]
    assert rules["nonFastForward"] is rules["deletion"] is True
    assert "requiredLinearHistory" not in rules
    assert rules["pullRequest"]["dismissStaleReviewsOnPush"] is True
    checks = rules["requiredStatusChecks"]
    assert checks["strictRequiredStatusChecksPolicy"] is True
    assert checks["requiredChecks"] == [{"context": name, "integrationId": GITHUB_ACTIONS_APP} for name in CHECKS]


def test_a_merge_leaves_commits_that_the_gate_can_judge():
    assert _rules()["rules"]["pullRequest"]["allowedMergeMethods"] == ["merge", "squash"]


@pytest.mark.parametrize(
    ("settings", "approvals"),
    [({}, 0), ({"reviewers": ["anna", "berta"]}, 1), ({"reviewerTeams": ["on-call"], "requiredApprovals": "2"}, 2)],
)
def test_owners_approve_where_there_is_more_than_one_person(settings, approvals):
    wanted = _rules(**settings)["rules"]["pullRequest"]
    assert wanted["requiredApprovingReviewCount"] == approvals
    assert wanted["requireCodeOwnerReview"] is wanted["requireLastPushApproval"] is (approvals > 0)


def test_the_required_checks_are_the_jobs_of_the_pull_request_workflow_and_the_status_of_its_previews():
    jobs = load(WORKFLOWS / "pull-request.yml")["jobs"]
    assert sorted({*(job["name"] for job in jobs.values()), PREVIEWS}) == sorted(CHECKS)


def test_the_actions_that_may_run_are_those_that_the_workflows_use():
    files = [*WORKFLOWS.glob("*.yml"), *(ROOT / ".github" / "actions").glob("*/action.yml")]
    used = {use.partition("@")[0] for file in files for use in _uses(load(file)) if not use.startswith("./")}
    assert {use for use in used if not use.startswith(("actions/", "github/"))} == set(THIRD_PARTY_ACTIONS)
    allowed = deployed("prod-foundation").one("ActionsRepositoryPermissions", "actions")
    assert allowed["allowedActionsConfig"] == {
        "githubOwnedAllowed": True,
        "verifiedAllowed": False,
        "patternsAlloweds": [f"{action}@*" for action in THIRD_PARTY_ACTIONS],
    }
    assert allowed["enabled"] is allowed["shaPinningRequired"] is True
    assert allowed["allowedActions"] == "selected"


def _uses(document):
    if isinstance(document, dict):
        return [
            *([document["uses"]] if isinstance(document.get("uses"), str) else []),
            *(use for value in document.values() for use in _uses(value)),
        ]
    return [use for one in document for use in _uses(one)] if isinstance(document, list) else []


def test_a_workflows_token_reads_unless_a_job_says_more_and_never_approves():
    token = deployed("prod-foundation").one("WorkflowRepositoryPermissions", "token")
    assert token["defaultWorkflowPermissions"] == "read"
    assert token["canApprovePullRequestReviews"] is False


def test_tokens_name_their_job_in_the_form_that_the_roles_trust():
    subject = deployed("prod-foundation").one("ClaimCustomizationTemplate", "oidc-subject")
    assert subject["useDefault"] is True
    assert "includeClaimKeys" not in subject
