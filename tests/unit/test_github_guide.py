"""The guide to GitHub environments says what the program makes, and its commands exist."""

import re
import shlex

import pytest
import typer

from components.github_rules import CHECKS
from components.github_secrets import BUCKET, REGION, ROLE_ARN, github_secrets
from components.identities import IDENTITIES
from components.naming import ENVIRONMENTS, names
from release.cli.main import app
from release.doctor.table import chosen
from release.pulumi.stack_config import STACKS
from tests.cloud import ROOT

TEXT = (ROOT / "docs" / "how-to" / "github-environments.md").read_text(encoding="utf-8")
REVIEWED = {True: "yes", False: "no"}
CLI = typer.main.get_command(app)


def table(heading):
    """Rows of the first table below a heading, without its head; each cell with its words in backquotes alone."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:] if not row[0].startswith(" ---")]


def quoted(cell):
    return re.findall(r"`([^`]+)`", cell)


def test_the_environments_are_those_of_the_table_of_identities():
    rows = {quoted(row[0])[0]: row for row in table("Environments")}
    assert list(rows) == [one.github_environment for one in IDENTITIES]
    for one in IDENTITIES:
        _, reviewer, role, workflows, secrets, may = rows[one.github_environment]
        assert reviewer == REVIEWED[one.reviewed]
        assert quoted(role) == [one.role(names(one.environment))]
        assert quoted(workflows) == list(one.workflows)
        assert one.workflows or workflows == "any workflow"
        assert secrets == REVIEWED[one.secrets]
        assert may


def expected_values():
    everywhere = "all"
    wanted = dict.fromkeys((ROLE_ARN, REGION, BUCKET), ("variable", everywhere, "pulumi up"))
    for environment in ENVIRONMENTS:
        where = [one.github_environment for one in IDENTITIES if one.environment == environment and one.secrets]
        named = github_secrets(environment)
        wanted |= dict.fromkeys(named.of_program, ("secret", where, "pulumi up"))
        wanted |= dict.fromkeys(named.of_bootstrap, ("secret", where, "release bootstrap"))
    return wanted


def test_the_secrets_and_variables_are_those_that_the_program_and_the_bootstrap_set():
    rows = table("Secrets and variables")
    found = {quoted(row[0])[0]: (row[1], quoted(row[2]) or row[2], quoted(row[4])[0]) for row in rows}
    assert found == expected_values()
    assert len(rows) == len(found)


def test_the_check_that_is_required_is_named():
    assert all(f"`{check}`" in TEXT for check in CHECKS)


COMMANDS = sorted(
    {
        command.strip()
        for found in re.findall(r"`(release [a-z][^`\n]*)`|^ *(?:eval \"\$\()?(release [^\n)]+)", TEXT, re.MULTILINE)
        for command in found
        if command
    }
)


def test_there_are_commands_to_check():
    assert {command.split()[1] for command in COMMANDS} >= {"bootstrap", "env", "doctor", "status", "route"}


@pytest.mark.parametrize("command", [one for one in COMMANDS if " --" in one])
def test_every_command_of_the_guide_exists_with_its_options(command):
    words = shlex.split(command)
    context = CLI.commands[words[1]].make_context(words[1], words[2:], resilient_parsing=False)
    if words[1] == "doctor":
        assert chosen(context.params["only"])


@pytest.mark.parametrize("command", re.findall(r"pulumi up [^`\n]*--stack (\S+?)[`\s]", TEXT))
def test_every_stack_of_the_guide_exists(command):
    assert command in STACKS
