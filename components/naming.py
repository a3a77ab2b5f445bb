"""The one place for physical names.

Every name follows from the environment, and those of buckets, which everybody on AWS shares, from a suffix as well. So
a service stack needs no reference to its foundation, and the releaser, the policies and the tests can say the name of a
resource without asking a cloud. Pure Python: `release/` imports this module.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from functools import cache
from types import MappingProxyType
from typing import Final

PROJECT: Final = "sentiment-pipeline"
ENVIRONMENTS: Final = ("preprod", "prod")

SERVICE_STATE: Final = "service"
"""Folder of the state bucket that holds what CI deploys."""
FOUNDATION_STATE: Final = "foundation"
"""Folder of the state bucket that no identity of CI can read."""

CANDIDATE: Final = "candidate"
"""Alias of the published version that takes no user traffic."""
LIVE: Final = "live"
"""Alias that users, the schedule and the topic call."""

BY_SENTIMENT: Final = "by_sentiment"
BY_TAG: Final = "by_tag"
BY_STATUS: Final = "by_status"

TRAIL: Final = PROJECT
"""The account's audit trail."""
BUDGET: Final = f"{PROJECT}-monthly"
"""The account's budget."""
_SAFETY: Final = ".safety"
SUFFIX: Final = r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)?"
"""Pattern of what stands, after a hyphen, at the end of the names that are global on AWS."""
_FUNCTION_KEY = re.compile(r"[a-z][a-z0-9-]*[a-z0-9]")

# Longest physical name that AWS takes, in characters, and the characters it takes.
_WORD = r"[A-Za-z0-9_-]+"
_BUDGETS: Final = MappingProxyType(
    {
        "function": (64, _WORD),
        "role": (64, r"[A-Za-z0-9_+=,.@-]+"),
        "policy": (128, r"[A-Za-z0-9_+=,.@-]+"),
        "key alias": (256, r"alias/[A-Za-z0-9/_-]+"),
        "table": (255, r"[A-Za-z0-9_.-]{3,}"),
        "topic": (256, _WORD),
        "queue": (80, _WORD),
        "schedule": (64, r"[A-Za-z0-9_.-]+"),
        "rule": (64, r"[A-Za-z0-9_.-]+"),
        "state machine": (80, _WORD),
        "alarm": (255, r"[\x20-\x7e]+"),
        "dashboard": (255, _WORD),
        "log group": (512, r"[A-Za-z0-9_./#-]+"),
        "bucket": (63, r"[a-z0-9][a-z0-9.-]+[a-z0-9]"),
        "secret": (512, r"[A-Za-z0-9/_+=.@-]+"),
    }
)


class PhysicalNameError(ValueError):
    """A physical name that AWS would refuse."""


