"""The guide from nothing to the first release, command by command, with the real engine and its own key provider.

The commands are the lines of docs/how-to/bootstrap.md, run by one shell in their order. What this machine cannot do is
listed below, each with its stand-in and the reason; everything else runs as it is written, git and its remotes too.
"""

import itertools
import json
import os
import re
import secrets
import shlex
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml

from components.naming import ENVIRONMENTS, names
from localcloud import paths
from localcloud.engine import build
from localcloud.environment import REPOSITORY
from release.bootstrap.init import CODEOWNERS
from release.pulumi.stack_config import OVERLAY, load
from tests.cloud import BIN, ROOT, Cloud
from tests.stacks import STACK_FILES, repository_copy

GUIDE = (ROOT / "docs" / "how-to" / "bootstrap.md").read_text(encoding="utf-8")
SUFFIX = "acme"
ADOPTER = {
    "OWNER/REPO": REPOSITORY,
    "ACCOUNT": "123456789012",  # the one that moto plays
    "REGION": "us-east-1",
    "LOGIN": "ada --reviewer grace",
    "ADDRESS": f"ops@acme.test --name-suffix {SUFFIX}",
    "OWNER_ID": "90000001",
    "REPOSITORY_ID": "900000001",
}
"""What the reader puts in place of the guide's words: the local cloud's account and repository, and other people."""
STAND_INS = {
    "make setup": (f'ln -s "{BIN.parent}" .venv', "the packages of the clone under test"),
    "source .venv/bin/activate": (f'export PATH="{BIN}:$PATH"', "as above"),
    "aws configure sso": (":", "nobody logs in to the local cloud"),
    "aws sts get-caller-identity": (":", "the AWS CLI is not installed here; `release bootstrap` asks the same"),
    "release init": ("{} --yes", "it asks on a terminal"),
    "release bootstrap --stack": ('printf "%s\\n" "$NEWS_KEY" | {} --yes', "it asks for consent and for a key"),
    "pulumi up": ("{} --yes --skip-preview", "it asks on a terminal"),
}
"""Lines by their beginning, what runs instead, and why. `gh` is github_cli.py: there is no github.com here."""


def commands():
    """The lines of the guide's blocks, with this reader's words and the stand-ins."""
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL))
    words = re.compile("|".join(sorted(ADOPTER, key=len, reverse=True)))
    for line in blocks.splitlines():
        stand_in = next((to for start, (to, _) in STAND_INS.items() if line.startswith(start)), "{}")
        yield line, words.sub(lambda word: ADOPTER[word[0]], stand_in.format(line) if "{}" in stand_in else stand_in)


def git(folder, *words):
    ran = subprocess.run(["git", "-C", folder, *words], check=True, capture_output=True, text=True, env=WRITER)
    return ran.stdout.strip()


