"""M9 after the confirmation: while a release bakes the cloud alone takes traffic back, and `release reap` the stack."""

import time

import pytest

from components.naming import names
from components.service.functions import KEYS
from localcloud.rehearsal.broken_releases import changed_clone
from tests.cloud import ROOT
from tests.rehearsal.test_broken_releases import PROMOTE, REFUSED, health_of

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]  # production may be made for it

BAKE_S = 7200
"""On the clock of the rehearsal: two minutes."""
PROD = names("prod")
BROKEN = """
import os as _os

_healthy = handle


def handle(event, context):
    if _os.environ["ENVIRONMENT"] == "prod" and context.invoked_function_arn.endswith(":live") and "late" in event:
        raise RuntimeError("broken on purpose")
    return _healthy(event, context)
"""
"""A release that is sound for every question of the canary, and fails a kind of event that comes later."""


def live(cloud):
    functions = cloud.client("lambda")
    aliases = {key: functions.get_alias(FunctionName=PROD.function(key).function, Name="live") for key in KEYS}
    return {key: alias["FunctionVersion"] for key, alias in aliases.items()}


def test_a_release_that_begins_to_fail_after_its_confirmation_is_taken_back_by_the_cloud_and_finished_by_reap(
    production, another, tmp_path
):
    cloud, source = production.cloud, tmp_path / "source"
    waiting, its_source = another
    approved = cloud.approved(waiting, its_source, tmp_path / "approved.json")
    broken = changed_clone(ROOT, source, "analysis", BROKEN, "Break it on purpose: analysis fails late")
    digest = cloud.to_preprod(broken, source, tmp_path / "build")
    before = live(cloud)

    confirmed = cloud.run(*PROMOTE, digest, "--json", folder=source, RELEASE_BAKE_S=str(BAKE_S)).json()
    assert confirmed["state"] == "CONFIRMED"
    assert confirmed["baking"]["to"]["manifest"] == production.digest
    status = cloud.run("release", "status", "--stack", "prod", "--json").json()
    assert (status["state"], status["baking"]["armed"]) == ("CONFIRMED", True)
    assert live(cloud) != before

    # No `release` process is alive from here on.
    functions, deadline = cloud.client("lambda"), time.monotonic() + 100
    while live(cloud) != before and time.monotonic() < deadline:
        called = functions.invoke(
            FunctionName=PROD.function("analysis").function, Qualifier="live", Payload=b'{"late": 1}'
        )
        assert "FunctionError" in called or live(cloud) == before
        time.sleep(0.2)
    assert live(cloud) == before, (cloud.home / "logs" / "alarms.log").read_text()[-3000:]

    status = cloud.run("release", "status", "--stack", "prod", "--json").json()
    assert status["next_step"] == "finish what the alarm began: release reap --stack prod"
    report = cloud.run("release", "reap", "--stack", "prod", "--json").json()
    assert (report["state"], report["verified"], report["paged"]) == ("ROLLED_BACK", True, True)
    assert (report["from"]["manifest"], report["to"]["manifest"]) == (digest, production.digest)
    assert "while the release was baking" in report["reason"]
    assert health_of(production).json()["digest"] == production.digest
    cloud.assert_unchanged("prod")
    again = cloud.run(*PROMOTE, digest, "--json", folder=source, expected=REFUSED).json()
    assert again["rule"] == "blocked"

    # Somebody has approved another release before all this: what it would do was seen from another state.
    ended = cloud.run(*PROMOTE, waiting, *approved, "--json", folder=its_source, expected=REFUSED).json()
    assert ended["rule"] == "plan-changed"
    assert "the state was written again since, by another release or by hand" in ended["why"]
    assert health_of(production).json()["digest"] == production.digest
