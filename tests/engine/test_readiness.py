"""`release doctor` on a whole cloud: well after it was set up, and each sabotage turns exactly the right check red."""

import contextlib
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from components.arns import Arns
from components.naming import names
from localcloud import habits
from release.doctor.table import CHECKS
from tests.cloud import ROOT, SERVICE_STACKS, Cloud

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

ACCOUNT = "123456789012"
PROD = names("prod")
ARNS = Arns(account_id=ACCOUNT, region="us-east-1", names=PROD)
REPOSITORY = "/repos/local/sentiment-pipeline"
FUNCTION = "dashboard"
ON_CALL = "who-is-on-call"
NOT_SHOWN = {check.name for check in CHECKS if check.not_local}
WARNED = {
    ("alarms.page", "prod"),
    ("alarms.page", "preprod"),
    ("alarms.table", "prod"),  # before its first release
    ("releases.state", "prod"),
}
"""What is a warning on a cloud that was just set up; a test page is never sent without being asked for."""
TOLD_BY_THE_CLOCK = {"alarms.quiet"}
"""Where hours pass in minutes a heartbeat rings before the first run of the schedule."""


@pytest.fixture(scope="module")
def own_cloud(tmp_path_factory):
    """Both environments as the guide says: bootstrap, foundation, bootstrap, service; and somebody who is on call."""
    # An account as the doctor wants it: with the concurrency that production needs.
    others = ",".join(habit.name for habit in habits.HABITS if habit is not habits.CONCURRENCY)
    running = Cloud.start(tmp_path_factory.mktemp("readiness"), **{habits.VARIABLE: others})
    queue = running.client("sqs").create_queue(QueueName=ON_CALL)["QueueUrl"].rpartition("/")[2]

    def make(stack):
        running.run("release", "bootstrap", "--stack", stack, "--yes")
        running.run("pulumi", "up", "--yes", "--skip-preview", "--stack", f"{stack}-foundation")
        running.run("localcloud", "fill-secrets")
        running.run("release", "bootstrap", "--stack", stack, "--yes")  # the secrets of GitHub's environments
        if stack == "prod":
            running.run("pulumi", "up", "--yes", "--skip-preview", "--stack", stack)
        else:
            running.run("release", "deploy", "--stack", stack, "--build", str(built(running, tmp_path_factory)))
        running.client("sns").subscribe(
            TopicArn=f"arn:aws:sns:us-east-1:{ACCOUNT}:{names(stack).on_call_topic}",
            Protocol="sqs",
            Endpoint=f"arn:aws:sqs:us-east-1:{ACCOUNT}:{queue}",
        )

    try:
        with ThreadPoolExecutor() as both:
            list(both.map(make, SERVICE_STACKS))
        yield running
    finally:
        running.stop()


