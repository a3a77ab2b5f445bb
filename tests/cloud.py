"""A local cloud of a test's own, reached only through the commands that a person would type."""

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
from botocore.config import Config

from localcloud import habits
from localcloud.iam.switch import VARIABLE as ENFORCED
from localcloud.news.plan import VARIABLE as NEWS_REQUESTS
from tests.ci_jobs import credentials, github_environment

ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / ".venv" / "bin"
SERVICE_STACKS = ("preprod", "prod")
CLOCK = "x60"


def get(url: str, **options: Any) -> httpx.Response:
    """GET a function's URL; again, for a minute, while the account runs too much at once (429)."""
    until = time.monotonic() + 60
    while (answer := httpx.get(url, timeout=10, **options)).status_code == 429 and time.monotonic() < until:
        time.sleep(0.2)
    return answer


@dataclass(frozen=True)
class Ran:
    """What one command did."""

    exit_code: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        return json.loads(self.stdout)


@dataclass(frozen=True)
class Cloud:
    """A running local cloud; `variables` point a command at it."""

    home: Path
    variables: dict[str, str]

    @classmethod
    def start(cls, home: Path, **settings: str) -> "Cloud":
        # A busy machine answers late; what a late answer leads to is tested where the clock is not the machine's.
        # Lambda ends a function after 30 s: no answer that it gives is late.
        patient = {"RELEASE_ANSWER_LIMIT_S": "30"}
        # One cloud sees more releases in a few minutes than the plan of a news key has requests for.
        many = {NEWS_REQUESTS: "unlimited"}
        # Nothing bakes while the next release of the same cloud begins, but where a test asks for it.
        quick = {"RELEASE_BAKE_S": "0"}
        own = {"LOCALCLOUD_HOME": str(home), "LOCALCLOUD_CLOCK": CLOCK} | patient | many | quick | settings
        base = {habits.VARIABLE: habits.REHEARSED} | os.environ | own
        for command in (["setup"], ["start"]):
            subprocess.run([BIN / "localcloud", *command], env=base, check=True, capture_output=True)
        answer = subprocess.run(
            [BIN / "localcloud", "env", "--json"], env=base, check=True, capture_output=True, text=True
        )
        return cls(home=home, variables=base | json.loads(answer.stdout))

    def stop(self) -> None:
        subprocess.run([BIN / "localcloud", "stop"], env=self.variables, check=True, capture_output=True)

    def run(self, *command: str, folder: Path = ROOT, expected: int | None = 0, **variables: str) -> Ran:
        """Run a command; fail with all that it said when its exit code is another one.

        Where identities are enforced, a command of CI gets the credentials of the role that its job takes.
        """
        variables = {**self.as_in_ci(command), **variables}
        process = subprocess.run(
            command, cwd=folder, env=self.variables | variables, capture_output=True, text=True, check=False
        )
        if expected is not None and process.returncode != expected:
            raise AssertionError(
                f"{' '.join(command)} ended with {process.returncode}, not {expected}\n"
                f"{process.stdout}\n{process.stderr}"
            )
        return Ran(process.returncode, process.stdout, process.stderr)

    def as_in_ci(self, command: Sequence[str]) -> Mapping[str, str]:
        """Variables with the credentials of a command's job; none for a person's, and where nothing is enforced."""
        environment = github_environment(command)
        return self.role(environment) if environment and self.variables.get(ENFORCED) == "1" else {}

    def role(self, environment: str) -> Mapping[str, str]:
        """Variables with the credentials that a job of this GitHub environment gets for its token."""
        github = self.variables["GITHUB_API_URL"].removesuffix("/api/v3")
        return credentials(self.variables["AWS_ENDPOINT_URL"], github, environment)

    def denials(self) -> list[dict[str, str]]:
        """What roles were denied so far, in order."""
        return self.run("localcloud", "denials", "--json").json()["denials"]

    def client(self, service: str) -> Any:
        """A client with an administrator's rights, which is patient with an account that runs too much at once."""
        return boto3.client(
            service,
            endpoint_url=self.variables.get(f"AWS_ENDPOINT_URL_{service.upper()}")
            or self.variables["AWS_ENDPOINT_URL"],
            aws_access_key_id="administrator",
            aws_secret_access_key="administrator",
            region_name="us-east-1",
            config=Config(retries={"mode": "standard", "total_max_attempts": 12}),
        )

    def foundations(self) -> None:
        commands = [
            ("pulumi", "up", "--yes", "--skip-preview", "--stack", f"{stack}-foundation") for stack in SERVICE_STACKS
        ]
        with ThreadPoolExecutor() as both:
            list(both.map(lambda command: self.run(*command), commands))
        self.run("localcloud", "fill-secrets")

    def approved(self, digest: str, source: Path, file: Path) -> tuple[str, ...]:
        """The options of a promotion that is bound to the plan of now, as the workflow passes them."""
        plan = ("release", "plan", "--stack", "prod", "--digest", digest, "--out", str(file), "--json")
        return "--approval", self.run(*plan, folder=source).json()["approval"], "--plan", str(file)

    def assert_unchanged(self, stack: str) -> None:
        self.run("pulumi", "preview", "--refresh", "--expect-no-changes", "--stack", stack)

    def to_preprod(self, sha: str, source: Path, target: Path) -> str:
        """Build a commit, deploy it to preprod, test it there; return the manifest digest."""
        self.run("release", "build", "--sha", sha, "--out", str(target), folder=source)
        deployed = self.run(
            "release", "deploy", "--stack", "preprod", "--build", str(target), "--json", folder=source
        ).json()
        digest = deployed["manifest"]
        # In two halves, as the workflow does: the tests run as one identity, and another one believes their report.
        validate = ("release", "validate", "--stack", "preprod", "--digest", digest, "--junit", f"{target}.xml")
        self.run(*validate, "--no-record", folder=source)
        self.run(*validate, folder=source)
        return digest
