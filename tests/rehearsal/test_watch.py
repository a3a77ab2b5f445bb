"""M10: what is wrong while nobody looks stands in one issue, from the real engine to the local GitHub and back."""

import httpx
import pytest

from components.naming import names

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]

FUNCTION = names("prod").function("dashboard").function


def issues(cloud, state="open"):
    """Issues of the watch, as GitHub has them."""
    variables = cloud.variables
    address = f"{variables['GITHUB_API_URL']}/repos/{variables['GITHUB_REPOSITORY']}/issues"
    headers = {"Authorization": f"Bearer {variables['GITHUB_TOKEN']}"}
    found = httpx.get(address, params={"state": state, "labels": "watch"}, headers=headers).raise_for_status().json()
    return [one for one in found if "watch-prod" in one["body"]]


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
    (issue,) = issues(production.cloud)
    assert issue["html_url"] == report["issue"]
    for part in (f"AWS has {before * 2}", "functionMemoryMb", f"--to {production.digest[:12]}"):
        assert part in issue["body"]

    functions.update_function_configuration(FunctionName=FUNCTION, MemorySize=before)
    functions.get_waiter("function_updated_v2").wait(FunctionName=FUNCTION)
    report = watch(production)
    assert drifted(report) == []
    assert report.get("observations", []) == [], report
    assert issues(production.cloud) == []
    assert issue["number"] in [one["number"] for one in issues(production.cloud, "closed")]
