"""The security properties over what the real engine is about to make: all four stacks, the service with a release."""

import json

import pytest
import yaml

from guardrails.resource import of_preview
from guardrails.rules import findings
from tests.stacks import STACK_FILES
from tests.unit.program.harness import FOUNDATION_STACKS, SERVICE_STACKS, hand_over

pytestmark = [pytest.mark.engine]


@pytest.fixture(scope="module")
def previewed(service, tmp_path_factory):
    """Resources of every stack; preprod stands already, production is made from nothing."""

    def preview(stack):
        values = yaml.safe_load((STACK_FILES / f"Pulumi.{stack}.yaml").read_text())
        if stack in SERVICE_STACKS:
            values["config"]["sentiment-pipeline:release"] = hand_over(stack, 100, confirmed=True)
        file = tmp_path_factory.mktemp(stack) / "config.yaml"
        file.write_text(yaml.safe_dump(values))
        command = ("pulumi", "preview", "--json", "--show-sames", "--stack", stack, "--config-file", str(file))
        return list(of_preview(json.loads(service.cloud.run(*command).stdout)))

    return {stack: preview(stack) for stack in (*SERVICE_STACKS, *FOUNDATION_STACKS)}


@pytest.mark.parametrize("stack", [*SERVICE_STACKS, *FOUNDATION_STACKS])
def test_nothing_is_about_to_be_made_without_its_security_properties(stack, previewed):
    kinds = {resource.type for resource in previewed[stack]}
    wanted = "aws:lambda/functionUrl:FunctionUrl" if stack in SERVICE_STACKS else "aws:s3/bucketPolicy:BucketPolicy"
    assert {wanted, "aws:iam/role:Role"} <= kinds
    assert [str(finding) for finding in findings(previewed[stack])] == []