WRITER = os.environ | {
    "GIT_CONFIG_GLOBAL": os.devnull,
    **{f"GIT_{who}_{what}": "ada@acme.test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


@pytest.fixture
def account(tmp_path_factory):
    """A cloud of its own: the other tests' stacks are sealed with the passphrase of the local cloud."""
    running = Cloud.start(tmp_path_factory.mktemp("account"))
    for environment in ENVIRONMENTS:  # the local cloud makes them when it starts
        running.client("s3").delete_bucket(Bucket=names(environment).state_bucket)
    for login in ("ada", "grace"):
        httpx.post(f"{local_github(running)}/users", json={"login": login}).raise_for_status()
    yield running
    running.stop()


def local_github(cloud):
    return f"{cloud.variables['GITHUB_BASE_URL'].rstrip('/')}/_localcloud"


@pytest.fixture
def clone(tmp_path, account):
    """A clone of somebody else's repository, whose stack files say where news and GitHub are on this machine."""
    upstream = repository_copy(tmp_path / "upstream")
    here = {
        "": {"sentiment-pipeline:newsEndpoint": f"{account.variables['GITHUB_BASE_URL']}news"},
        "-foundation": {"github:writeDelayMs": 1},  # github.com asks for a second between writes
    }
    for environment, (kind, values) in itertools.product(ENVIRONMENTS, here.items()):
        name = f"Pulumi.{environment}{kind}.yaml"
        lines = "".join(f"  {key}: {value}\n" for key, value in values.items())
        (upstream / name).write_text(f"# a comment that stays\n{(STACK_FILES / name).read_text()}{lines}")
    git(upstream, "init", "--quiet", "--initial-branch", "main")
    git(upstream, "add", "--all")
    git(upstream, "commit", "--quiet", "--message", "somebody else's")
    git(tmp_path, "clone", "--quiet", upstream, "clone")
    return tmp_path / "clone"


@pytest.fixture
def shell(tmp_path, account):
    """The environment of the reader's shell: the tools of this machine, and `gh` in front of them."""
    engine = (build.official_pulumi() or paths.ENGINE / build.PULUMI.executable).parent
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "gh").write_text(f'#!/bin/sh\nexec {BIN}/python {Path(__file__).with_name("github_cli.py")} "$@"\n')
    (tools / "gh").chmod(0o755)
    of_the_local_cloud = {OVERLAY, "PULUMI_CONFIG_PASSPHRASE_FILE"}
    variables = {key: value for key, value in account.variables.items() if key not in of_the_local_cloud}
    path = os.pathsep.join(map(str, (tools, engine, BIN, variables["PATH"])))
    return variables | WRITER | {"PATH": path, "GUIDE_WORLD": str(tmp_path), "NEWS_KEY": NEWS_KEY}


NEWS_KEY = secrets.token_hex(16)


@pytest.mark.engine
@pytest.mark.stack_files  # CODEOWNERS is copied; the stack files are those of the tests
def test_the_commands_of_the_guide_lead_from_a_clone_to_the_first_release(account, clone, shell, tmp_path):
    upstream = git(tmp_path / "upstream", "rev-parse", "HEAD")
    script = tmp_path / "guide.sh"
    script.write_text("".join(f"echo {shlex.quote(f'$ {line}')}\n{command}\n" for line, command in commands()))
    ran = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", script], cwd=clone, env=shell, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"

    # Every stack is under its own key, whose lines are on main, with the settings and the owners.
    merged = tmp_path / "merged"
    (merged / ".venv").symlink_to(BIN.parent)
    s3, secret = account.client("s3"), account.client("secretsmanager")
    for environment in ENVIRONMENTS:
        own = names(environment, SUFFIX)
        kinds = ("service", "", own.state_key_alias), ("foundation", "-foundation", own.foundation_key_alias)
        for folder, kind, alias in kinds:
            text = (merged / f"Pulumi.{environment}{kind}.yaml").read_text()
            assert "# a comment that stays" in text
            assert yaml.safe_load(text)["secretsprovider"] == f"awskms://{alias}?region=us-east-1"
            assert load(f"{environment}{kind}", merged, {}).on_call_emails == ("ops@acme.test",)
            key = f"{folder}/.pulumi/stacks/sentiment-pipeline/{environment}{kind}.json"
            s3.head_object(Bucket=own.state_bucket, Key=key)
        values = {
            name: json.loads(secret.get_secret_value(SecretId=name)["SecretString"])["api_key"]
            for name in (own.newsapi_secret, own.dashboard_key_secret)
        }
        assert values[own.newsapi_secret] == NEWS_KEY
        # GitHub tells nobody a secret; the one on loopback says whether a value is the one that it holds.
        sealed = f"{environment.upper()}_DASHBOARD_API_KEY", values[own.dashboard_key_secret]
        where = "preprod" if environment == "preprod" else "production"
        asked = {"environment": where, "name": sealed[0], "value": sealed[1]}
        assert httpx.post(f"{local_github(account)}/secrets/check", json=asked).json()["equal"] is True
        assert not any(value in ran.stdout + ran.stderr for value in values.values())
    assert {"* @ada @grace"} <= {" ".join(line.split()) for line in (merged / CODEOWNERS).read_text().splitlines()}

    # The remotes: what was cloned got nothing, and preprod serves what was merged.
    assert git(tmp_path / "upstream", "rev-parse", "HEAD") == upstream
    assert git(clone, "remote", "get-url", "upstream") == str(tmp_path / "upstream")
    served = run_in(merged, shell, "release", "status", "--stack", "preprod", "--json")
    assert served["serves"]["sha"] == git(merged, "rev-parse", "HEAD")

    # A second time nothing is left to do.
    for stack in ("prod", "preprod"):
        again = run_in(merged, shell, "release", "bootstrap", "--stack", stack, "--yes", "--json")
        assert {step["status"] for step in again["steps"]} == {"done"}
        exports = run_in(merged, shell, "release", "env", "--stack", f"{stack}-foundation", "--json")
        quiet = ("pulumi", "preview", "--expect-no-changes", "--non-interactive")
        subprocess.run(quiet, cwd=merged, env=shell | exports, check=True, capture_output=True)
    assert git(merged, "status", "--porcelain") == ""


def run_in(folder, environment, *command):
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_every_stand_in_stands_for_a_line_of_the_guide():
    lines = [line for line, _ in commands()]
    assert [start for start in STAND_INS if not any(line.startswith(start) for line in lines)] == []
