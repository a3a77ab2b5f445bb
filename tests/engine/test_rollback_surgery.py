"""The way back on the real engine, from releases that changed the program itself.

The failed release is a changed copy of the program, the confirmed one is the program as it stands. What is asserted is
what the cloud holds, looked at past the engine, beside the releaser's own proof.
"""

import base64
import hashlib
import io
import json
import os
import signal
import subprocess
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console as RichConsole

from components.naming import names, state_place
from components.service.functions import KEYS
from release.clients.aws import Aws
from release.clock import Clock
from release.console import Console
from release.context import Context
from release.errors import ReleaseError
from release.ledger.ledger import this_run
from release.ledger.lifecycle import Deployment, ReleaseId, State
from release.pulumi.stack import ReleaseInput, Stack
from release.rollout.reconcile import adopt
from release.rollout.rollback import Failure, roll_back, rollback
from release.settings import ReleaseSettings
from release.traffic.aliases import Traffic
from tests.cloud import ROOT, Cloud
from tests.engine.conftest import program_copy

# It goes through the releaser in this process, with the clone's own stack files.
pytestmark = [pytest.mark.engine, pytest.mark.timeout(240), pytest.mark.stack_files]

STACK = "prod"
NAMES = names(STACK)
DRAFTS, DRAFT = f"{NAMES.prefix}drafts", {"id": {"S": "1"}}
HANDLER = """
import json
import os

TEXT = {text!r}


def handle(event, context):
    body = {{"status": "ok", "release": os.environ["RELEASE_SHA"], "digest": os.environ["RELEASE_DIGEST"]}}
    return {{"statusCode": 200, "body": json.dumps(body)}}
"""


