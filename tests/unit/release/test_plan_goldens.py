"""Comments of whole plans, as GitHub gets them. `RECORD_PLANS=1` writes them anew, and a person reads the diff."""

import os
from pathlib import Path

import pytest

from release.preview.markdown import LIMIT, comment, full
from release.preview.plan import PlanDocument
from tests.unit.program.harness import ROOT
from tests.unit.release.plan_world import MADE

FOLDER = ROOT / "tests" / "fixtures" / "plans"
RECORDS = bool(os.environ.get("RECORD_PLANS"))
RUN = "https://github.com/octo/sentiment-pipeline/actions/runs/1234567890"


def test_the_made_plans_are_what_the_comparison_makes_today():
    for name, make in MADE.items():
        document, file = make(), FOLDER / f"{name}.json"
        if RECORDS:
            file.write_text(document.model_dump_json(indent=1) + "\n", encoding="utf-8")
        assert PlanDocument.model_validate_json(file.read_bytes()) == document, name


@pytest.mark.parametrize("name", sorted({file.stem for file in FOLDER.glob("*.json")} | set(MADE)))
def test_each_comment_reads_as_it_was_looked_at(name):
    document = PlanDocument.model_validate_json((FOLDER / f"{name}.json").read_bytes())
    said, golden = comment(document, run_url=RUN), FOLDER / f"{name}.md"
    if RECORDS:
        golden.write_text(said, encoding="utf-8")
    assert said == golden.read_text(encoding="utf-8")
    assert len(said) <= LIMIT
    assert ("Not shown here" in said) or len(full(document)) <= LIMIT


def test_no_comment_is_left_of_a_plan_that_is_gone():
    assert {file.stem for file in Path(FOLDER).glob("*.md")} == {file.stem for file in FOLDER.glob("*.json")}
