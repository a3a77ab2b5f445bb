"""Pulumi as a subprocess, the validation record, the program's archive, and what a person sees of it all."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import pytest
import yaml
from rich.console import Console as RichConsole
from typer.testing import CliRunner

from release.artifacts import program
from release.cli import environment, main
from release.console import Console
from release.errors import LeaseLost, Refused, ReleaseError, RolledBack, UsageError
from release.git.plumbing import CommitError
from release.ledger.lifecycle import ReleaseId, State
from release.pulumi import child
from release.pulumi.locks import PulumiError
from release.pulumi.stack import CONFIG_KEY, ReleaseInput, Stack
from release.reporting.workflow_summary import lines, tell_workflow
from release.reports import NamedRelease, ReleaseReport, Report, RollbackReport
from release.rules import RefusalRule
from tests.previews import recorded
from tests.stacks import copy_to

QUIET = Console(RichConsole(file=io.StringIO()))
RELEASE = ReleaseId(digest="a" * 64, sha="b" * 40)
HAND_OVER = ReleaseInput({"sha": "b" * 40}, {"dashboard": "3"}, 0)

# Pulumi

FAKE = """#!/usr/bin/env python3
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent


def signals_ignored():
    # SIGINT and SIGTERM, as this process was started; Python ignores SIGPIPE by itself.
    status = pathlib.Path("/proc/self/status").read_text()
    ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
    return bool(ignored & (1 << 1 | 1 << 14))


