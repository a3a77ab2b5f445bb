"""M9 on the real engine: a run that is killed leaves what one command, or the schedules alone, put right.

A sample: `make soak` kills in every state and lets every call go wrong.
"""

import os
import shutil
import subprocess
import sys
import time

import pytest
import yaml
from uv import find_uv_bin

from components.naming import names
from localcloud import paths
from tests.cloud import ROOT
from tests.dying import Stage, job, kill, on_host

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]

NOWHERE = "http://127.0.0.1:9"
SYNC = ("sync", "--quiet", "--frozen", "--no-install-project", "--no-default-groups", "--group", "release")


@pytest.fixture
def stage(production, another):
    """Production on its stable release. What comes after this file finds it on the other one."""
    stage = Stage(production.cloud, production.digest)
    stage.begin_again(another[0])
    return stage


@pytest.fixture
def runner(tmp_path):
    """A clone with an environment, an engine and a plugin of its own; its variables, and those that cut it off."""
    home, clone = tmp_path / "home", tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    subprocess.run([find_uv_bin(), *SYNC, "--python", sys.executable], cwd=clone, check=True)
    shutil.copytree(paths.BIN, home / ".pulumi" / "bin")
    shutil.copytree(paths.PULUMI_HOME / "plugins", home / ".pulumi" / "plugins", symlinks=True)
    machine = os.pathsep.join(["/usr/local/bin", "/usr/bin", "/bin"])
    return (
        clone,
        {
            "HOME": str(home),
            "PULUMI_HOME": str(home / ".pulumi"),
            "PATH": os.pathsep.join([str(home / ".pulumi" / "bin"), machine]),
            "UV_CACHE_DIR": str(tmp_path / "cache"),
        },
        {"PATH": machine, "HTTPS_PROXY": NOWHERE, "HTTP_PROXY": NOWHERE, "UV_HTTP_RETRIES": "0"},
    )


def test_a_runner_killed_at_ten_percent_leaves_traffic_to_the_schedules_and_the_stack_to_a_job_that_reaches_only_aws(
    stage, another, runner
):
    clone, variables, bare = runner
    release = (str(clone / ".venv" / "bin" / "python"), "-m", "release")
    kept = [
        stage.cloud.run(*release, "keep", "--stack", "prod", "--json", folder=clone, **variables).json()["kept"]
        for _ in ("a new lock", "the same lock")
    ]
    assert kept[0] == kept[1]
    assert [key.rpartition("/")[2] for key in kept[0]] == ["releaser.tar.gz", "engine.tar.gz", "program.tar.gz"]

    digest, source = another
    run = stage.promote(digest, source, "runner-1", **job(71, "deploy-production"))
    stage.until(stage.weights, "traffic is shared", run)
    kill(run)
    assert stage.schedules()
    stage.until(lambda: not stage.weights() and not stage.schedules(), "traffic is back by itself")
    assert stage.in_state(digest, "CANARY"), "somebody else did it"

    for folder in (clone / ".venv", clone / ".release", clone.parent / "home", clone.parent / "cache"):
        shutil.rmtree(folder)
    stage.cloud.run("sh", "tools/way-back.sh", folder=clone, BUCKET=names("prod").bucket, **variables | bare)
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "deploy-prod.yml").read_text())["jobs"]
    step = jobs["rollback"]["steps"][-1]["run"]
    as_job = variables | bare | job(71, "rollback") | {"REASON": "a rehearsal"}
    ended = stage.cloud.run(*on_host("runner-2", "bash", "-c", step), folder=clone, **as_job)
    assert stage.view()["state"] == "ROLLED_BACK"
    steps = ("putting `live`", "unpacking the engine", "unpacking the program")
    assert sorted(steps, key=ended.stderr.index) == list(steps)
    assert stage.settled() == stage.stable


def test_a_run_that_is_killed_while_it_moves_all_traffic_is_resumed_through_throttled_calls_and_lost_answers(
    stage, another
):
    digest, source = another
    # The schedules are not to come first, however slow the machine is: that is the test above.
    run = stage.promote(digest, source, RELEASE_STEP_WORK_S="900")
    stage.until(lambda: stage.in_state(digest, "LIVE"), "it goes live", run)
    time.sleep(1.5)  # into the update: where exactly is the engine's affair, and must not matter
    kill(run)
    for target, kind in (("*", "throttle"), ("s3", "lost"), ("lambda", "lost")):
        stage.cloud.run("localcloud", "fault", "add", target, "--kind", kind, "--ratio", "0.02", "--seed", "11")
    resumed = stage.run("resume", "--json").json()
    stage.cloud.run("localcloud", "fault", "clear")
    assert resumed["state"] == "CONFIRMED"
    assert stage.settled() == digest
