"""How the doctor looks: probes that prove something, documents compared, which check is made where, the command."""

import json
import os
import re
import subprocess
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from components.naming import names
from components.policies.bucket import deployment_bucket
from components.policies.comparison import difference
from components.service.functions import FUNCTIONS
from release.cli import main
from release.clients.aws import Aws
from release.clients.github import GitHub
from release.doctor import page
from release.doctor.buckets import PROBE
from release.doctor.check import Check, Scope, Unseen, Warned
from release.doctor.examine import examine, make
from release.doctor.place import explain
from release.doctor.table import CHECKS, chosen
from release.errors import ReleaseError, UsageError
from release.ledger.lifecycle import LedgerState
from release.reports import EXIT_CODES, DoctorReport, Readiness
from release.text import one_line
from tests.stacks import STACK_FILES, copy_to
from tests.unit.release.doctor_world import ROOT, Broken, Clients, a_place, a_run, denied, settings

PROD = settings("prod")
OWN = names("prod")
OTHER = names("preprod")
BY_NAME = {check.name: check for check in CHECKS}
POLICY = deployment_bucket(PROD.arns, PROD.administrator_role_arn)


def refused(code, operation="PutObject"):
    raise ClientError({"Error": {"Code": code, "Message": code}}, operation)


def asked(name, arn="", **answers):
    """What the check says of a cloud that answers only these operations."""
    return make(BY_NAME[name], a_place(STACK_FILES, Clients(denied, **answers), Broken(denied), arn=arn))


def test_why_something_could_not_be_seen_names_the_right_that_is_missing():
    user = "arn:aws:sts::123456789012:assumed-role/prod-sentiment-watch/12345678901-1"
    sentence = f"User: {user} is not authorized to perform: sns:GetSubscriptionAttributes on resource: *"
    engine = "error: Preview failed: aws:sns/topicSubscription:TopicSubscription analysis-topic"
    called = "An error occurred (AccessDenied) when calling the GetSubscriptionAttributes operation"
    told = explain(ReleaseError("AWS cannot be compared with stack prod", why=f"{engine}: {called}: {sentence}"))
    assert told.endswith(sentence)


# The probe of the bucket


@pytest.mark.parametrize(
    ("conditional", "plain", "verdict"),
    [
        ("", "AccessDenied", Readiness.OK),
        ("PreconditionFailed", "AccessDenied", Readiness.OK),
        ("", "", Readiness.FAILED),
        ("PreconditionFailed", "", Readiness.FAILED),
        ("AccessDenied", "AccessDenied", Readiness.UNKNOWN),  # who may not write at all proves nothing
        ("SlowDown", "AccessDenied", Readiness.UNKNOWN),
        ("", "SlowDown", Readiness.UNKNOWN),  # only "denied" counts as denied
        ("", "NoSuchBucket", Readiness.UNKNOWN),
    ],
)
def test_only_a_denied_write_beside_an_accepted_one_proves_create_only(conditional, plain, verdict):
    keys = []

    def put_object(**asked):
        keys.append(asked["Key"])
        code = conditional if "IfNoneMatch" in asked else plain
        return refused(code) if code else {}

    assert asked("bucket.create-only", put_object=put_object).verdict is verdict
    assert set(keys) == {PROBE}


# Isolation, tried as a role of CI

ROLE = f"arn:aws:sts::{PROD.account_id}:assumed-role/{OWN.deploy_role}/77-1"


def sides(own, other):
    """An operation that answers by the side that it is asked about: a code, or empty for an answer."""

    def answer(**arguments):
        code = other if OTHER.environment in json.dumps(arguments, default=str) else own
        return refused(code) if code else {}

    return answer


def calls(own, other):
    operations = ("list_objects_v2", "put_object", "get_function_configuration", "get_item", "get_secret_value")
    return {operation: sides(own, other) for operation in operations}