@dataclass
class Production:
    """The service stack of prod, driven by the releaser's own parts, without the judging in between."""

    cloud: Cloud
    scratch: Path
    releases: dict[str, dict] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    aws: Aws = field(default_factory=Aws)
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str):
        if service not in self.clients:
            self.clients[service] = self.cloud.client(service)
        return self.clients[service]

    def close(self) -> None:
        for made in (*self.clients.values(), *vars(self.aws).values()):
            if hasattr(made, "meta"):
                made.close()

    def release(self, name: str) -> dict:
        if name not in self.releases:
            sha, digest = hashlib.sha1(name.encode()).hexdigest(), hashlib.sha256(name.encode()).hexdigest()
            functions = {}
            for function in KEYS:
                buffer = io.BytesIO()
                with zipfile.ZipFile(buffer, "w") as archive:
                    archive.writestr("handler.py", HANDLER.format(text=f"{function} {name}"))
                key = f"packages/{digest}/{function}-{sha}.zip"
                put = self.client("s3").put_object(
                    Bucket=NAMES.bucket, Key=key, Body=buffer.getvalue(), IfNoneMatch="*"
                )
                functions[function] = {
                    "bucket": NAMES.bucket,
                    "key": key,
                    "version_id": put["VersionId"],
                    "code_sha256": base64.b64encode(hashlib.sha256(buffer.getvalue()).digest()).decode(),
                    "handler": "handler.handle",
                }
            self.releases[name] = {"sha": sha, "manifest": digest, "functions": functions}
        return self.releases[name]

    def id(self, name: str) -> ReleaseId:
        release = self.release(name)
        return ReleaseId(digest=release["manifest"], sha=release["sha"])

    def console(self) -> Console:
        return Console(RichConsole(file=io.StringIO()))

    def context(self) -> Context:
        context = Context(
            stack=STACK,
            repo=self.scratch,
            console=self.console(),
            settings=ReleaseSettings(restored_answers=2, restored_limit_s=3),
            clock=Clock(60),
            run=this_run({}),
            aws=self.aws,
        )

        @contextmanager
        def program(packed):
            if "registry" in self.down:
                raise ReleaseError("the environment of the release's program cannot be made", why="no registry")
            yield Stack(STACK, ROOT, context.console, locks=context.locks)

        context.program = program
        if "lambda" in self.down:
            context.traffic = Traffic(STACK, Dead(), context.lease.check)
        return context

    def up(self, name: str, traffic: int, folder: Path = ROOT, *, stable: dict | None = None, confirmed: bool = False):
        hand_over = ReleaseInput(self.release(name), stable or {}, traffic, confirmed)
        Stack(STACK, folder, self.console()).up(hand_over)

    def enter(self, context: Context, name: str, *states: State, **more) -> None:
        for state in states:
            context.ledger.append(state, release=self.id(name), **more)

    def confirm(self, name: str) -> Deployment:
        context, stack = self.context(), Stack(STACK, ROOT, self.console())
        with context.leased("a rehearsal"):
            return self._confirmed(context, stack, name)

    def _confirmed(self, context: Context, stack: Stack, name: str) -> Deployment:
        self.enter(context, name, State.LEASED, State.ARMED, State.DEPLOYING, State.DARK, State.LIVE)
        self.up(name, 100, confirmed=True)
        outputs = stack.outputs()
        served = Deployment(
            release=self.id(name),
            built_at="2026-11-23T09:00:00Z",
            at=context.clock.stamp(),
            hand_over=self.release(name),
            functions={function: context.traffic.deployed(function) for function in KEYS},
            dashboard_url=outputs["dashboard_url"],
            on_call_topic=outputs["on_call_topic"],
            alarms=tuple(outputs["alarms"]),
            program_sha256=context.releases.confirm_program(self.id(name), f"program of {name}".encode()),
            checkpoint_sha256=context.releases.confirm_checkpoint(self.id(name), stack.export()),
        )
        self.enter(context, name, State.CONFIRMED, served=served)
        return served

    def begin(self, name: str) -> Context:
        context = self.context()
        with context.leased("a rehearsal"):
            self.enter(context, name, State.LEASED, State.ARMED, State.DEPLOYING)
        return context

    def roll_back(self, context: Context, name: str) -> dict:
        failure = Failure(self.id(name), "on purpose", 0.0, context.clock.monotonic())
        with context.leased("a rehearsal"):
            return roll_back(context, failure, context.ledger.view().confirmed)

    def resources(self) -> list[dict]:
        return json.loads(Stack(STACK, ROOT, self.console()).export())["deployment"]["resources"]

    def urns(self) -> set[str]:
        return {entry["urn"] for entry in self.resources()}

    def inventory(self) -> dict:
        """What there is in the cloud, looked at past the engine."""
        iam = self.client("iam")
        roles = [role["RoleName"] for role in iam.list_roles()["Roles"] if role["RoleName"].endswith(("-exec", "-b"))]
        return {
            "roles": sorted(role for role in roles if role.startswith("prod-")),
            "policies": {
                role: iam.get_role_policy(RoleName=role, PolicyName="execution")["PolicyDocument"]
                for role in roles
                if role.startswith("prod-")
            },
            "topics": sorted(topic["TopicArn"] for topic in self.client("sns").list_topics()["Topics"]),
            "tables": self.client("dynamodb").list_tables()["TableNames"],
            "kept": self.client("sqs").get_queue_attributes(
                QueueUrl=self.client("sqs").get_queue_url(QueueName=NAMES.dead_letters_queue)["QueueUrl"],
                AttributeNames=["MessageRetentionPeriod"],
            )["Attributes"],
            "alarms": sorted(
                alarm["AlarmName"] for alarm in self.client("cloudwatch").describe_alarms()["MetricAlarms"]
            ),
        }


class Dead:
    """A client whose service does not answer."""

    def __getattr__(self, operation):
        def fail(**_):
            from botocore.exceptions import EndpointConnectionError

            raise EndpointConnectionError(endpoint_url="http://lambda.test")

        return fail


def change(folder: Path, file: str, *pairs: tuple[str, str]) -> None:
    path = folder / "components" / file
    text = path.read_text()
    for before, after in pairs:
        assert text.count(before) == 1, (file, before)
        text = text.replace(before, after)
    path.write_text(text)


