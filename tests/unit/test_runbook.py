"""The runbook tells people at night what to type: every command in it exists, and every rule and state is in it."""

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer

from release.cli.main import app
from release.ledger.lifecycle import State

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


def rules():
    """Every name of a rule in the releaser: what `Refused` is given, or chooses from."""
    for file in sorted((ROOT / "release").rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        for function in functions:
            for call in ast.walk(function):
                if not (isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Refused" and call.args):
                    continue
                first = call.args[0]
                if isinstance(first, ast.Constant):
                    yield str(first.value)
                else:
                    yield from (
                        node.value
                        for node in ast.walk(function)
                        if isinstance(node, ast.Constant) and re.fullmatch(r"[a-z]+(-[a-z]+)+", str(node.value))
                    )


@pytest.mark.parametrize("rule", sorted(set(rules())))
def test_every_rule_that_refuses_has_a_way_forward(rule):
    table = TEXT.split("## REFUSED", 1)[1]
    (row,) = [line for line in table.splitlines() if re.match(rf"\|.*`{rule}`.*\| .+ \| .+ \|$", line)]
    assert row


def test_no_rule_is_explained_that_nothing_refuses_by():
    table = TEXT.split("## REFUSED", 1)[1].split("\n\n")[2]
    told = {rule for line in table.splitlines() for rule in re.findall(r"`([a-z-]+)`", line.split("|")[1])}
    assert told == set(rules())


@pytest.mark.parametrize("state", [State.ROLLED_BACK, State.ROLLED_BACK_TRAFFIC, State.ROLLBACK_FAILED])
def test_every_state_that_pages_has_its_section(state):
    assert f"### {state}\n" in TEXT
    assert f"(#{state.lower()})" in TEXT


def test_every_link_within_the_runbook_leads_somewhere():
    headings = re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
    places = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= places