@pytest.mark.parametrize(
    ("own", "other", "verdict"),
    [
        ("", "AccessDenied", Readiness.OK),
        ("ResourceNotFoundException", "AccessDeniedException", Readiness.OK),  # let in, and nothing was there
        ("", "", Readiness.FAILED),
        ("", "ResourceNotFoundException", Readiness.FAILED),
        ("AccessDenied", "", Readiness.FAILED),
        ("AccessDenied", "AccessDenied", Readiness.UNKNOWN),
        ("", "ThrottlingException", Readiness.UNKNOWN),
        ("", "NoSuchBucket", Readiness.UNKNOWN),
    ],
)
def test_a_role_of_ci_proves_isolation_only_by_denials_beside_what_it_may_do(own, other, verdict):
    answers = calls(own, other)
    if "NotFound" in own + other:  # S3 knows no such code
        answers |= dict.fromkeys(("list_objects_v2", "put_object"), sides("", "AccessDenied"))
    assert asked("isolation.other-environment", arn=ROLE, **answers).verdict is verdict


def test_one_open_way_is_named():
    finding = asked("isolation.other-environment", arn=ROLE, **calls("", "AccessDenied") | {"get_item": sides("", "")})
    assert finding.verdict is Readiness.FAILED
    assert finding.evidence == f"{OWN.deploy_role} may read an item of the other environment"


def test_a_role_of_the_other_environment_says_nothing_about_this_one():
    arn = f"arn:aws:sts::{PROD.account_id}:assumed-role/{OTHER.deploy_role}/77-1"
    assert asked("isolation.other-environment", arn=arn, **calls("", "")).verdict is Readiness.UNKNOWN


def test_for_anybody_else_the_simulator_is_asked_about_each_role_with_a_control():
    questions = []

    def simulate(**question):
        questions.append(question)
        (action,), (resource,) = question["ActionNames"], question["ResourceArns"]
        own = (
            action == "s3:GetObject"
            and resource.endswith(f"{OWN.bucket}/ledger/head.json")
            and "preprod" not in resource
        )
        return {"EvaluationResults": [{"EvalDecision": "allowed" if own else "explicitDeny"}]}

    finding = asked("isolation.other-environment", simulate_principal_policy=simulate)
    assert finding.verdict is Readiness.OK, finding.evidence
    assert len({question["PolicySourceArn"] for question in questions}) == 4


# Region


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({"AWS_REGION": "us-east-1"}, "us-east-1"),
        ({"AWS_DEFAULT_REGION": "us-east-1"}, "us-east-1"),
        ({"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "eu-west-1"}, "us-east-1"),
        ({}, ""),
    ],
)
def test_the_region_is_the_one_that_every_other_tool_takes(offline, monkeypatch, variables, region):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Aws().region == region
    finding = make(BY_NAME["identity.settings"], a_place(STACK_FILES, Clients(denied), Broken(denied)))
    assert finding.verdict is (Readiness.OK if region else Readiness.FAILED)


# Credentials of another account


def test_what_another_account_answers_is_never_taken_for_an_answer():
    place = a_place(STACK_FILES, Clients(denied), Broken(denied), broken=Broken(denied))
    place.settings = replace(PROD, account_id="999999999999")
    for check in CHECKS:
        if check.in_account:
            finding = make(check, place)
            assert finding.verdict is Readiness.UNKNOWN
            assert "these credentials belong to account" in finding.evidence


# Documents


def test_spelling_makes_no_difference():
    respelled = json.loads(json.dumps(POLICY))
    for statement in respelled["Statement"]:
        for field in ("Action", "Resource"):
            statement[field] = statement[field][0] if len(statement[field]) == 1 else statement[field][::-1]
    respelled["Statement"].reverse()
    assert difference(POLICY, respelled) == ""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda one: one["Statement"].pop(0), "statement TlsOnly is missing"),
        (
            lambda one: one["Statement"].append({"Sid": "More", "Effect": "Allow", "Action": "*"}),
            "statement More should not be there",
        ),
        (
            lambda one: one["Statement"][1]["Resource"].pop(),
            f'statement CreateOnly: Resource lacks ["arn:aws:s3:::{OWN.bucket}/way-back/*"]',
        ),
        (
            lambda one: one["Statement"][0]["Action"].append("s3:Other"),
            'statement TlsOnly: Action has besides ["s3:Other"]',
        ),
        (lambda one: one["Statement"][0].pop("Condition"), "statement TlsOnly: Condition is absent"),
        (lambda one: one["Statement"][0].update(Effect="Allow"), "Effect"),
        (lambda one: one["Statement"].append(dict(one["Statement"][0])), "TlsOnly no. 2 should not be there"),
    ],
)
def test_a_difference_is_told_shortly(change, told):
    deployed = json.loads(json.dumps(POLICY))
    change(deployed)
    assert told in difference(POLICY, deployed)
    assert len(difference(POLICY, deployed)) < 500


