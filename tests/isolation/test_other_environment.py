"""M13: nothing of one environment can touch the other, whatever it asks, in one account and in two."""

from collections.abc import Iterable
from dataclasses import replace

from components.naming import ENVIRONMENTS, names
from localcloud.iam.evaluator import ALLOWED, DENIED, PolicyDecision, PolicyRequest, decide, matching
from tests.isolation.questions import by_kind, mentioned, statements
from tests.isolation.world import EVERYTHING, ONE_ACCOUNT, Principal, Thing, World, world

READ_PROMOTION = {"s3:GetObject", "s3:GetObjectVersion"}

ACCOUNT_WIDE = {
    "cloudwatch:DescribeAlarms": "reads the state of alarms; lists them all or none",
    "cloudwatch:GetMetricData": "reads numbers; CloudWatch knows no resources for metrics",
    "lambda:GetAccountSettings": "reads how many calls the account may run at once",
    "logs:DescribeLogGroups": "reads names and retention, not a line of a log; knows no resources",
    "sns:GetSubscriptionAttributes": "reads who is subscribed; the denial of topics covers the other environment's",
    "sns:SetSubscriptionAttributes": "the denial of topics covers the other environment's subscriptions",
    "sns:Unsubscribe": "the same",
}
"""What identities are allowed on every resource, and why. In one account these see both environments."""

Asked = tuple[Principal, str, Thing, PolicyRequest]


def _offered(principal: Principal, action: str, thing: Thing) -> bool:
    """The one exception: prod's roles of CI read what preprod has validated."""
    return (
        principal.name in names("prod").ci_roles
        and action in READ_PROMOTION
        and ":::preprod-sentiment-lambda-deployments/promotions/" in thing.arn
    )


def _contexts(principal: Principal, action: str, thing: Thing, world: World) -> list[dict[str, str]]:
    """What the caller chooses of a call: whose boundary a role is given, and whom it is passed to."""
    if action == "iam:PassRole":
        return [{"iam:PassedToService": f"{service}.amazonaws.com"} for service in ("lambda", "scheduler")]
    if thing.kind == "role" and action.startswith("iam:"):
        own = world.arns(principal.environment)
        return [{"iam:PermissionsBoundary": own.of("policy", own.names.boundary)}]
    return [{}]


def _asked(world: World, principals: Iterable[Principal], *, across: bool) -> list[Asked]:
    """Every question of these principals about their own environment's things, or about the other one's.

    In two accounts one thing of each kind is enough: all names have been asked for in one account.
    """
    things = world.things if world.accounts is ONE_ACCOUNT else world.examples()
    return [
        (principal, action, thing, principal.asks(action, thing, context))
        for principal in principals
        for thing in things
        if (thing.environment != principal.environment) == across
        for action in by_kind()[thing.kind]
        for context in _contexts(principal, action, thing, world)
    ]


def _decide(asked: list[Asked]) -> list[tuple[Principal, str, Thing, PolicyDecision]]:
    decisions = decide([request for *_, request in asked])
    return [(*question, decision) for (*question, _), decision in zip(asked, decisions, strict=True)]


def test_every_physical_name_is_asked_for(both):
    for environment in ENVIRONMENTS:
        text = " ".join(f"{thing.arn} {thing.context}" for thing in both.of(environment))
        assert [name for name in names(environment).physical().values() if name not in text] == []


def test_nothing_of_the_other_environment_is_allowed_but_reading_what_preprod_offers(both):
    asked = _asked(both, both.principals, across=True)
    decided = _decide(asked)
    allowed = {(who.name, action, thing.arn) for who, action, thing, decision in decided if decision.allowed}
    exceptions = {(who.name, action, thing.arn) for who, action, thing, _ in asked if _offered(who, action, thing)}
    assert allowed == exceptions
    assert len(exceptions) == 16  # four roles, two actions, two objects
    ci = {role.arn for role in both.ci()}
    silent = {
        (who.name, action, thing.arn)
        for who, action, thing, decision in decided
        if who.arn in ci and decision.outcome not in (ALLOWED, DENIED)
    }
    assert silent == set(), "not allowed, but no denial says so: a later Allow would open it"


