"""`release preview` on the real engine: from a published copy, against another commit, and with nobody to ask."""

import json
import re
import secrets
import subprocess

import pytest

from components.service.functions import KEYS
from release.preview.copy import copy_of
from release.preview.plan import PlanDocument
from release.pulumi.stack_config import load
from tests.cloud import BIN, ROOT
from tests.engine.conftest import STACK, program_copy

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

WHOSE = {"sha": "a1" * 20, "manifest": "b2" * 32, "at": "2026-11-25T16:00:00+00:00"}
CREDENTIALS = re.compile(r"(AWS|GITHUB|GH|ACTIONS)_.*")


def git(folder, *words):
    who = ("-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def clone(tmp_path):
    """A clone of a repository that holds the program and the folders of its functions, on main."""
    folder = program_copy(tmp_path / "clone")
    for function in KEYS:
        (folder / "lambdas" / function).mkdir(parents=True)
        (folder / "lambdas" / function / "pyproject.toml").write_text("[project]\n")
    (folder / ".gitignore").write_text(".venv\n.release\n")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "base")
    return folder


@pytest.fixture(scope="module")
def copy(service, tmp_path_factory):
    """File with the copy of the running stack's state."""
    exported = service.cloud.run("pulumi", "stack", "export", "--stack", STACK).stdout
    variables = service.cloud.variables
    made = copy_of(exported.encode(), load(STACK, ROOT / "tests" / "fixtures" / "stacks", variables), **WHOSE)
    file = tmp_path_factory.mktemp("copy") / f"{STACK}.json"
    file.write_bytes(made.canonical())
    return file


@pytest.fixture
def preview(service, clone):
    """Run the command as a job without any credential does; return its exit code, its plan and what it said."""
    bare = {name: value for name, value in service.cloud.variables.items() if not CREDENTIALS.fullmatch(name)}

    def run(*words, stack=STACK, **variables):
        command = [BIN / "release", "preview", "--stack", stack, "--json", *map(str, words)]
        done = subprocess.run(command, cwd=clone, env=bare | variables, capture_output=True, text=True, check=False)
        found = json.loads(done.stdout) if done.stdout else {}
        digest = found.pop("digest", None)
        plan = PlanDocument.model_validate(found, strict=False) if "against" in found else None
        assert plan is None or plan.digest == digest
        return done.returncode, plan, done.stdout + done.stderr

    return run


def edit(clone, name, old, new):
    text = (clone / name).read_text()
    assert old in text, f"{name} no longer holds {old}"
    (clone / name).write_text(text.replace(old, new, 1))


def only(plan, name, kind):
    (found,) = (change for change in plan.changes if change.name == name and change.short_type == kind)
    return found


def test_an_unchanged_program_changes_nothing_with_no_credential_and_no_cloud_to_ask(preview, clone, copy, tmp_path):
    before = {path: path.read_bytes() for path in clone.glob("Pulumi*.yaml")}
    out, scratch = tmp_path / "out", tmp_path / "scratch"
    scratch.mkdir()
    code, plan, said = preview("--copy", copy, "--expect-no-changes", "--out", out, TMPDIR=str(scratch))
    assert (code, plan.nothing, plan.against.kind) == (0, True, "published"), said
    assert plan.unchanged > 50
    assert plan.against.sha == WHOSE["sha"]
    # What it writes is what the trusted workflow reads, and nothing else of it stays.
    written = PlanDocument.model_validate_json((out / f"{STACK}.json").read_bytes(), strict=True)
    assert written == plan
    assert sorted(file.name for file in out.iterdir()) == [f"{STACK}.json", f"{STACK}.md", "previews.html"]
    assert {path: path.read_bytes() for path in clone.glob("Pulumi*.yaml")} == before
    assert git(clone, "status", "--porcelain") == ""
    assert list(scratch.glob("preview-*")) == list(scratch.glob("program-*")) == []


def test_what_forces_a_replacement_of_data_is_named_and_ends_with_3_protected_as_in_production(
    preview, clone, copy, tmp_path
):
    document = json.loads(copy.read_text())
    for resource in document["deployment"]["resources"]:
        resource["protect"] = resource["type"] == "aws:dynamodb/table:Table"
    protected = tmp_path / "protected.json"
    protected.write_text(json.dumps(document))
    edit(clone, "components/service/service.py", "protect=args.settings.is_prod", "protect=True")
    edit(clone, "components/naming.py", 'f"{prefix}items"', 'f"{prefix}news-items"')
    code, plan, said = preview("--copy", protected)
    assert code == 3, said
    table = only(plan, "items", "dynamodb.Table")
    assert (table.op, table.forced_by, table.loses_data) == ("replace", ("name",), True)
    assert table.protected, "the engine would refuse to do it, and the reviewer is told"
    assert ("name", True) in [(change.path, change.replaces) for change in table.properties]
    assert plan.changes[0] == table, "what cannot be undone comes first"
    assert plan.head.changed_files == 2