arguments = sys.argv[1:]
config = arguments[arguments.index("--config-file") + 1] if "--config-file" in arguments else None
seen = {"arguments": arguments, "config": pathlib.Path(config).read_text() if config else None}
seen["pid"], seen["ignored"] = os.getpid(), signals_ignored()
seen["backend"] = os.environ.get("PULUMI_BACKEND_URL")
(here / "seen.json").write_text(json.dumps(seen))
answer = json.loads((here / "answer.json").read_text())
sys.stdout.write(answer.get("stdout", ""))
sys.stderr.write(answer.get("stderr", ""))
sys.exit(answer.get("code", 0))
"""


@pytest.fixture
def pulumi(tmp_path, monkeypatch):
    """A `pulumi` that answers what the test says, and a function that tells how it was called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "pulumi").write_text(FAKE)
    (folder / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    class Fake:
        def answers(self, **answer):
            (folder / "answer.json").write_text(json.dumps(answer))

        @property
        def seen(self):
            return json.loads((folder / "seen.json").read_text())

    fake = Fake()
    fake.answers()
    return fake


@pytest.fixture
def stack(tmp_path):
    (tmp_path / "Pulumi.prod.yaml").write_text("# tracked\nencryptionsalt: v1:abc\nconfig:\n  aws:region: us-east-1\n")
    return Stack("prod", tmp_path, QUIET)


def events(*of):
    return {"stdout": "".join(json.dumps(event) + "\n" for event in of)}


@pytest.mark.slow
def test_a_release_is_handed_over_in_a_copy_and_the_tracked_file_stays_as_it_is(pulumi, stack, tmp_path):
    before = (tmp_path / "Pulumi.prod.yaml").read_bytes()
    stack.up(HAND_OVER, refresh=True, message="dark")
    seen = pulumi.seen
    assert {"--yes", "--non-interactive", "--refresh", "--json"} < set(seen["arguments"])
    assert "-c" not in seen["arguments"]
    config = yaml.safe_load(seen["config"])
    assert json.loads(config["config"][CONFIG_KEY]) == {
        "release": {"sha": "b" * 40},
        "stable": {"dashboard": "3"},
        "traffic": 0,
        "confirmed": False,
    }
    assert config["encryptionsalt"] == "v1:abc"
    assert (tmp_path / "Pulumi.prod.yaml").read_bytes() == before


@pytest.mark.slow
def test_a_failed_update_says_what_the_engine_said_last(pulumi, stack):
    said = {
        "severity": "error",
        "message": "creating Queue: denied\n",
        "urn": "urn:pulumi:prod::p::aws:sqs/queue:Queue::q",
    }
    pulumi.answers(code=1, **events({"diagnosticEvent": said}))
    with pytest.raises(PulumiError) as error:
        stack.up(HAND_OVER)
    assert error.value.why == "q: creating Queue: denied"


@pytest.mark.slow
def test_a_preview_tells_changes_from_errors(pulumi, stack):
    step = {
        "op": "update",
        "urn": "urn:x::q",
        "newState": {"type": "aws:sqs/queue:Queue"},
        "detailedDiff": {"name": {}},
    }
    pulumi.answers(code=7, stdout=json.dumps({"steps": [{"op": "same", "urn": "urn:x::s"}, step]}))
    assert stack.preview(HAND_OVER) == ("update aws:sqs/queue:Queue q (name)",)
    assert "--expect-no-changes" in pulumi.seen["arguments"]
    pulumi.answers(code=0, stdout=json.dumps({"steps": [{"op": "same", "urn": "urn:x::s"}]}))
    assert stack.preview(HAND_OVER) == ()
    pulumi.answers(code=255, stdout="", stderr="error: cannot read the state\n")
    with pytest.raises(PulumiError, match="preview"):
        stack.preview(HAND_OVER)


@pytest.mark.slow
def test_a_mail_subscription_that_nobody_confirmed_is_no_change_of_the_stack(pulumi, stack):
    def create(protocol):
        subscription = {"type": "aws:sns/topicSubscription:TopicSubscription", "inputs": {"protocol": protocol}}
        return {"op": "create", "urn": "urn:pulumi:s::p::t::on-call-a@example.org", "newState": subscription}

    pulumi.answers(code=7, stdout=json.dumps({"steps": [create("email")]}))
    assert stack.preview(HAND_OVER) == ()
    pulumi.answers(code=7, stdout=json.dumps({"steps": [create("email"), create("lambda")]}))
    assert stack.preview(HAND_OVER) == ("create aws:sns/topicSubscription:TopicSubscription on-call-a@example.org",)
    for told in ([create("email") | {"op": "replace"}], [create("email") | {"op": "same"}]):
        pulumi.answers(code=7, stdout=json.dumps({"steps": told}))
        assert len(stack.preview(HAND_OVER)) == 1


@pytest.mark.slow
def test_a_plan_names_every_resource_and_takes_no_lock(pulumi, stack):
    pulumi.answers(stdout=recorded("narrowed-role-policy"))
    assert [str(step) for step in stack.plan(HAND_OVER).shared] == [
        "update aws:iam/rolePolicy:RolePolicy ingestion (policy)"
    ]
    assert pulumi.seen["arguments"][0] == "preview"
    assert "--show-sames" in pulumi.seen["arguments"]
    assert "--refresh" not in pulumi.seen["arguments"]
    stack.plan(HAND_OVER, refresh=True)
    assert "--refresh" in pulumi.seen["arguments"]


@pytest.mark.slow
def test_a_preview_that_failed_is_no_plan_but_for_what_is_protected(pulumi, stack):
    pulumi.answers(code=255, stdout=recorded("removed-protected-alarm"))
    assert [step.name for step in stack.plan(HAND_OVER).destructive] == ["analysis-errors"]
    said = {"severity": "info#err", "message": "error: the hand-over is not JSON\n"}
    pulumi.answers(code=255, stdout=json.dumps(json.loads(recorded("memory")) | {"diagnostics": [said]}))
    with pytest.raises(PulumiError) as error:
        stack.plan(HAND_OVER)
    assert error.value.why == "error: the hand-over is not JSON"
    pulumi.answers(code=0, stdout='{"steps": []}')
    with pytest.raises(PulumiError, match="preview"):
        stack.plan(HAND_OVER)


@pytest.mark.slow
def test_targets_are_named_one_by_one(pulumi, stack):
    stack.up(HAND_OVER, targets=("urn:a", "urn:b"))
    arguments = pulumi.seen["arguments"]
    assert [value for flag, value in pairwise(arguments) if flag == "--target"] == ["urn:a", "urn:b"]
    stack.up(HAND_OVER)
    assert "--target" not in pulumi.seen["arguments"]


@pytest.mark.slow
def test_nothing_is_updated_when_nothing_could_be_left_out(pulumi, stack):
    pulumi.answers(stdout=recorded("removed-protected-alarm"))
    plan = replace(stack.plan(HAND_OVER), records=())
    with pytest.raises(PulumiError, match="no record"):
        stack.expand(HAND_OVER, plan)
    assert pulumi.seen["arguments"][0] == "preview"


@pytest.mark.slow
def test_a_failure_after_a_killed_update_says_what_that_one_left(pulumi, stack):
    # The engine's own words: pkg/resource/deploy/deployment_executor.go.
    warning = {
        "severity": "warning",
        "message": "Attempting to deploy or update resources with 1 pending operations from previous deployment.\n"
        "  * urn:pulumi:prod::p::aws:sqs/queue:Queue::q, interrupted while creating\nThese resources are in an unknown",
    }
    failed = {"severity": "error", "message": "error: q exists already"}
    pulumi.answers(code=1, **events({"diagnosticEvent": warning}, {"diagnosticEvent": failed}))
    with pytest.raises(PulumiError) as error:
        stack.up(HAND_OVER)
    assert error.value.why == "error: q exists already"
    assert "creating urn:pulumi:prod::p::aws:sqs/queue:Queue::q" in error.value.next_step
    assert "pulumi refresh --stack prod" in error.value.next_step


@pytest.mark.slow
def test_a_stack_that_does_not_exist_is_explained(pulumi, stack, tmp_path):
    pulumi.answers(code=6, stderr="error: no stack named 'prod' found")
    with pytest.raises(ReleaseError, match="no stack prod"):
        stack.export()
    with pytest.raises(UsageError, match=r"Pulumi\.nosuch\.yaml is missing"):
        Stack("nosuch", tmp_path, QUIET).up(HAND_OVER)


@pytest.mark.slow
def test_an_engine_that_changes_something_begins_when_it_is_listed_and_never_for_who_has_lost_the_lease(
    pulumi, tmp_path, stack
):
    listed = []

    def note(pid):
        assert not (tmp_path / "bin" / "seen.json").exists(), "the engine had begun already"
        listed.append(pid)
        if len(listed) > 1:
            raise LeaseLost("somebody has taken over")

    locks = SimpleNamespace(clear=lambda: False, lease=SimpleNamespace(note_engine=note))
    stack = Stack("prod", tmp_path, QUIET, locks=locks)  # ty: ignore[invalid-argument-type]
    stack.up(HAND_OVER)
    assert pulumi.seen["pid"] == listed[0]
    assert not pulumi.seen["ignored"], "the engine takes signals as any program does"
    (tmp_path / "bin" / "seen.json").unlink()
    stack.outputs()
    assert len(listed) == 1
    (tmp_path / "bin" / "seen.json").unlink()
    with pytest.raises(LeaseLost):
        stack.up(HAND_OVER)
    assert not (tmp_path / "bin" / "seen.json").exists()


@pytest.mark.slow
@pytest.mark.timeout(20)
def test_an_engine_that_never_hears_the_signal_ends_all_the_same_for_who_has_lost_the_lease(
    pulumi, tmp_path, stack, monkeypatch
):
    """Python that is about to start may swallow an interrupt; one releaser in thousands would have waited for ever."""
    deaf = tmp_path / "deaf.py"
    begun = tmp_path / "begun"
    deaf.write_text(
        "import pathlib, signal, sys\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        f"pathlib.Path({str(begun)!r}).touch()\nsys.exit(not sys.stdin.readline())\n"
    )

    def note(_pid):
        while not begun.exists():
            time.sleep(0.01)
        raise LeaseLost("somebody has taken over")

    monkeypatch.setattr("release.pulumi.stack._CHILD", str(deaf))
    locks = SimpleNamespace(clear=lambda: False, lease=SimpleNamespace(note_engine=note))
    with pytest.raises(LeaseLost):
        Stack("prod", tmp_path, QUIET, locks=locks).up(HAND_OVER)  # ty: ignore[invalid-argument-type]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parent", "word", "begins"), [(None, child.GO, True), (None, "", False), (1, child.GO, False)], ids=str
)
def test_an_engine_does_not_begin_without_the_releaser_that_started_it(tmp_path, parent, word, begins):
    command = [
        sys.executable,
        "-I",
        "-S",
        child.__file__,
        str(parent or os.getpid()),
        "30",
        "/bin/touch",
        str(tmp_path / "it"),
    ]
    subprocess.run(command, input=word, text=True, check=False)
    assert (tmp_path / "it").exists() is begins


