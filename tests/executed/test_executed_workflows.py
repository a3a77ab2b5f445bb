"""The bundled workflows, executed: see tests/executed/execution.py for what is act's and what is not.

One repository on one local cloud, and releases that follow each other: each test but the first begins with production
on its confirmed release, and every test leaves it on one.
"""

import json
import os
import subprocess
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from uv import find_uv_bin

from components.naming import names
from components.service.functions import KEYS
from localcloud.rehearsal.broken_releases import Breakage, broken_clone, changed_clone, head
from release.preview.copy import BRANCH
from tests.cloud import ROOT, Cloud
from tests.dying import PATIENT, Stage
from tests.executed import figures
from tests.executed.execution import IDENTITY, Execution, Hosted

pytestmark = [
    pytest.mark.engine,
    pytest.mark.soak,
    pytest.mark.timeout(1800),
    pytest.mark.skipif("SOAK_MINUTES" not in os.environ, reason="`make soak` executes these, in half an hour"),
]

APPROVED = {"production": "approved"}
REJECTED = {"production": "rejected"}
PROD = names("prod")
LOCK = "lambdas/analysis/uv.lock"


@dataclass
class World:
    """The repository, and the clone of the release that production has confirmed."""

    hosted: Hosted
    base: Path = ROOT
    stable: str = ""
    """Manifest digest of the confirmed release."""
    last: dict[str, Any] = field(default_factory=dict)

    @property
    def stage(self) -> Stage:
        return Stage(self.hosted.cloud, self.stable)

    def live(self) -> dict[str, str]:
        """The version that serves each function's users."""
        functions = self.hosted.cloud.client("lambda")
        aliases = {key: functions.get_alias(FunctionName=PROD.function(key).function, Name="live") for key in KEYS}
        assert not any((one.get("RoutingConfig") or {}).get("AdditionalVersionWeights") for one in aliases.values())
        return {key: one["FunctionVersion"] for key, one in aliases.items()}

    def confirmed(self, source: Path) -> None:
        """Go on from a release that was just confirmed."""
        self.base, self.stable = source, self.stage.settled()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A repository on a local GitHub whose environments the foundation stacks have made; nothing is released."""
    home = tmp_path_factory.mktemp("hosted")
    cloud = Cloud.start(
        home / "cloud",
        RELEASE_BROKEN_RATE="0.2",
        RELEASE_WORKERS="6",
        RELEASE_WEIGHTED_REQUESTS="60",
        LOCALCLOUD_ENFORCE_IDENTITIES="1",
    )
    cloud.foundations()
    yield World(Hosted(cloud, home))
    cloud.stop()


@pytest.fixture
def executed(world, request):
    """Execute a run to its end, and keep how it ended for docs/figures/executed-workflows.md."""

    def execute(execution: Execution) -> Execution:
        world.hosted.ended(execution)
        figures.add(request.node.name, execution, world.stage.view())
        return execution

    return execute


def change(world: World, folder: Path, code: str = "\n# another good release\n") -> Path:
    """Return a clone with one more commit after the confirmed release's, as a person pushes it to main."""
    changed_clone(world.base, folder / "source", "dashboard", code, "Say more")
    return folder / "source"


def roles(execution: Execution) -> dict[str, str]:
    """The environment whose role each job has assumed."""
    return {note["job"]: note["environment"] for note in execution.notes("roles.jsonl")}


def asked(execution: Execution) -> list[tuple[str, str]]:
    """Who was asked for an approval for which environment."""
    return [
        (note["environment"], reviewer) for note in execution.notes("approvals.jsonl") for reviewer in note["reviewers"]
    ]


def test_a_merge_to_main_is_built_once_tested_approved_and_confirmed(world, executed, tmp_path):
    source = change(world, tmp_path)
    run = executed(world.hosted.merge(world.hosted.push(source), APPROVED))
    assert run.ran("failure") == set(), run.story[-6000:]
    assert set(run.results) - run.ran() == {"deploy-prod/deploy-production-auto", "deploy-prod/rollback"}
    assert asked(run) == [("production", "traylorre")]
    assert roles(run) == {
        "preprod/deploy-preprod": "preprod",
        "preprod/integration-tests": "preprod-test",
        "preprod/validate": "preprod-validate",
        "deploy-prod/check-preprod-validation": "prod-watch",
        "deploy-prod/deploy-production": "production",
        "deploy-prod/notify": "prod-watch",
        "build-and-promote/notify": "preprod-watch",
    }
    built = run.outputs("build-and-promote/build")["digest"]
    promoted = run.outputs("deploy-prod/deploy-production")
    assert (promoted["state"], promoted["digest"]) == ("confirmed", built)
    world.confirmed(source)
    assert world.stable == built


