"""Executes the bundled workflows, as they are committed, on a local cloud of the test's.

Every condition, expression and step is act's to read (tools/workflows/runner). Act cannot wait at an environment, and a
run by single jobs (`act -j`) would leave `needs` to us. So the first step of each job, which is a checkout of somebody
else's and needs a stand-in anyway, lets the job into its environment. What act does not have is done here and by the
actions that stand in for those of others (`actions/`):

- Environments: each job gets the variables that the foundation has made in the local GitHub for its environment, and
  enters it in the first step, actions/checkout: its branch must be allowed, a reviewer answers where one is asked, a
  deployment is made. A job that is refused ends as a failure and none of its steps runs.
- Roles: `configure-aws-credentials` takes the role of the job's environment and no other (`actions/assume.py`).
- Machines: each step's shell runs on its job's own machine, as far as it can tell (`machine/bash`). What a runner would
  download again for each job comes from caches, and uv makes the environment for uv itself (`machine/python3`).
- Artifacts and runs are the local GitHub's, so that the releaser finds them where it looks.

The copy of the workflows differs from them in the keys that act's schema does not know (`UNKNOWN`) and in nothing else.
No job runs beside another one. What is not there: time limits of jobs, concurrency groups, the rights of the token.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from uv import find_uv_bin

from localcloud import paths
from localcloud.engine import build
from localcloud.environment import REPOSITORY
from tests.cloud import ROOT, Cloud
from tests.unit.workflows.graph import load

UNKNOWN = ("deployment: false", "queue: max")
"""Lines with keys that act's schema rejects. It makes no deployments and knows no concurrency."""
_UNKNOWN = re.compile(rf"^ *(?:{'|'.join(UNKNOWN)})(?: *#.*)?\n", re.MULTILINE)
ACTIONS = Path(__file__).parent / "actions"
STAND_INS = {
    "actions/checkout": "checkout",
    "actions/upload-artifact": "upload-artifact",
    "actions/download-artifact": "download-artifact",
    "aws-actions/configure-aws-credentials": "configure-aws-credentials",
    "pulumi/actions": "pulumi",
}
ACTOR = "somebody"
IDENTITY = ("-c", "user.name=rehearsal", "-c", "user.email=rehearsal@localhost", "-c", "commit.gpgsign=false")
LIMIT_S = 1500
_NOT_FOR_JOBS = re.compile(
    r"AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|REGION|DEFAULT_REGION)|GITHUB_.*|PULUMI_HOME|VIRTUAL_ENV"
    r"|UV|UV_(PROJECT_ENVIRONMENT|FROZEN|LOCKED|NO_.*|PYTHON|RUN_.*)|PYTHON(PATH|DONTWRITEBYTECODE)|PYTEST_.*"
)
"""Variables of the test that no job of GitHub's has before its steps set them."""


def without_unknown_keys(text: str) -> str:
    """Return a workflow without the lines that act's schema rejects."""
    return _UNKNOWN.sub("", text)


def actions(folder: Path) -> dict[str, str]:
    """Return the folder that stands in for each action of others, by `owner/name@commit`; an unknown one has none."""
    files = [*(folder / ".github").glob("workflows/*.yml"), *(folder / ".github").glob("actions/*/action.yml")]
    used = {use for file in files for use in re.findall(r"uses: ([\w.-]+/[\w.-]+@[0-9a-f]{40})", file.read_text())}
    named = {use: STAND_INS.get(use.partition("@")[0]) for use in used}
    return {use: str(ACTIONS / name) for use, name in named.items() if name}


def engine_version() -> str:
    """Return the version of the engine that this clone is built with."""
    found = re.search(r"github\.com/pulumi/pulumi/pkg/v3 v(\S+)", (build.PULUMI.source / "go.mod").read_text())
    assert found, "tools/engine/go.mod names no version"
    return found.group(1)


