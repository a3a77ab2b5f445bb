"""What commands print of their reports, byte for byte. `RECORD_REPORTS=1` writes it anew for a person to look at."""

import os
import zipfile
from io import BytesIO
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from components.naming import STACKS
from release.bootstrap import run as bootstrapping
from release.bootstrap.step import SetupStep, done, to_do, waits
from release.cli import main, previews
from release.clients.github import LabelledPull, WorkflowRun
from release.doctor import table
from release.preview import command as previewing
from release.preview.copy import StateCopy
from tests.stacks import copy_to
from tests.unit.program.harness import ROOT
from tests.unit.release.plan_world import MADE
from tests.unit.release.test_doctor_looking import counted
from tests.unit.release.test_init import ADOPTER, OWNERS
from tests.unit.release.test_preview_pull_request import OURS, PULL, RUN

FOLDER = ROOT / "tests" / "fixtures" / "reports"
RECORDS = bool(os.environ.get("RECORD_REPORTS"))
COPY = StateCopy(stack="prod", sha="a1" * 20, manifest="b2" * 32, at="2026-11-25T16:00:00+00:00", deployment={})
STEPS = {
    "state bucket": done("exists"),
    "key alias/x": to_do("missing"),
    "secret n": waits("no container yet", "pulumi up"),
}


@pytest.fixture
def clone(tmp_path, monkeypatch):
    copy_to(tmp_path)
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github" / "CODEOWNERS").write_text(OWNERS)
    monkeypatch.chdir(tmp_path)
    for variable in ("GITHUB_TOKEN", "RELEASE_STACK_CONFIG", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    return tmp_path


def steps(kept=None):
    def step(what, state):
        return SetupStep(what=what, wanted="all right", look=lambda: state, do=lambda: kept)

    return [step(what, state) for what, state in STEPS.items()]


def plan(stack):
    made = MADE["removed-reviewer" if stack.endswith("foundation") else "table-replacement"]()
    return made.model_copy(update={"stack": stack})


class Repository:
    """GitHub about one pull request, whose run has left these plans."""

    repository = "O/r"

    def __init__(self, *documents, moved=False):
        self.documents, self.moved = documents, moved
        self.run = WorkflowRun.model_validate(RUN | {"head_repository": OURS, "run_attempt": 1})
        self.pull = LabelledPull.model_validate(PULL | {"head": PULL["head"] | {"repo": OURS}})

    def set_commit_status(self, *_):
        pass

    def upsert_comment(self, *_):
        pass

    def label_events(self, *_):
        return []

    def workflow_runs(self, *_):
        return [self.run]

    def workflow_run(self, _):
        return self.run

    def open_pulls_of(self, *_):
        return [] if self.moved else [self.pull]

    def labelled_pull(self, _):
        return self.pull

    def jobs(self, _):
        return [SimpleNamespace(name="Preview", conclusion="success")]

    def artifacts(self, *_):
        return [SimpleNamespace(id=1, expired=False, size_in_bytes=1)]

    def artifact_archive(self, *_):
        with zipfile.ZipFile(packed := BytesIO(), "w") as archive:
            for one in self.documents:
                mine = one.model_copy(update={"pull": 7, "head": one.head.model_copy(update={"sha": "a" * 40})})
                archive.writestr(f"{one.stack}.json", mine.model_dump_json())
        return packed.getvalue()

    def put_file(self, *_):
        return "c" * 40


@pytest.fixture
def ready(clone, monkeypatch):
    """Everything below the commands answers as a test would make it."""
    checks = [counted(f"a.{verdict}", verdict) for verdict in ("ok", "warning", "unknown", "failed")]
    monkeypatch.setattr(table, "CHECKS", (*checks, counted("machine.ok", "ok", scope=table.CHECKS[0].scope)))
    monkeypatch.setattr(bootstrapping, "_require_administrator", lambda _: "arn:aws:iam::123456789012:role/admin")
    monkeypatch.setattr(bootstrapping, "refuse_taken_names", lambda _: None)
    monkeypatch.setattr(bootstrapping, "_steps", lambda _: steps())
    monkeypatch.setattr(previewing, "plan", lambda _, stack, *__: plan(stack))
    monkeypatch.setattr(previews, "_github", lambda: Repository(*map(plan, STACKS)))
    (clone / "copy.json").write_bytes(COPY.canonical())
    return monkeypatch


COMMANDS = {
    "doctor": ["doctor"],
    "doctor-ok": ["doctor", "--stack", "prod", "--only", "a.ok", "--only", "machine"],
    "bootstrap-plan": ["bootstrap", "--plan"],
    "bootstrap": ["bootstrap", "--stack", "prod", "--yes"],
    "init-plan": ["init", *ADOPTER, "--plan"],
    "init": ["init", "--reviewer", "ada", "--yes"],
    "init-nothing": ["init", "--yes"],
    "preview": ["preview"],
    "preview-all": ["preview", "--all", "--out", "previews"],
    "comment": ["comment", "--run", "5"],
    "publish": ["publish", "--copy", "copy.json"],
    "env": ["env", "--stack", "prod"],
}


def ran(clone, words):
    """What a command prints for people or for machines, its exit code, and what it leaves for the workflow."""
    files = [clone / variable for variable in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")]
    for file in files:
        file.write_text("")
    ended = CliRunner().invoke(main.app, words)
    assert "Traceback" not in ended.stderr, ended.stderr
    left = "".join(f"{file.name}:\n{file.read_text()}" for file in files)
    return f"$ {' '.join(words)}\n{ended.stdout}{left}exit {ended.exit_code}\n"


@pytest.mark.parametrize("name", [*COMMANDS, "comment-nothing"])
def test_a_command_prints_what_it_printed_before(name, ready, clone):
    words = COMMANDS.get(name, COMMANDS["comment"])
    if name == "comment-nothing":
        ready.setattr(previews, "_github", lambda: Repository(moved=True))
    said = ran(clone, [*words, "--json"])
    copy_to(clone)  # whatever it has written
    (clone / ".github" / "CODEOWNERS").write_text(OWNERS)
    said += ran(clone, words)
    if RECORDS:
        (FOLDER / f"{name}.txt").write_text(said, encoding="utf-8")
    assert said == (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
