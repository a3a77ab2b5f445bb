"""Stacks that the previous program has made are updated by this one, and nothing is replaced that need not be.

The previous program is the newest one in the history that differs from this one; `UPGRADE_FROM=COMMIT` names another.
"""

import io
import json
import os
import shutil
import tarfile

import pytest

from release.artifacts.program import _sync
from tests.cloud import Cloud
from tests.engine.conftest import STACK, Service
from tests.history import git, newest_with_other
from tests.stacks import STACK_FILES

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]

PROGRAM = ("Pulumi.yaml", "Pulumi.*.yaml", "__main__.py", "components")
FOUNDATION = "prod-foundation"
# URN ends (type::name) of what this program replaces or deletes on purpose, each with the reason.
INTENDED: dict[str, str] = {}
_LOST = ("replace", "create-replacement", "delete-replaced", "delete")


def previous():
    """The newest commit whose program is not the one of the working copy."""
    if chosen := os.environ.get("UPGRADE_FROM"):
        return chosen
    paths = [f":(glob){pattern}" for pattern in PROGRAM[:3]] + [PROGRAM[3]]
    return newest_with_other("program", paths)


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory):
    """A cloud whose stacks the previous program has made, with a release that is live."""
    old = tmp_path_factory.mktemp("old")
    with tarfile.open(fileobj=io.BytesIO(git("archive", previous()))) as archive:
        archive.extractall(old, filter="data")
    for file in STACK_FILES.glob("Pulumi.*.yaml"):  # the archive has those of who deploys this
        shutil.copy(file, old)
    _sync(old)  # as for a program that a rollback unpacks
    cloud = Cloud.start(tmp_path_factory.mktemp("cloud"))
    for stack in (FOUNDATION, f"{STACK}-foundation"):
        cloud.run("pulumi", "up", "--yes", "--skip-preview", "--stack", stack, folder=old)
    service = Service(cloud=cloud, scratch=tmp_path_factory.mktemp("service"))
    service.up(service.hand_over(service.release("first"), traffic=100, confirmed=True), folder=old)
    yield service
    cloud.stop()


@pytest.mark.parametrize("stack", [FOUNDATION, f"{STACK}-foundation", STACK])
def test_nothing_is_lost_by_an_upgrade_and_the_second_up_changes_nothing(upgraded, stack):
    steps = json.loads(upgraded.cloud.run("pulumi", "preview", "--json", "--stack", stack).stdout)["steps"]
    lost = {step["urn"].split("$")[-1] for step in steps if step["op"] in _LOST}
    assert lost - set(INTENDED) == set()
    served = upgraded.serving()
    upgraded.cloud.run("pulumi", "up", "--yes", "--skip-preview", "--stack", stack)
    upgraded.cloud.run("pulumi", "preview", "--expect-no-changes", "--stack", stack)
    assert upgraded.serving() == served