def jobs(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what GitHub reads of each job and act does not, by `name of the workflow/id of the job`.

    That is its name, the file that it stands in, the file that it calls, its environment ("" where it names none),
    whether a deployment is made for it, and whether it may ask for a token that says who it is.
    """
    found = {}
    for file in (folder / ".github" / "workflows").glob("*.yml"):
        workflow = load(file)
        for key, job in workflow["jobs"].items():
            wanted = job.get("environment") or ""
            shown = {"name": wanted} if isinstance(wanted, str) else wanted
            found[f"{workflow['name']}/{key}"] = {
                "name": job.get("name", key),
                "file": file.name,
                "calls": Path(job.get("uses", "")).name,
                "environment": shown["name"],
                "deployment": bool(shown["name"]) and shown.get("deployment") is not False,
                "identity": job.get("permissions", {}).get("id-token") == "write",
            }
    return found


@dataclass
class Execution:
    """A run of a workflow, under way or ended."""

    told: dict[str, Any]
    """What the local GitHub knows of it."""
    names: dict[str, str]
    """The name of each job."""
    folder: Path
    process: subprocess.Popen[bytes]
    began: float = field(default_factory=time.monotonic)

    def wait(self) -> "Execution":
        """Wait for its end; an order that could not be executed is a failure of the test."""
        exit_code = self.process.wait(timeout=LIMIT_S)
        assert exit_code in {0, 1}, (self.folder / "errors.log").read_text()
        return self

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What act has told so far, oldest first."""
        whole = (self.folder / "told.jsonl").read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    @property
    def results(self) -> dict[str, str]:
        """How each job ended, by `name of the workflow/id of the job`."""
        return {line["job"]: line["jobResult"] for line in self.lines if "jobResult" in line}

    def ran(self, result: str = "") -> set[str]:
        """The jobs that were not skipped; with `result`, those that ended so."""
        return {job for job, how in self.results.items() if (how == result if result else how != "skipped")}

    def steps(self, job: str) -> list[tuple[str, str]]:
        """The steps of a job that ran, each with its result, without those inside actions."""
        found = [
            line
            for line in self.lines
            if line["job"] == job and line.get("stage") == "Main" and len(line.get("stepID") or ()) == 1
        ]
        return [(line["step"], line["stepResult"]) for line in found if line.get("stepResult") not in {None, "skipped"}]

    def said(self, job: str) -> str:
        """What the steps of a job have said."""
        return "\n".join(line["said"] for line in self.lines if line["job"] == job and "said" in line)

    def outputs(self, job: str) -> dict[str, str]:
        """The outputs that the steps of a job have set."""
        found = [line for line in self.lines if line["job"] == job and line.get("command") == "set-output"]
        return {line["name"]: line["arg"] for line in found}

    def notes(self, file: str) -> list[dict[str, Any]]:
        """What the stand-ins have noted: `approvals.jsonl`, `roles.jsonl`."""
        place = self.folder / file
        return [json.loads(line) for line in place.read_text().splitlines()] if place.exists() else []

    @property
    def story(self) -> str:
        """All that was said, for the one who reads why a test failed."""
        return "\n".join(f"{line['job']}: {line.get('said') or line}" for line in self.lines)


@dataclass
class Hosted:
    """The repository on the local GitHub: a clone that plays it, whose workflows runs execute."""

    cloud: Cloud
    home: Path
    _numbers: list[int] = field(default_factory=lambda: [100])

    @property
    def origin(self) -> Path:
        """The clone that jobs fetch from."""
        return self.home / "origin"

    def github(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask the local GitHub, with a token that may ask for everything; anything but success is an error."""
        address = path if "://" in path else self.cloud.variables["GITHUB_BASE_URL"] + path
        headers = {"Authorization": "Bearer of-the-test"}
        return httpx.request(method, address, headers=headers, timeout=60, **options).raise_for_status()

    @property
    def api(self) -> str:
        """Address of the API, below the repository."""
        return f"{self.cloud.variables['GITHUB_API_URL']}/repos/{REPOSITORY}"

    def variables_of(self, environment: str) -> dict[str, str]:
        """Return the variables of an environment as the foundation has made them."""
        answer = self.github("GET", f"{self.api}/environments/{environment}/variables", params={"per_page": "100"})
        return {one["name"]: one["value"] for one in answer.json()["variables"]}

    def push(self, source: Path, branch: str = "main") -> str:
        """Put the commit that is checked out in `source` on a branch, and return it."""
        if not self.origin.exists():
            self._git(self.home, "init", "--quiet", "--bare", "--initial-branch", "main", str(self.origin))
            self._git(self.origin, "config", "uploadpack.allowAnySHA1InWant", "true")
        self._git(source, "push", "--quiet", "--force", str(self.origin), f"HEAD:refs/heads/{branch}")
        return self._git(source, "rev-parse", "HEAD")

    def start(
        self,
        workflow: str,
        event: str,
        payload: Mapping[str, Any],
        sha: str,
        answers: Mapping[str, str],
        *,
        branch: str = "main",
        head: str = "",
        ref: str = "",
        **settings: str,
    ) -> Execution:
        """Start a run of a workflow as the commit `sha` has it.

        Args:
            workflow: File name of the workflow.
            event: Name of the event that starts it.
            payload: What GitHub tells with the event.
            sha: The commit.
            answers: What a reviewer answers, by environment: `approved`, or anything else.
            branch: The branch that the run is of.
            head: The newest commit of a pull request, which `sha` has merged.
            ref: What is checked out, where it is not the branch: the merge of a pull request.
            settings: Variables for every step.
        """
        self._numbers.append(number := self._numbers[-1] + 1)
        folder = self.home / f"run-{number}"
        copy = folder / "copy"
        self._git(self.home, "clone", "--quiet", str(self.origin), str(copy))
        self._git(copy, "checkout", "--quiet", "--detach", sha)
        known = jobs(copy)
        for file in (copy / ".github" / "workflows").glob("*.yml"):
            file.write_text(without_unknown_keys(file.read_text()))
        run = {"id": number, "head_sha": head or sha, "workflow": workflow, "event": event, "head_branch": branch}
        self.tell("runs", **run, status="in_progress")
        told = {
            "run": run,
            "origin": str(self.origin),
            "api": self.api,
            "github": self.cloud.variables["GITHUB_BASE_URL"].rstrip("/"),
            "jobs": known,
            "answers": dict(answers),
            "pulumi": {
                "version": engine_version(),
                "bin": str(paths.BIN),
                "plugins": str(paths.PULUMI_HOME / "plugins"),
            },
        }
        (folder / "run.json").write_text(json.dumps(told))
        (folder / "event.json").write_text(json.dumps(payload))
        order = {
            "folder": str(copy),
            "workflow": workflow,
            "event": event,
            "payload": str(folder / "event.json"),
            "jobs": str(folder / "jobs"),
            "variables": {
                job: self.variables_of(one["environment"]) for job, one in known.items() if one["environment"]
            },
            "actions": actions(copy),
            "actor": ACTOR,
            "runs_on": "ubuntu-24.04",
            "environment": {
                "GITHUB_RUN_ID": str(number),
                "GITHUB_RUN_ATTEMPT": "1",
                "GITHUB_REPOSITORY": REPOSITORY,
                "GITHUB_REPOSITORY_OWNER": REPOSITORY.partition("/")[0],
                "GITHUB_REF": ref or f"refs/heads/{branch}",
                "GITHUB_REF_NAME": (ref or branch).removeprefix("refs/"),
                "SHA_REF": sha,
                "GITHUB_API_URL": self.cloud.variables["GITHUB_API_URL"],
            },
        }
        callers = {one["calls"]: one["name"] for one in known.values() if one["file"] == workflow and one["calls"]}
        names = {
            job: f"{callers[one['file']]} / {one['name']}" if one["file"] in callers else one["name"]
            for job, one in known.items()
        }
        return Execution(run, names, folder, self._started(folder, order, settings))

    def _started(self, folder: Path, order: dict[str, Any], settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
        machine = self.home / "machine"
        own = str(ROOT)
        path = [one for one in os.environ["PATH"].split(os.pathsep) if not one.startswith(own)]
        kept = {name: value for name, value in self.cloud.variables.items() if not _NOT_FOR_JOBS.fullmatch(name)}
        ours = {
            "PATH": os.pathsep.join([str(Path(__file__).parent / "machine"), *path]),
            "EXECUTED_RUN": str(folder),
            "EXECUTED_MACHINE": str(machine),
            "EXECUTED_ACTIONS": str(ACTIONS),
            "EXECUTED_PYTHON": sys.executable,
            "EXECUTED_BASE_PYTHON": str(Path(sys.base_prefix, "bin", "python3.11")),
            "EXECUTED_UV": find_uv_bin(),
            "GITHUB_TOKEN": self.cloud.variables["GITHUB_TOKEN"],
            # What a job would download anew each time.
            "UV_CACHE_DIR": _uv_cache(),
            "PIP_CACHE_DIR": str(self.home / "pip"),
            # A new environment of Python compiles all its modules, where a runner of GitHub's has more than one core.
            "PYTHONPYCACHEPREFIX": str(self.home / "compiled"),
        }
        order_file = folder / "order.json"
        order_file.write_text(json.dumps(order))
        runner = build.built(build.WORKFLOW_RUNNER, print)
        with (
            order_file.open() as given,
            (folder / "told.jsonl").open("w") as told,
            (folder / "errors.log").open("w") as errors,
        ):
            return subprocess.Popen(
                [runner], stdin=given, stdout=told, stderr=errors, env=kept | ours | settings, start_new_session=True
            )

    def ended(self, execution: Execution) -> Execution:
        """Wait for the end of a run, and tell the local GitHub of its jobs as they end."""
        self.until(execution, lambda: execution.process.poll() is not None)
        execution.wait()
        conclusion = "failure" if "failure" in execution.results.values() else "success"
        self._tell_progress(execution, "completed", conclusion)
        return execution

    def until(self, execution: Execution, condition: Callable[[], bool]) -> None:
        """Wait until something is true or the run has ended, and tell the local GitHub of its jobs as they end."""
        known: dict[str, str] = {}
        while not condition() and execution.process.poll() is None:
            assert time.monotonic() - execution.began < LIMIT_S, execution.story[-6000:]
            if (found := execution.results) != known:
                known = found
                self._tell_progress(execution, "in_progress", None)
            time.sleep(0.2)

    def _tell_progress(self, execution: Execution, status: str, conclusion: str | None) -> None:
        ended = [{"name": execution.names[job], "conclusion": how} for job, how in execution.results.items()]
        answers = [
            {"state": note["answer"], "comment": "", "user": note["reviewers"][0]}
            for note in execution.notes("approvals.jsonl")
            if note["reviewers"]
        ]
        progress = {"status": status, "conclusion": conclusion, "jobs": ended, "approvals": answers}
        self.tell("runs", **execution.told, **progress)

    def merge(self, sha: str, answers: Mapping[str, str], **settings: str) -> Execution:
        """Start what a merge to main starts: build-and-promote.yml for the commit."""
        payload = {"ref": "refs/heads/main", "after": sha, "repository": {"default_branch": "main"}}
        return self.start("build-and-promote.yml", "push", payload, sha, answers, **settings)

    def tell(self, what: str, **seed: Any) -> None:
        """Tell the local GitHub of a run, a commit or a pull request: nothing there reads the clone."""
        self.github("PUT", f"_localcloud/{what}", json=seed)

    def fetch_published(self, branch: str) -> None:
        """Bring a branch that jobs wrote over the API into the clone that jobs fetch from: on GitHub both are one."""
        files = self.github("GET", f"_localcloud/branches/{branch}/files").json()
        source = self.home / f"published-{branch}"
        shutil.rmtree(source, ignore_errors=True)
        self._git(self.home, "init", "--quiet", str(source))
        for name, text in files.items():
            (source / name).write_text(text)
        self._git(source, "add", "--all")
        self._git(source, *IDENTITY, "commit", "--quiet", "--no-verify", "-m", "copies")
        self.push(source, branch)

    def _git(self, folder: Path, *words: str) -> str:
        done = subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, text=True)
        return done.stdout.strip()


def _uv_cache() -> str:
    return subprocess.run([find_uv_bin(), "cache", "dir"], check=True, capture_output=True, text=True).stdout.strip()