@pytest.fixture(scope="module")
def production(cloud, tmp_path_factory):
    cloud.run("pulumi", "up", "--yes", "--skip-preview", "--stack", f"{STACK}-foundation")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cloud.variables.items():
            patch.setenv(name, value)
        for name in ("GITHUB_TOKEN", "GITHUB_REPOSITORY"):
            patch.delenv(name, raising=False)
        made = Production(cloud, tmp_path_factory.mktemp("production"))
        yield made
        made.close()


@pytest.fixture(scope="module")
def confirmed(production):
    return production.confirm("good")


@pytest.fixture
def program(tmp_path):
    return program_copy(tmp_path / "program")


def test_a_first_release_that_fails_is_taken_off_traffic(production):
    context = production.begin("first")
    context.releases.objects.create(
        f"packages/{production.id('first').digest}/release.json", json.dumps(production.release("first")).encode()
    )
    context.releases.objects.create(f"packages/{production.id('first').digest}/program.tar.gz", b"program")
    production.up("first", 100)
    report = production.roll_back(context, "first")
    assert (report.state, report.problems) == (State.ROLLED_BACK_TRAFFIC, [])
    assert all(context.traffic.alias(function) is None for function in KEYS)
    assert context.traffic.alias("dashboard", "candidate") is not None


@pytest.fixture(scope="module")
def changed_program(tmp_path_factory):
    """Renames a function, moves the table, renames roles, narrows a policy, adds a table and a topic."""
    program = program_copy(tmp_path_factory.mktemp("changed") / "program")
    change(
        program,
        "service/service.py",
        (
            "        return Function(\n            spec.key,",
            "        return Function(\n            {'ingestion': 'intake'}.get(spec.key, spec.key),",
        ),
        (
            "                plan=plan.functions.get(spec.key) if plan else None,\n            ),\n"
            "            pulumi.ResourceOptions(parent=self),",
            "                plan=plan.functions.get(spec.key) if plan else None,\n            ),\n"
            "            pulumi.ResourceOptions(parent=self, aliases=[pulumi.Alias(name=spec.key)]),",
        ),
        (
            "        items = Items(",
            "        storage = pulumi.ComponentResource(\n"
            "            'sentiment:service:Storage', 'storage', None, pulumi.ResourceOptions(parent=self)\n"
            "        )\n"
            "        aws.dynamodb.Table(\n"
            "            'drafts', name=f'{names.prefix}drafts', billing_mode='PAY_PER_REQUEST', hash_key='id',\n"
            "            attributes=[{'name': 'id', 'type': 'S'}], opts=pulumi.ResourceOptions(parent=storage),\n"
            "        )\n"
            "        aws.sns.Topic('echo', name=f'{names.prefix}echo', opts=pulumi.ResourceOptions(parent=storage))\n"
            "        items = Items(",
        ),
        (
            "protect=args.settings.is_prod),\n            pulumi.ResourceOptions(parent=self),",
            "protect=args.settings.is_prod),\n"
            "            pulumi.ResourceOptions(parent=storage, aliases=[pulumi.Alias(parent=self)]),",
        ),
    )
    change(program, "service/function.py", ("name=self.names.role,", "name=f'{self.names.role}-b',"))
    change(
        program,
        "policies/execution.py",
        ("for index in (BY_SENTIMENT, BY_TAG, BY_STATUS)", "for index in (BY_SENTIMENT, BY_TAG)"),
    )
    return program


@dataclass
class Rehearsed:
    """What stood before a release and what stands after its rollback."""

    before: tuple[dict, set[str]]
    between: tuple[dict, set[str]]
    after: tuple[dict, set[str]]
    report: dict


