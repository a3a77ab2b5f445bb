"""The duel as a whole: what it says of blocks of answers, and what it never says."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.analysis.answers import (
    AnswerCase,
    AnswerKind,
    ProbeAnswer,
    case_of_http,
    case_of_invocation,
    case_of_refusal,
)
from release.analysis.duel import Duel, DuelRule
from release.analysis.verdict import Outcome

RULE = DuelRule()
RIGHT, RAISED = ProbeAnswer(AnswerCase.RIGHT, "", 40.0), ProbeAnswer(AnswerCase.RAISED, "KeyError: 'a'", 30.0)
REFUSED = ProbeAnswer(AnswerCase.REFUSED, "ExpiredTokenException")
BODY = {"digest": "old", "items": [{"id": 1, "sentiment": "positive"}], "next": None, "total": 3}


def ended(candidate, stable=lambda _: RIGHT, *, rule=RULE, paired=True, question="items"):
    """A duel to its end; both versions are functions of the number of the block."""
    duel, block = Duel("dashboard", rule, paired=paired), 0
    while duel.outcome is None:
        duel.add(question, candidate(block), [stable(block)] * duel.controls)
        block += 1
    return duel.verdict()


def says(document, **other):
    return ProbeAnswer(AnswerCase.RIGHT, "", 40.0, {**document, **other})


# Three kinds of answer


@pytest.mark.parametrize("code", ["InvalidZipFileException", "InvalidRuntimeException", "RecursiveInvocationException"])
def test_what_the_package_causes_is_a_failure(code):
    assert case_of_refusal(code).kind is AnswerKind.FAILURE


@pytest.mark.parametrize(
    "code",
    [
        *("ExpiredToken", "ExpiredTokenException", "UnrecognizedClientException", "InvalidClientTokenId"),
        *("AccessDenied", "AccessDeniedException", "InvalidSignatureException", "RequestTimeTooSkewed"),
        *(
            "TooManyRequestsException",
            "ThrottlingException",
            "Throttling",
            "RequestLimitExceeded",
            "EC2ThrottledException",
        ),
        *("ResourceConflictException", "ResourceNotReadyException", "ResourceNotFoundException", "ServiceException"),
        *(
            "InternalFailure",
            "InternalError",
            "ServiceUnavailable",
            "KMSAccessDeniedException",
            "ENILimitReachedException",
        ),
        *("RequestTooLargeException", "SubnetIPAddressLimitReachedException", "OneOfNextYear"),
    ],
)
def test_what_aws_refuses_is_an_error(code):
    assert case_of_refusal(code).kind is AnswerKind.ERROR


@pytest.mark.parametrize(
    ("function_error", "document", "wrong", "case"),
    [
        ("", {"status": "ok"}, "", AnswerCase.RIGHT),
        ("", {"status": "ok"}, "another release answers", AnswerCase.WRONG),
        ("", None, "answered no JSON object", AnswerCase.WRONG),
        ("Unhandled", {"errorMessage": "'a'", "errorType": "KeyError", "stackTrace": []}, "", AnswerCase.RAISED),
        ("Unhandled", {"errorType": "Runtime.ExitError", "errorMessage": "signal: killed"}, "", AnswerCase.RAISED),
        ("Unhandled", {"errorMessage": "2026-11-28 Task timed out after 3.00 seconds"}, "", AnswerCase.TIMED_OUT),
        (
            "Unhandled",
            {"errorType": "Sandbox.Timedout", "errorMessage": "Error: Task timed out"},
            "",
            AnswerCase.TIMED_OUT,
        ),
        ("Unhandled", None, "", AnswerCase.UNREADABLE),
        ("Unhandled", {"Message": "Internal"}, "", AnswerCase.UNREADABLE),
    ],
)
def test_answers_of_invoke(function_error, document, wrong, case):
    assert case_of_invocation(function_error, document, wrong) is case


@pytest.mark.parametrize(
    ("status", "digest", "wrong", "case"),
    [
        (200, "new", "", AnswerCase.RIGHT),
        (503, "new", "", AnswerCase.WRONG),
        (200, "new", "status is 'down'", AnswerCase.WRONG),
        (401, "new", "", AnswerCase.RIGHT),
        (200, "old", "", AnswerCase.WRONG),
        (429, "", "answered 429", AnswerCase.UNSIGNED),
        (502, "", "answered 502", AnswerCase.UNSIGNED),
        (403, "", "answered 403", AnswerCase.UNSIGNED),
    ],
)
def test_answers_of_a_url(status, digest, wrong, case):
    assert case_of_http(status, digest, "new", wrong) is case


def test_every_case_has_a_kind_and_a_meaning():
    assert {case.kind for case in AnswerCase} == set(AnswerKind)
    assert len({case.meaning for case in AnswerCase}) == len(AnswerCase)


# Failures


def test_a_candidate_that_always_fails_is_known_after_five_questions():
    verdict = ended(lambda _: RAISED)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.numbers["pairs"] == 5
    assert (verdict.numbers["only_candidate_failed"], verdict.numbers["only_stable_failed"]) == (5, 0)
    assert verdict.why == "5 of 5 failed, 0 of 33 of the stable version's"
    assert "KeyError" in verdict.samples[0].said


def test_a_candidate_without_failures_passes_after_as_many_questions_as_it_takes_to_rule_them_out():
    verdict = ended(lambda _: RIGHT)
    assert verdict.outcome is Outcome.PASS
    assert verdict.numbers["pairs"] == verdict.numbers["stable_asked"] == 566


def test_nobody_is_blamed_for_what_the_stable_version_does_as_often():
    verdict = ended(
        lambda block: RAISED if block % 20 == 0 else RIGHT, lambda block: RAISED if block % 20 == 7 else RIGHT
    )
    assert verdict.outcome is Outcome.PASS


def test_a_fix_passes():
    verdict = ended(lambda _: RIGHT, lambda block: RAISED if block % 3 == 0 else RIGHT)
    assert verdict.outcome is Outcome.PASS


def test_where_the_stable_version_always_fails_a_fix_still_passes():
    verdict = ended(lambda _: RIGHT, lambda _: RAISED)
    assert verdict.outcome is Outcome.PASS
    assert verdict.numbers["latency_ms"] == {}


def test_where_both_always_fail_nothing_is_known():
    verdict = ended(lambda _: RAISED, lambda _: RAISED)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "both versions always fail" in verdict.why


@pytest.mark.parametrize(("every", "outcome"), [(10, Outcome.FAIL), (10_000, Outcome.PASS)])
def test_a_first_release_is_compared_with_the_rates_alone(every, outcome):
    verdict = ended(lambda block: RAISED if block % every == every - 1 else RIGHT, paired=False)
    assert verdict.outcome is outcome
    assert verdict.numbers["stable_asked"] == 0


def test_the_budget_ends_a_duel():
    rule = replace(RULE, budget=300)
    verdict = ended(lambda _: RIGHT, rule=rule)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.why.endswith("undecided after 300 questions: failures")


def test_a_low_rate_that_both_have_passes_at_the_end_of_the_budget():
    verdict = ended(lambda block: RAISED if block % 290 == 100 else RIGHT)
    assert verdict.outcome is Outcome.PASS


def test_the_stable_version_is_asked_more_often_while_the_candidate_looks_broken():
    duel = Duel("dashboard", RULE)
    assert duel.controls == 1
    duel.add("items", RAISED, [RIGHT])
    assert duel.controls == RULE.controls
    for _ in range(300):
        duel.add("items", RIGHT, [RIGHT] * duel.controls)
    assert duel.controls == 1


# Errors


@given(st.lists(st.tuples(st.sampled_from([RIGHT, REFUSED]), st.sampled_from([RIGHT, RAISED, REFUSED])), max_size=300))
def test_errors_never_fail_a_release(answers):
    duel = Duel("dashboard", RULE)
    for candidate, stable in answers:
        assert duel.add("items", candidate, [stable] * duel.controls) is not Outcome.FAIL


def test_too_many_errors_leave_it_inconclusive():
    verdict = ended(lambda _: REFUSED)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.numbers["errors"] == RULE.errors_least
    assert "AWS refused the call" in verdict.samples[0].said


def test_few_errors_only_cost_questions():
    verdict = ended(
        lambda block: REFUSED if block % 100 == 0 else RIGHT, lambda block: REFUSED if block == 5 else RIGHT
    )
    assert verdict.outcome is Outcome.PASS
    assert verdict.numbers["pairs"] == 566


# Times


def test_a_slow_candidate_fails():
    verdict = ended(lambda _: replace(RIGHT, ms=61.0))
    assert verdict.outcome is Outcome.FAIL
    assert verdict.numbers["latency_ms"]["candidate"]["p50"] == 61.0
    assert verdict.why.startswith("too slow at the median")


# Fields of answers


def test_one_wrong_field_fails_with_an_excerpt():
    verdict = ended(lambda _: says(BODY, digest="new", total=4), lambda _: says(BODY))
    assert verdict.outcome is Outcome.FAIL
    assert verdict.numbers["pairs"] < 10
    assert "items.total is 4, not 3" in verdict.why


@pytest.mark.parametrize(
    "changed",
    [
        {"items": [{"id": 1, "sentiment": "negative"}]},
        {"items": [{"id": 1}]},
        {"items": []},
        {"next": "page"},
        {"total": "3"},
        {"total": True},
        {"items": {"id": 1}},
    ],
)
def test_a_value_a_type_a_length_or_a_missing_field_differs(changed):
    verdict = ended(lambda _: says(BODY, **changed), lambda _: says(BODY))
    assert verdict.outcome is Outcome.FAIL
    assert verdict.numbers["differing"]


def test_a_field_that_goes_missing_differs():
    verdict = ended(lambda _: ProbeAnswer(AnswerCase.RIGHT, "", 40.0, {"digest": "new"}), lambda _: says(BODY))
    assert "items.total (missing) is missing, not 3" in verdict.numbers["differing"][-1] + verdict.why


def test_what_the_candidate_adds_and_what_may_differ_is_no_difference():
    verdict = ended(lambda _: says(BODY, digest="new", more=[1]), lambda _: says(BODY))
    assert verdict.outcome is Outcome.PASS
    assert verdict.numbers["differing"] == []


def test_a_body_is_compared_as_json():
    def answer(body):
        return ProbeAnswer(AnswerCase.RIGHT, "", 40.0, {"statusCode": 200, "body": body})

    same = ended(lambda _: answer(json.dumps(BODY, indent=1)), lambda _: answer(json.dumps({**BODY, "digest": "x"})))
    assert same.outcome is Outcome.PASS
    other = ended(lambda _: answer("<html>"), lambda _: answer(json.dumps(BODY)))
    assert other.outcome is Outcome.FAIL


def test_a_field_that_always_changes_blames_nobody_and_hides_no_other():
    verdict = ended(lambda block: says(BODY, now=block + 0.5), lambda block: says(BODY, now=block))
    assert verdict.outcome is Outcome.PASS
    verdict = ended(lambda block: says(BODY, now=block + 0.5, total=4), lambda block: says(BODY, now=block))
    assert "total" in verdict.why


def test_a_field_that_changes_by_chance_is_compared_by_its_type_alone():
    def flag(block, prime):
        return says(BODY, flag=block * prime % 5 == 0)

    assert ended(lambda block: flag(block, 3), lambda block: flag(block + 1, 7)).outcome is Outcome.PASS
    verdict = ended(lambda _: says(BODY, flag="yes"), lambda block: flag(block, 7))
    assert verdict.outcome is Outcome.FAIL
    assert "flag (str)" in verdict.why


def test_a_failed_answer_of_the_stable_version_is_no_reference():
    failed = ProbeAnswer(AnswerCase.WRONG, "answered 500", 40.0, {"error": "busy"})
    verdict = ended(lambda _: says(BODY), lambda block: failed if block % 3 == 0 else says(BODY))
    assert verdict.outcome is Outcome.PASS
    assert verdict.numbers["differing"] == []


def test_a_secret_is_never_shown():
    verdict = ended(lambda _: says(BODY, api_key="abc"), lambda _: says(BODY, api_key="def"))
    assert verdict.outcome is Outcome.FAIL
    assert "api_key is another (not shown)" in verdict.why
    assert "abc" not in json.dumps(verdict.as_dict())


# The verdict


@given(
    st.lists(
        st.tuples(
            st.sampled_from([RIGHT, RAISED, REFUSED, says(BODY), says(BODY, total=4)]),
            st.sampled_from([RIGHT, RAISED, says(BODY)]),
        ),
        max_size=400,
    )
)
def test_a_verdict_is_json_and_its_course_is_short(answers):
    duel = Duel("dashboard", RULE)
    for candidate, stable in answers:
        duel.add("items", candidate, [stable] * duel.controls)
    verdict = duel.verdict()
    assert json.loads(json.dumps(verdict.as_dict()))["numbers"]["pairs"] <= len(answers)
    assert len(verdict.numbers["evidence"]) <= 50
    assert len(verdict.numbers["differing"]) <= 5
    assert verdict.outcome is (duel.outcome or Outcome.INCONCLUSIVE)


def test_an_outcome_stands():
    duel = Duel("dashboard", RULE)
    while duel.outcome is None:
        duel.add("items", RAISED, [RIGHT] * duel.controls)
    for _ in range(1000):
        assert duel.add("items", RIGHT, [RIGHT]) is Outcome.FAIL


def test_the_shares_of_all_tests_of_a_release_come_to_its_false_alarms():
    for functions in (1, 3, 10):
        rule = replace(RULE, functions=functions)
        assert functions * (rule.alarms + 3 * rule.side_alarms) == pytest.approx(rule.false_alarms)