def test_who_deploys_marks_nothing_as_tested_and_production_offers_nothing_to_itself(both):
    """The order of the gates: preprod builds, its validation marks, production reads."""
    asked = [
        (who.name, thing.arn.rpartition(":::")[2], who.asks("s3:PutObject", thing))
        for who in both.ci()
        for thing in both.of(who.environment)
        if thing.kind == "object" and "/promotions/" in thing.arn
    ]
    decisions = decide([request for *_, request in asked])
    bucket = names("preprod").bucket
    assert {(who, key) for (who, key, _), one in zip(asked, decisions, strict=True) if one.allowed} == {
        (names("preprod").deploy_role, f"{bucket}/promotions/d1/manifest.json"),
        (names("preprod").validate_role, f"{bucket}/promotions/d1/validation.json"),
    }


def test_an_administrator_of_its_account_may_do_all_of_that(both):
    """The positive control: what was denied above was denied by the policies, and not by a question that is wrong."""
    administrators = [both.administrator(environment) for environment in ENVIRONMENTS]
    refused = {
        (action, thing.arn)
        for _, action, thing, one in _decide(_asked(both, administrators, across=False))
        if not one.allowed
    }
    assert refused == set()


def test_each_right_is_of_use_to_who_has_it_on_what_is_their_own():
    """The positive control by the roles themselves; it also finds a right that is written so that it is never given."""
    rights = {
        (who.name, pattern): who
        for who in world(0).principals
        for statement in statements(who.policies)
        if statement["Effect"] == "Allow" and statement["Resource"] != ["*"]
        for pattern in statement["Action"]
    }
    patterns = sorted({pattern for _, pattern in rights})
    meant = dict(zip(patterns, matching(patterns), strict=True))
    asked = [
        (right, who.asks(action, thing, context))
        for right, who in rights.items()
        for thing in world(0).of(who.environment)
        for action in by_kind()[thing.kind]
        if action in meant[right[1]]
        for context in _contexts(who, action, thing, world(0))
    ]
    decisions = decide([request for _, request in asked])
    used = {right for (right, _), decision in zip(asked, decisions, strict=True) if decision.allowed}
    assert set(rights) - used == set()


def test_what_is_allowed_on_every_resource_is_listed_with_its_reason(both):
    everywhere = [
        statement
        for principal in both.principals
        for document in principal.policies
        for statement in document["Statement"]
        if statement["Effect"] == "Allow" and "*" in statement["Resource"]
    ]
    assert {action for statement in everywhere for action in statement["Action"]} == set(ACCOUNT_WIDE)
    without = [
        action for found in matching(sorted(mentioned())) for action, wildcard_only in found.items() if wildcard_only
    ]
    asked = [
        PolicyRequest(principal=who.arn, action=action, resource="*", account=who.account, identity=who.policies)
        for who in both.principals
        for action in without
    ]
    allowed = {one.action for one, decision in zip(asked, decide(asked), strict=True) if decision.allowed}
    assert allowed <= set(ACCOUNT_WIDE)
    assert "logs:DescribeLogGroups" in allowed  # so the question is a good one


def test_no_role_of_ci_or_of_the_service_can_use_the_key_of_the_foundations_state(both):
    asked = [
        (who, action, key, who.asks(action, key))
        for who in both.principals
        for key in both.of(who.environment)
        if key.kind == "key"
        for action in by_kind()["key"]
    ]
    allowed = {
        (who.name, action, thing.context["kms:ResourceAliases"][0])
        for who, action, thing, one in _decide(asked)
        if one.allowed
    }
    assert {alias for *_, alias in allowed} == {names(environment).state_key_alias for environment in ENVIRONMENTS}
    assert {action for _, action, _ in allowed} == {"kms:Decrypt"}


def test_state_and_its_keys_are_closed_by_their_own_policies_too(both):
    """Whatever a role of CI may be allowed one day: these policies are not its own."""
    holder = "foundation/.pulumi/", names("prod").foundation_key_alias, names("preprod").foundation_key_alias
    asked = [
        (replace(who, policies=[EVERYTHING], boundary=None), action, thing)
        for who in both.ci()
        for thing in both.things
        if thing.kind == "key" or "-pulumi-state" in thing.arn
        if thing.environment != who.environment or any(text in f"{thing.arn} {thing.context}" for text in holder)
        for action in by_kind()[thing.kind]
    ]
    decisions = decide([who.asks(action, thing) for who, action, thing in asked])
    assert {
        (who.name, action, thing.arn)
        for (who, action, thing), decision in zip(asked, decisions, strict=True)
        if decision.allowed
    } == set()
    assert len(asked) > 300