@pytest.fixture(scope="module")
def rolled_back(production, confirmed, changed_program):
    """A release with the changed program, drift made by hand on top of it, and the way back."""
    before = (production.inventory(), production.urns())
    context = production.begin("renaming")
    production.up("renaming", 100, changed_program)
    between = (production.inventory(), production.urns())
    dynamodb, sqs = production.client("dynamodb"), production.client("sqs")
    dynamodb.put_item(TableName=DRAFTS, Item=DRAFT)
    queue = sqs.get_queue_url(QueueName=NAMES.dead_letters_queue)["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"MessageRetentionPeriod": "60"})
    production.client("cloudwatch").delete_alarms(AlarmNames=[NAMES.function("analysis").alarm("errors")])

    report = production.roll_back(context, "renaming")
    return Rehearsed(before, between, (production.inventory(), production.urns()), report)


def test_names_parents_roles_policies_additions_and_drift_all_go_back(production, rolled_back):
    assert rolled_back.report.problems == []
    assert rolled_back.report.state is State.ROLLED_BACK
    (before, urns), (after, urns_after) = rolled_back.before, rolled_back.after
    assert all(before[what] != rolled_back.between[0][what] for what in ("roles", "policies", "topics", "tables"))
    assert {**after, "tables": sorted(after["tables"])} == {**before, "tables": sorted([*before["tables"], DRAFTS])}
    assert len(rolled_back.between[1] - urns) > len(KEYS)
    assert urns_after == urns


def test_an_added_table_stays_with_its_items_and_is_named(production, rolled_back):
    assert [left.id for left in rolled_back.report.left_in_aws] == [DRAFTS]
    assert production.client("dynamodb").get_item(TableName=DRAFTS, Key=DRAFT)["Item"] == DRAFT


def test_the_next_release_takes_it_over_and_a_kill_leaves_neither_lock_nor_orphan_in_the_way(
    production, confirmed, rolled_back, changed_program
):
    context, stack = production.begin("mended"), Stack(STACK, changed_program, production.console())
    hand_over = ReleaseInput(production.release("mended"), confirmed.stable, 0)
    plan = stack.plan(hand_over)
    assert ("create", "drafts") in {(step.op, step.name) for step in plan.steps}
    again = adopt(context, stack, hand_over, plan)
    assert "drafts" not in {step.name for step in again.steps if step.op != "update"}
    with context.leased("a rehearsal"):
        kill_in_mid_update(context, changed_program, hand_over)
    role = orphan_role(production)

    report = production.roll_back(context, "mended")

    assert report.problems == []
    assert report.state is State.ROLLED_BACK
    assert production.urns() == rolled_back.before[1]
    assert production.client("dynamodb").get_item(TableName=DRAFTS, Key=DRAFT)["Item"] == DRAFT
    assert role not in [found["RoleName"] for found in production.client("iam").list_roles()["Roles"]]


def kill_in_mid_update(context: Context, program: Path, hand_over: ReleaseInput) -> None:
    """Kill an engine that the lease lists, as it lists each that the releaser starts."""
    tracked = program / f"Pulumi.{STACK}.yaml"
    document = yaml.safe_load(tracked.read_text())
    document["config"]["sentiment-pipeline:release"] = hand_over.as_config_value()
    tracked.write_text(yaml.safe_dump(document))
    process = subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", STACK],
        cwd=program,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    context.lease.note_engine(process.pid)
    assert process.stdout is not None
    for line in process.stdout:
        if "lambda:Function" in line and "updat" in line:
            break
    else:
        pytest.fail("the update ended before it could be killed")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def orphan_role(production: Production) -> str:
    """A role that was created, and whose creation the killed engine had not yet recorded."""
    name = f"{NAMES.prefix}orphan-exec"
    trust = {"Version": "2012-10-17", "Statement": []}
    production.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    bucket, folder = state_place(STACK)
    key = f"{folder}/.pulumi/stacks/sentiment-pipeline/{STACK}.json"
    s3 = production.client("s3")
    state = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    latest = state["checkpoint"]["latest"]
    role = next(entry for entry in latest["resources"] if entry["type"] == "aws:iam/role:Role")
    half = {key: value for key, value in role.items() if key not in {"id", "outputs"}}
    half |= {"urn": f"{role['urn'].rsplit('::', 1)[0]}::orphan", "inputs": {**role["inputs"], "name": name}}
    latest.setdefault("pending_operations", []).append({"resource": half, "type": "creating"})
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(state).encode())
    return name


