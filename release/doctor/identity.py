"""Who asks, in which account and region."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from components.identities import IDENTITIES
from components.naming import foundation_stack, names
from components.settings import Settings
from release.doctor.check import Check, Judgement, conclude
from release.doctor.place import Caller, CannotLookError, Place
from release.pulumi import stack_config

CI_ROLES: Final = frozenset(identity.role(names(identity.environment)) for identity in IDENTITIES)
"""The roles that jobs of CI assume, of both environments."""


def _caller(place: Place) -> Caller:
    return place.caller


def judge_account(settings: Settings, caller: Caller) -> Judgement:
    """The credentials must belong to the account of the stack."""
    wrong = caller.account != settings.account_id
    problems = [f"these credentials belong to {caller.account}, the settings say {settings.account_id}"]
    return conclude(f"account {caller.account}", problems=problems if wrong else ())


def judge_who(settings: Settings, caller: Caller) -> Judgement:
    """The administrator sees everything; a role of CI sees a part; nobody works as root."""
    if caller.arn.endswith(":root"):
        return conclude("", problems=["these are the keys of the account's root user: nothing may need them"])
    if caller.role in CI_ROLES:
        seen = f"{caller.role}, a role of CI: what it may not see is unknown below"
        return conclude("", warnings=[seen])
    # The session's ARN has neither the path of the role nor `role/`.
    pattern = settings.administrator_role_arn.rpartition("/")[2]
    if caller.role and fnmatchcase(caller.role, pattern):
        return conclude(f"{caller.role}, the administrator")
    known = settings.administrator_role_arn
    return conclude("", warnings=[f"{caller.arn} is neither the administrator ({known}) nor a role of CI"])


@dataclass(frozen=True, slots=True)
class Regions:
    """Region of this session, and of the settings of the other environment."""

    session: str
    other: str


def _regions(place: Place) -> Regions:
    return Regions(place.context.aws.region, _other(place).region)


def judge_regions(settings: Settings, regions: Regions) -> Judgement:
    """Session, stack and other stack in one region: policies name resources with it."""
    problems = []
    if regions.session != settings.region:
        problems.append(f"AWS_REGION is {regions.session or 'not set'}, the settings say {settings.region}")
    if regions.other != settings.region:
        problems.append(f"the other environment is set to {regions.other}, so policies name the wrong resources")
    return conclude(settings.region, problems=problems)


@dataclass(frozen=True, slots=True)
class Accounts:
    """What the settings of the other environment say."""

    other: str
    other_names: str


def _accounts(place: Place) -> Accounts:
    other = _other(place)
    return Accounts(other.account_id, other.other_account_id)


def judge_accounts(settings: Settings, accounts: Accounts) -> Judgement:
    """Both environments name each other's account, or share one."""
    ours, named = settings.account_id, settings.other_account_id
    problems = []
    if accounts.other != (named or ours):
        problems.append(f"the other environment lives in {accounts.other}, the settings here say {named or ours}")
    if (accounts.other_names or accounts.other) != ours:
        problems.append(f"the other environment names {accounts.other_names or 'no other account'}, not {ours}")
    shared = f"both environments share account {ours}: policies alone keep them apart"
    return conclude(f"{ours} and {accounts.other}" if accounts.other != ours else shared, problems=problems)


def _other(place: Place) -> Settings:
    stack = foundation_stack(place.names.other_environment)
    found = stack_config.load(stack, place.context.repo, os.environ)
    if not isinstance(found, Settings):
        raise CannotLookError(f"{stack} has no settings")
    return found


CHECKS: Final = (
    Check(
        name="identity.account",
        asks="STS for the account of the credentials (GetCallerIdentity)",
        good="it is the account that the settings of the stack name",
        mend="log in to that account (aws sso login), or correct accountId in Pulumi.{foundation}.yaml",
        look=_caller,
        judge=judge_account,
        in_account=False,
    ),
    Check(
        name="identity.who",
        asks="STS for the name behind the credentials (GetCallerIdentity)",
        good="it is the administrator that the settings name (a role of CI, or anybody else, is a warning)",
        mend="aws sso login as an administrator; or set administratorRoleArn in Pulumi.{foundation}.yaml",
        look=_caller,
        judge=judge_who,
        in_account=False,
        not_local="it knows no roles of people: everybody is its one user",
    ),
    Check(
        name="identity.region",
        asks="the region of this session, and the settings of both environments",
        good="all three are the same",
        mend="export AWS_REGION, or correct aws:region in Pulumi.{foundation}.yaml",
        look=_regions,
        judge=judge_regions,
        in_account=False,
    ),
    Check(
        name="identity.accounts",
        asks="the settings of both environments for their accounts",
        good="each names the other's account, or both share one and name none",
        mend="set otherAccountId in all four stack files, each naming the other's account",
        look=_accounts,
        judge=judge_accounts,
        in_account=False,
    ),
)
