"""Every command in a workflow is one that the releaser has, with options that it knows."""

import pytest
import typer

from release.cli.main import app
from tests.ci_jobs import AS_IN_CI, command_of
from tests.unit.workflows import rules
from tests.unit.workflows.test_rules import REAL

COMMANDS = [(file, job, args) for file, one in REAL.items() for job, args in rules.release_commands(one)]


def _problems(args):
    """What the releaser would object to in `args`, without running them."""
    group = typer.main.get_group(app)
    name, *rest = args
    command = group.commands.get(name)
    if command is None:
        return [f"there is no `release {name}`"]
    known = {spelling: option for option in command.params for spelling in (*option.opts, *option.secondary_opts)}
    given = [word.partition("=")[0] for word in rest if word.startswith("--")]
    problems = [f"`release {name}` has no {word}" for word in given if word not in known]
    missing = [option for option in command.params if option.required and not set(option.opts) & set(given)]
    return problems + [f"`release {name}` needs {option.opts[0]}" for option in missing]


@pytest.mark.parametrize(("file", "job", "args"), COMMANDS, ids=[f"{file}:{job}" for file, job, _ in COMMANDS])
def test_a_workflow_calls_the_releaser_as_it_is(file, job, args):
    assert _problems(args) == []


@pytest.mark.parametrize(
    "args", [["promte", "--stack", "prod"], ["promote", "--stack", "prod", "--now"], ["rollback", "--stack", "prod"]]
)
def test_a_wrong_call_is_found(args):
    assert _problems(args) != []


def test_the_rehearsals_give_a_command_the_role_of_the_job_that_runs_it():
    without_a_role = {"build", "publish", "preview", "comment"}
    for file, job, args in COMMANDS:
        environment = rules.environment_of(REAL[file].jobs[job])
        stack = args[args.index("--stack") + 1] if "--stack" in args else "prod"
        known = AS_IN_CI.get((stack, command_of(args)), [])
        assert (environment in known) if environment else args[0] in without_a_role, (file, job, args)