def test_the_rollback_job_finishes_on_another_machine_what_a_runner_that_was_killed_in_mid_canary_has_left(
    world, executed, tmp_path
):
    before, stage = world.live(), world.stage
    source = change(world, tmp_path)
    run = world.hosted.merge(world.hosted.push(source), APPROVED, **PATIENT)
    world.hosted.until(run, lambda: bool(stage.weights()))
    killed = _promotion(run)
    owner = stage.view()["attempt"]["run"]
    host, machine = owner["host"], owner["machine"]
    killed.kill()
    executed(run)
    assert run.results["deploy-prod/deploy-production"] == "failure"
    assert "state" not in run.outputs("deploy-prod/deploy-production")
    assert run.results["deploy-prod/rollback"] == "success", run.story[-6000:]
    assert run.outputs("deploy-prod/rollback")["state"] == "rolled_back"
    assert run.outputs("deploy-prod/rollback")["here"] == "true", "it asked a package index for the releaser"
    assert run.ran("failure") == {"deploy-prod/deploy-production", "build-and-promote/production"}
    assert {"deploy-prod/notify", "build-and-promote/notify"} <= run.ran("success")
    assert asked(run) == [("production", "traylorre")], "the way back asks nobody"
    assert roles(run)["deploy-prod/rollback"] == "production-rollback"
    last = _newest_entry(stage)
    assert (last["state"], last["run"]["job"]) == ("ROLLED_BACK", "rollback")
    assert (last["run"]["host"] == host, last["run"]["machine"] == machine) == (False, False)
    assert (stage.settled(), world.live()) == (world.stable, before)


def test_a_release_that_is_broken_in_production_is_rolled_back_by_the_job_that_promotes_it(world, executed, tmp_path):
    before = world.live()
    source = tmp_path / "source"
    broken_clone(world.base, Breakage.HEALTH_500, source)
    run = executed(world.hosted.merge(world.hosted.push(source), APPROVED))
    assert run.results["deploy-prod/deploy-production"] == "failure"
    assert run.outputs("deploy-prod/deploy-production")["state"] == "rolled_back"
    assert "exit status 4" in run.said("deploy-prod/deploy-production")
    assert run.results["deploy-prod/rollback"] == run.results["deploy-prod/publish-copy"] == "skipped"
    assert {"deploy-prod/notify", "build-and-promote/notify"} <= run.ran("success")
    assert (world.stage.settled(), world.live()) == (world.stable, before)


def test_a_pull_request_is_previewed_without_a_role_and_commented_on_by_a_run_that_executes_nothing_of_it(
    world, executed, tmp_path
):
    hosted = world.hosted
    base = hosted.push(world.base)
    hosted.fetch_published(BRANCH)
    source = change(world, tmp_path, "\n# a change that is proposed\n")
    _git(source, "switch", "--quiet", "--create", "proposal")
    tip = hosted.push(source, "proposal")
    _git(source, "switch", "--quiet", "--detach", base)
    _git(source, *IDENTITY, "merge", "--quiet", "--no-ff", "--no-verify", "-m", "merge", "proposal")
    merged = hosted.push(source, "merge-of-1")
    hosted.tell("commits", sha=tip, author="local", committer="local", pulls=[1])
    files = [{"filename": "lambdas/dashboard/handler.py", "sha": "0" * 40, "status": "modified"}]
    proposal = {"head": {"sha": tip, "ref": "proposal"}, "base": {"sha": base, "ref": "main"}}
    hosted.tell("pulls", number=1, user="local", merged=False, commits=[tip], files=files, **proposal)
    previewed = executed(
        hosted.start(
            "stack-preview.yml",
            "pull_request",
            {"number": 1, "pull_request": {"number": 1, **proposal}},
            merged,
            {},
            branch="proposal",
            head=tip,
            ref="refs/pull/1/merge",
        )
    )
    assert previewed.results == {"stack-preview/preview": "success"}, previewed.story[-6000:]
    assert previewed.notes("roles.jsonl") == []
    event = {"workflow_run": {"id": previewed.told["id"], "event": "pull_request", "head_sha": tip}}
    commented = executed(hosted.start("preview-comment.yml", "workflow_run", event, base, {}))
    assert commented.results == {
        "preview-comment/after-run": "success",
        "preview-comment/after-label": "skipped",
    }, commented.story[-6000:]
    api = hosted.api
    comments = hosted.github("GET", f"{api}/issues/1/comments").json()
    assert len(comments) == 4, "one for each stack"
    assert hosted.github("GET", f"{api}/commits/{tip}/statuses").json()[0]["state"] == "success"


