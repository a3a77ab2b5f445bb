"""The bootstrap with the real engine and its own key provider, in a clone as a person has it."""

import json
import os
import secrets
import subprocess

import httpx
import pytest
import yaml

from components.naming import names
from localcloud import paths
from localcloud.engine import build
from release.configuration import OVERLAY
from tests.cloud import Cloud
from tests.engine.conftest import STACK, program_copy

OWN = names(STACK)
FOUNDATION = f"{STACK}-foundation"


@pytest.fixture
def account(tmp_path_factory):
    """A cloud of its own: the other tests' stacks are sealed with the passphrase of the local cloud."""
    running = Cloud.start(tmp_path_factory.mktemp("account"))
    yield running
    running.stop()


@pytest.fixture
def clone(tmp_path):
    """A clone whose owner has set the repository; the account is the one that the files name."""
    folder = program_copy(tmp_path / "clone")
    for stack in (STACK, FOUNDATION):
        file = folder / f"Pulumi.{stack}.yaml"
        set_ = "  sentiment-pipeline:githubRepository: local/sentiment-pipeline\n"
        file.write_text(f"# a comment that stays\n{file.read_text()}{set_}")
    return folder


@pytest.mark.engine
def test_a_clone_is_taken_from_an_empty_account_to_a_foundation_with_its_secrets(account, clone):
    def run(*command, stdin="", **more):
        ran = subprocess.run(
            command, cwd=clone, env=shell | more, input=stdin, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, f"{command}: {ran.stdout}\n{ran.stderr}"
        said.append(ran.stdout + ran.stderr)
        return ran.stdout

    said = []
    engine = (build.official_pulumi() or paths.ENGINE / build.PULUMI.executable).parent
    of_the_local_cloud = {OVERLAY, "PULUMI_CONFIG_PASSPHRASE_FILE"}
    shell = {key: value for key, value in account.variables.items() if key not in of_the_local_cloud}
    shell["PATH"] = os.pathsep.join([str(engine), shell["PATH"]])
    s3 = account.client("s3")
    s3.delete_bucket(Bucket=OWN.state_bucket)  # the local cloud makes it when it starts
    bootstrap = ("release", "bootstrap", "--stack", STACK, "--yes", "--json")

    first = json.loads(run(*bootstrap))
    assert not first["complete"]
    for stack, alias in ((STACK, OWN.state_key_alias), (FOUNDATION, OWN.foundation_key_alias)):
        text = (clone / f"Pulumi.{stack}.yaml").read_text()
        assert "# a comment that stays" in text
        assert yaml.safe_load(text)["secretsprovider"] == f"awskms://{alias}?region=us-east-1"

    # As the guide says: eval "$(release env ...)", then the engine itself, which finds state and key by these alone.
    exports = json.loads(run("release", "env", "--stack", FOUNDATION, "--json"))
    run("pulumi", "up", "--yes", "--skip-preview", "--non-interactive", **exports)
    run("pulumi", "preview", "--expect-no-changes", "--non-interactive", **exports)
    service = json.loads(run("release", "env", "--stack", STACK, "--json"))
    run("pulumi", "preview", "--non-interactive", **service)
    for folder, stack in (("foundation", FOUNDATION), ("service", STACK)):
        s3.head_object(Bucket=OWN.state_bucket, Key=f"{folder}/.pulumi/stacks/sentiment-pipeline/{stack}.json")

    news_key = secrets.token_hex(16)
    last = json.loads(run(*bootstrap, stdin=f"{news_key}\n"))
    assert last["complete"], last
    client = account.client("secretsmanager")
    values = {
        name: json.loads(client.get_secret_value(SecretId=name)["SecretString"])["api_key"]
        for name in (OWN.newsapi_secret, OWN.dashboard_key_secret)
    }
    assert values[OWN.newsapi_secret] == news_key
    # GitHub tells nobody a secret; the one on loopback says whether a value is the one that it holds.
    check = {"environment": STACK, "name": "PREPROD_DASHBOARD_API_KEY", "value": values[OWN.dashboard_key_secret]}
    api = account.variables["GITHUB_BASE_URL"].rstrip("/")
    assert httpx.post(f"{api}/_localcloud/secrets/check", json=check).json()["equal"] is True
    assert not any(value in text for value in values.values() for text in said)

    files = {stack: (clone / f"Pulumi.{stack}.yaml").read_text() for stack in (STACK, FOUNDATION)}
    again = json.loads(run(*bootstrap))
    assert {step["status"] for step in again["steps"]} == {"done"}
    assert files == {stack: (clone / f"Pulumi.{stack}.yaml").read_text() for stack in files}
