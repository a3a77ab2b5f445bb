"""Which jobs run when: every job result x every condition, evaluated over the workflows as they are."""

import copy
import itertools

import pytest

from release.ledger.lifecycle import State
from release.preview.approval import LABEL
from release.rules import OVERRIDES
from tests.unit.workflows.graph import Ending, play, workflows

FILES = workflows()
START, PROD = "build-and-promote.yml", "deploy-prod.yml"
NOTHING_LEFT_TO_DO = {State.CONFIRMED, State.REFUSED, State.ROLLED_BACK}
STATES = ["", *(state.value for state in State)]
CHECK, REVIEWED, AUTOMATIC = "check-preprod-validation", "deploy-production", "deploy-production-auto"
GATES = {REVIEWED: "production", AUTOMATIC: "production-auto"}
REASONS = ("accept_inconclusive", *(option.removeprefix("--").replace("-", "_") for option in OVERRIDES))


def gate(environment):
    return Ending(outputs={"environment": environment} if environment else {})


def production(result, state, *, deploy=REVIEWED, files=FILES):
    """Results of deploy-prod.yml when the deploying job ends in `result` with the output `state`."""
    ending = Ending(result, {"state": state} if state else {})
    endings = {CHECK: gate(GATES[deploy]), deploy: ending}
    return play(files, PROD, endings, cancelled=result == "cancelled")


# Which gate


def test_a_dispatch_can_override_the_rules_that_can_be_overridden():
    on = FILES[PROD]["on"]
    assert set(on["workflow_dispatch"]["inputs"]) - set(on["workflow_call"]["inputs"]) == set(REASONS)


@pytest.mark.parametrize("environment", ["", "production", "production-auto", "preprod", "true", "Production-Autos"])
@pytest.mark.parametrize("given", [*itertools.product(["", "because"], repeat=len(REASONS)), None])
def test_exactly_one_job_deploys_and_without_a_person_only_what_route_says_and_nobody_gave_reasons_for(
    environment, given
):
    inputs = dict(zip(REASONS, given, strict=True)) if given is not None else {}
    results = play(FILES, PROD, {CHECK: gate(environment)}, inputs=inputs)
    automatic = environment == "production-auto" and not any(given or ())
    assert results[AUTOMATIC] == ("success" if automatic else "skipped")
    assert results[REVIEWED] == ("skipped" if automatic else "success")


@pytest.mark.parametrize("environment", ["", "production", "production-auto"])
@pytest.mark.parametrize("check", ["failure", "cancelled"])
def test_nothing_is_deployed_unless_the_release_was_checked(environment, check):
    endings = {CHECK: Ending(check, gate(environment).outputs)}
    results = play(FILES, PROD, endings, cancelled=check == "cancelled")
    assert results == {
        CHECK: check,
        REVIEWED: "skipped",
        AUTOMATIC: "skipped",
        "rollback": "skipped",
        "notify": "success",
        "publish-copy": "skipped",
    }


@pytest.mark.parametrize(
    ("job", "wrong"),
    [
        (REVIEWED, None),
        (AUTOMATIC, None),
        (REVIEWED, "${{ needs.check-preprod-validation.outputs.environment == 'production' }}"),
        (AUTOMATIC, "${{ needs.check-preprod-validation.outputs.environment != 'production' }}"),
        (AUTOMATIC, "${{ needs.check-preprod-validation.outputs.environment == 'production-auto' }}"),
        (REVIEWED, "${{ needs.check-preprod-validation.outputs.environment != 'production-auto' }}"),
        (REVIEWED, "${{ always() && needs.check-preprod-validation.outputs.environment != 'production-auto' }}"),
    ],
)
def test_the_table_tells_a_wrong_condition_of_a_gate_from_the_right_one(job, wrong):
    files = copy.deepcopy(FILES)
    if wrong is None:
        del files[PROD]["jobs"][job]["if"]
    else:
        files[PROD]["jobs"][job]["if"] = wrong
    cases = [
        (Ending(result, gate(environment).outputs), {"despite_alarms": reason})
        for result in ("success", "failure")
        for environment in ("", *GATES.values())
        for reason in ("", "because")
    ]
    differing = [
        case
        for case in cases
        if play(files, PROD, {CHECK: case[0]}, inputs=case[1]) != play(FILES, PROD, {CHECK: case[0]}, inputs=case[1])
    ]
    assert differing


@pytest.mark.parametrize("environment", ["", "production", "production-auto"])
def test_a_merge_goes_through_the_gate_that_route_chose(environment):
    results = play(FILES, START, {CHECK: gate(environment)})
    deployed = [
        name for name, result in results.items() if name.startswith("production/deploy") and result == "success"
    ]
    assert deployed == [f"production/{AUTOMATIC if environment == 'production-auto' else REVIEWED}"]


