"""The end of a command in lines for people, outputs for the workflow, and a summary that others cannot write into."""

from release.reporting.workflow_summary import lines, summary, tell_workflow, verdict_line
from tests.unit.release.test_wording import HOSTILE, outside_code

VERDICT = {
    "subject": "sample",
    "outcome": "pass",
    "rule": "fail at 4 wrong",
    "why": "0 of 800 wrong",
    "numbers": {"wanted": 800, "measured": 800, "wrong": 0, "median_ms": 24.9, "p99_ms": 80.0},
    "samples": [],
}
ROLLED_BACK = {
    "stack": "prod",
    "state": "ROLLED_BACK_TRAFFIC",
    "from": {"sha": "c" * 40, "manifest": "c" * 64},
    "to": {"sha": "b" * 40, "manifest": "b" * 64},
    "verified": False,
    "detected_s": 1.0,
    "traffic_restored_s": 0.5,
    "converged_s": None,
    "problems": ["AWS\nrefused"],
    "warnings": ["a schedule is left over"],
    "left_in_aws": [
        {"urn": "urn:pulumi:prod::p::t::queue", "type": "aws:sqs/queue:Queue", "id": "q", "why": "it holds data"}
    ],
    "complaints": ["GitHub (issue): HTTP 502"],
}


def test_a_promotion_ends_with_its_verdicts_in_short():
    said = lines({"stack": "prod", "state": "CONFIRMED", "sha": "b" * 40, "manifest": "a" * 64, "verdicts": [VERDICT]})
    assert said == [
        "prod: CONFIRMED",
        "release bbbbbbbbbbbb, manifest aaaaaaaaaaaa",
        "pass: sample - 0 of 800 wrong (median 24.9 ms, p99 80 ms)",
    ]


def test_a_verdict_without_times_has_none():
    assert verdict_line({**VERDICT, "numbers": {}}) == "pass: sample - 0 of 800 wrong"
    assert verdict_line({**VERDICT, "numbers": {"measured": 1, "median_ms": 3.4, "p99_ms": 3.4}}).endswith("(3.4 ms)")


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
    assert lines({"state": "BUILT"}) == ["BUILT"]


def test_what_is_left_to_confirm_and_what_was_set_aside_is_said():
    said = lines({"state": "CONFIRMED", "contract_pending": True, "despite": {"freeze": "a\nleak"}})
    assert "despite freeze: a leak" in said
    assert any("release confirm" in line for line in said)


def test_a_summary_holds_text_of_others_in_code_only():
    document = {
        **ROLLED_BACK,
        "problems": HOSTILE,
        "what": HOSTILE[1],
        "why": HOSTILE[0],
        "next_step": HOSTILE[2],
        "rule": "blocked",
        "dashboard_url": "https://dashboard.test/",
    }
    text = "\n".join(summary(document))
    assert text.startswith("### prod: ROLLED_BACK_TRAFFIC\n")
    assert "refused by rule blocked" in text
    outside = outside_code(text)
    for forbidden in ("@", "img", "evil", "click", "<!--", "#1", "\x1b"):
        assert forbidden not in outside, outside
    assert "https://dashboard.test/" in outside


def test_nothing_to_say_writes_no_summary(tmp_path):
    file = tmp_path / "summary"
    tell_workflow({}, {"GITHUB_STEP_SUMMARY": str(file)})
    assert not file.exists()