def test_a_widened_statement_an_alarm_and_memory_read_as_what_they_are(preview, clone, copy):
    edit(clone, "components/policies/execution.py", '"sns:Publish"', '"sns:*"')
    edit(clone, "components/service/alarms.py", "_SLOW_MILLISECONDS: Final = ", "_SLOW_MILLISECONDS: Final = 1 + ")
    edit(clone, f"Pulumi.{STACK}.yaml", "config:\n", "config:\n  sentiment-pipeline:functionMemoryMb: 512\n")
    code, plan, said = preview("--copy", copy, "--expect-no-changes")
    assert code == 7, said
    statements = only(plan, "ingestion", "iam.RolePolicy").statements
    assert [(one.added, one.flags) for one in statements] == [(False, ()), (True, ("wildcard action",))]
    assert [alarm.name for alarm in plan.alarms] == ["preprod-sentiment-dashboard-slow"]
    (memory,) = only(plan, "analysis", "lambda.Function").properties
    assert (memory.path, memory.old, memory.new) == ("memorySize", "256", "512")
    assert only(plan, "analysis-candidate", "lambda.Alias").follows


def test_against_another_commit_only_that_shows_in_which_the_two_programs_differ(preview, clone):
    code, plan, said = preview("--base", "HEAD", "--expect-no-changes")
    assert (code, plan.nothing, plan.against.kind) == (0, True, "base"), said
    edit(clone, "components/naming.py", "new-items", "newer-items")
    _, plan, said = preview("--base", "HEAD")
    topic, policy, permission, subscription = (
        only(plan, *what)
        for what in (
            ("new-items", "sns.Topic"),
            ("new-items", "sns.TopicPolicy"),
            ("analysis-topic", "lambda.Permission"),
            ("analysis-topic", "sns.TopicSubscription"),
        )
    )
    assert topic.forced_by == ("name",), said
    assert {policy.op, permission.op, subscription.op} == {"replace"}
    assert only(plan, "ingestion", "lambda.Function").properties[0].path == "environment.variables.NEW_ITEMS_TOPIC_ARN"


def test_a_reviewer_who_goes_is_named_although_nobody_asked_github(preview, clone, service):
    stack = "prod-foundation"
    overlay = json.loads(service.cloud.variables["RELEASE_STACK_CONFIG"])
    overlay["sentiment-pipeline:reviewers"] = ["mona", "hubot"]
    overlay.pop("sentiment-pipeline:reviewers")
    edit(clone, f"Pulumi.{stack}.yaml", "config:\n", "config:\n  sentiment-pipeline:monthlyBudgetUsd: 77\n")
    text = (clone / f"Pulumi.{stack}.yaml").read_text()
    named = re.sub(r"(sentiment-pipeline:reviewers:).*(\n\s+- .*)*", r"\1 [mona, hubot]", text)
    (clone / f"Pulumi.{stack}.yaml").write_text(named)
    git(clone, "commit", "--all", "--quiet", "--message", "two reviewers")
    (clone / f"Pulumi.{stack}.yaml").write_text(named.replace("[mona, hubot]", "[mona]"))
    code, plan, said = preview("--base", "HEAD", stack=stack, RELEASE_STACK_CONFIG=json.dumps(overlay))
    assert code == 0, said
    production = only(plan, "production", "github.RepositoryEnvironment")
    gone = [change for change in production.properties if change.path.startswith("reviewers")]
    assert len(gone) == 1
    assert gone[0].old.startswith("hubot (")
    assert gone[0].new is None


def test_a_function_that_is_new_or_gone_is_previewed_with_all_that_hangs_on_it(preview, clone, copy):
    text = (clone / "components/service/functions.py").read_text()
    start, end = (text.index(f'    FunctionSpec(\n        key="{key}"') for key in ("analysis", "dashboard"))
    (clone / "components/service/functions.py").write_text(text[:start] + text[end:])
    (clone / "lambdas" / "analysis" / "pyproject.toml").unlink()
    _, plan, said = preview("--copy", copy)
    assert plan is not None, said
    assert only(plan, "analysis", "lambda.Function").op == "delete"
    assert {alarm.name for alarm in plan.alarms if alarm.after is None} >= {"preprod-sentiment-analysis-errors"}


def test_no_credential_of_the_machine_reaches_the_program_of_a_pull_request(preview, clone, copy):
    planted = {name: secrets.token_hex(16) for name in ("AWS_SESSION_TOKEN", "GITHUB_TOKEN", "MY_PASSWORD", "NPM_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "PULUMI_ACCESS_TOKEN", "AWS_SECRET_ACCESS_KEY")}  # fmt: skip
    edit(clone, "__main__.py", "import pulumi\n", "import os\n\nimport pulumi\n")
    edit(
        clone,
        "__main__.py",
        "try:\n",
        "raise pulumi.RunError(' '.join(sorted(f'{a}={b}' for a, b in os.environ.items())))\n\ntry:\n",
    )
    code, plan, said = preview("--copy", copy, **planted)
    assert code == 1
    assert plan is None
    assert "PATH=" in said, "the program's words are shown"
    assert [name for name, value in planted.items() if value in said] == []


def test_a_program_that_asks_a_cloud_is_refused_by_what_it_asked(preview, clone, copy):
    edit(
        clone,
        "components/service/messaging.py",
        "        self.register_outputs(",
        '        aws.sns.Topic.get("other", "arn:aws:sns:us-east-1:123456789012:other",\n'
        "            opts=pulumi.ResourceOptions(parent=self))\n        self.register_outputs(",
    )
    code, plan, said = preview("--copy", copy)
    assert (code, plan) == (1, None)
    assert "asked POST /" in said
    assert "Traceback" not in said
