"""The real engine against a local cloud, with small packages made at run time."""

import base64
import hashlib
import io
import json
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from components.naming import names
from components.service.functions import KEYS
from tests.cloud import ROOT, Cloud, Ran
from tests.stacks import STACK_FILES, copy_to

STACK = "preprod"

HANDLER = """
import json
import os

TEXT = {text!r}
BROKEN = {broken!r}


def handle(event, context):
    path = event.get("rawPath")
    if path and BROKEN:
        raise RuntimeError("broken on purpose")
    if path == "/health":
        named = {{"release": os.environ["RELEASE_SHA"], "digest": os.environ["RELEASE_DIGEST"]}}
        return {{"statusCode": 200, "body": json.dumps({{"status": "ok"}} | named)}}
    return {{"statusCode": 200, "body": TEXT + " " + os.environ["RELEASE_SHA"] + " " + context.function_version}}
"""


def program_copy(target: Path) -> Path:
    """Copy the program, and nothing else, into a new folder, for a test to change; it runs with our packages."""
    copy_to(target)
    for name in ("__main__.py", "pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, target)
    (target / ".venv").symlink_to(ROOT / ".venv")
    shutil.copytree(ROOT / "components", target / "components", ignore=shutil.ignore_patterns("__pycache__"))
    return target


@dataclass
class Service:
    """The service stack of preprod, moved by hand-overs as the releaser makes them."""

    cloud: Cloud
    scratch: Path
    releases: dict[str, dict] = field(default_factory=dict)

    def release(self, name: str, *, broken: bool = False) -> dict:
        """Upload packages of a release and return it as a hand-over names it; a broken one fails behind a URL."""
        if name in self.releases:
            return self.releases[name]
        sha = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
        digest = hashlib.sha256(name.encode()).hexdigest()
        functions = {}
        for function in KEYS:
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                archive.writestr("handler.py", HANDLER.format(text=f"{function} {name}", broken=broken))
            key = f"promotions/{digest}/{function}-{sha}.zip"
            put = self.cloud.client("s3").put_object(
                Bucket=names(STACK).bucket, Key=key, Body=buffer.getvalue(), IfNoneMatch="*"
            )
            functions[function] = {
                "bucket": names(STACK).bucket,
                "key": key,
                "version_id": put["VersionId"],
                "code_sha256": base64.b64encode(hashlib.sha256(buffer.getvalue()).digest()).decode(),
                "handler": "handler.handle",
            }
        self.releases[name] = {"sha": sha, "manifest": digest, "functions": functions}
        return self.releases[name]

    def hand_over(self, release: dict, *, traffic: int, stable: dict | None = None, confirmed: bool = False) -> dict:
        return {
            "sentiment-pipeline:release": json.dumps(
                {"release": release, "stable": stable or {}, "traffic": traffic, "confirmed": confirmed}
            )
        }

    def config_file(self, values: dict) -> Path:
        tracked = yaml.safe_load((STACK_FILES / f"Pulumi.{STACK}.yaml").read_text())
        tracked["config"] |= values
        file = self.scratch / "config.yaml"
        file.write_text(yaml.safe_dump(tracked))
        return file

    def command(self, *words: str, values: dict | None = None) -> list[str]:
        extra = ["--config-file", str(self.config_file(values))] if values is not None else []
        return ["pulumi", *words, "--non-interactive", "--stack", STACK, *extra]

    def up(
        self, values: dict | None = None, *, folder: Path = ROOT, expected: int | None = 0, refresh: bool = False
    ) -> Ran:
        words = ["up", "--yes", "--skip-preview", *(["--refresh"] if refresh else [])]
        return self.cloud.run(*self.command(*words, values=values), folder=folder, expected=expected)

    def serving(self) -> dict[str, str]:
        """Return what the live alias of each function answers."""
        lambdas = self.cloud.client("lambda")
        return {
            function: json.load(
                lambdas.invoke(FunctionName=names(STACK).function(function).function, Qualifier="live")["Payload"]
            )["body"]
            for function in KEYS
        }

    def versions(self, alias: str) -> dict[str, str]:
        lambdas = self.cloud.client("lambda")
        answers = {
            function: lambdas.get_alias(FunctionName=names(STACK).function(function).function, Name=alias)
            for function in KEYS
        }
        assert not any(answer.get("RoutingConfig") for answer in answers.values()), answers
        return {function: answer["FunctionVersion"] for function, answer in answers.items()}

    def weights(self, function: str) -> dict[str, float]:
        """Share of the calls of live by version, beside the version that live names."""
        alias = self.cloud.client("lambda").get_alias(
            FunctionName=names(STACK).function(function).function, Name="live"
        )
        return (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights", {})

    def record(self) -> dict:
        outputs = self.cloud.run("pulumi", "stack", "output", "--json", "--stack", STACK).json()
        return {"release": outputs.get("release"), "stable": outputs.get("stable")}


@pytest.fixture(scope="session")
def cloud(tmp_path_factory):
    running = Cloud.start(tmp_path_factory.mktemp("cloud"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def foundation(cloud):
    cloud.run("pulumi", "up", "--yes", "--skip-preview", "--stack", f"{STACK}-foundation")


@pytest.fixture(scope="session")
def service(cloud, foundation, tmp_path_factory):
    """A stack whose release `first` is confirmed and serves."""
    made = Service(cloud=cloud, scratch=tmp_path_factory.mktemp("service"))
    made.up(made.hand_over(made.release("first"), traffic=100, confirmed=True))
    return made
