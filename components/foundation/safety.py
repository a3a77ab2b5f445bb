"""What takes traffic back when no run is left to do it: roles for schedules and alarms, and a state machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components import way_back
from components.arns import Arns
from components.policies import safety, trust
from components.policies.documents import Document, to_json
from components.tags import tags


@dataclass(frozen=True, kw_only=True)
class SafetyNetArgs:
    """Whose traffic."""

    arns: Arns


class SafetyNet(pulumi.ComponentResource):
    """The role of the one-time schedules that the releaser sets before it moves traffic, and the way back of a bake.

    While a release bakes, an alarm starts the state machine, which moves the aliases back. All of it belongs to the
    foundation so that CI can pass the roles on and can widen or change nothing.
    """

    def __init__(self, name: str, args: SafetyNetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:foundation:SafetyNet", name, None, opts)
        arns, names = args.arns, args.arns.names
        role = self._role(
            name,
            names.safety_role,
            arns,
            description="Lets one-time schedules and the way back put live back on the stable versions",
            trusted=safety.TRUSTED,
            rights=("return-traffic", safety.return_traffic(arns)),
        )
        machine = aws.sfn.StateMachine(
            "way-back",
            name=names.way_back,
            definition=to_json(way_back.definition()),
            role_arn=role.arn,
            tags=tags(names.environment, "way-back"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._role(
            "way-back",
            names.way_back_role,
            arns,
            description="Lets the rule of a bake start the way back",
            trusted=safety.TRUSTED_TO_START,
            rights=("start-way-back", safety.start_way_back(arns)),
        )
        self.register_outputs({"role_arn": role.arn, "way_back": machine.arn})

    def _role(
        self,
        name: str,
        role: str,
        arns: Arns,
        *,
        description: str,
        trusted: Sequence[str],
        rights: tuple[str, Document],
    ) -> aws.iam.Role:
        """A role for AWS services that act for this account, with one policy."""
        made = aws.iam.Role(
            name,
            name=role,
            description=description,
            assume_role_policy=to_json(trust.by_service(trusted, arns.account_id)),
            tags=tags(arns.names.environment, name),
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.iam.RolePolicy(
            name,
            name=rights[0],
            role=made.name,
            policy=to_json(rights[1]),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return made