# Which check is made where


NOTES = {"ok": [], "warning": [Warned("seen")], "unknown": [Unseen("seen")], "failed": ["seen"]}


def saying(verdict):
    def notes(*_):
        yield from NOTES[verdict]
        return "seen"

    return notes


def counted(name, verdict="failed", **options):
    return Check(
        name=name,
        asks="?",
        expected="!",
        fix="do {stack} and {foundation}",
        look=lambda _: None,
        notes=saying(verdict),
        in_account=False,
        **options,
    )


def test_what_there_is_once_is_asked_once_and_where_its_settings_are():
    places = [a_place(STACK_FILES, Clients(denied), None, environment=one) for one in ("preprod", "prod")]
    seen = []
    once = replace(counted("a.b", scope=Scope.REPOSITORY), look=lambda place: seen.append(place.settings.environment))
    checks = [
        once,
        counted("a.machine", scope=Scope.MACHINE),
        counted("a.account", scope=Scope.ACCOUNT),
        counted("a.each"),
        counted("a.prod", environments=("prod",)),
    ]
    found = [(one.name, one.stack) for one in examine(checks, places, places[0].context.console)]
    assert seen == ["prod"]  # ownsShared is set there
    assert found == [
        ("a.b", ""),
        ("a.machine", ""),
        ("a.account", "preprod"),
        ("a.each", "preprod"),
        ("a.each", "prod"),
        ("a.prod", "prod"),
    ]


def test_two_accounts_are_both_asked():
    places = [a_place(STACK_FILES, Clients(denied), None, environment=one) for one in ("preprod", "prod")]
    places[0].settings = replace(places[0].settings, account_id="999999999999")
    found = examine([counted("a.account", scope=Scope.ACCOUNT)], places, places[0].context.console)
    assert [one.stack for one in found] == ["preprod", "prod"]


@pytest.mark.parametrize(
    ("verdicts", "worst", "exit_code"),
    [
        ((), "ok", 0),
        (("ok", "warning"), "warning", 0),
        (("ok", "unknown", "warning"), "unknown", 1),
        (("unknown", "failed", "ok"), "failed", 3),
    ],
)
def test_the_worst_verdict_gives_the_exit_code_and_stands_first(verdicts, worst, exit_code):
    place = a_place(STACK_FILES, Clients(denied), None)
    checks = [counted(f"a.{number}", one) for number, one in enumerate(verdicts)]
    document = DoctorReport.of(examine(checks, [place], place.context.console)).as_dict()
    assert (document["verdict"], document["exit_code"]) == (worst, exit_code)
    assert [one["verdict"] for one in document["findings"]][:1] == ([worst] if verdicts else [])
    json.dumps(document)


def test_a_check_that_breaks_hides_no_other():
    place = a_place(STACK_FILES, Clients(denied), None)
    breaking = replace(counted("a.broken"), look=lambda _: {}["missing"])
    found = examine([breaking, counted("a.sound")], [place], place.context.console)
    assert [one.verdict for one in found] == [Readiness.UNKNOWN, Readiness.FAILED]


def test_a_fix_is_for_the_stack_that_is_asked_about():
    place = a_place(STACK_FILES, Clients(denied), None, environment="preprod")
    assert make(counted("a.b"), place).fix == "do preprod and preprod-foundation"