def test_updates_of_dependabot_alone_are_released_without_asking_and_one_commit_of_a_person_among_them_asks(
    world, executed, tmp_path
):
    hosted, source = world.hosted, tmp_path / "source"
    now = (world.base / LOCK).read_text()
    changed_clone(world.base, source, "dashboard", "\n# with older packages\n", "Say more")
    half, older = _older_locks(source, "idna", "charset-normalizer")
    _commit(source, older, "Use older packages")
    run = executed(hosted.merge(hosted.push(source), APPROVED))
    assert run.ran("failure") == set(), run.story[-6000:]
    world.confirmed(source)

    # The bot's update of one of the two packages.
    _update(hosted, source, half, number=11)
    run = executed(hosted.merge(hosted.push(source), {}))
    assert run.ran("failure") == set(), run.story[-6000:]
    assert run.results["deploy-prod/deploy-production-auto"] == "success"
    assert run.results["deploy-prod/deploy-production"] == "skipped"
    assert run.notes("approvals.jsonl") == []
    assert roles(run)["deploy-prod/deploy-production-auto"] == "production-auto"
    world.confirmed(source)

    # Its update of the other one, and a person's commit after it; the reviewer says no.
    before, view = world.live(), world.stage.view()
    _update(hosted, source, now, number=12)
    handler = source / "lambdas" / "dashboard" / "handler.py"
    handler.write_text(handler.read_text() + "\n# by a person\n")
    _git(source, *IDENTITY, "commit", "--quiet", "--no-verify", "-am", "Say more")
    sha = hosted.push(source)
    hosted.tell("commits", sha=sha, author="local", committer="local", pulls=[])
    run = executed(hosted.merge(sha, REJECTED))
    assert asked(run) == [("production", "traylorre")]
    _assert_rejected(run)
    assert (world.live(), world.stage.view()) == (before, view)


def _assert_rejected(run: Execution) -> None:
    assert run.results["deploy-prod/deploy-production"] == "failure"
    assert run.results["deploy-prod/deploy-production-auto"] == "skipped"
    assert [how for _, how in run.steps("deploy-prod/deploy-production")] == ["failure"], "a step of the job ran"
    assert run.results["deploy-prod/rollback"] == "success", run.story[-6000:]
    assert {"deploy-prod/notify", "build-and-promote/notify"} <= run.ran("success")
    assert run.ran("failure") == {"deploy-prod/deploy-production", "build-and-promote/production"}


def _promotion(run: Execution) -> psutil.Process:
    """The process of the step that promotes: the shell has become it."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if {"release", "promote"} <= set(words) and process.environ().get("EXECUTED_RUN") == str(run.folder):
            return process
    raise AssertionError(f"nothing promotes: {run.story[-6000:]}")


def _newest_entry(stage: Stage) -> dict[str, Any]:
    def stored(key: str) -> dict[str, Any]:
        return json.loads(stage.s3.get_object(Bucket=PROD.bucket, Key=key)["Body"].read())

    return stored(f"ledger/entries/{stored('ledger/head.json')['seq']:08d}.json")


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, text=True).stdout.strip()


def _commit(source: Path, lock: str, message: str) -> str:
    (source / LOCK).write_text(lock)
    _git(source, *IDENTITY, "commit", "--quiet", "--no-verify", "-am", message)
    return head(source)


def _older_locks(source: Path, first: str, second: str) -> tuple[str, str]:
    """Return the lock with the version of `second` that came before its own, and the lock with both packages so."""
    found = []
    for package in (second, first):
        text = (source / LOCK).read_text()
        version = next(one["version"] for one in tomllib.loads(text)["package"] if one["name"] == package)
        command = [find_uv_bin(), "lock", "--quiet", "--no-config", "--upgrade-package", f"{package}<{version}"]
        subprocess.run(command, cwd=(source / LOCK).parent, check=True)
        found.append((source / LOCK).read_text())
    return found[0], found[1]


def _update(hosted: Hosted, source: Path, lock: str, number: int) -> None:
    """Merge a pull request of Dependabot's as GitHub squashes it, and let the local GitHub know what it would know."""
    base = head(source)
    _git(source, "switch", "--quiet", "--create", f"update-{number}")
    tip = _commit(source, lock, "lambdas: bump a package")
    _git(source, "switch", "--quiet", "--detach", base)
    _git(source, "merge", "--quiet", "--squash", f"update-{number}")
    _git(source, *IDENTITY, "commit", "--quiet", "--no-verify", "-m", f"lambdas: bump a package (#{number})")
    for sha in (tip, head(source)):
        hosted.tell("commits", sha=sha, pulls=[number])
    files = [{"filename": LOCK, "sha": _git(source, "rev-parse", f"HEAD:{LOCK}"), "status": "modified"}]
    merged = {"merge_commit_sha": head(source), "base": {"ref": "main", "sha": base}}
    side = {"sha": tip, "ref": f"dependabot/uv/lambdas/analysis/{number}"}
    hosted.tell("pulls", number=number, head=side, commits=[tip], files=files, **merged)
