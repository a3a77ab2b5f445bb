"""M13, M15: who holds one role of CI gains no other environment, no right of their own, and no administrator."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest

from components.policies.documents import Statement
from localcloud.iam.evaluator import decide
from tests.isolation.escape import Ground, goals, ground, search
from tests.isolation.world import EVERYTHING, ONE_ACCOUNT, Principal, world


@pytest.fixture(scope="module")
def place():
    """One account, where the environments are nearest to each other."""
    return ground(world(0))


def _changed(principal: Principal, change: Callable[[list[Statement]], object]) -> Principal:
    """The same role with changed rights."""
    (document,) = copy.deepcopy(principal.policies)
    change(document["Statement"])
    return replace(principal, policies=[document])


def _sid(statements: list[Statement], sid: str) -> Statement:
    (found,) = [statement for statement in statements if statement["Sid"] == sid]
    return found


def _drop(*sids: str) -> Callable[[list[Statement]], object]:
    def drop(statements: list[Statement]) -> None:
        for sid in sids:
            statements.remove(_sid(statements, sid))

    return drop


def _allow(actions: list[str], resource: str, *drops: str) -> Callable[[list[Statement]], object]:
    """One more right, without the denials `drops`."""

    def add(statements: list[Statement]) -> None:
        _drop(*drops)(statements)
        statements.append({"Sid": "Mistake", "Effect": "Allow", "Action": actions, "Resource": [resource]})

    return add


def _without_condition(sid: str) -> Callable[[list[Statement]], object]:
    return lambda statements: _sid(statements, sid).pop("Condition")


def _on(sid: str, resource: str) -> Callable[[list[Statement]], object]:
    return lambda statements: _sid(statements, sid).update(Resource=[resource])


def test_no_role_of_ci_gains_what_is_not_its_own(place):
    searches = search(place, place.world.ci())
    assert {one.start.name: one.escapes() for one in searches} == {one.start.name: {} for one in searches}
    gained = {one.start.name: {power.principal.name for power in one.powers} - {one.start.name} for one in searches}
    deploys = {
        environment: {
            f"{environment}-sentiment-{name}" for name in ("dashboard-exec", "schedule", "safety", "new-exec")
        }
        for environment in ("preprod", "prod")
    }
    code_alone = {f"prod-sentiment-{name}" for name in ("dashboard-exec", "safety", "way-back")}
    assert gained == {
        "preprod-sentiment-deploy": deploys["preprod"],
        "prod-sentiment-deploy": deploys["prod"] | {"prod-sentiment-way-back"},
        "prod-sentiment-deploy-auto": code_alone,
        "prod-sentiment-rollback": code_alone,
        "preprod-sentiment-test": set(),
        "preprod-sentiment-validate": set(),
        "preprod-sentiment-watch": set(),
        "prod-sentiment-watch": set(),
    }


ROLES, POLICIES, USERS = (f"arn:aws:iam::{ONE_ACCOUNT['prod']}:{kind}/*" for kind in ("role", "policy", "user"))
FUNCTIONS = f"arn:aws:lambda:us-east-1:{ONE_ACCOUNT['prod']}:function:*"
MISTAKES = {
    "a role is made without the boundary": _without_condition("RolesInsideTheBoundary"),
    "any role is passed to lambda": _on("PassToLambda", ROLES),
    "any role is passed to the scheduler": _on("PassToScheduler", ROLES),
    "any trust is changed": _allow(["iam:UpdateAssumeRolePolicy"], ROLES),
    "any role is assumed": _allow(["sts:AssumeRole"], ROLES),
    "code is put into any function": _allow(["lambda:UpdateFunctionCode"], FUNCTIONS),
    "the boundary is rewritten": _allow(["iam:CreatePolicyVersion"], POLICIES, "OwnRights"),
    "a boundary is taken away": _allow(["iam:DeleteRolePermissionsBoundary"], ROLES, "Boundary"),
    "a boundary is exchanged": _allow(["iam:PutRolePermissionsBoundary"], ROLES),
    "its own role is changed": _allow(["iam:PutRolePolicy"], f"{ROLES}-deploy", "OwnRights"),
    "the safety role is changed": _allow(["iam:PutRolePolicy"], f"{ROLES}-safety", "SafetyRoles"),
    "a user is given keys": _allow(["iam:CreateAccessKey"], USERS, "Users"),
    "the other environment is opened": _allow(["lambda:UpdateAlias"], f"{FUNCTIONS}-sentiment-*", "OtherEnvironment"),
}
"""Each is one right too many, or one denial too few beside a right that is too wide."""
HELD_BACK = {
    "the boundary is rewritten": _allow(["iam:CreatePolicyVersion"], POLICIES),
    "a boundary is taken away": _allow(["iam:DeleteRolePermissionsBoundary"], ROLES),
    "its own role is changed": _allow(["iam:PutRolePolicy"], f"{ROLES}-deploy"),
    "the safety role is changed": _allow(["iam:PutRolePolicy"], f"{ROLES}-safety"),
    "a user is given keys": _allow(["iam:CreateAccessKey"], USERS),
    "the other environment is opened": _allow(["lambda:UpdateAlias"], f"{FUNCTIONS}-sentiment-*"),
}
"""The same rights, with the denials."""


def test_each_mistake_is_an_escape_that_is_found(place):
    """Tests of the test, each a mistake that somebody has made somewhere."""
    start = place.world.principal("preprod", "preprod-sentiment-deploy")
    searches = dict(
        zip(MISTAKES, search(place, [_changed(start, change) for change in MISTAKES.values()]), strict=True)
    )
    assert [name for name, one in searches.items() if not one.escapes()] == []


def test_the_boundary_is_what_holds_a_new_role(place):
    start = place.world.principal("preprod", "preprod-sentiment-deploy")
    (open_,) = search(place, [start], dict.fromkeys(place.boundaries, EVERYTHING))
    theirs = place.world.arns("prod")
    assert ("dynamodb:UpdateTable", theirs.of("table", theirs.names.items_table)) in open_.escapes()


def test_denials_hold_back_what_a_mistake_would_allow(place):
    start = place.world.principal("preprod", "preprod-sentiment-deploy")
    searches = dict(
        zip(HELD_BACK, search(place, [_changed(start, change) for change in HELD_BACK.values()]), strict=True)
    )
    assert {name: one.escapes() for name, one in searches.items()} == {name: {} for name in HELD_BACK}


def _reached(place: Ground, cases: list[tuple[Principal, str]]) -> list[set[str]]:
    """Actions of the goals that each role could do if a policy allowed it everything, without one of its denials.

    Things have no policies of their own here, so that what holds are the denials alone.
    """
    mistaken = [_changed(role, _allow(["*"], "*", *filter(None, [drop]))) for role, drop in cases]
    asked = [
        (case, action, role.asks(action, thing.unguarded(), dict(context)))
        for case, role in enumerate(mistaken)
        for action, thing, context in goals(place, role.environment)
    ]
    reached: list[set[str]] = [set() for _ in cases]
    for (case, action, _), decision in zip(asked, decide([request for *_, request in asked]), strict=True):
        if decision.allowed:
            reached[case].add(action)
    return reached


def test_the_denials_alone_hold_whatever_a_policy_may_allow_one_day(place):
    roles = place.world.ci()
    reached = dict(zip([role.name for role in roles], _reached(place, [(role, "") for role in roles]), strict=True))
    assert reached == {role.name: set() for role in roles}


def test_no_denial_is_idle(place):
    role = place.world.principal("prod", "prod-sentiment-deploy")
    cases = [(role, one["Sid"]) for one in role.policies[0]["Statement"] if one["Effect"] == "Deny"]
    assert len(cases) > 10
    idle = {sid for (_, sid), opened in zip(cases, _reached(place, cases), strict=True) if not opened}
    assert idle == {"Boundary"}  # it holds back steps, not goals: see HELD_BACK