def built(cloud, tmp_path_factory):
    """The folder of a build of the newest commit."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True)
    out = tmp_path_factory.mktemp("build") / "out"
    cloud.run("release", "build", "--sha", head.stdout.strip(), "--out", str(out))
    return out


@pytest.fixture(scope="module")
def github(own_cloud):
    token = {"Authorization": f"Bearer {own_cloud.variables['GITHUB_TOKEN']}"}
    with httpx.Client(base_url=own_cloud.variables["GITHUB_API_URL"], headers=token, timeout=30) as client:
        yield client


def examined(cloud, *options):
    """Verdict and evidence of each check, by name and stack."""
    ran = cloud.run("release", "doctor", "--json", *options, expected=None)
    assert ran.exit_code in {0, 1, 3}, ran.stderr
    return {(one["name"], one["stack"]): one for one in ran.json()["findings"]}


@pytest.fixture(scope="module")
def well(own_cloud):
    return examined(own_cloud)


def test_a_cloud_that_was_set_up_is_ready_but_for_what_the_local_cloud_cannot_show(well):
    shown = {where: one for where, one in well.items() if where[0] not in NOT_SHOWN | TOLD_BY_THE_CLOCK}
    assert {where: one["said"] for where, one in shown.items() if one["verdict"] in {"failed", "unknown"}} == {}
    assert {where for where, one in shown.items() if one["verdict"] == "warning"} == WARNED


def test_what_the_local_cloud_cannot_show_is_never_ok(well):
    seen = {name: one["verdict"] for (name, _), one in well.items() if name in NOT_SHOWN}
    assert set(seen) == NOT_SHOWN
    assert "ok" not in seen.values()


def test_no_secret_is_in_what_the_doctor_says(own_cloud, well):
    secrets = own_cloud.client("secretsmanager")
    for stack in SERVICE_STACKS:
        for name in (names(stack).newsapi_secret, names(stack).dashboard_key_secret):
            key = json.loads(secrets.get_secret_value(SecretId=name)["SecretString"])["api_key"]
            assert key not in json.dumps(list(well.values()))


# Each sabotage is a `with` block: what somebody does past the program, and what undoes it.


@contextlib.contextmanager
def environment_changed(github, name, **changes):
    path = f"{REPOSITORY}/environments/{name}"
    before = github.get(path).json()
    reviewers = [
        {"type": one["type"], "id": one["reviewer"]["id"]}
        for rule in before["protection_rules"]
        for one in rule.get("reviewers", ())
    ]
    as_it_was = {
        "reviewers": reviewers or None,
        "prevent_self_review": False,
        "can_admins_bypass": False,
        "deployment_branch_policy": before["deployment_branch_policy"],
    }
    github.put(path, json=as_it_was | changes).raise_for_status()
    yield
    github.put(path, json=as_it_was).raise_for_status()


@contextlib.contextmanager
def reviewer_taken_away(cloud, github):
    with environment_changed(github, "production", reviewers=None):
        yield


@contextlib.contextmanager
def administrators_may_skip(cloud, github):
    with environment_changed(github, "production-auto", can_admins_bypass=True):
        yield


@contextlib.contextmanager
def another_branch(cloud, github):
    path = f"{REPOSITORY}/environments/production-rollback/deployment-branch-policies"
    rule = github.post(path, json={"name": "release/*"}).json()
    yield
    github.delete(f"{path}/{rule['id']}").raise_for_status()


@contextlib.contextmanager
def misspelt_environment(cloud, github):
    github.put(f"{REPOSITORY}/environments/prodution", json={}).raise_for_status()
    yield
    github.delete(f"{REPOSITORY}/environments/prodution").raise_for_status()


@contextlib.contextmanager
def variable_changed(cloud, github):
    path = f"{REPOSITORY}/environments/prod-watch/variables/AWS_ROLE_ARN"
    before = github.get(path).json()["value"]
    github.patch(path, json={"value": ARNS.of("role", PROD.deploy_role)}).raise_for_status()
    yield
    github.patch(path, json={"value": before}).raise_for_status()


@contextlib.contextmanager
def ruleset_disabled(cloud, github):
    listed = github.get(f"{REPOSITORY}/rulesets").json()
    path = f"{REPOSITORY}/rulesets/{listed[0]['id']}"
    shown = github.get(path).json()
    before = {key: shown[key] for key in ("name", "target", "enforcement", "bypass_actors", "conditions", "rules")}
    github.put(path, json=before | {"enforcement": "disabled"}).raise_for_status()
    yield
    github.put(path, json=before).raise_for_status()


@contextlib.contextmanager
def watch_disabled(cloud, github):
    with _disabled(github, "watch.yml"):
        yield


@contextlib.contextmanager
def comments_disabled(cloud, github):
    with _disabled(github, "preview-comment.yml"):
        yield


@contextlib.contextmanager
def _disabled(github, workflow):
    path = f"{REPOSITORY}/actions/workflows/{workflow}"
    github.put(f"{path}/disable").raise_for_status()
    yield
    github.put(f"{path}/enable").raise_for_status()


@contextlib.contextmanager
def any_action_may_run(cloud, github):
    path = f"{REPOSITORY}/actions/permissions"
    github.put(path, json={"enabled": True, "allowed_actions": "all"}).raise_for_status()
    yield
    github.put(path, json={"enabled": True, "allowed_actions": "selected"}).raise_for_status()


@contextlib.contextmanager
def trust_widened(cloud, github):
    iam = cloud.client("iam")
    before = iam.get_role(RoleName=PROD.deploy_role)["Role"]["AssumeRolePolicyDocument"]
    wider = json.loads(json.dumps(before))
    claims = wider["Statement"][0]["Condition"]["StringEquals"]
    wider["Statement"][0]["Condition"] = {"StringLike": claims | {"token.actions.githubusercontent.com:sub": "repo:*"}}
    iam.update_assume_role_policy(RoleName=PROD.deploy_role, PolicyDocument=json.dumps(wider))
    yield
    iam.update_assume_role_policy(RoleName=PROD.deploy_role, PolicyDocument=json.dumps(before))


@contextlib.contextmanager
def policy_attached(cloud, github):
    iam = cloud.client("iam")
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    arn = iam.create_policy(PolicyName="everything", PolicyDocument=json.dumps(document))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=PROD.watch_role, PolicyArn=arn)
    yield
    iam.detach_role_policy(RoleName=PROD.watch_role, PolicyArn=arn)
    iam.delete_policy(PolicyArn=arn)


@contextlib.contextmanager
def stranger_made(cloud, github):
    iam = cloud.client("iam")
    trust = iam.get_role(RoleName=PROD.deploy_role)["Role"]["AssumeRolePolicyDocument"]
    iam.create_role(RoleName="helpful", AssumeRolePolicyDocument=json.dumps(trust))
    yield
    iam.delete_role(RoleName="helpful")


@contextlib.contextmanager
def boundary_widened(cloud, github):
    iam, arn = cloud.client("iam"), ARNS.of("policy", PROD.boundary)
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    before = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(document), SetAsDefault=True)
    yield
    iam.set_default_policy_version(PolicyArn=arn, VersionId=before)
    iam.delete_policy_version(PolicyArn=arn, VersionId=made["PolicyVersion"]["VersionId"])


@contextlib.contextmanager
def way_back_deleted(cloud, github):
    states, machine = cloud.client("stepfunctions"), ARNS.of("state machine", PROD.way_back)
    before = states.describe_state_machine(stateMachineArn=machine)
    tags = states.list_tags_for_resource(resourceArn=machine)["tags"]
    states.delete_state_machine(stateMachineArn=machine)
    yield
    states.create_state_machine(
        name=PROD.way_back, definition=before["definition"], roleArn=before["roleArn"], tags=tags
    )


@contextlib.contextmanager
def bucket_opened(cloud, github):
    s3 = cloud.client("s3")
    before = s3.get_bucket_policy(Bucket=PROD.bucket)["Policy"]
    opened = json.loads(before)
    opened["Statement"] = [one for one in opened["Statement"] if one["Sid"] != "CreateOnly"]
    s3.put_bucket_policy(Bucket=PROD.bucket, Policy=json.dumps(opened))
    yield
    s3.put_bucket_policy(Bucket=PROD.bucket, Policy=before)


@contextlib.contextmanager
def state_made_public(cloud, github):
    s3 = cloud.client("s3")
    before = s3.get_public_access_block(Bucket=PROD.state_bucket)["PublicAccessBlockConfiguration"]
    s3.delete_public_access_block(Bucket=PROD.state_bucket)
    yield
    s3.put_public_access_block(Bucket=PROD.state_bucket, PublicAccessBlockConfiguration=before)


@contextlib.contextmanager
def key_not_rotated(cloud, github):
    kms = cloud.client("kms")
    key = kms.describe_key(KeyId=PROD.foundation_key_alias)["KeyMetadata"]["KeyId"]
    kms.disable_key_rotation(KeyId=key)
    yield
    kms.enable_key_rotation(KeyId=key)


@contextlib.contextmanager
def trail_stopped(cloud, github):
    trail = cloud.client("cloudtrail")
    trail.stop_logging(Name="sentiment-pipeline")
    yield
    trail.start_logging(Name="sentiment-pipeline")


@contextlib.contextmanager
def alarm_silenced(cloud, github):
    cloudwatch = cloud.client("cloudwatch")
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[PROD.dead_letters_alarm])["MetricAlarms"]
    known = cloudwatch.meta.service_model.operation_model("PutMetricAlarm").input_shape.members
    before = {key: value for key, value in alarm.items() if key in known}
    cloudwatch.put_metric_alarm(**before | {"AlarmActions": []})
    yield
    cloudwatch.put_metric_alarm(**before)


@contextlib.contextmanager
def topic_encrypted_by_aws(cloud, github):
    sns, arn = cloud.client("sns"), ARNS.of("topic", PROD.on_call_topic)
    sns.set_topic_attributes(TopicArn=arn, AttributeName="KmsMasterKeyId", AttributeValue="alias/aws/sns")
    yield
    sns.set_topic_attributes(TopicArn=arn, AttributeName="KmsMasterKeyId", AttributeValue="")


@contextlib.contextmanager
def secret_deleted(cloud, github):
    secrets = cloud.client("secretsmanager")
    secrets.delete_secret(SecretId=PROD.newsapi_secret, RecoveryWindowInDays=7)
    yield
    secrets.restore_secret(SecretId=PROD.newsapi_secret)


@contextlib.contextmanager
def schedule_left_over(cloud, github):
    scheduler, name = cloud.client("scheduler"), PROD.function(FUNCTION).safety_schedule
    at = datetime.now(UTC) + timedelta(hours=8)
    scheduler.create_schedule(
        Name=name,
        ScheduleExpression=at.strftime("at(%Y-%m-%dT%H:%M:%S)"),
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": "arn:aws:scheduler:::aws-sdk:lambda:updateAlias",
            "RoleArn": ARNS.of("role", PROD.safety_role),
            "Input": "{}",
        },
    )
    yield
    scheduler.delete_schedule(Name=name)


@contextlib.contextmanager
def lease_of_a_dead_run(cloud, github):
    s3, key = cloud.client("s3"), "ledger/lease.json"
    holder = {"run": {"id": "555.1", "actor": "somebody"}, "since": "2026-11-23T10:00:00.000Z", "what": "promote"}
    put = s3.put_object(Bucket=PROD.bucket, Key=key, Body=json.dumps({"schema": 1, "holder": holder}), IfNoneMatch="*")
    own = cloud.variables["GITHUB_API_URL"].removesuffix("/api/v3") + "/_localcloud/runs"
    httpx.put(own, json={"id": 555, "run_attempt": 1, "status": "completed"}).raise_for_status()
    yield
    s3.put_object(Bucket=PROD.bucket, Key=key, Body='{"holder":null,"schema":1}', IfMatch=put["ETag"])


SABOTAGES = {
    reviewer_taken_away: {"environments.rules": "production is reviewed by nobody, not by traylorre"},
    administrators_may_skip: {"environments.rules": "administrators may skip the rules of production-auto"},
    another_branch: {"environments.rules": "production-rollback deploys from branch main, branch release/*"},
    misspelt_environment: {"environments.strangers": "prodution looks like production"},
    variable_changed: {"environments.values": "prod-watch: AWS_ROLE_ARN is "},
    ruleset_disabled: {"repository.ruleset": "no active ruleset is about main"},
    any_action_may_run: {"repository.actions": "any action may run"},
    watch_disabled: {"repository.workflows": "watch.yml is disabled"},
    comments_disabled: {"repository.workflows": "preview-comment.yml is disabled"},
    trust_widened: {"roles.table": f"trust of {PROD.deploy_role}: "},
    policy_attached: {"roles.table": f"{PROD.watch_role} has policies attached: "},
    stranger_made: {"roles.strangers": "role/helpful lets in "},
    boundary_widened: {"roles.boundary": "statement "},
    way_back_deleted: {"roles.way-back": f"{PROD.way_back} does not exist"},
    bucket_opened: {  # the document, and what it is for
        "bucket.settings": "statement CreateOnly is missing",
        "bucket.create-only": "can be overwritten",
    },
    state_made_public: {"state.bucket": "public access is not blocked"},
    key_not_rotated: {"state.keys": f"{PROD.foundation_key_alias} is not rotated"},
    trail_stopped: {"trail.logging": "does not log"},
    alarm_silenced: {"alarms.table": "does not tell the on-call topic"},
    topic_encrypted_by_aws: {"alarms.topic": "it is encrypted with alias/aws/sns"},
    secret_deleted: {"secrets.values": f"{PROD.newsapi_secret} does not exist, or holds no value"},
    schedule_left_over: {"releases.schedules": "no run holds the lease"},
    lease_of_a_dead_run: {"releases.lease": "holds it and has ended"},
}
"""Each with what its checks say."""


# Several at a time, since each look takes seconds; those that touch the same thing are apart.
AT_ONCE = [dict(list(SABOTAGES.items())[number::4]) for number in range(4)]


@pytest.mark.parametrize("sabotages", AT_ONCE, ids=["-".join(one.__name__ for one in group) for group in AT_ONCE])
def test_sabotages_turn_exactly_the_right_checks_red(own_cloud, github, well, sabotages):
    with contextlib.ExitStack() as done:
        for sabotage in sabotages:
            done.enter_context(sabotage(own_cloud, github))
        seen = examined(own_cloud, "--stack", "prod")
    red = {
        name
        for (name, stack), one in seen.items()
        if one["verdict"] != well[name, stack]["verdict"] and name not in TOLD_BY_THE_CLOCK
    }
    said = {name: one["said"] for (name, _), one in seen.items()}
    assert red == set().union(*sabotages.values()), [said[name] for name in red]
    told = [(name, words) for checks in sabotages.values() for name, words in checks.items()]
    assert [(name, words, said[name]) for name, words in told if words not in said[name]] == []
    assert {seen[where]["verdict"] for where in seen if where[0] in red} == {"failed"}


def test_the_exit_code_says_the_worst(own_cloud):
    assert own_cloud.run("release", "doctor", "--only", "roles", expected=None).exit_code == 0
    assert own_cloud.run("release", "doctor", "--only", "isolation", expected=None).exit_code == 1
    assert own_cloud.run("release", "doctor", "--only", "roles", "--only", "identity.who", expected=None).exit_code == 3


def test_a_test_page_is_really_sent_and_only_when_it_is_asked_for(own_cloud):
    sqs = own_cloud.client("sqs")
    queue = sqs.get_queue_url(QueueName=ON_CALL)["QueueUrl"]

    def subjects():
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", ())
        return [json.loads(message["Body"]).get("Subject", "") for message in messages]

    while subjects():
        pass
    found = examined(own_cloud, "--stack", "prod", "--only", "alarms.page", "--test-page")
    assert found["alarms.page", "prod"]["verdict"] == "ok"
    assert "prod: a test of the on-call topic" in subjects()


def test_a_role_of_ci_is_told_that_it_proves_nothing_where_nothing_is_enforced(own_cloud):
    sts = own_cloud.client("sts")
    taken = sts.assume_role(RoleArn=ARNS.of("role", PROD.deploy_role), RoleSessionName="7-1")["Credentials"]
    keys = {
        "AWS_ACCESS_KEY_ID": taken["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": taken["SecretAccessKey"],
        "AWS_SESSION_TOKEN": taken["SessionToken"],
    }
    ran = own_cloud.run("release", "doctor", "--json", "--stack", "prod", "--only", "isolation", expected=None, **keys)
    (finding,) = ran.json()["findings"]
    assert finding["verdict"] == "failed"
    assert f"{PROD.deploy_role} may read a function of the other environment" in finding["said"]
