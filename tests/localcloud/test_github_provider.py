"""The real GitHub provider plugin, through the real engine, against the local GitHub."""

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from components.environment import FOUNDATION
from tests.localcloud.parts import ROOT, running_part

ENGINE = ROOT / ".localcloud" / "engine"
PLUGINS = [ENGINE / "pulumi-resource-github", ENGINE / "github-plugin" / "pulumi-resource-github"]
PROGRAM = """
import json
import os

import pulumi
import pulumi_github as github

wanted = json.loads(os.environ["WANTED"])
common = {"repository": "sentiment-pipeline"}
reviewer = github.get_user(username="traylorre")
environment = github.RepositoryEnvironment(
    "production",
    environment="production",
    reviewers=[{"users": [int(reviewer.id)]}] if wanted["reviewed"] else None,
    prevent_self_review=wanted["reviewed"],
    can_admins_bypass=False,
    wait_timer=wanted["wait_timer"],
    deployment_branch_policy={"protected_branches": False, "custom_branch_policies": True},
    **common,
)
common["environment"] = environment.environment
github.RepositoryEnvironmentDeploymentPolicy("branch", branch_pattern=wanted["branch"], **common)
github.ActionsEnvironmentSecret("secret", secret_name="KEY_ARN", plaintext_value=wanted["secret"], **common)
github.ActionsEnvironmentVariable("variable", variable_name="AWS_REGION", value=wanted["variable"], **common)
"""
FIRST = {"reviewed": True, "wait_timer": 0, "branch": "main", "secret": "first secret", "variable": "us-east-1"}
SECOND = FIRST | {"wait_timer": 7, "branch": "release/*", "secret": "second secret", "variable": "eu-west-1"}

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def github(tmp_path_factory):
    with running_part("github", tmp_path_factory.mktemp("github") / "github.log") as url:
        yield url


@pytest.fixture(scope="module")
def pulumi(github, tmp_path_factory):
    """Run the engine on a project of its own, with the plugin in a Pulumi home of its own."""
    plugin = next((path for path in PLUGINS if path.exists()), None)
    if plugin is None:
        pytest.skip(f"the GitHub provider is not built: none of {[str(one.relative_to(ROOT)) for one in PLUGINS]}")
    folder = tmp_path_factory.mktemp("project")
    (folder / "plugin").mkdir()
    shutil.copy2(plugin, folder / "plugin" / "pulumi-resource-github")
    (folder / "state").mkdir()
    (folder / "Pulumi.yaml").write_text(
        "name: probe\nruntime: {name: python, options: {toolchain: uv, virtualenv: .venv}}\n"
    )
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, folder)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    (folder / "__main__.py").write_text(PROGRAM)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "PULUMI_"))}
    environment = inherited | {
        "PATH": os.pathsep.join([str(ENGINE), str(Path(sys.executable).parent), os.environ["PATH"]]),
        **FOUNDATION,
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "made-up",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "GITHUB_TOKEN": "made-up",
        "GITHUB_OWNER": "local",
        "GITHUB_BASE_URL": f"{github}/",
    }
    cli = shutil.which("pulumi", path=environment["PATH"])

    def run(*arguments, wanted=FIRST):
        result = subprocess.run(
            [cli, *arguments, "--non-interactive"],
            cwd=folder,
            env=environment | {"WANTED": json.dumps(wanted)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, f"{arguments}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    plugin_version = f"v{version('pulumi-github')}"
    run("plugin", "install", "resource", "github", plugin_version, "--file", str(folder / "plugin"))
    run("stack", "init", "probe")
    # The provider waits a second after each write, out of respect for the real GitHub.
    run("config", "set", "github:writeDelayMs", "1")
    return run


def test_the_real_provider_makes_reads_changes_and_deletes_an_environment(github, pulumi):
    api = httpx.Client(base_url=f"{github}/api/v3/repos/local/sentiment-pipeline", headers={"Authorization": "token x"})
    environment = "/environments/production"
    question = {"environment": "production", "name": "KEY_ARN"}

    def holds(secret):
        return httpx.post(f"{github}/_localcloud/secrets/check", json=question | {"value": secret}).json()["equal"]

    def branches():
        return [one["name"] for one in api.get(f"{environment}/deployment-branch-policies").json()["branch_policies"]]

    def rules():
        return {one["type"]: one for one in api.get(environment).json()["protection_rules"]}

    with api:
        pulumi("up", "--yes", "--skip-preview")
        assert rules()["required_reviewers"]["prevent_self_review"] is True
        assert rules()["required_reviewers"]["reviewers"][0]["reviewer"]["login"] == "traylorre"
        assert api.get(environment).json()["can_admins_bypass"] is False
        assert branches() == ["main"]
        assert holds("first secret")
        assert api.get(f"{environment}/variables/AWS_REGION").json()["value"] == "us-east-1"

        pulumi("preview", "--refresh", "--expect-no-changes")

        pulumi("up", "--yes", "--skip-preview", wanted=SECOND)
        assert rules()["wait_timer"]["wait_timer"] == 7
        assert branches() == ["release/*"]
        assert holds("second secret")
        assert api.get(f"{environment}/variables/AWS_REGION").json()["value"] == "eu-west-1"

        # What somebody deletes by hand is made again.
        api.delete(f"{environment}/variables/AWS_REGION")
        pulumi("up", "--yes", "--skip-preview", "--refresh", wanted=SECOND)
        assert api.get(f"{environment}/variables/AWS_REGION").json()["value"] == "eu-west-1"
        pulumi("preview", "--refresh", "--expect-no-changes", wanted=SECOND)

        pulumi("destroy", "--yes", "--skip-preview")
        assert api.get(environment).status_code == 404
