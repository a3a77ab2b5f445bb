"""A preview by the real engine in a throw-away state: no credentials, no cloud, and nothing of it stays.

The state lies in a file backend of its own, in the format of the engine (pkg/backend/diy). The engine and its providers
get an environment from which every credential is taken out; where providers have to ask somebody, `answers` answers.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from components.environment import FOUNDATION, SERVICE
from components.naming import ENVIRONMENTS, PROJECT
from release import yaml_file
from release.errors import ReleaseError
from release.preview.answers import AnswerServer
from release.pulumi import engine
from release.pulumi.stack import parsed, preview_errors
from release.uv_settings import for_the_engine, path_with_uv, sources_only

_CREDENTIALS: Final = re.compile(r"NETRC|.*(TOKEN|SECRET|PASSWORD|PASSPHRASE).*")
_PLUGINS: Final = "PULUMI_HOME"
_LAST_WORDS: Final = 12


@dataclass(frozen=True, slots=True)
class Previewed:
    """The engine's document, and the names of the people whom the program looked up, by the ids that it was given."""

    document: dict[str, Any]
    people: dict[str, str]


def preview(program: Path, stack: str, config: Mapping[str, Any], deployment: Mapping[str, Any]) -> Previewed:
    """Preview `stack` by the program in a folder, whose `.venv` is the program's environment.

    `config` has every value of the stack file by its full key. The state to compare with holds no secrets (`deployment`
    of `pulumi stack export`).

    Raises:
        ReleaseError: The engine is missing, or could not preview this program.
    """
    account = str((config.get("aws:allowedAccountIds") or [""])[0])
    unprotected, protected = _without_protection(deployment)
    with AnswerServer(account).running() as answers:
        variables = _environment(os.environ, stack, config, answers.url)
        done = _in_throw_away_backend(program, stack, config, unprotected, variables)
        document = parsed(done.stdout)
        if answers.denied or done.returncode or not document.get("steps"):
            raise ReleaseError(
                f"stack {stack} cannot be previewed",
                why=_why(document, done.stderr, answers.denied),
                next_step=f"correct the program or Pulumi.{stack}.yaml, then: release preview --stack {stack}",
            )
        for step in document["steps"]:
            if step.get("oldState") and step["urn"] in protected:
                step["oldState"]["protect"] = True
        return Previewed(document, dict(answers.people))


def refreshed(program: Path, stack: str, config: Mapping[str, Any], deployment: Mapping[str, Any]) -> dict[str, Any]:
    """Compare the cloud as it is now with the program: the engine's document, with the credentials of this process.

    Args are those of `preview`. The cloud is read and nothing is changed; the state lies in a throw-away backend.

    Raises:
        ReleaseError: The engine is missing, or something could not be read: then nobody knows what differs.
    """
    variables = {
        **for_the_engine(os.environ),
        **(SERVICE if stack in ENVIRONMENTS else FOUNDATION),
        "PATH": path_with_uv(os.environ),
    }
    unprotected, _ = _without_protection(deployment)
    done = _in_throw_away_backend(program, stack, config, unprotected, variables, "--refresh")
    document = parsed(done.stdout)
    if done.returncode or preview_errors(document) or not document.get("steps"):
        raise ReleaseError(
            f"AWS cannot be compared with stack {stack}",
            why=_why(document, done.stderr, []),
            next_step="see what could not be read, and by whom",
        )
    return document


def _in_throw_away_backend(
    program: Path,
    stack: str,
    config: Mapping[str, Any],
    deployment: Mapping[str, Any],
    variables: Mapping[str, str],
    *flags: str,
) -> subprocess.CompletedProcess[str]:
    """Run the engine's preview on a state and a stack file that are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="preview-") as name:
        scratch = Path(name)
        _write_state(scratch / "state" / ".pulumi", stack, deployment)
        stack_file = scratch / f"Pulumi.{stack}.yaml"
        stack_file.write_text(yaml_file.write({"config": dict(config)}), encoding="utf-8")
        words = ["preview", "--json", "--show-sames", *flags, "--stack", stack, "--config-file", str(stack_file)]
        backend = {
            "PULUMI_BACKEND_URL": f"file://{scratch}/state",
            "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
            "PULUMI_CONFIG_PASSPHRASE": "",  # there is nothing that it could open
        }
        return engine.run(words, program, {**variables, **backend})


def _without_protection(deployment: Mapping[str, Any]) -> tuple[dict[str, Any], frozenset[str]]:
    """A state in which nothing is protected, and the URNs of what was: the engine plans no step that would touch it."""
    resources = deployment.get("resources") or []
    protected = frozenset(str(one["urn"]) for one in resources if one.get("protect"))
    return {**deployment, "resources": [{**one, "protect": False} for one in resources]}, protected


def _write_state(home: Path, stack: str, deployment: Mapping[str, Any]) -> None:
    (home / "stacks" / PROJECT).mkdir(parents=True)
    (home / "meta.yaml").write_text("version: 1\n", encoding="utf-8")
    checkpoint = {"stack": f"organization/{PROJECT}/{stack}", "latest": dict(deployment)}
    text = json.dumps({"version": 3, "checkpoint": checkpoint})
    (home / "stacks" / PROJECT / f"{stack}.json").write_text(text, encoding="utf-8")


def _environment(environment: Mapping[str, str], stack: str, config: Mapping[str, Any], answers: str) -> dict[str, str]:
    """The variables of a preview: no credential of whoever runs it, and everything that asks is sent to `answers`."""
    kept = {name: value for name, value in sources_only(environment).items() if not _CREDENTIALS.fullmatch(name)}
    kept |= {_PLUGINS: environment[_PLUGINS]} if _PLUGINS in environment else {}
    repository = str(config.get(f"{PROJECT}:githubRepository", ""))
    direct = ",".join(dict.fromkeys([*filter(None, kept.get("no_proxy", "").split(",")), "127.0.0.1", "localhost"]))
    return {
        **kept,
        **(SERVICE if stack in ENVIRONMENTS else FOUNDATION),
        "NO_PROXY": direct,
        "no_proxy": direct,
        "AWS_ACCESS_KEY_ID": "preview",
        "AWS_SECRET_ACCESS_KEY": "preview",
        "AWS_REGION": str(config.get("aws:region", "")),
        "AWS_ENDPOINT_URL": answers,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "GITHUB_BASE_URL": f"{answers}/",
        "GITHUB_OWNER": repository.partition("/")[0],
        "PATH": path_with_uv(kept),
    }


def _why(document: Mapping[str, Any], stderr: str, denied: list[str]) -> str:
    said = [line for text in preview_errors(document) or [stderr] for line in text.splitlines()]
    said = [line.strip() for line in said if line.strip() and not line.startswith((" ", "Traceback"))]
    asked = [f"asked {question}, which a preview without credentials cannot" for question in dict.fromkeys(denied)]
    return "; ".join([*asked, *said[-_LAST_WORDS:]])[:2000] or "the engine gave no reason"
