"""Where the state of a stack lies is said in one place, for CI, for people and for the local cloud."""

import json
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.naming import FOUNDATION_STATE, SERVICE_STATE, PhysicalNameError, state_place
from components.policies import deploy
from release.cli.main import app
from release.pulumi.backend import backend_url, secrets_provider, shell_variables
from release.pulumi.stack_config import STACKS, load
from tests.stacks import STACK_FILES, copy_to

ROOT = Path(__file__).parents[3]


def test_ci_has_rights_to_the_folder_in_which_the_state_of_the_service_lies_and_not_to_the_other():
    assert SERVICE_STATE != FOUNDATION_STATE
    arns = load("prod", STACK_FILES, {}).arns
    (state,) = [one for one in deploy.deploy(arns)["Statement"] if one["Sid"] == "State"]
    assert state["Resource"] == [arns.objects(arns.names.state_bucket, f"{SERVICE_STATE}/*")]


def test_no_two_stacks_share_a_place_or_a_key():
    assert len({backend_url(stack) for stack in STACKS}) == len(STACKS)
    assert len({secrets_provider(load(stack, STACK_FILES, {})) for stack in STACKS}) == len(STACKS)
    assert backend_url("prod-foundation") == "s3://prod-sentiment-pulumi-state/foundation"


def test_a_stack_that_nobody_knows_has_no_place():
    with pytest.raises(PhysicalNameError, match="staging"):
        state_place("staging")


@pytest.mark.parametrize("stack", STACKS)
def test_a_shell_is_told_what_pulumi_needs_and_no_credentials(stack, tmp_path, monkeypatch):
    monkeypatch.chdir(copy_to(tmp_path))
    monkeypatch.delenv("RELEASE_STACK_CONFIG", raising=False)
    ran = CliRunner().invoke(app, ["env", "--stack", stack])
    assert ran.exit_code == 0
    told = dict(line.removeprefix("export ").split("=", 1) for line in shlex.split(ran.stdout) if line != "export")
    assert told == shell_variables(load(stack, STACK_FILES, {}))
    assert told["PULUMI_STACK"] == stack
    assert ("GITHUB_OWNER" in told) is stack.endswith("-foundation")
    assert not any("TOKEN" in name or "KEY" in name for name in told)


def test_a_stack_that_does_not_exist_is_a_mistake_of_the_person(tmp_path, monkeypatch):
    monkeypatch.chdir(copy_to(tmp_path))
    ran = CliRunner().invoke(app, ["env", "--stack", "staging", "--json"])
    assert ran.exit_code == 2
    assert "preprod-foundation" in json.loads(ran.stdout)["next_step"]