def test_names_choose_checks_and_areas_and_a_wrong_one_is_refused():
    assert chosen([]) == CHECKS
    assert {check.name for check in chosen(["roles", "tools.git"])} == {
        *(check.name for check in CHECKS if check.area == "roles"),
        "tools.git",
    }
    with pytest.raises(UsageError, match=re.escape("rolls.table")):
        chosen(["roles", "rolls.table"])


# What the local cloud cannot show: looked at here


def github(answers):
    """The repository, answering these paths."""

    def answer(request):
        path = request.url.path.removeprefix("/repos/traylorre/sentiment-pipeline").strip("/")
        return (
            httpx.Response(200, json=answers[path]) if path in answers else httpx.Response(404, json={"message": "no"})
        )

    return GitHub("made-up", "traylorre/sentiment-pipeline", transport=httpx.MockTransport(answer))


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ({"contents/.github/CODEOWNERS": {"content": b64encode(b"* @traylorre\n").decode()}}, Readiness.OK),
        ({"": {"id": 1}}, Readiness.FAILED),  # the repository is there, the file is not
        ({}, Readiness.UNKNOWN),  # nor is the repository, for this token
    ],
)
def test_a_missing_file_is_told_from_a_repository_that_may_not_be_seen(answers, verdict):
    place = a_place(STACK_FILES, Clients(denied), github(answers))
    assert make(BY_NAME["repository.codeowners"], place).verdict is verdict


@pytest.mark.parametrize("file", ["watch.yml", "preview-comment.yml"])
@pytest.mark.parametrize(
    ("state", "answers", "verdict"),
    [
        ("active", {}, Readiness.OK),
        ("disabled_inactivity", {}, Readiness.FAILED),
        (None, {"": {"id": 1}}, Readiness.FAILED),  # the repository is there, the workflow is not
        (None, {}, Readiness.UNKNOWN),
    ],
)
def test_a_workflow_that_github_has_switched_off_is_found(file, state, answers, verdict):
    told = {f"actions/workflows/{one}": {"state": "active"} for one in ("watch.yml", "preview-comment.yml")} | answers
    told[f"actions/workflows/{file}"] = {"state": state}
    if state is None:
        del told[f"actions/workflows/{file}"]
    finding = make(BY_NAME["repository.workflows"], a_place(STACK_FILES, Clients(denied), github(told)))
    assert finding.verdict is verdict
    assert (file in finding.evidence) is (verdict is Readiness.FAILED)


@pytest.mark.parametrize(("weights", "verdict"), [({}, Readiness.OK), ({"8": 0.1}, Readiness.FAILED)])
def test_the_real_alias_is_held_against_the_ledger(weights, verdict):
    def get_alias(**_):
        return {"FunctionVersion": "7", "RoutingConfig": {"AdditionalVersionWeights": weights}}

    place = a_place(STACK_FILES, Clients(denied, get_alias=get_alias), None)
    served = SimpleNamespace(stable={spec.key: "7" for spec in FUNCTIONS})
    place.context.__dict__["ledger"] = SimpleNamespace(view=lambda: SimpleNamespace(served=served))
    place.context.__dict__["lease"] = SimpleNamespace(holder=lambda: None)
    assert make(BY_NAME["functions.aliases"], place).verdict is verdict


def git(folder, *command, at="2026-11-20T09:00:00Z"):
    person = {"GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x", "GIT_COMMITTER_NAME": "x", "GIT_COMMITTER_EMAIL": "x"}
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at}
    ran = subprocess.run(
        ["git", "-C", folder, *command], check=True, env=os.environ | person | quiet, capture_output=True, text=True
    )
    return ran.stdout.strip()


