"""Identity, account and region of the caller."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from functools import partial
from typing import Final

from components.identities import IDENTITIES
from components.naming import foundation_stack, names
from components.settings import Settings
from release.doctor.check import Notes, Warned, check
from release.doctor.place import Caller, Place
from release.pulumi import stack_config

CI_ROLES: Final = frozenset(identity.role(names(identity.environment)) for identity in IDENTITIES)
"""The roles that jobs of CI assume, of both environments."""


_check = partial(check, in_account=False)


@_check(
    "identity.account",
    asks="STS for the account of the credentials (GetCallerIdentity)",
    expected="it is the account that the settings of the stack name",
    fix="log in to that account (aws sso login), or correct accountId in Pulumi.{foundation}.yaml",
    look=lambda place: place.caller,
)
def _identity_account(settings: Settings, caller: Caller) -> Notes:
    if caller.account != settings.account_id:
        yield f"these credentials belong to {caller.account}, the settings say {settings.account_id}"
    return f"account {caller.account}"


@_check(
    "identity.who",
    asks="STS for the name behind the credentials (GetCallerIdentity)",
    expected="it is the administrator that the settings name (a role of CI, or anybody else, is a warning)",
    fix="aws sso login as an administrator; or set administratorRoleArn in Pulumi.{foundation}.yaml",
    look=lambda place: place.caller,
    not_local="it knows no roles of people: everybody is its one user",
)
def _identity_who(settings: Settings, caller: Caller) -> Notes:
    known = settings.administrator_role_arn
    # The session's ARN has neither the path of the role nor `role/`.
    is_administrator = caller.role and fnmatchcase(caller.role, known.rpartition("/")[2])
    if caller.arn.endswith(":root"):
        yield "these are the keys of the account's root user: nothing may need them"
    elif caller.role in CI_ROLES:
        yield Warned(f"{caller.role}, a role of CI: what it may not see is unknown below")
    elif not is_administrator:
        yield Warned(f"{caller.arn} is neither the administrator ({known}) nor a role of CI")
    return f"{caller.role}, the administrator"


def _other(place: Place) -> Settings:
    return stack_config.load(foundation_stack(place.names.other_environment), place.context.repo, os.environ)


@_check(
    "identity.settings",
    asks="the region of this session, and the settings of both environments for their regions and accounts",
    expected="all three regions are the same; each environment names the other's account, or both share one and name "
    "none",
    fix="export AWS_REGION, or set aws:region and otherAccountId in all four stack files, each naming the other's "
    "account",
    look=lambda place: (place.context.aws.region, _other(place)),
)
def _identity_settings(settings: Settings, seen: tuple[str, Settings]) -> Notes:
    """Policies name resources with region and account."""
    session, other = seen
    if session != settings.region:
        yield f"AWS_REGION is {session or 'not set'}, the settings say {settings.region}"
    if other.region != settings.region:
        yield f"the other environment is set to {other.region}, so policies name the wrong resources"
    ours, named = settings.account_id, settings.other_account_id
    if other.account_id != (named or ours):
        yield f"the other environment lives in {other.account_id}, the settings here say {named or ours}"
    if (other.other_account_id or other.account_id) != ours:
        yield f"the other environment names {other.other_account_id or 'no other account'}, not {ours}"
    shared = f"both environments share account {ours}: policies alone keep them apart"
    return f"{settings.region}; {f'{ours} and {other.account_id}' if other.account_id != ours else shared}"
