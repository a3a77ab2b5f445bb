"""Every layer of the threat model names tests, and they exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "explanation" / "threat-model.md").read_text(encoding="utf-8")
ROWS = [
    row for row in re.findall(r"^\| (.+) \|$", TEXT, re.MULTILINE) if not row.startswith(("---", "layer ", "threat "))
]
PROOFS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


def defined_in(file):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_the_three_threats_that_were_asked_for_are_there():
    headings = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    assert headings[:3] == [
        "A malicious dependency comes in through Dependabot",
        "A person approves a bad change",
        "A runner is compromised",
    ]
    assert TEXT.count("**Not defended") == 4


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split(" |")[0])
def test_every_layer_is_shown_by_a_test(row):
    assert re.search(r"`tests/[\w/]+\.py::\w+`", row.split(" | ")[-1])


@pytest.mark.parametrize(("file", "test"), PROOFS)
def test_a_test_that_shows_a_layer_exists(file, test):
    assert test in defined_in(file)


def test_a_test_that_is_gone_would_be_noticed():
    assert "test_that_nobody_wrote" not in defined_in("tests/unit/test_threat_model.py")
