"""Which jobs run when: every job result x every condition, evaluated over the workflows as they are."""

import copy

import pytest

from release.lifecycle import State

from .graph import Ending, play, workflows

FILES = workflows()
START, PROD = "build-and-promote.yml", "deploy-prod.yml"
NOTHING_LEFT_TO_DO = {State.CONFIRMED, State.REFUSED, State.ROLLED_BACK}
STATES = ["", *(state.value for state in State)]
DEPLOY = "deploy-production"


def production(result, state, *, files=FILES):
    """Results of deploy-prod.yml when the deploying job ends in `result` with the output `state`."""
    ending = Ending(result, {"state": state} if state else {})
    return play(files, PROD, {DEPLOY: ending}, cancelled=result == "cancelled")


@pytest.mark.parametrize("result", ["success", "failure", "cancelled"])
@pytest.mark.parametrize("state", STATES)
def test_rollback_runs_unless_the_release_is_known_to_have_come_to_rest(result, state):
    expected = "skipped" if state in NOTHING_LEFT_TO_DO else "success"
    assert production(result, state)["rollback"] == expected


def test_the_state_is_compared_without_regard_to_case():
    assert production("success", "confirmed")["rollback"] == "skipped"


@pytest.mark.parametrize("check", ["failure", "cancelled"])
def test_nothing_is_rolled_back_when_nothing_was_deployed(check):
    results = play(FILES, PROD, {"check-preprod-validation": Ending(check)}, cancelled=check == "cancelled")
    assert results == {"check-preprod-validation": check, DEPLOY: "skipped", "rollback": "skipped", "notify": "success"}


@pytest.mark.parametrize(
    ("wrong", "missed"),
    [
        (None, ("failure", "")),
        ("${{ failure() }}", ("cancelled", "")),
        ("${{ needs.deploy-production.result == 'failure' }}", ("failure", "")),
        ("${{ always() && needs.deploy-production.result == 'failure' }}", ("success", "")),
        ("${{ always() && needs.deploy-production.result == 'failed' }}", ("failure", "")),
        ("${{ always() && needs.deploy-production.result != 'success' }}", ("failure", "ROLLED_BACK")),
        ("${{ always() && needs.deploy-production.outputs.state != 'confirmed' }}", ("failure", "REFUSED")),
    ],
)
def test_the_table_tells_a_wrong_condition_of_rollback_from_the_right_one(wrong, missed):
    files = copy.deepcopy(FILES)
    rollback = files[PROD]["jobs"]["rollback"]
    if wrong is None:
        del rollback["if"]
    else:
        rollback["if"] = wrong
    assert production(*missed, files=files)["rollback"] != production(*missed)["rollback"]


@pytest.mark.parametrize("result", ["success", "failure", "cancelled"])
@pytest.mark.parametrize("state", ["", "CONFIRMED", "ROLLBACK_FAILED"])
def test_production_is_reported_however_it_ends(result, state):
    assert production(result, state)["notify"] == "success"


def test_a_rollback_that_fails_is_reported_and_fails_the_run():
    results = play(FILES, START, {DEPLOY: Ending("failure"), "rollback": Ending("failure")})
    assert results["production/notify"] == "success"
    assert results["production"] == "failure"


def test_a_good_release_runs_every_job_but_the_rollback():
    results = play(FILES, START, {DEPLOY: Ending("success", {"state": "CONFIRMED"})})
    assert results.pop("production/rollback") == "skipped"
    assert set(results.values()) == {"success"}
    assert set(results) == {
        "build",
        "preprod",
        "preprod/deploy-preprod",
        "preprod/integration-tests",
        "preprod/validate",
        "production",
        "production/check-preprod-validation",
        "production/deploy-production",
        "production/notify",
        "notify",
    }


@pytest.mark.parametrize("job", ["build", "deploy-preprod", "integration-tests", "validate"])
@pytest.mark.parametrize("result", ["failure", "cancelled"])
def test_production_is_not_even_asked_for_unless_everything_before_it_succeeded(job, result):
    results = play(FILES, START, {job: Ending(result)}, cancelled=result == "cancelled")
    assert results["production"] == "skipped"
    assert not [name for name in results if name.startswith("production/")]


@pytest.mark.parametrize(
    "job", ["build", "deploy-preprod", "integration-tests", "validate", "check-preprod-validation", DEPLOY]
)
@pytest.mark.parametrize("result", ["success", "failure", "cancelled"])
def test_the_run_is_reported_whatever_happened(job, result):
    assert play(FILES, START, {job: Ending(result)}, cancelled=result == "cancelled")["notify"] == "success"


@pytest.mark.parametrize("result", ["failure", "cancelled"])
def test_nothing_is_validated_unless_the_tests_succeeded(result):
    results = play(FILES, START, {"integration-tests": Ending(result)})
    assert results["preprod/validate"] == "skipped"


def test_a_release_can_be_dispatched_by_hand_without_the_jobs_before_it():
    results = play(FILES, PROD, {DEPLOY: Ending("success", {"state": "CONFIRMED"})})
    assert results[DEPLOY] == "success"


def test_a_rejected_approval_starts_a_rollback_that_asks_the_ledger():
    assert production("failure", "")["rollback"] == "success"
