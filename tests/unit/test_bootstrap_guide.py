"""The guide from nothing to the first release: its commands exist, and stand in an order that works.

`tests/engine/test_bootstrap_real.py` runs them, one after the other.
"""

import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

from components.naming import ENVIRONMENTS
from release.bootstrap.init import CODEOWNERS
from release.bootstrap.run import ROTATABLE
from release.cli.main import app
from release.doctor.table import CHECKS
from release.pulumi.stack_config import STACKS

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "how-to" / "bootstrap.md"
TEXT = GUIDE.read_text(encoding="utf-8")
CLI = typer.main.get_command(app)
BLOCKS = "\n".join(re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)).splitlines()
INLINE = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL))
RELEASE = sorted({found for line in (*BLOCKS, *INLINE) for found in re.findall(r"release [a-z][^`|()\"]*", line)})


def parsed(command):
    _, name, *words = shlex.split(command)
    return CLI.commands[name].make_context(name, words, resilient_parsing=False)


def place_of(line):
    return next(number for number, known in enumerate(BLOCKS) if known == line)


def test_there_are_commands_to_check():
    assert {command.split()[1] for command in RELEASE} == {"bootstrap", "doctor", "env", "init", "status"}


@pytest.mark.parametrize("command", RELEASE)
def test_every_command_exists_with_its_options(command):
    context = parsed(command)
    known = {check.name for check in CHECKS} | {check.name.split(".")[0] for check in CHECKS}
    assert set(context.params.get("only") or ()) <= known
    assert set(context.params.get("rotate") or ()) <= set(ROTATABLE)
    stacks = context.params.get("stack") or ()
    assert ({stacks} if isinstance(stacks, str) else set(stacks)) <= set(STACKS)


def test_every_environment_is_bootstrapped_before_its_foundation_and_again_after_it():
    for environment in ENVIRONMENTS:
        foundation = f"{environment}-foundation"
        first, again = (
            number for number, line in enumerate(BLOCKS) if line == f"release bootstrap --stack {environment}"
        )
        shell = place_of(f'eval "$(release env --stack {foundation})"')
        assert first < shell == place_of(f"pulumi up --stack {foundation}") - 1 < again


def test_the_old_remote_is_kept_and_actions_are_off_before_the_first_push():
    order = [
        "git remote rename origin upstream",
        "gh repo create OWNER/REPO --public --source . --remote origin",
        "gh api --method PUT repos/OWNER/REPO/actions/permissions -F enabled=false",
        "git push -u origin main",
    ]
    assert [line for line in BLOCKS if line in order] == order


def test_what_init_and_bootstrap_write_is_committed_after_them():
    added = [number for number, line in enumerate(BLOCKS) if line.startswith("git add ")]
    for number in added:
        assert {*(f"Pulumi.{stack}.yaml" for stack in STACKS), CODEOWNERS} == set(BLOCKS[number].split()[2:])
    writing = ("release init", "release bootstrap")
    first, last = ([number for number, line in enumerate(BLOCKS) if line.startswith(one)] for one in writing)
    assert max(first) < added[0] < place_of("git push -u origin main") < min(last)
    assert max(last) < added[1] < place_of("git push -u origin stacks")


def test_every_option_of_init_is_explained_with_the_setting_that_it_writes():
    options = {word for word in INLINE if word.startswith("--")}
    known = {option for one in CLI.commands["init"].params for option in one.opts}
    assert known - {"--plan", "--yes", "--json", "--help"} <= options


def test_every_setting_that_is_named_exists():
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"].keys()
    named = {word for word in INLINE if re.fullmatch(r"[a-z]+(?:[A-Z][A-Za-z]+)+", word)}
    assert len(named) > 5
    assert named <= declared


def test_every_link_leads_somewhere():
    for link in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert link.startswith("https://") or (GUIDE.parent / link).exists(), link


def test_every_step_ends_with_a_check():
    steps = re.split(r"^## \d+\. ", TEXT, flags=re.MULTILINE)[1:-1]
    assert [step.splitlines()[0] for step in steps if "\nCheck: " not in step] == []
