"""The runbook tells people at night what to type: every command in it exists, and every rule and state is in it."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from release.cli.main import app
from release.errors import Refused
from release.ledger.lifecycle import Override, State
from release.rules import OVERRIDES, RefusalRule

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "how-to" / "runbook.md").read_text(encoding="utf-8")
COMMANDS = sorted(
    {
        line.split("#")[0].strip()
        for line in re.findall(r"`(release [^`\n]+)`|^(?: {3})?(release [^\n]+)$", TEXT, re.MULTILINE)
        for line in line
        if line
    }
)
CLI = typer.main.get_command(app)


def parsed(words):
    """Parse as the shell would call it, without doing anything."""
    command = CLI.commands[words[1]]
    return command.make_context(words[1], words[2:], resilient_parsing=False)


def test_there_are_commands_to_check():
    assert {command.split()[1] for command in COMMANDS} >= {
        "status",
        "explain",
        "history",
        "rollback",
        "reap",
        "resume",
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_runbook_exists_with_its_options(command):
    parsed(shlex.split(command))


def test_a_command_that_does_not_exist_would_be_noticed():
    with pytest.raises(KeyError):
        parsed(["release", "repair"])
    with pytest.raises(Exception, match="--force"):
        parsed(["release", "reap", "--force"])
    with pytest.raises(Exception, match="reason"):
        parsed(["release", "rollback"])


def test_the_table_of_refusals_is_that_of_the_rules():
    table = TEXT.split("## REFUSED", 1)[1].split("\n\n")[2]
    assert table.splitlines()[2:] == [f"| `{rule.label}` | {rule.means} | {rule.way_forward} |" for rule in RefusalRule]


@pytest.mark.parametrize("rule", RefusalRule, ids=lambda rule: rule.label)
def test_every_rule_refuses_somewhere(rule):
    used = re.compile(rf"\bRefusalRule\.{rule.name}\b")
    assert any(used.search(file.read_text(encoding="utf-8")) for file in (ROOT / "release").rglob("*.py"))


def test_a_rule_that_does_not_exist_cannot_refuse():
    with pytest.raises(AttributeError):
        Refused("never-heard-of", "no")


def test_the_options_that_override_a_rule_are_those_of_the_rules():
    options = {spelling for option in CLI.commands["promote"].params for spelling in option.opts}
    assert {option for option in options if option.startswith("--despite-")} == set(OVERRIDES)
    assert {f"--despite-{name}" for name in Override.model_fields} - {"--despite-inconclusive"} == set(OVERRIDES)


@pytest.mark.parametrize("state", [State.ROLLED_BACK, State.ROLLED_BACK_TRAFFIC, State.ROLLBACK_FAILED])
def test_every_state_that_pages_has_its_section(state):
    assert f"### {state}\n" in TEXT
    assert f"(#{state.lower()})" in TEXT


def test_every_link_within_the_runbook_leads_somewhere():
    headings = re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
    places = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= places
