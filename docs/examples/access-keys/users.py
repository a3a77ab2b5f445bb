"""Users of IAM for places where GitHub's tokens cannot be used: one per identity, named like its role.

A user can do one thing: assume that role. So the rights are those of the roles, derived from the same table, and what
is done in AWS is done with credentials that expire within the hour. `derive.py` copies this file to
components/foundation/.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.arns import Arns
from components.identities import Identity, identities
from components.policies.documents import Document, allow, document, to_json
from components.settings import Settings
from components.tags import tags


def trust_of_user(identity: Identity, settings: Settings) -> Document:
    """The trust policy of an identity's role: its own user, and no token of GitHub's.

    The user stands in a condition and not as the principal: IAM refuses a principal that does not exist yet.
    """
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{settings.account_id}:root"},
        "Action": "sts:AssumeRole",
        "Condition": {"ArnEquals": {"aws:PrincipalArn": _user(identity, settings.arns)}},
    }
    return document(statement)


def rights_of_user(identity: Identity, arns: Arns) -> Document:
    """All that an identity's user may do by itself."""
    return document(allow("OnlyItsRole", ["sts:AssumeRole"], [arns.of("role", identity.role(arns.names))]))


@dataclass(frozen=True, kw_only=True)
class UsersArgs:
    """Whose users."""

    settings: Settings


class Users(pulumi.ComponentResource):
    """The users. `release bootstrap --access-keys` makes their keys, which no state ever holds."""

    def __init__(self, name: str, args: UsersArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:foundation:Users", name, None, opts)
        arns = args.settings.arns
        for identity in identities(arns.names.environment):
            user = aws.iam.User(
                identity.github_environment,
                name=identity.role(arns.names),
                force_destroy=True,  # its keys are made outside the program, and would keep it from being deleted
                tags=tags(arns.names.environment, "identities"),
                opts=pulumi.ResourceOptions(parent=self),
            )
            aws.iam.UserPolicy(
                identity.github_environment,
                name="rights",
                user=user.name,
                policy=to_json(rights_of_user(identity, arns)),
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})


def _user(identity: Identity, arns: Arns) -> str:
    return f"arn:aws:iam::{arns.account_id}:user/{identity.role(arns.names)}"
