"""Releases on the real engine that die where a test says, and what must be true of production afterwards."""

import json
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from components.naming import names
from localcloud.rehearsal.broken_releases import changed_clone
from tests.cloud import Cloud, get

BUCKET = names("prod").bucket
DASHBOARD = names("prod").function("dashboard").function
ORDER = ["LEASED", "ARMED", "DEPLOYING", "DARK", "CANARY", "LIVE", "ROLLING_BACK"]
ENDS = {"CONFIRMED", "ROLLED_BACK"}
PATIENCE_S = 120
REASON = ("--reason", "a rehearsal")
# A deadline some seconds after the watches: schedules are waited for in real time.
HASTE = {"RELEASE_STEP_WORK_S": "10"}
# For tests in which the schedules are not to come first, however slow the machine is.
PATIENT = HASTE | {"RELEASE_STEP_WORK_S": "900"}


def sound_clone(repository: Path, target: Path) -> str:
    """Another sound release: a commit with one more comment; return the commit."""
    return changed_clone(repository, target, "dashboard", "\n# another sound release\n", "Say more")


def on_host(name: str, *command: str) -> list[str]:
    """The command on a machine of its own, as far as it can tell: with another host name, and started another time."""
    booted = "/proc/sys/kernel/random/boot_id"
    other = (
        f'hostname "$0" && cat /proc/sys/kernel/random/uuid > "$1" && mount --bind "$1" {booted} && shift && exec "$@"'
    )
    boot_id = Path(tempfile.mkdtemp()) / "boot_id"
    return ["unshare", "--uts", "--mount", "sh", "-c", other, name, str(boot_id), *command]


def job(number: int, name: str, attempt: int = 1) -> dict[str, str]:
    """The variables of a job of a CI run."""
    return {"GITHUB_RUN_ID": str(number), "GITHUB_RUN_ATTEMPT": str(attempt), "GITHUB_JOB": name}


@dataclass
class Stage:
    """Production with a confirmed release (`stable`), and releases that preprod offers."""

    cloud: Cloud
    stable: str
    """Manifest digest of the confirmed release."""
    windows: Mapping[str, str] = field(default_factory=lambda: HASTE)

    @cached_property
    def s3(self) -> Any:
        return self.cloud.client("s3")

    @cached_property
    def functions(self) -> Any:
        return self.cloud.client("lambda")

    @cached_property
    def scheduler(self) -> Any:
        return self.cloud.client("scheduler")

    def view(self) -> dict[str, Any]:
        return json.loads(self.s3.get_object(Bucket=BUCKET, Key="ledger/head.json")["Body"].read())["view"]

    def weights(self) -> dict[str, float]:
        alias = self.functions.get_alias(FunctionName=DASHBOARD, Name="live")
        return (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}

    def schedules(self) -> list[str]:
        found = self.scheduler.list_schedules(NamePrefix="prod-sentiment")["Schedules"]
        return [schedule["Name"] for schedule in found if schedule["Name"].endswith(".safety")]

    def promote(self, digest: str, source: Path, host: str = "", **settings: str) -> subprocess.Popen:
        """Start a promotion with the stage's windows, or by `settings`; what it says goes to a file beside the source.

        With `host` it runs on a machine of its own.
        """
        words = ["release", "promote", "--stack", "prod", "--digest", digest, "--despite-rollbacks", "a rehearsal"]
        with (source.parent / "promote.log").open("a") as log:
            return subprocess.Popen(
                on_host(host, *words) if host else words,
                cwd=source,
                env=self.cloud.variables | dict(self.cloud.as_in_ci(words)) | self.windows | settings,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def until(self, condition, what: str, process: subprocess.Popen | None = None) -> None:
        """Wait for something to become true; fail when the process ends first."""
        began = time.monotonic()
        while not condition():
            assert process is None or process.poll() is None, f"the run ended before {what}"
            assert time.monotonic() - began < PATIENCE_S, f"{what}: not within {PATIENCE_S} s"
            time.sleep(0.05)

    def reached(self, digest: str, state: str) -> bool:
        """Whether a release is under way and in this state or a later one: some last only milliseconds."""
        attempt = self.view()["attempt"]
        if not attempt or attempt["release"]["digest"] != digest:
            return False
        return ORDER.index(attempt["state"]) >= ORDER.index(state)

    def in_state(self, digest: str, state: str) -> bool:
        attempt = self.view()["attempt"]
        return bool(attempt) and (attempt["release"]["digest"], attempt["state"]) == (digest, state)

    def run(self, *command: str, **options: Any) -> Any:
        return self.cloud.run("release", *command, "--stack", "prod", **options)

    def settled(self) -> str:
        """Assert that production rests, proven, on its confirmed release; return the release's digest."""
        status = self.run("status", "--json").json()
        assert status["state"] in ENDS, status["state"]
        assert status["under_way"] is None
        assert status["lease"] is None
        assert status["as_recorded"], status["functions"]
        assert self.schedules() == []
        confirmed = status["confirmed"]["manifest"]
        answer = get(status["confirmed"]["dashboard_url"].rstrip("/") + "/health")
        assert (answer.status_code, answer.json()["digest"]) == (200, confirmed)
        self.run("history", "--verify")
        self.cloud.assert_unchanged("prod")
        return confirmed

    def begin_again(self, digest: str) -> None:
        """Back to the stable release, with `digest` free to be promoted once more."""
        if self.view()["confirmed"]["release"]["digest"] != self.stable:
            self.run("rollback", "--to", self.stable, *REASON)
        if digest in self.view()["blocked"]:
            self.run("unblock", digest, *REASON)


def kill(process: subprocess.Popen) -> None:
    """SIGKILL a run with everything that it has started, the engine included, which leads a session of its own."""
    with suppress(psutil.NoSuchProcess):
        run = psutil.Process(process.pid)
        family = [run, *run.children(recursive=True)]
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(family, timeout=30)
    process.wait()
