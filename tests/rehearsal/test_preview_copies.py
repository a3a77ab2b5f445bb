"""What a confirmed release leaves for previews: the copy of the state that is published, and its plan in the ledger."""

import json
import subprocess

import httpx
import pytest

from components.naming import names
from release.preview.copy import BRANCH
from tests.cloud import ROOT
from tests.dying import PATIENT, Stage

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]  # production may be made for it


@pytest.mark.parametrize("stack", ["preprod", "prod"])
def test_a_preview_from_the_published_copy_of_a_real_release_finds_no_difference_and_no_secret(
    production, another, preprod, stack, tmp_path
):
    cloud, clone = production.cloud, tmp_path / "clone"  # whoever else deploys leaves its copy in another clone
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    (clone / ".venv").symlink_to(ROOT / ".venv")
    if stack == "prod":
        confirmed_last(Stage(cloud, production.digest, PATIENT), *another)
        cloud.run("release", "confirm", "--stack", stack, folder=clone)
    else:
        cloud.run("release", "deploy", "--stack", stack, "--build", str(production.build), folder=clone)
    published = cloud.run("release", "publish", "--stack", stack, "--json", folder=clone).json()
    # Another rehearsal may have confirmed a release of its own: it has the same program.
    status = cloud.run("release", "status", "--stack", stack, "--json").json()
    assert published["manifest"] == status["confirmed" if stack == "prod" else "serves"]["manifest"]
    github = cloud.run("localcloud", "status", "--json").json()["parts"]["github"]
    text = httpx.get(f"{github}/_localcloud/branches/{BRANCH}/files").json()[f"{stack}.json"]
    secrets = cloud.client("secretsmanager")
    for secret in (names(stack).newsapi_secret, names(stack).dashboard_key_secret):
        value = secrets.get_secret_value(SecretId=secret)["SecretString"]
        assert all(part not in text for part in (value, *json.loads(value).values()) if part)
    copy = tmp_path / f"{stack}.json"
    copy.write_text(text)
    words = ("--stack", stack, "--copy", str(copy), "--expect-no-changes", "--json")
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "GITHUB_TOKEN": ""}
    plan = cloud.run("release", "preview", *words, folder=clone, **nowhere).json()
    assert plan["changes"] == []
    assert plan["unchanged"] > 50
    assert plan["against"]["sha"] == published["sha"]


def confirmed_last(stage, digest, source):
    """Production was last confirmed, not brought back: the rehearsals before this one may have done either."""
    if stage.view()["resting"] != "CONFIRMED":
        stage.begin_again(digest)
        assert stage.promote(digest, source).wait(timeout=200) == 0


def test_the_plan_of_a_release_stands_in_the_ledger_as_a_preview_shows_it(production):
    story = production.cloud.run("release", "explain", production.digest, "--stack", "prod", "--json").json()
    (armed,) = [entry for entry in story["entries"] if entry["state"] == "ARMED"]
    plan = armed["details"]["plan"]
    assert (plan["stack"], plan["head"]["sha"], len(plan["digest"])) == ("prod", production.sha, 64)
    resources = [line for line in armed["details"]["changes"] if " sentiment:" not in line]  # without components
    assert len(plan["changes"]) == len(resources) > 20
