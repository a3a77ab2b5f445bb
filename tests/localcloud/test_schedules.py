"""Schedules in the local cloud: real processes for AWS, Lambda and the scheduler, and nobody else running."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from components.naming import names
from components.policies import trust
from release.errors import ReleaseError
from release.traffic.failsafe import Failsafe
from tests.localcloud.lambdas_cloud import Cloud, Service
from tests.localcloud.parts import ACCOUNT, client, running_part, wait_until

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "made-up", "AWS_SECRET_ACCESS_KEY": "made-up", "AWS_REGION": "us-east-1"}
RAISES = "def handle(event, context):\n    raise RuntimeError(f'{context.function_version} was run')\n"
PROD = names("prod")
SCALE = 60


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    with running_part("aws", tmp_path_factory.mktemp("aws") / "aws.log") as url:
        yield url


@pytest.fixture(scope="module")
def cloud(aws):
    service = Service(aws)
    yield Cloud(aws, service)
    service.stop()


@pytest.fixture(scope="module")
def log(tmp_path_factory, aws, cloud):
    """What the part that fires schedules writes while it runs."""
    file = tmp_path_factory.mktemp("schedules") / "schedules.log"
    addresses = {"AWS_ENDPOINT_URL": aws, "AWS_ENDPOINT_URL_LAMBDA": cloud.service.url}
    with running_part("schedules", file, LOCALCLOUD_CLOCK=f"x{SCALE}", **addresses, **CREDENTIALS):
        yield file


@pytest.fixture(scope="module")
def scheduler(aws):
    return client("scheduler", aws)


@pytest.fixture(scope="module")
def role(aws):
    """ARN of the role that the foundation of prod makes."""
    made = client("iam", aws).create_role(
        RoleName=PROD.safety_role, AssumeRolePolicyDocument=json.dumps(trust.by_service("scheduler", ACCOUNT))
    )
    return made["Role"]["Arn"]


@pytest.fixture(scope="module")
def safety(scheduler, role):
    return Failsafe("prod", scheduler, lambda: ACCOUNT)


@pytest.fixture(scope="module")
def function(cloud):
    """A function of prod whose `live` sends a tenth of its traffic to a candidate; the fixture makes one by key."""

    def make(key):
        name = cloud.make(name=PROD.function(key).function)
        assert cloud.update(name, "def handle(event, context):\n    return 2\n") == "2"
        cloud.lambdas.create_alias(
            FunctionName=name,
            Name="live",
            FunctionVersion="1",
            RoutingConfig={"AdditionalVersionWeights": {"2": 0.1}},
        )
        return name

    return make


def traffic(cloud, name):
    """Version and weights of `live`."""
    alias = cloud.lambdas.get_alias(FunctionName=name, Name="live")
    return alias["FunctionVersion"], alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})


def soon(seconds):
    return datetime.now(UTC) + timedelta(seconds=seconds)


def gone(scheduler, schedule):
    try:
        scheduler.get_schedule(Name=schedule)
    except scheduler.exceptions.ResourceNotFoundException:
        return True
    return False


def test_traffic_returns_to_stable_at_the_deadline_with_nobody_else_running(cloud, scheduler, safety, function, log):
    weighted, moved = function("weighted"), function("moved")
    cloud.lambdas.update_alias(
        FunctionName=moved, Name="live", FunctionVersion="2", RoutingConfig={"AdditionalVersionWeights": {}}
    )
    deadline = soon(3)
    safety.set({"weighted": "1", "moved": "1"}, deadline)
    assert set(safety.pending(["weighted", "moved"])) == {"weighted", "moved"}
    for name, on_the_way in ((weighted, ("1", {"2": 0.1})), (moved, ("2", {}))):
        assert traffic(cloud, name) == on_the_way or datetime.now(UTC) >= deadline
    for name in (weighted, moved):
        wait_until(lambda name=name: traffic(cloud, name) == ("1", {}), 15, log.read_text)
    assert datetime.now(UTC) >= deadline
    for key in ("weighted", "moved"):
        wait_until(lambda key=key: gone(scheduler, PROD.function(key).safety_schedule), 5, log.read_text)
    assert safety.pending(["weighted", "moved"]) == {}


def test_a_schedule_that_was_removed_does_nothing(cloud, safety, function, log):
    spared, taken = function("spared"), function("taken")
    safety.set({"spared": "1", "taken": "1"}, soon(3))
    safety.remove(["spared"])
    wait_until(lambda: traffic(cloud, taken) == ("1", {}), 15, log.read_text)
    assert traffic(cloud, spared) == ("1", {"2": 0.1})


def test_a_deadline_that_is_put_off_is_the_one_that_counts(cloud, safety, function, log):
    extended, witness = function("extended"), function("witness")
    first = soon(3)
    safety.set({"extended": "1", "witness": "1"}, first)
    later = soon(60).replace(microsecond=0)
    safety.set({"extended": "1"}, later)
    wait_until(lambda: traffic(cloud, witness) == ("1", {}), 15, log.read_text)
    assert traffic(cloud, extended) == ("1", {"2": 0.1})
    assert safety.pending(["extended"]) == {"extended": later}


def test_a_deadline_in_the_past_is_refused_here_and_by_the_scheduler_itself(cloud, scheduler, safety, function, role):
    late = function("late")
    with pytest.raises(ReleaseError, match="lie in the past"):
        safety.set({"late": "1"}, soon(-1))
    safety.set({"late": "1"}, soon(60))
    schedule = scheduler.get_schedule(Name=PROD.function("late").safety_schedule)
    again = {key: schedule[key] for key in ("Name", "Target", "FlexibleTimeWindow")}
    with pytest.raises(scheduler.exceptions.ValidationException):
        scheduler.update_schedule(**again, ScheduleExpression="at(2020-01-01T00:00:00)")
    assert traffic(cloud, late) == ("1", {"2": 0.1})


def test_without_the_foundations_role_the_net_cannot_be_set_and_the_error_says_whose_command_makes_it(scheduler):
    with pytest.raises(ReleaseError, match="must not be moved") as caught:
        Failsafe("preprod", scheduler, lambda: ACCOUNT).set({"analysis": "1"}, soon(60))
    assert "assume the role" in caught.value.why
    assert "preprod-sentiment-safety" in caught.value.next_step
    assert "pulumi up --stack preprod-foundation" in caught.value.next_step


def test_a_rate_starts_a_function_through_its_alias_after_every_interval(cloud, scheduler, role, log):
    url, queue = cloud.queue()
    name = cloud.make(RAISES, DeadLetterConfig={"TargetArn": queue})
    alias = cloud.lambdas.create_alias(FunctionName=name, Name="live", FunctionVersion="1")["AliasArn"]
    cloud.lambdas.put_function_event_invoke_config(FunctionName=name, Qualifier="live", MaximumRetryAttempts=0)
    begin = datetime.now(UTC)
    arn = scheduler.create_schedule(
        Name="regular",
        ScheduleExpression="rate(2 minutes)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": alias, "RoleArn": role},
    )["ScheduleArn"]
    events = []
    for _ in range(2):
        message = cloud.take_message(url)
        assert "1 was run" in message["MessageAttributes"]["ErrorMessage"]["StringValue"]
        events.append(json.loads(message["Body"]))
        cloud.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    scheduler.delete_schedule(Name="regular")
    assert all(event["resources"] == [arn] for event in events)
    first, second = (datetime.fromisoformat(event["time"]) for event in events)
    assert first >= begin.replace(microsecond=0) + timedelta(minutes=2) / SCALE
    assert second - first >= timedelta(minutes=2) / SCALE
