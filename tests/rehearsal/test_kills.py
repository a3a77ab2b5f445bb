"""M9 on the real engine: a run that is killed leaves what one command, or the schedules alone, put right.

A sample, chosen by the commit: `make soak` kills in every state and lets every call go wrong.
"""

import os
import random
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml
from uv import find_uv_bin

from components.naming import names
from localcloud import paths
from localcloud.rehearsal.broken_releases import head
from tests.cloud import ROOT
from tests.dying import PATIENT, Stage, job, kill, on_host
from tests.soak.cases import killed, kills

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]  # production may be made for it

SAMPLED = [dying for dying in kills(head(ROOT)) if dying.state not in {"LEASED", "ROLLING_BACK"}]
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
    bare |= stage.cloud.role("production-rollback")
    stage.cloud.run("sh", "tools/way-back.sh", folder=clone, BUCKET=names("prod").bucket, **variables | bare)
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "deploy-prod.yml").read_text())["jobs"]
    step = jobs["rollback"]["steps"][-1]["run"]
    as_job = variables | bare | job(71, "rollback") | {"REASON": "a rehearsal"}
    ended = stage.cloud.run(*on_host("runner-2", "bash", "-c", step), folder=clone, **as_job)
    assert stage.view()["state"] == "ROLLED_BACK"
    steps = ("putting `live`", "unpacking the engine", "unpacking the program")
    assert sorted(steps, key=ended.stderr.index) == list(steps)
    assert stage.settled() == stage.stable


@pytest.mark.parametrize("dying", random.Random(head(ROOT)).sample(SAMPLED, 1), ids=str)
def test_whoever_recovers_a_killed_run_leaves_production_proven_through_throttled_calls_and_lost_answers(
    stage, another, dying
):
    for target, kind in (("*", "throttle"), ("s3", "lost"), ("lambda", "lost")):
        stage.cloud.run("localcloud", "fault", "add", target, "--kind", kind, "--ratio", "0.02", "--seed", "11")
    said = killed(replace(stage, windows=PATIENT), *another, dying, 72)
    stage.cloud.run("localcloud", "fault", "clear")
    assert stage.settled() in {stage.stable, another[0]}, said
