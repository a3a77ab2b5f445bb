"""One function: execution role, logs, code, versions and the aliases `candidate` and `live`."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.arns import Arns
from components.naming import CANDIDATE, LIVE, FunctionNames
from components.policies import execution, trust
from components.policies.documents import document, to_json
from components.service.functions import ARCHITECTURE, RUNTIME, FunctionSpec
from components.service.release import CANARY_WEIGHT, FunctionPlan, Live, Release
from components.settings import Settings
from components.tags import tags


@dataclass(frozen=True, kw_only=True)
class FunctionArgs:
    """A function of the table, and what this `up` makes of it; `plan` is None while there is no release."""

    settings: Settings
    arns: Arns
    spec: FunctionSpec
    dead_letters_arn: pulumi.Input[str]
    release: Release | None
    plan: FunctionPlan | None


class Function(pulumi.ComponentResource):
    """A Lambda function whose callers are all bound to `live`, so that moving `live` moves them all.

    Role and log group exist from the beginning; the function and `candidate` from the first release on; `live` from the
    first release at traffic 100.
    """

    names: FunctionNames
    candidate: aws.lambda_.Alias | None
    live: aws.lambda_.Alias | None

    def __init__(self, name: str, args: FunctionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:service:Function", name, None, opts)
        self.names = args.arns.names.function(args.spec.key)
        self._tags = tags(args.settings.environment, args.spec.key)
        self._role = aws.iam.Role(
            name,
            name=self.names.role,
            description=f"What {self.names.function} may do",
            assume_role_policy=to_json(trust.by_service("lambda")),
            permissions_boundary=args.arns.of("policy", args.arns.names.boundary),
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        statements = [execution.write_logs(args.arns, self.names.log_group), *args.spec.statements(args.arns)]
        if args.spec.trigger.asynchronous:
            statements.append(execution.leave_dead_letters(args.arns))
        self._rights = aws.iam.RolePolicy(
            name,
            name="execution",
            role=self._role.name,
            policy=to_json(document(*statements)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._logs = aws.cloudwatch.LogGroup(
            name,
            name=self.names.log_group,
            retention_in_days=args.settings.log_retention_days,
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.candidate = self.live = None
        if args.plan is not None and args.release is not None:
            function = self._function(name, args, args.release, args.plan)
            self.candidate = aws.lambda_.Alias(
                f"{name}-{CANDIDATE}",
                name=CANDIDATE,
                description="Newest published version; takes no user traffic",
                function_name=function.name,
                function_version=function.version,
                opts=pulumi.ResourceOptions(parent=self),
            )
            if args.plan.live is not Live.ABSENT:
                self.live = self._live(name, function, args.plan)
        self.register_outputs({"function": self.names.function})

    def _function(self, name: str, args: FunctionArgs, release: Release, plan: FunctionPlan) -> aws.lambda_.Function:
        package = plan.package
        return aws.lambda_.Function(
            name,
            name=self.names.function,
            description=args.spec.description,
            role=self._role.arn,
            runtime=RUNTIME,
            architectures=[ARCHITECTURE],
            handler=package.handler,
            s3_bucket=package.bucket,
            s3_key=package.key,
            s3_object_version=package.version_id,
            source_code_hash=package.code_sha256,
            publish=True,
            memory_size=args.settings.function_memory_mb,
            timeout=args.settings.function_timeout_seconds,
            environment={
                "variables": {
                    "ENVIRONMENT": args.settings.environment,
                    "RELEASE_SHA": release.sha,
                    "RELEASE_DIGEST": release.manifest,
                    "ITEMS_TABLE": args.arns.names.items_table,
                    **args.spec.environment(args.settings, args.arns),
                }
            },
            dead_letter_config={"target_arn": args.dead_letters_arn} if args.spec.trigger.asynchronous else None,
            tags=self._tags,
            # Without them the first call could run without rights, and would make a log group that never expires.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self._rights, self._logs]),
        )

    def _live(self, name: str, function: aws.lambda_.Function, plan: FunctionPlan) -> aws.lambda_.Alias:
        def weights(new: str) -> aws.lambda_.AliasRoutingConfigArgs | None:
            # Lambda refuses an alias that shares traffic between a version and itself: unchanged code publishes none.
            if new == plan.stable:
                return None
            return aws.lambda_.AliasRoutingConfigArgs(additional_version_weights={new: CANARY_WEIGHT})

        return aws.lambda_.Alias(
            f"{name}-{LIVE}",
            name=LIVE,
            description="What users, the schedule and the topic call",
            function_name=function.name,
            function_version=function.version if plan.live is Live.NEW else plan.stable,
            routing_config=function.version.apply(weights) if plan.live is Live.WEIGHTED else None,
            opts=pulumi.ResourceOptions(parent=self),
        )