def test_a_table_that_a_release_wanted_to_replace_keeps_its_items_whatever_is_down(production, confirmed, program):
    dynamodb = production.client("dynamodb")
    item = {"source_id": {"S": "a"}, "timestamp": {"S": "2026"}}
    dynamodb.put_item(TableName=NAMES.items_table, Item=item)
    change(
        program,
        "service/items.py",
        ("name=args.table,", "name=f'{args.table}-v2',"),
        ("pulumi.ResourceOptions(parent=self, protect=args.protect)", "pulumi.ResourceOptions(parent=self)"),
    )
    context = production.begin("replacing")
    with pytest.raises(ReleaseError):
        production.up("replacing", 100, program)
    production.down |= {"lambda", "registry"}
    assert production.roll_back(production.context(), "replacing").state is State.ROLLBACK_FAILED
    production.down -= {"lambda"}
    report = rollback(production.context(), None, "try again")
    assert report.state is State.ROLLED_BACK_TRAFFIC
    assert "cannot be made" in report.problems[0]
    production.down.clear()

    report = rollback(production.context(), None, "the registry answers again")

    assert report.problems == []
    assert report.state is State.ROLLED_BACK
    assert dynamodb.get_item(TableName=NAMES.items_table, Key=item)["Item"] == item
    assert [left.id for left in report.left_in_aws] == [f"{NAMES.items_table}-v2"]
    assert context.ledger.verify() == []


def test_data_that_are_gone_stop_the_update_with_traffic_safe(production, confirmed):
    dynamodb = production.client("dynamodb")
    made = dynamodb.describe_table(TableName=NAMES.items_table)["Table"]
    context = production.begin("losing")
    dynamodb.update_table(TableName=NAMES.items_table, DeletionProtectionEnabled=False)
    dynamodb.delete_table(TableName=NAMES.items_table)

    report = production.roll_back(context, "losing")

    assert report.state is State.ROLLED_BACK_TRAFFIC
    assert "would be made anew, empty" in report.problems[0]
    assert {name: context.traffic.alias(name).version for name in KEYS} == confirmed.stable
    assert NAMES.items_table not in dynamodb.list_tables()["TableNames"]

    wanted = ("KeySchema", "AttributeDefinitions", "TableName")
    indexes = [
        {key: index[key] for key in ("IndexName", "KeySchema", "Projection")}
        for index in made["GlobalSecondaryIndexes"]
    ]
    dynamodb.create_table(
        **{key: made[key] for key in wanted},
        GlobalSecondaryIndexes=indexes,
        BillingMode="PAY_PER_REQUEST",
        SSESpecification={"Enabled": True},
    )
    report = rollback(production.context(), None, "restored from its backup")
    assert report.problems == []
    assert report.state is State.ROLLED_BACK


def test_a_resumed_update_moves_the_aliases_again_that_the_schedules_have_moved_back(production, confirmed):
    stack, new = Stack(STACK, ROOT, production.console()), production.release("resumed")
    dark, live = (ReleaseInput(new, confirmed.stable, traffic) for traffic in (0, 100))
    stack.up(dark)
    stack.up(live, targets=stack.plan(live, refresh=True).live_aliases())
    traffic = Traffic(STACK, production.client("lambda"))
    served = {function: traffic.alias(function).version for function in KEYS}
    assert served != confirmed.stable
    for function, version in confirmed.stable.items():
        traffic.move(function, version)

    stack.up(live, targets=stack.plan(live, refresh=True).live_aliases(), refresh=True)

    assert {function: traffic.alias(function).version for function in KEYS} == served
    assert stack.preview(live) == ()