@pytest.mark.slow
def test_an_engine_is_killed_when_its_releaser_hangs(tmp_path):
    command = [sys.executable, "-I", "-S", child.__file__, str(os.getpid()), "1", "/bin/sleep", "60"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True) as engine:
        assert engine.stdin is not None
        engine.stdin.write(child.GO)
        engine.stdin.flush()
        for _ in range(20):  # twice as long as the patience is
            engine.stdin.write(child.BEAT)
            engine.stdin.flush()
            time.sleep(0.1)
        assert engine.poll() is None
        assert engine.wait(timeout=30) == -signal.SIGKILL


@pytest.mark.slow
def test_no_pulumi_on_the_path_is_one_sentence(stack, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ReleaseError, match="no `pulumi` on the PATH"):
        stack.outputs()


# The program


@pytest.fixture
def repo(tmp_path):
    root = tmp_path / "repo"
    for name in ("Pulumi.yaml", "Pulumi.prod.yaml", "__main__.py", "pyproject.toml", "uv.lock", "components/a.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"committed {name}\n")
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "--quiet", "--no-verify", "-m", "one")
    return root


def git(root, *arguments):
    return subprocess.run(
        ["git", "-C", str(root), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_program_is_that_of_the_commit_and_always_the_same_bytes(repo):
    sha = git(repo, "rev-parse", "HEAD")
    packed = program.archive(repo, sha, "prod")
    (repo / "__main__.py").write_text("changed since\n")
    (repo / "components" / "new.py").write_text("never committed\n")
    assert program.archive(repo, sha, "prod") == packed
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert tar.getnames() == sorted(tar.getnames())
        assert "components/a.py" in tar.getnames()
        main = tar.extractfile("__main__.py")
        assert main
        assert main.read() == b"committed __main__.py\n"
    with pytest.raises(CommitError):
        program.archive(repo, "0" * 40, "prod")
    with pytest.raises(CommitError, match=r"Pulumi\.other\.yaml"):
        program.archive(repo, sha, "other")


def test_an_environment_is_made_once_per_lock(repo, monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr(program, "_sync", lambda home: (made.append(home), (home / ".venv").mkdir()))
    packed = program.archive(repo, "HEAD", "prod")
    for _ in range(2):
        with program.unpacked(packed, tmp_path / "envs", QUIET) as folder:
            assert (folder / "__main__.py").exists()
            assert (folder / ".venv").is_dir()
    assert len(made) == 1
    assert not folder.exists()


# What a person sees

runner = CliRunner()


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone whose settings are those of the tests; the commands run in it."""
    monkeypatch.chdir(copy_to(tmp_path))


def invoke(monkeypatch, outcome, *arguments):
    def work(*_, **__):
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    monkeypatch.setattr("release.rollout.promote.promote", work)
    return runner.invoke(main.app, ["promote", "--digest", "a" * 64, *arguments])


REPORT = RollbackReport(
    from_=NamedRelease(sha="c" * 40, manifest="c" * 64),
    to=NamedRelease(sha="b" * 40, manifest="b" * 64),
    verified=True,
    detected_s=1.0,
    traffic_restored_s=0.5,
    converged_s=9.0,
    problems=[],
    state=State.ROLLED_BACK,
    stack="prod",
)


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (ReleaseReport(state=State.CONFIRMED, stack="prod"), 0),
        (UsageError("no"), 2),
        (Refused(RefusalRule.BLOCKED, "no"), 3),
        (RolledBack("back", report=REPORT), 4),
        (ReleaseError("no"), 1),
        (ZeroDivisionError("bug"), 1),
    ],
)
@pytest.mark.usefixtures("clone")
def test_exit_codes_and_exactly_one_json_document(monkeypatch, outcome, code):
    result = invoke(monkeypatch, outcome, "--json")
    assert result.exit_code == code
    document = json.loads(result.stdout)
    assert document.get("exit_code", 0) == code
    assert ("Traceback" in result.stderr) == isinstance(outcome, ZeroDivisionError)


@pytest.mark.usefixtures("clone")
@pytest.mark.parametrize(
    ("rule", "state"),
    [(RefusalRule.BLOCKED, "refused"), (RefusalRule.ROLLBACK_FAILED, "rollback_failed")],
    ids=str,
)
def test_a_refusal_by_a_rollback_that_failed_starts_the_way_back_of_the_workflow(monkeypatch, tmp_path, rule, state):
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    invoke(monkeypatch, Refused(rule, "no"))
    assert f"state={state}" in (tmp_path / "output").read_text().splitlines()


@pytest.mark.usefixtures("clone")
def test_an_error_says_what_why_and_what_to_do_next(monkeypatch):
    result = invoke(monkeypatch, Refused(RefusalRule.BLOCKED, "it is blocked", why="it failed", next_step="mend it"))
    assert result.stdout == ""
    for text in ("refused by rule blocked: it is blocked", "why:  it failed", "next: mend it"):
        assert text in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["promote"],
        ["promote", "--digest", "a", "--sha", "b"],
        ["promote", "--stack", "preprod", "--digest", "a"],
        ["promote", "--stack", "moon", "--digest", "a"],
        ["rollback", "--stack", "preprod", "--reason", "x"],
        ["deploy", "--stack", "prod", "--build", "."],
        ["rollback"],
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("clone")
def test_wrong_use_is_exit_code_2_without_a_stack_trace(arguments):
    result = runner.invoke(main.app, arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr


def test_a_workflow_gets_outputs_that_cannot_be_forged(tmp_path):
    output, summary = tmp_path / "output", tmp_path / "summary"
    document = {
        "state": "ROLLED_BACK",
        "sha": "b" * 40,
        "manifest": "a" * 64,
        "dashboard_url": "https://x/\nstate=confirmed",
    }
    tell_workflow(document, ["told"], {"GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary)})
    assert output.read_text().splitlines() == [
        "state=rolled_back",
        f"sha={'b' * 40}",
        "dashboard_url=https://x/ state=confirmed",
        f"digest={'a' * 64}",
    ]
    assert summary.read_text().startswith("### ROLLED_BACK")


def test_the_end_of_a_rollback_is_told_with_its_numbers():
    said = "\n".join(lines(REPORT))
    assert "detected after 1.0 s, traffic back after 0.5 s, stack back after 9.0 s" in said
    assert "verified by reading the cloud" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "used"),
    [(None, "s3://prod-sentiment-pulumi-state/service"), ("file:///elsewhere", "file:///elsewhere")],
)
def test_the_state_lies_where_the_names_say_unless_the_environment_says_otherwise(
    stack, pulumi, monkeypatch, given, used
):
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    if given:
        monkeypatch.setenv("PULUMI_BACKEND_URL", given)
    pulumi.answers(stdout="{}")
    stack.outputs()
    assert pulumi.seen["backend"] == used


def test_a_rollback_with_nothing_to_go_back_to_ends_with_its_own_exit_code(monkeypatch):
    monkeypatch.setattr(environment, "context", lambda *_, **__: SimpleNamespace(stack="prod"))
    monkeypatch.setattr("release.rollout.rollback.next_step", lambda _: "do this")
    monkeypatch.setattr("release.rollout.rollback.rollback", lambda *_: Report(state=State.ROLLED_BACK_TRAFFIC))
    ended = CliRunner().invoke(main.app, ["rollback", "--reason", "x", "--json"])
    assert ended.exit_code == 5, ended.output


_HELP = """
import sys
from typer.testing import CliRunner
from release.cli.main import COMMANDS, app
for name in ("", *(command.__name__ for command in COMMANDS)):
    ended = CliRunner().invoke(app, [*name.split(), "--help"])
    assert ended.exit_code == 0 and "Usage:" in ended.output, (name, ended.output)
print(*sys.modules)
"""


@pytest.mark.slow
def test_help_waits_for_no_work_of_a_command():
    """A command imports its work when it is called: these modules are most of the second that it would cost."""
    ran = subprocess.run([sys.executable, "-c", _HELP], check=True, capture_output=True, text=True)
    ours = {module for module in ran.stdout.split() if module.startswith(("release.", "components."))}
    assert {module for module in ours if not module.startswith("release.cli")} == {
        "components.naming",
        "release.errors",
        "release.rules",
    }
    heavy = {"boto3", "botocore", "httpx", "jinja2", "packaging", "pulumi", "pydantic", "rich", "ruamel", "yaml"}
    assert heavy & set(ran.stdout.split()) == set()