@pytest.mark.parametrize("deploy", GATES)
@pytest.mark.parametrize("result", ["success", "failure", "cancelled"])
@pytest.mark.parametrize("state", STATES)
def test_the_copy_of_the_state_is_published_after_a_confirmation_and_only_then(deploy, result, state):
    expected = "success" if state == State.CONFIRMED else "skipped"
    assert production(result, state, deploy=deploy)["publish-copy"] == expected


def test_a_copy_that_cannot_be_published_stops_no_release():
    results = play(FILES, START, {"publish-copy": Ending("failure")} | {CHECK: gate("production")})
    assert (results["publish-copy"], results[f"production/{REVIEWED}"]) == ("failure", "success")


@pytest.mark.parametrize(
    ("job", "result", "expected"),
    [
        ("build", "failure", "skipped"),
        ("deploy-preprod", "cancelled", "skipped"),
        ("integration-tests", "failure", "success"),
        ("validate", "success", "success"),
    ],
)
def test_the_copy_of_preprods_state_is_published_whenever_preprod_was_deployed(job, result, expected):
    results = play(FILES, START, {job: Ending(result)}, cancelled=result == "cancelled")
    assert results["publish-copy"] == expected


# The way back


@pytest.mark.parametrize("deploy", GATES)
@pytest.mark.parametrize("result", ["success", "failure", "cancelled"])
@pytest.mark.parametrize("state", STATES)
def test_rollback_runs_unless_the_release_is_known_to_have_come_to_rest(deploy, result, state):
    expected = "skipped" if state in NOTHING_LEFT_TO_DO else "success"
    assert production(result, state, deploy=deploy)["rollback"] == expected


@pytest.mark.parametrize("deploy", GATES)
def test_the_state_is_compared_without_regard_to_case(deploy):
    assert production("success", "confirmed", deploy=deploy)["rollback"] == "skipped"