@pytest.fixture
def clone(tmp_path):
    """Three commits, an hour apart, and a function that tells how production stands at one of them."""
    shas = []
    git(tmp_path, "init", "-q")
    for hour in (9, 10, 11):
        git(tmp_path, "commit", "-q", "--allow-empty", "-m", "x", at=f"2026-11-20T{hour:02}:00:00Z")
        shas.append(git(tmp_path, "rev-parse", "HEAD"))

    def place(confirmed, answers):
        made = a_place(STACK_FILES, Clients(denied), github(answers))
        made.context.repo = tmp_path
        served = SimpleNamespace(release=SimpleNamespace(sha=shas[confirmed]))
        made.context.__dict__["ledger"] = SimpleNamespace(view=lambda: SimpleNamespace(confirmed=served))
        return made

    return SimpleNamespace(shas=shas, place=place)


def runs(*waiting):
    return {
        f"actions/workflows/{file}/runs": {"workflow_runs": list(waiting)}
        for file in ("build-and-promote.yml", "deploy-prod.yml")
    }


def test_how_far_production_is_behind_main_is_counted_in_the_clone(clone):
    head = {"commits/main": {"sha": clone.shas[2]}}
    check = BY_NAME["releases.main"]
    assert make(check, clone.place(2, {})).verdict is Readiness.UNKNOWN
    assert make(check, clone.place(2, head | runs())).verdict is Readiness.OK
    behind = make(check, clone.place(0, head | runs()))
    assert behind.verdict is Readiness.FAILED
    assert "2 commits behind" in behind.evidence
    assert "no run waits" in behind.evidence
    assert make(check, clone.place(0, head)).verdict is Readiness.UNKNOWN  # nor is it known whether a run waits
    run = a_run(id=1, head_sha=clone.shas[2], created_at="2026-11-20T12:00:00Z")
    assert make(check, clone.place(0, head | runs(run))).verdict is Readiness.WARNING


