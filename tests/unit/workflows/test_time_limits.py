"""The time limits of the workflows leave a promotion the time that its settings ask for."""

import pytest

from release.settings import ReleaseSettings
from tests.unit.workflows.graph import WORKFLOWS, load


def limits():
    """Minutes that each step may take which promotes."""
    jobs = load(WORKFLOWS / "deploy-prod.yml")["jobs"].values()
    return [
        step["timeout-minutes"] for job in jobs for step in job.get("steps", []) if " promote " in step.get("run", "")
    ]


def longest(settings):
    """Seconds from the lease to the confirmation at most."""
    return settings.longest_windows_s + settings.step_work_s


def test_a_promotion_ends_within_the_limit_of_its_step_with_every_window_extended():
    settings = ReleaseSettings()
    assert len(limits()) == 2
    assert {limit * 60 for limit in limits()} == {settings.step_limit_s}
    assert settings.step_limit_s >= settings.lease_wait_s + longest(settings)


LEASED = {"promote", "deploy", "rollback", "reap", "resume", "confirm"}
"""Commands that wait for the lease."""


def test_waiting_for_the_lease_leaves_each_job_most_of_its_time():
    jobs = {
        f"{file.stem} {name}": job["timeout-minutes"]
        for file in WORKFLOWS.glob("*.yml")
        for name, job in load(file)["jobs"].items()
        for step in job.get("steps", [])
        if LEASED & set(step.get("run", "").split())
    }
    assert len(jobs) >= 5
    assert {name: limit for name, limit in jobs.items() if limit * 60 < 3 * ReleaseSettings().lease_wait_s} == {}


@pytest.mark.parametrize("minutes", [10, 20])
def test_a_longer_watch_needs_a_longer_step(minutes):
    assert longest(ReleaseSettings(metric_delay_s=60.0 * minutes)) > min(limits()) * 60
