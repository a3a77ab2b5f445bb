"""What must be true of workflows and stand-ins, without which executing the workflows would prove little."""

import difflib
import itertools

import pytest

from tests.executed.execution import ACTIONS, STAND_INS, UNKNOWN, actions, jobs, without_unknown_keys
from tests.unit.workflows.graph import ROOT, WORKFLOWS, load, workflows

FILES = sorted(WORKFLOWS.glob("*.yml"))
STEPS = [
    (f"{name}:{key}", step)
    for name, workflow in workflows().items()
    for key, job in workflow["jobs"].items()
    for step in job.get("steps", ())
]


def without(value, keys):
    """The parsed value without these keys, however deep."""
    if isinstance(value, dict):
        return {key: without(one, keys) for key, one in value.items() if key not in keys}
    return [without(one, keys) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_copy_that_is_executed_lacks_the_keys_that_act_rejects_and_differs_in_nothing_else(file, tmp_path):
    text = file.read_text()
    copied = without_unknown_keys(text)
    changed = [line for line in difflib.ndiff(text.splitlines(), copied.splitlines()) if line[0] in "+-"]
    assert {line.removeprefix("- ").partition("#")[0].strip() for line in changed} <= set(UNKNOWN)
    (tmp_path / file.name).write_text(copied)
    keys = {line.partition(":")[0] for line in UNKNOWN}
    assert load(tmp_path / file.name) == without(load(file), keys)


def test_another_change_of_the_copy_would_be_seen():
    kept = "if: always()\n  environment: x # deployment: false\n  queue: maximum\n"
    assert without_unknown_keys(f"  deployment: false\n{kept}  queue: max # for a reason\n") == kept


def test_every_action_of_others_has_one_that_stands_in_for_it():
    composites = [load(file) for file in (ROOT / ".github" / "actions").glob("*/action.yml")]
    inner = [step for action in composites for step in action["runs"]["steps"]]
    used = {step["uses"] for step in [*inner, *(step for _, step in STEPS)] if "uses" in step}
    assert {use for use in used if not use.startswith("./")} == set(actions(ROOT))


@pytest.mark.parametrize("name", STAND_INS)
def test_a_stand_in_takes_what_the_workflows_give_to_the_action(name):
    action = load(ACTIONS / STAND_INS[name] / "action.yml")
    files = itertools.chain(FILES, (ROOT / ".github" / "actions").glob("*/action.yml"))
    given = [step for file in files for step in _steps(load(file)) if step.get("uses", "").startswith(f"{name}@")]
    assert given
    for step in given:
        assert set(step.get("with", {})) <= set(action["inputs"])


def _steps(parsed):
    own = parsed.get("runs", {}).get("steps", [])
    return [*own, *(step for job in parsed.get("jobs", {}).values() for step in job.get("steps", ()))]


def test_every_job_begins_with_the_action_at_which_it_is_let_into_its_environment():
    for name, workflow in workflows().items():
        for key, job in workflow["jobs"].items():
            if "uses" not in job:
                assert job["steps"][0].get("uses", "").startswith("actions/checkout@"), f"{name}: {key}"


def test_a_job_of_the_executed_workflows_is_told_by_the_names_of_workflow_and_job():
    known = jobs(ROOT)
    names = [workflow["name"] for workflow in workflows().values()]
    assert len(names) == len(set(names))
    assert sorted(known) == sorted(f"{one['name']}/{key}" for one in workflows().values() for key in one["jobs"])
    assert known["deploy-prod/deploy-production"] == {
        "name": "Deploy to production",
        "file": "deploy-prod.yml",
        "calls": "",
        "environment": "production",
        "deployment": True,
        "identity": True,
    }
    assert known["build-and-promote/build"]["environment"] == ""
    assert not known["deploy-prod/rollback"]["deployment"]