@pytest.mark.parametrize(
    ("wrong", "missed"),
    [
        (None, ("failure", "")),
        ("${{ always() && needs.deploy-production.result != 'skipped' }}", ("failure", "REFUSED")),
        (
            "${{ always() && needs.deploy-production.result != 'skipped'"
            " && needs.deploy-production-auto.result != 'skipped' }}",
            ("failure", ""),
        ),
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
    assert any(
        production(*missed, deploy=deploy, files=files)["rollback"] != production(*missed, deploy=deploy)["rollback"]
        for deploy in GATES
    )


@pytest.mark.parametrize("deploy", GATES)
@pytest.mark.parametrize("result", ["success", "failure", "cancelled"])
@pytest.mark.parametrize("state", ["", "CONFIRMED", "ROLLBACK_FAILED"])
def test_production_is_reported_however_it_ends(deploy, result, state):
    assert production(result, state, deploy=deploy)["notify"] == "success"


def test_a_rollback_that_fails_is_reported_and_fails_the_run():
    results = play(FILES, START, {REVIEWED: Ending("failure"), "rollback": Ending("failure")})
    assert results["production/notify"] == "success"
    assert results["production"] == "failure"


@pytest.mark.parametrize(("deploy", "other"), [(REVIEWED, AUTOMATIC), (AUTOMATIC, REVIEWED)])
def test_a_good_release_runs_every_job_but_the_rollback_and_the_other_gate(deploy, other):
    endings = {CHECK: gate(GATES[deploy]), deploy: Ending("success", {"state": "CONFIRMED"})}
    results = play(FILES, START, endings)
    assert results.pop("production/rollback") == "skipped"
    assert results.pop(f"production/{other}") == "skipped"
    assert set(results.values()) == {"success"}
    assert set(results) == {
        "build",
        "preprod",
        "preprod/deploy-preprod",
        "publish-copy",
        "production/publish-copy",
        "preprod/integration-tests",
        "preprod/validate",
        "production",
        "production/check-preprod-validation",
        f"production/{deploy}",
        "production/notify",
        "notify",
    }


@pytest.mark.parametrize("job", ["build", "deploy-preprod", "integration-tests", "validate"])
@pytest.mark.parametrize("result", ["failure", "cancelled"])
def test_production_is_not_even_asked_for_unless_everything_before_it_succeeded(job, result):
    results = play(FILES, START, {job: Ending(result)}, cancelled=result == "cancelled")
    assert results["production"] == "skipped"
    assert not [name for name in results if name.startswith("production/")]


@pytest.mark.parametrize("job", ["build", "deploy-preprod", "integration-tests", "validate", CHECK, *GATES])
@pytest.mark.parametrize("result", ["success", "failure", "cancelled"])
def test_the_run_is_reported_whatever_happened(job, result):
    assert play(FILES, START, {job: Ending(result)}, cancelled=result == "cancelled")["notify"] == "success"


@pytest.mark.parametrize("ended", [*itertools.product(["success", "failure", "cancelled"], repeat=4)])
@pytest.mark.parametrize("environment", ["", *GATES.values()])
def test_production_is_reported_whatever_each_of_its_jobs_came_to(ended, environment):
    assert _of_production(FILES, ended, environment)["notify"] == "success"


def _of_production(files, ended, environment):
    names = (CHECK, REVIEWED, AUTOMATIC, "rollback")
    endings = {name: Ending(result) for name, result in zip(names, ended, strict=True)}
    endings[CHECK] = Ending(ended[0], gate(environment).outputs)
    return play(files, PROD, endings, cancelled="cancelled" in ended)


@pytest.mark.parametrize("file", [START, PROD])
@pytest.mark.parametrize("wrong", [None, "${{ success() }}", "${{ failure() }}", "${{ !cancelled() }}"])
def test_the_table_tells_a_wrong_condition_of_notify_from_the_right_one(file, wrong):
    files = copy.deepcopy(FILES)
    if wrong is None:
        del files[file]["jobs"]["notify"]["if"]
    else:
        files[file]["jobs"]["notify"]["if"] = wrong
    first = CHECK if file == PROD else "build"
    found = {
        play(files, file, {first: Ending(result)}, cancelled=result == "cancelled")["notify"]
        for result in ("success", "failure", "cancelled")
    }
    assert "skipped" in found


@pytest.mark.parametrize("result", ["failure", "cancelled"])
def test_nothing_is_validated_unless_the_tests_succeeded(result):
    results = play(FILES, START, {"integration-tests": Ending(result)})
    assert results["preprod/validate"] == "skipped"


def test_a_release_can_be_dispatched_by_hand_without_the_jobs_before_it():
    results = play(FILES, PROD, {REVIEWED: Ending("success", {"state": "CONFIRMED"})})
    assert results[REVIEWED] == "success"


def test_a_rejected_approval_starts_a_rollback_that_asks_the_ledger():
    assert production("failure", "")["rollback"] == "success"


# While nobody looks

AFTER = {"reap": "watch-prod", "reap-preprod": "watch-preprod"}
"""Jobs of watch.yml: who takes back what a dead run left, and who looks at what is left then."""


@pytest.mark.parametrize("ended", [*itertools.product(["success", "failure", "cancelled"], repeat=len(AFTER))])
def test_both_environments_are_looked_at_whatever_came_of_taking_back(ended):
    endings = {reaping: Ending(result) for reaping, result in zip(AFTER, ended, strict=True)}
    results = play(FILES, "watch.yml", endings, cancelled="cancelled" in ended)
    assert {results[looking] for looking in AFTER.values()} == {"success"}
    assert set(results) == {*AFTER, *AFTER.values()}


@pytest.mark.parametrize("looking", AFTER.values())
@pytest.mark.parametrize("wrong", [None, "${{ success() }}", "${{ failure() }}", "${{ !cancelled() }}"])
def test_the_table_tells_a_wrong_condition_of_watch_from_the_right_one(looking, wrong):
    files = copy.deepcopy(FILES)
    files["watch.yml"]["jobs"][looking]["if"] = wrong or "${{ success() }}"
    found = {
        play(files, "watch.yml", dict.fromkeys(AFTER, Ending(result)), cancelled=result == "cancelled")[looking]
        for result in ("success", "failure", "cancelled")
    }
    assert "skipped" in found


# Comments on pull requests


@pytest.mark.parametrize(
    ("event", "payload", "runs"),
    [
        ("workflow_run", {"workflow_run": {"event": "pull_request"}}, "after-run"),
        ("workflow_run", {"workflow_run": {"event": "workflow_dispatch"}}, ""),
        ("pull_request_target", {"label": {"name": LABEL}}, "after-label"),
        ("pull_request_target", {"label": {"name": "documentation"}}, ""),
    ],
)
def test_a_comment_is_written_after_a_preview_of_a_pull_request_or_at_the_one_label_and_only_then(event, payload, runs):
    results = play(FILES, "preview-comment.yml", {}, github={"event_name": event, "event": payload})
    assert {name for name, result in results.items() if result == "success"} == ({runs} if runs else set())


def test_every_condition_of_a_job_stands_in_a_table_of_this_file():
    conditional = {(file, name) for file, one in FILES.items() for name, job in one["jobs"].items() if "if" in job}
    assert conditional == {
        (START, "publish-copy"),
        (START, "notify"),
        *((PROD, name) for name in (REVIEWED, AUTOMATIC, "rollback", "notify", "publish-copy")),
        *(("watch.yml", name) for name in AFTER.values()),
        *(("preview-comment.yml", name) for name in ("after-run", "after-label")),
    }
