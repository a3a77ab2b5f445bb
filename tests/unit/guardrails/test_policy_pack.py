"""The pack runs the same rules. The official CLI cannot be had here: what it would get is recorded instead."""

import runpy
from types import SimpleNamespace

import pulumi_policy
import pytest

from guardrails.rules import RULES
from tests.unit.program.harness import ROOT, deployed


@pytest.fixture(scope="module")
def pack():
    """What `guardrails/pack` hands to the engine; the real `PolicyPack` would wait for it for ever."""
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pulumi_policy, "PolicyPack", lambda **pack: made.update(pack))
        runpy.run_path(str(ROOT / "guardrails" / "pack" / "__main__.py"), run_name="__main__")
    return made


def validate(pack, rule, resources):
    said = []
    policy = next(policy for policy in pack["policies"] if policy.name == rule)
    arguments = pulumi_policy.StackValidationArgs(resources=resources, stack_tags=None)
    policy.validate(arguments, lambda message, urn: said.append(message))
    return said


def as_the_engine_shows(resource, **changes):
    return SimpleNamespace(
        resource_type=resource.typ,
        name=resource.name,
        parent=SimpleNamespace(urn=resource.parent),
        props={**resource.inputs, **changes},
        opts=SimpleNamespace(protect=resource.protect),
    )


def test_the_pack_holds_every_rule_and_none_can_be_ignored(pack):
    assert [policy.name for policy in pack["policies"]] == [rule.name for rule in RULES]
    assert pack["enforcement_level"] == pulumi_policy.EnforcementLevel.MANDATORY


def test_the_pack_reports_what_the_rules_find(pack):
    sound = [as_the_engine_shows(one) for one in deployed("prod").custom]
    assert {rule.name: validate(pack, rule.name, sound) for rule in RULES} == {rule.name: [] for rule in RULES}
    queue = deployed("prod").of("Queue")["dead-letters"]
    broken = [*sound, as_the_engine_shows(queue, sqsManagedSseEnabled=False)]
    assert validate(pack, "encrypted-data", broken) == ["aws:sqs/queue:Queue::dead-letters is not encrypted"]