def within_budget(kind: str, name: str) -> str:
    """Return `name` if AWS takes it as the name of a `kind`.

    Raises `PhysicalNameError`, which says by how much the name misses.
    """
    longest, pattern = _BUDGETS[kind]
    if len(name) > longest:
        raise PhysicalNameError(
            f"{kind} name {name!r} has {len(name)} characters, AWS takes at most {longest}: shorten the part that "
            f"components/naming.py puts into it by {len(name) - longest}"
        )
    if not re.fullmatch(pattern, name):
        raise PhysicalNameError(f"{kind} name {name!r} holds characters that AWS refuses (it takes {pattern})")
    return name


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionNames:
    """Names around one Lambda function."""

    function: str
    role: str
    log_group: str
    schedule: str
    safety_schedule: str
    """One-time schedule that puts `live` back. The dot keeps it apart from every name that a function's key makes."""

    def alarm(self, about: str) -> str:
        """Name of this function's alarm about something."""
        return within_budget("alarm", f"{self.function}-{about}")

    def alias_resource(self, alias: str = LIVE) -> str:
        """Value of the CloudWatch dimension `Resource` that metrics of this alias carry."""
        return f"{self.function}:{alias}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """All physical names of one environment."""

    environment: str
    suffix: str
    prefix: str
    items_table: str
    new_items_topic: str
    dead_letters_queue: str
    dead_letters_alarm: str
    on_call_topic: str
    overview: str
    """The CloudWatch dashboard; the service has a function called dashboard."""
    schedule_role: str
    safety_role: str
    way_back: str
    """The state machine that takes traffic back when an alarm rings while a release bakes."""
    way_back_role: str
    """The role as which EventBridge starts it."""
    bake_rule: str
    """The EventBridge rule that starts it, while a release bakes."""
    bake_schedule: str
    """One-time schedule that ends the bake. No key of a function makes this name, because of its first dot."""
    bucket: str
    state_bucket: str
    deploy_role: str
    deploy_auto_role: str
    rollback_role: str
    test_role: str
    validate_role: str
    watch_role: str
    boundary: str
    state_key_alias: str
    foundation_key_alias: str
    newsapi_secret: str
    dashboard_key_secret: str

    @property
    def safety_schedules(self) -> str:
        """Pattern of the safety schedules of all functions and of the bake, and of nothing else."""
        return f"{self.prefix}*{_SAFETY}"

    @property
    def ci_roles(self) -> tuple[str, ...]:
        """The roles that jobs of CI assume."""
        return (
            self.deploy_role,
            self.deploy_auto_role,
            self.rollback_role,
            self.test_role,
            self.validate_role,
            self.watch_role,
        )

    @property
    def other_environment(self) -> str:
        """The environment that nothing of this one may touch."""
        return next(environment for environment in ENVIRONMENTS if environment != self.environment)

    @cache  # noqa: B019 -- there are as many of these as environments
    def function(self, key: str) -> FunctionNames:
        """Names of the function `key`, which is also the name of its folder below `lambdas/`."""
        if not _FUNCTION_KEY.fullmatch(key):
            raise PhysicalNameError(f"function key {key!r} must match {_FUNCTION_KEY.pattern}")
        function = within_budget("function", f"{self.prefix}{key}")
        return FunctionNames(
            function=function,
            role=within_budget("role", f"{function}-exec"),
            log_group=within_budget("log group", f"/aws/lambda/{function}"),
            schedule=within_budget("schedule", function),
            safety_schedule=within_budget("schedule", f"{function}{_SAFETY}"),
        )

    def physical(self) -> dict[str, str]:
        """Every fixed name but those of functions, by field: what tests match policies against."""
        skipped = {"environment", "suffix", "prefix"}
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in skipped}


@cache
def names(environment: str, suffix: str = "") -> Names:
    """Names of `environment` (`preprod` or `prod`), with the `suffix` of the setting `nameSuffix` on its buckets.

    Raises `PhysicalNameError` for any other environment, and for a suffix that no bucket can have.
    """
    if environment not in ENVIRONMENTS:
        raise PhysicalNameError(f"environment {environment!r} is none of {', '.join(ENVIRONMENTS)}")
    if not re.fullmatch(SUFFIX, suffix):
        raise PhysicalNameError(f"suffix {suffix!r} must match {SUFFIX}")
    prefix, ending = f"{environment}-sentiment-", f"-{suffix}" if suffix else ""
    return Names(
        environment=environment,
        suffix=suffix,
        prefix=prefix,
        items_table=within_budget("table", f"{prefix}items"),
        new_items_topic=within_budget("topic", f"{prefix}new-items"),
        dead_letters_queue=within_budget("queue", f"{prefix}dead-letters"),
        dead_letters_alarm=within_budget("alarm", f"{prefix}dead-letters-waiting"),
        on_call_topic=within_budget("topic", f"{prefix}on-call"),
        overview=within_budget("dashboard", f"{prefix}overview"),
        schedule_role=within_budget("role", f"{prefix}schedule"),
        safety_role=within_budget("role", f"{prefix}safety"),
        way_back=within_budget("state machine", f"{prefix}way-back"),
        way_back_role=within_budget("role", f"{prefix}way-back"),
        bake_rule=within_budget("rule", f"{prefix}bake"),
        bake_schedule=within_budget("schedule", f"{prefix}bake.end{_SAFETY}"),
        bucket=within_budget("bucket", f"{prefix}lambda-deployments{ending}"),
        state_bucket=within_budget("bucket", f"{prefix}pulumi-state{ending}"),
        deploy_role=within_budget("role", f"{prefix}deploy"),
        deploy_auto_role=within_budget("role", f"{prefix}deploy-auto"),
        rollback_role=within_budget("role", f"{prefix}rollback"),
        test_role=within_budget("role", f"{prefix}test"),
        validate_role=within_budget("role", f"{prefix}validate"),
        watch_role=within_budget("role", f"{prefix}watch"),
        boundary=within_budget("policy", f"{prefix}boundary"),
        state_key_alias=within_budget("key alias", f"alias/{prefix}pulumi-state"),
        foundation_key_alias=within_budget("key alias", f"alias/{prefix}pulumi-foundation"),
        newsapi_secret=within_budget("secret", f"{environment}/sentiment-analyzer/newsapi"),
        dashboard_key_secret=within_budget("secret", f"{environment}/sentiment-analyzer/dashboard-api-key"),
    )


def service_stack(environment: str) -> str:
    """Name of the stack that CI runs."""
    return names(environment).environment


def foundation_stack(environment: str) -> str:
    """Name of the stack that only an administrator runs."""
    return f"{names(environment).environment}-foundation"


STACKS: Final = tuple(name(environment) for environment in ENVIRONMENTS for name in (service_stack, foundation_stack))
"""All stacks of the project."""


def trail_bucket(account_id: str) -> str:
    """Name of the bucket that holds the audit trail of an account: its number tells it apart from everybody else's."""
    return within_budget("bucket", f"{TRAIL}-trail-{account_id}")


def state_place(stack: str, suffix: str = "") -> tuple[str, str]:
    """Bucket and folder of a stack's state; raises `PhysicalNameError` where there is no such stack."""
    for environment in ENVIRONMENTS:
        folders = {service_stack(environment): SERVICE_STATE, foundation_stack(environment): FOUNDATION_STATE}
        if stack in folders:
            return names(environment, suffix).state_bucket, folders[stack]
    raise PhysicalNameError(f"stack {stack!r} belongs to none of {', '.join(ENVIRONMENTS)}")
