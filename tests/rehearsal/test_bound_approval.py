"""The approval of a release is bound to the plan that its reviewer has seen, on the real engine."""

import json

import pytest
import yaml

from tests.rehearsal.test_broken_releases import PROMOTE, REFUSED
from tests.stacks import STACK_FILES

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]  # production may be made for it

BY_HAND = ("pulumi", "up", "--yes", "--skip-preview", "--stack", "prod")


@pytest.fixture
def changed_by_hand(production, tmp_path):
    """Somebody who gives production other settings than the repository says, and takes them back afterwards."""
    values = yaml.safe_load((STACK_FILES / "Pulumi.prod.yaml").read_text())
    file = tmp_path / "Pulumi.prod.yaml"

    def change(**settings):
        values["config"] |= {f"sentiment-pipeline:{name}": value for name, value in settings.items()}
        file.write_text(yaml.safe_dump(values))
        production.cloud.run(*BY_HAND, "--config-file", str(file))

    yield change
    production.cloud.run(*BY_HAND)
    production.cloud.assert_unchanged("prod")


def test_a_release_whose_plan_has_changed_since_its_approval_is_refused_with_the_difference(
    production, another, changed_by_hand, tmp_path
):
    cloud, (digest, source) = production.cloud, another
    file, summary, outputs = tmp_path / "approved.json", tmp_path / "summary", tmp_path / "outputs"
    planned = cloud.run(
        *("release", "plan", "--stack", "prod", "--digest", digest, "--out", str(file), "--json"),
        folder=source,
        GITHUB_STEP_SUMMARY=str(summary),
        GITHUB_OUTPUT=str(outputs),
    ).json()
    approval = planned["approval"]

    assert [one["subject"] for one in planned["commits"]] == ["Say more"]
    assert {(one["type"], one["op"]) for one in planned["plan"]["changes"]} >= {
        ("aws:lambda/function:Function", "update")
    }
    assert f"approval={approval}\n" in outputs.read_text()
    read = summary.read_text()
    assert approval in read
    assert "Say more" in read
    assert "sourceCodeHash" in read
    again = cloud.run("release", "plan", "--stack", "prod", "--digest", digest, "--json", folder=source).json()
    assert again["approval"] == approval, "nothing has changed"

    changed_by_hand(logRetentionDays=7)
    ended = cloud.run(
        *(*PROMOTE, digest, "--approval", approval, "--plan", str(file), "--json"),
        folder=source,
        expected=REFUSED,
    ).json()

    assert ended["rule"] == "plan-changed"
    assert "only now: update cloudwatch.LogGroup" in ended["why"]
    assert "- retentionInDays: 7, + retentionInDays: 30" in ended["why"]
    assert "the state was written again since" in ended["why"]
    status = cloud.run("release", "status", "--stack", "prod", "--json").json()
    assert (status["confirmed"]["manifest"], status["last_entry"]["state"]) == (production.digest, "REFUSED")
    assert json.loads(file.read_text())["manifest"] == digest
