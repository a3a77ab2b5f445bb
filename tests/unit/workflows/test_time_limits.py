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
    assert len(limits()) == 2
    assert min(limits()) * 60 >= longest(ReleaseSettings())


@pytest.mark.parametrize("minutes", [10, 20])
def test_a_longer_watch_needs_a_longer_step(minutes):
    assert longest(ReleaseSettings(watch_s=60.0 * minutes)) > min(limits()) * 60
