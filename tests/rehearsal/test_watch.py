"""M10: what is wrong while nobody looks stands in one issue, from the real engine to the local GitHub and back."""

import json

import httpx
import pytest

from components.naming import names

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]  # production may be made for it

FUNCTION = names("prod").function("dashboard").function


def issues(cloud, state="open", label="watch"):
    """Issues with that label, as GitHub has them."""
    variables = cloud.variables
    address = f"{variables['GITHUB_API_URL']}/repos/{variables['GITHUB_REPOSITORY']}/issues"
    headers = {"Authorization": f"Bearer {variables['GITHUB_TOKEN']}"}
    found = httpx.get(address, params={"state": state, "labels": label}, headers=headers)
    return found.raise_for_status().json()


def watch(production):
    return production.cloud.run("release", "watch", "--stack", "prod", "--json").json()


def drifted(report):
    return [one["key"] for one in report.get("observations", ()) if one["key"].startswith("drift")]


def test_drift_opens_an_issue_that_says_what_to_do_and_closes_when_it_is_gone(production):
    functions = production.cloud.client("lambda")
    before = functions.get_function_configuration(FunctionName=FUNCTION)["MemorySize"]
    assert drifted(watch(production)) == []

    functions.update_function_configuration(FunctionName=FUNCTION, MemorySize=before * 2)
    report = watch(production)
    assert drifted(report) == ["drift of aws:lambda/function:Function dashboard"]
    (issue,) = [one for one in issues(production.cloud) if one["html_url"] == report["issue"]]
    # Which release is confirmed here, other rehearsals decide.
    confirmed = production.cloud.run("release", "status", "--stack", "prod", "--json").json()["confirmed"]["manifest"]
    for part in (f"AWS has {before * 2}", "functionMemoryMb", f"--to {confirmed[:12]}"):
        assert part in issue["body"]

    functions.update_function_configuration(FunctionName=FUNCTION, MemorySize=before)
    functions.get_waiter("function_updated_v2").wait(FunctionName=FUNCTION)
    report = watch(production)
    assert drifted(report) == []
    # What other rehearsals have left, an alarm that still rings for one, keeps the issue open.
    left = bool(report["observations"])
    assert issue["number"] in [one["number"] for one in issues(production.cloud, "open" if left else "closed")]


def test_a_rejected_approval_opens_an_issue_and_a_good_run_none(production):
    cloud = production.cloud
    jobs = [
        {"name": "Production / Check preprod validation", "conclusion": "success"},
        {"name": "Production / Deploy to production", "conclusion": "failure"},
    ]
    rejected = {"state": "rejected", "comment": "not on a Friday", "user": "traylorre"}
    run = {"id": 4711, "status": "in_progress", "jobs": jobs, "approvals": [rejected]}
    address = cloud.variables["GITHUB_API_URL"].removesuffix("/api/v3")
    httpx.put(f"{address}/_localcloud/runs", json=run).raise_for_status()
    needs = {
        "check-preprod-validation": {"result": "success", "outputs": {"digest": production.digest}},
        "deploy-production": {"result": "failure", "outputs": {}},
        "deploy-production-auto": {"result": "skipped", "outputs": {}},
        "rollback": {"result": "success", "outputs": {}},
    }
    here = {"GITHUB_RUN_ID": "4711", "GITHUB_SHA": production.sha}

    def notify(**results):
        given = {name: {**one, "result": results.get(name, one["result"])} for name, one in needs.items()}
        return cloud.run("release", "notify", "--stack", "prod", "--json", NEEDS=json.dumps(given), **here).json()

    good = notify(**{"deploy-production": "success", "rollback": "skipped"})
    assert good["told"] is False
    told = notify()
    assert told["subject"] == f"prod: {production.sha[:7]} was rejected by traylorre; nothing was changed"
    (issue,) = [one for one in issues(cloud, label="release") if "was rejected by" in one["title"]]
    for part in ("not on a Friday", "Production / Deploy to production: failure"):
        assert part in issue["body"]


def test_a_release_is_followed_from_its_commit_to_its_runs_and_what_is_not_known_is_said(production):
    report = production.cloud.run("release", "audit", production.sha, "--json", expected=1).json()
    assert report["manifest"] == production.digest
    assert {one["stack"] for one in report["artifacts"]} == {"preprod", "prod"}
    assert {one["sha256"] for one in report["artifacts"]} == set(report["packages"].values())
    assert report["validation"]["failed"] == 0
    assert [one["state"] for one in report["entries"] if one["stack"] == "prod"][-1] == "CONFIRMED"
    # Whoever releases by hand has no session of CI, and the report does not call that "no calls".
    assert all("somebody's machine" in why for run in report["runs"] for why in run["unread"])
    assert report["runs"]
