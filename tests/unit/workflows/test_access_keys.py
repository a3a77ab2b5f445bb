"""The variant with access keys differs from the bundled one in how jobs log in, and in nothing else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

from components.identities import IDENTITIES
from components.naming import ENVIRONMENTS
from localcloud import paths
from localcloud.engine import build
from release.bootstrap.access_keys import secret_names
from release.cli.main import app
from tests.stacks import STACK_FILES

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "docs" / "examples" / "access-keys"
BUNDLED = ROOT / ".github" / "workflows"
STORED = sorted((EXAMPLE / "workflows").glob("*.yml"))
LOGIN = "aws-actions/configure-aws-credentials@"
ENVIRONMENT_OF = {identity.github_environment: identity.environment for identity in IDENTITIES}


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone that was turned into the variant."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / ".github", folder / ".github", ignore=shutil.ignore_patterns("CODEOWNERS"))
    shutil.copytree(ROOT / "components", folder / "components", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, EXAMPLE / "derive.py", folder], check=True)
    return folder


@pytest.mark.slow
def test_the_stored_workflows_are_what_is_derived_from_the_bundled_ones(clone):
    derived = {
        file.name: file.read_text()
        for file in (clone / ".github" / "workflows").glob("*.yml")
        if file.read_text() != (BUNDLED / file.name).read_text()
    }
    again = "the bundled ones have changed: python docs/examples/access-keys/derive.py --keep"
    assert {file.name: file.read_text() for file in STORED} == derived, again


@pytest.mark.parametrize("file", STORED, ids=lambda file: file.name)
def test_nothing_differs_but_the_login_the_token_and_the_secrets_that_are_passed_on(file):
    ours, bundled = (yaml.safe_load(one.read_text()) for one in (file, BUNDLED / file.name))
    logins = 0
    for name, job in ours["jobs"].items():
        assert not {"id-token", "attestations"} & set(job.get("permissions", {}))
        if "uses" in job:
            assert job.pop("secrets") == "inherit"
        before = bundled["jobs"][name].get("permissions", {})
        before.pop("attestations", None)
        if before.pop("id-token", None) is None:
            assert before == job.get("permissions", {})
        for step in job.get("steps", ()):
            if step.get("uses", "").startswith(LOGIN):
                logins += 1
                key, secret = secret_names(ENVIRONMENT_OF[job["environment"]["name"]])
                assert step["with"].pop("aws-access-key-id") == f"${{{{ secrets.{key} }}}}"
                assert step["with"].pop("aws-secret-access-key") == f"${{{{ secrets.{secret} }}}}"
                assert step["with"].pop("role-skip-session-tagging") is True
    assert ours == bundled
    assert logins == (BUNDLED / file.name).read_text().count(LOGIN)


@pytest.mark.slow
def test_actionlint_accepts_them(clone):
    actionlint = paths.ENGINE / build.ACTIONLINT.executable
    if not actionlint.exists():
        pytest.skip("actionlint is built where there is Go")
    subprocess.run(["git", "init", "--quiet"], cwd=clone, check=True)
    ran = subprocess.run([actionlint], cwd=clone, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")


PROGRAM = """
import json, sys
import pulumi
from pulumi.runtime import mocks

class Cloud(mocks.Mocks):
    def new_resource(self, args):
        made.append([args.typ, args.inputs])
        return args.name, {**args.inputs, "arn": "arn"}
    def call(self, args):
        return {}

made = []
mocks.set_mocks(Cloud())
from components.foundation.identities import Identities, IdentitiesArgs
from release.pulumi.stack_config import load
from pathlib import Path

@pulumi.runtime.test
def run():
    for environment in ("preprod", "prod"):
        settings = load(f"{environment}-foundation", Path(sys.argv[1]), {})
        Identities(environment, IdentitiesArgs(settings=settings, github_provider=None))

run()
print(json.dumps(made))
"""


@pytest.mark.slow
def test_every_role_trusts_its_own_user_alone_and_every_user_can_only_assume_its_role(clone):
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(STACK_FILES)],
        cwd=clone,
        env=os.environ | {"PYTHONPATH": f"{clone}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    made = json.loads(ran.stdout)
    roles = {inputs["name"]: inputs for typ, inputs in made if typ == "aws:iam/role:Role"}
    users = {inputs["name"] for typ, inputs in made if typ == "aws:iam/user:User"}
    rights = {inputs["user"]: inputs["policy"] for typ, inputs in made if typ == "aws:iam/userPolicy:UserPolicy"}
    assert users == roles.keys() == rights.keys()
    assert len(users) == len(IDENTITIES)
    for name in users:
        (trusted,) = json.loads(roles[name]["assumeRolePolicy"])["Statement"]
        assert trusted["Action"] == "sts:AssumeRole"
        assert trusted["Condition"] == {"ArnEquals": {"aws:PrincipalArn": f"arn:aws:iam::123456789012:user/{name}"}}
        (right,) = json.loads(rights[name])["Statement"]
        assert (right["Action"], right["Resource"]) == (["sts:AssumeRole"], [f"arn:aws:iam::123456789012:role/{name}"])


@pytest.mark.slow
def test_a_program_that_has_changed_is_not_guessed_at(clone):
    again = subprocess.run([sys.executable, EXAMPLE / "derive.py", clone], capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "the program has changed" in again.stderr


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_readme_names_the_secrets_and_commands_that_exist(environment):
    text = (EXAMPLE / "README.md").read_text()
    assert all(f"`{name}`" in text for name in secret_names(environment))
    command = typer.main.get_command(app).commands["bootstrap"]
    for option in (["--access-keys"], ["--rotate", "access-keys"]):
        assert f"release bootstrap --stack {environment} {' '.join(option)}" in text
        command.make_context("bootstrap", ["--stack", environment, *option], resilient_parsing=False)
