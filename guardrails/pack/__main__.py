"""The rules as a policy pack: `pulumi preview --policy-pack guardrails/pack` with the official CLI."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    StackValidationArgs,
    StackValidationPolicy,
)

sys.path.insert(0, str(Path(__file__).parents[2]))  # the engine starts the pack from its own folder

from guardrails.resource import Resource
from guardrails.rules import RULES, Rule


def _resources(args: StackValidationArgs) -> list[Resource]:
    return [
        Resource(
            type=one.resource_type,
            name=one.name,
            parent=one.parent.urn if one.parent else "",
            props=one.props,
            protect=one.opts.protect,
        )
        for one in args.resources
    ]


def _validate(rule: Rule) -> Callable[[StackValidationArgs, ReportViolation], None]:
    def validate(args: StackValidationArgs, report_violation: ReportViolation) -> None:
        for resource, what in rule.check(_resources(args)):
            report_violation(f"{resource} {what}", None)

    return validate


PolicyPack(
    name="guardrails",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[
        StackValidationPolicy(name=rule.name, description=rule.description, validate=_validate(rule)) for rule in RULES
    ],
)
