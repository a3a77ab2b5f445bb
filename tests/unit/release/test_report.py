"""The end of a command in lines for people, outputs for the workflow, and a summary that others cannot write into."""

import json
from dataclasses import replace

from release.analysis.verdict import Outcome, Verdict
from release.ledger.lifecycle import Run, State
from release.pulumi.checkpoint import ResourceNote
from release.reporting.status import status
from release.reporting.workflow_summary import lines, summary, tell_workflow, verdict_line
from release.reports import NamedRelease, ReleaseReport, RollbackReport
from release.validation.record import ValidationRecord
from tests.unit.release.release_world import World
from tests.unit.release.test_wording import HOSTILE, outside_code

VERDICT = Verdict(
    subject="sample",
    outcome=Outcome.PASS,
    rule="fail at 4 wrong",
    why="0 of 800 wrong",
    numbers={"wanted": 800, "measured": 800, "wrong": 0, "median_ms": 24.9, "p99_ms": 80.0},
)
ROLLED_BACK = RollbackReport(
    stack="prod",
    state=State.ROLLED_BACK_TRAFFIC,
    from_=NamedRelease(sha="c" * 40, manifest="c" * 64),
    to=NamedRelease(sha="b" * 40, manifest="b" * 64),
    verified=False,
    detected_s=1.0,
    traffic_restored_s=0.5,
    problems=["AWS\nrefused"],
    warnings=["a schedule is left over"],
    left_in_aws=(ResourceNote("urn:pulumi:prod::p::t::queue", "aws:sqs/queue:Queue", "q", "it holds data"),),
    complaints=["GitHub (issue): HTTP 502"],
)


def test_a_report_holds_only_what_was_given():
    """The documents of `--json` and of the ledger: their keys are named in the docs."""
    document = ROLLED_BACK.as_dict()
    assert document["from"] == {"sha": "c" * 40, "manifest": "c" * 64}
    assert document["left_in_aws"] == [
        {"urn": "urn:pulumi:prod::p::t::queue", "type": "aws:sqs/queue:Queue", "id": "q", "why": "it holds data"}
    ]
    assert not document.keys() & {"converged_s", "entry", "paged", "sha", "manifest", "verdicts"}
    assert RollbackReport.model_validate(document) == ROLLED_BACK
    given = ReleaseReport(stack="prod", state=State.CONFIRMED, verdicts=(VERDICT,))
    assert given.as_dict() == {"stack": "prod", "state": "CONFIRMED", "verdicts": [VERDICT.as_dict()]}


def test_a_checked_release_shows_its_whole_validation_record():
    run = Run(id="1", job="validate", actor="ci", url="https://run.test", host="h", pid=1)
    numbers = {"tests": 3, "failed": 0, "errors": 0, "skipped": 0}
    record = ValidationRecord(
        manifest="a" * 64, sha="b" * 40, **numbers, junit_sha256="c" * 64, at="2026-11-28T12:00:00Z", run=run
    )
    assert ReleaseReport(stack="prod", validation=record).as_dict() == {
        "stack": "prod",
        "validation": json.loads(record.body()),
    }


def test_a_promotion_ends_with_its_verdicts_in_short():
    report = ReleaseReport(stack="prod", state=State.CONFIRMED, sha="b" * 40, manifest="a" * 64, verdicts=(VERDICT,))
    assert lines(report) == [
        "prod: CONFIRMED",
        "release bbbbbbbbbbbb, manifest aaaaaaaaaaaa",
        "pass: sample - 0 of 800 wrong (median 24.9 ms, p99 80 ms)",
    ]


def test_a_verdict_without_times_has_none():
    assert verdict_line(replace(VERDICT, numbers={})) == "pass: sample - 0 of 800 wrong"
    one = {"measured": 1, "median_ms": 3.4, "p99_ms": 3.4}
    assert verdict_line(replace(VERDICT, numbers=one)).endswith("(3.4 ms)")


def test_a_rollback_that_is_not_complete_says_all_that_is_left():
    said = "\n".join(lines(ROLLED_BACK))
    for part in (
        "from cccccccccccc to bbbbbbbbbbbb; detected after 1.0 s, traffic back after 0.5 s",
        "NOT verified",
        "problem: AWS refused",
        "besides: a schedule is left over",
        "left in AWS: aws:sqs/queue:Queue queue (q), it holds data",
        "not everybody was told: GitHub (issue): HTTP 502",
    ):
        assert part in said
    assert "stack back" not in said


def test_a_build_has_no_stack_to_name():
    assert lines(ReleaseReport(state=State.BUILT)) == ["BUILT"]


def test_a_status_says_what_is_left_to_confirm(tmp_path, monkeypatch):
    report = status(World(tmp_path, monkeypatch).context())
    assert not any("release confirm" in line for line in lines(report))
    assert any("release confirm" in line for line in lines(report.model_copy(update={"contract_pending": True})))


def test_a_summary_holds_text_of_others_in_code_only():
    report = ROLLED_BACK.model_copy(update={"problems": HOSTILE})
    document = {
        **report.as_dict(),
        "what": HOSTILE[1],
        "why": HOSTILE[0],
        "next_step": HOSTILE[2],
        "rule": "blocked",
        "dashboard_url": "https://dashboard.test/",
    }
    text = "\n".join(summary(document, lines(report)))
    assert text.startswith("### prod: ROLLED_BACK_TRAFFIC\n")
    assert "refused by rule blocked" in text
    outside = outside_code(text)
    for forbidden in ("@", "img", "evil", "click", "<!--", "#1", "\x1b"):
        assert forbidden not in outside, outside
    assert "https://dashboard.test/" in outside


def test_nothing_to_say_writes_no_summary(tmp_path):
    file = tmp_path / "summary"
    tell_workflow({}, [], {"GITHUB_STEP_SUMMARY": str(file)})
    assert not file.exists()
