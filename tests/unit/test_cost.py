"""The page about cost is the program's own arithmetic."""

from bench.cost import document, lines
from tests.unit.program.harness import ROOT, configuration


def test_the_page_is_not_older_than_the_program():
    assert (ROOT / "docs" / "reference" / "cost.md").read_text(encoding="utf-8") == document(), (
        "python -m bench.cost > docs/reference/cost.md"
    )


def test_it_stays_within_the_budget_and_every_driver_is_there():
    known = lines()
    budget = int(configuration("prod-foundation")["sentiment-pipeline:monthlyBudgetUsd"])
    assert sum(line.cost for line in known) < budget
    assert {line.what: line.amount for line in known}.items() >= {"secrets": 4, "keys of the states": 4}.items()
    assert not [line for line in known if line.amount <= 0]