@pytest.mark.slow
@pytest.mark.parametrize(
    ("says", "verdict"), [("v3.274.1", Readiness.OK), ("v3.273.0", Readiness.FAILED), ("v3.275.0", Readiness.OK)]
)
def test_the_engine_is_the_one_that_the_project_pins(tmp_path, monkeypatch, says, verdict):
    script = tmp_path / "pulumi"
    script.write_text(f"#!/bin/sh\necho {says}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert make(BY_NAME["tools.engine"], a_place(ROOT, Clients(denied), None)).verdict is verdict
    script.unlink()
    assert make(BY_NAME["tools.engine"], a_place(ROOT, Clients(denied), None)).verdict is Readiness.FAILED


HOLDER = {
    "run": {"id": "77.1", "actor": "somebody", "host": "runner"},
    "since": "2026-11-23T10:00:00Z",
    "what": "promote",
}


@pytest.mark.parametrize(
    ("holder", "answers", "verdict"),
    [
        (None, {}, Readiness.OK),
        (HOLDER, {"actions/runs/77/attempts/1": {"id": 77, "run_attempt": 1, "status": "in_progress"}}, Readiness.OK),
        (HOLDER, {"actions/runs/77/attempts/1": {"id": 77, "run_attempt": 1, "status": "completed"}}, Readiness.FAILED),
        (HOLDER, {}, Readiness.UNKNOWN),  # GitHub does not say
        ({**HOLDER, "run": {"id": "local-1", "actor": "x", "host": "elsewhere", "pid": 1}}, {}, Readiness.UNKNOWN),
    ],
)
def test_only_a_run_that_is_known_to_live_may_hold_the_lease(holder, answers, verdict):
    place = a_place(STACK_FILES, Clients(denied), github(answers))
    place.context.__dict__["github"] = place.github
    lease = SimpleNamespace(holder=lambda: holder, is_ours=lambda run, **_: False)
    place.context.__dict__ |= {"lease": lease, "ledger": SimpleNamespace(view=lambda: LedgerState(stack="prod"))}
    assert make(BY_NAME["releases.lease"], place).verdict is verdict


def test_the_subject_of_a_newer_repository_needs_its_ids():
    answers = {
        "": {
            "id": 22,
            "owner": {"id": 11},
            "created_at": "2026-08-01T00:00:00Z",
            "full_name": "traylorre/sentiment-pipeline",
        },
        "actions/oidc/customization/sub": {"use_default": True},
    }
    place = a_place(STACK_FILES, Clients(denied), github(answers))
    assert make(BY_NAME["repository.subject"], place).verdict is Readiness.FAILED
    place.settings = replace(PROD, github_owner_id="11", github_repository_id="22")
    assert make(BY_NAME["repository.subject"], place).verdict is Readiness.OK
    place.settings = replace(PROD, github_owner_id="11", github_repository_id="23")
    assert make(BY_NAME["repository.subject"], place).verdict is Readiness.FAILED


# The command


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No credentials, no token, no network: a laptop on which nothing was set up."""
    for name in ("GITHUB_TOKEN", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "RELEASE_STACK_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.chdir(copy_to(tmp_path))


def test_without_credentials_everything_in_the_cloud_is_unknown_and_nothing_crashes(offline):
    ran = CliRunner().invoke(main.app, ["doctor", "--json", "--only", "roles", "--only", "environments"])
    assert ran.exit_code == 1, ran.stderr
    document = json.loads(ran.stdout)
    assert document["verdict"] == "unknown"
    assert {finding["verdict"] for finding in document["findings"]} == {"unknown"}
    assert {finding["stack"] for finding in document["findings"]} == {"prod", "preprod", ""}
    assert "Traceback" not in ran.output
    said = {finding["name"]: finding["said"] for finding in document["findings"]}
    assert "GITHUB_TOKEN" in said["environments.rules"]
    assert "credentials" in said["roles.table"]


def test_people_see_evidence_and_the_fix_for_all_that_is_not_fine(offline):
    ran = CliRunner().invoke(
        main.app, ["doctor", "--stack", "prod", "--only", "roles.table", "--only", "identity.settings"]
    )
    assert ran.exit_code == 1
    told = one_line(ran.stdout)
    assert "unknown roles.table prod" in told
    assert "pulumi up --refresh --stack prod-foundation" in told
    assert "ok: identity.settings prod" in told
    assert "1 unknown, 1 ok" in told
    assert "unknown  roles.table prod" in ran.stderr  # progress, as it went


def test_a_job_shows_in_its_summary_what_is_not_fine(offline, monkeypatch, tmp_path):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    words = ["doctor", "--stack", "prod", "--only", "roles.table", "--only", "identity.settings"]
    assert CliRunner().invoke(main.app, words).exit_code == 1
    written = (tmp_path / "summary").read_text()
    assert "unknown: roles.table prod: " in written
    assert "identity.settings" not in written


@pytest.mark.parametrize(
    "arguments", [["--only", "nothing"], ["--stack", "staging"], ["--stack", "preprod", "--only", "releases.main"]]
)
def test_a_mistake_in_the_command_is_no_verdict(offline, arguments):
    assert CliRunner().invoke(main.app, ["doctor", *arguments]).exit_code == 2


def test_the_page_is_made_from_the_table():
    written = (ROOT / page.PAGE).read_text()
    assert written == page.renewed(written), "python -m release.doctor.page"
    assert all(f"`{check.name}`" in written for check in CHECKS)
    assert not any("|" in cell for check in CHECKS for cell in (check.asks, check.expected, check.fix))


def test_the_page_says_what_the_exit_codes_mean_and_what_is_written():
    written = (ROOT / page.PAGE).read_text()
    assert re.findall(r"\| `(\w+)` \| .* \| (\d) \|", written) == [
        (verdict, str(code)) for verdict, code in EXIT_CODES.items()
    ]
    assert f"`{PROBE}`" in written


def test_every_document_that_a_fix_names_exists():
    texts = " ".join(check.fix for check in CHECKS)
    named = set(re.findall(r"docs/[\w./-]+\.md", texts))
    assert named
    assert [name for name in named if not (Path(ROOT) / name).is_file()] == []


def test_every_command_of_ours_that_a_fix_names_exists():
    known = {command.name or command.callback.__name__ for command in main.app.registered_commands}
    named = {word for check in CHECKS for word in re.findall(r"\brelease ([a-z]+)\b", check.fix)}
    assert named
    assert named - known == set()
