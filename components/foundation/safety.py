"""The role by which schedules take traffic back when nobody else is left to do it."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.arns import Arns
from components.policies import safety, trust
from components.policies.documents import to_json
from components.tags import tags


@dataclass(frozen=True, kw_only=True)
class SafetyNetArgs:
    """Whose traffic."""

    arns: Arns


class SafetyNet(pulumi.ComponentResource):
    """The role of the one-time schedules that the releaser sets before it moves traffic.

    It belongs to the foundation so that CI can pass it on and cannot widen it.
    """

    def __init__(self, name: str, args: SafetyNetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:foundation:SafetyNet", name, None, opts)
        names = args.arns.names
        role = aws.iam.Role(
            name,
            name=names.safety_role,
            description="Lets one-time schedules put live back on the stable versions",
            assume_role_policy=to_json(trust.by_service("scheduler", args.arns.account_id)),
            tags=tags(names.environment, name),
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.iam.RolePolicy(
            name,
            name="return-traffic",
            role=role.name,
            policy=to_json(safety.return_traffic(args.arns)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"role_arn": role.arn})
