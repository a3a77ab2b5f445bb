"""Faults over HTTP: what clients meet, what has been done all the same, and the commands that a person types."""

import os
import subprocess
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from tests.cloud import BIN, ROOT, Cloud
from tests.localcloud.lambdas_cloud import Cloud as LambdaCloud
from tests.localcloud.lambdas_cloud import Service
from tests.localcloud.parts import running_part, wait_until

AUTHORIZED = {"Authorization": "Bearer local-made-up"}
ISSUES = "/api/v3/repos/local/sentiment-pipeline/issues"


@dataclass
class Server:
    """One part of the local cloud, and its faults."""

    url: str

    def client(self, service: str, **settings):
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="AKIALOCALCLOUD000000",
            aws_secret_access_key="made-up",
            config=Config(**{"retries": {"total_max_attempts": 1}, "s3": {"addressing_style": "path"}} | settings),
        )

    def add(self, service, operation="*", kind="error", **more):
        wanted = {"service": service, "operation": operation, "kind": kind} | more
        answer = httpx.put(f"{self.url}/_localcloud/faults", json=wanted)
        assert answer.status_code == 200, answer.text

    def faults(self):
        return httpx.get(f"{self.url}/_localcloud/faults").json()["faults"]

    def calls(self, caller=""):
        return httpx.get(f"{self.url}/_localcloud/calls", params={"caller": caller}).json()["calls"]

    def clear(self):
        httpx.delete(f"{self.url}/_localcloud/faults").raise_for_status()


@contextmanager
def clean(server: Server) -> Iterator[Server]:
    server.clear()
    yield server
    server.clear()


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    with running_part("aws", tmp_path_factory.mktemp("aws") / "log") as url:
        yield Server(url)


@pytest.fixture
def aws(moto):
    with clean(moto):
        yield moto


@pytest.fixture(scope="module")
def lambda_cloud(moto):
    service = Service(moto.url)
    yield LambdaCloud(moto.url, service)
    service.stop()


@pytest.fixture
def lambdas(lambda_cloud):
    with clean(Server(lambda_cloud.service.url)) as server:
        yield server


@pytest.fixture(scope="module")
def github_part(tmp_path_factory):
    with running_part("github", tmp_path_factory.mktemp("github") / "log") as url:
        yield Server(url)


@pytest.fixture
def github(github_part):
    with clean(github_part):
        yield github_part


@pytest.fixture(scope="module")
def news(tmp_path_factory):
    with running_part("news", tmp_path_factory.mktemp("news") / "log") as url:
        yield Server(url)


def bucket(aws):
    name = f"b-{uuid.uuid4().hex[:8]}"
    aws.client("s3").create_bucket(Bucket=name)
    return name


def refused(call, **arguments) -> tuple[str, int]:
    """Error code and HTTP status of a call that must fail."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


# Each kind, on moto


@pytest.mark.parametrize(
    ("service", "call", "arguments", "answers"),
    [
        ("s3", "list_buckets", {}, {"throttle": ("SlowDown", 503), "error": ("InternalError", 500)}),
        (
            "dynamodb",
            "list_tables",
            {},
            {"throttle": ("ThrottlingException", 400), "error": ("InternalServerError", 500)},
        ),
        ("sns", "list_topics", {}, {"throttle": ("Throttling", 400), "expired": ("ExpiredToken", 403)}),
        ("sqs", "list_queues", {}, {"throttle": ("RequestThrottled", 400), "expired": ("ExpiredToken", 403)}),
        (
            "cloudwatch",
            "describe_alarms",
            {},
            {"throttle": ("Throttling", 400), "error": ("InternalServiceError", 500)},
        ),
        ("scheduler", "list_schedules", {}, {"throttle": ("ThrottlingException", 429)}),
        ("sts", "get_caller_identity", {}, {"expired": ("ExpiredToken", 403)}),
        ("kms", "list_keys", {}, {"expired": ("ExpiredTokenException", 400)}),
    ],
)
def test_each_service_refuses_in_its_own_words_and_only_while_the_rule_holds(aws, service, call, arguments, answers):
    client = aws.client(service)
    for kind, answer in answers.items():
        aws.add(service, kind=kind, times=1)
        assert refused(getattr(client, call), **arguments) == answer
        getattr(client, call)(**arguments)


def test_a_refused_call_is_not_carried_out(aws):
    name, s3 = bucket(aws), aws.client("s3")
    aws.add("s3", "PutObject", "throttle")
    assert refused(s3.put_object, Bucket=name, Key="k", Body=b"x") == ("SlowDown", 503)
    assert s3.list_objects_v2(Bucket=name)["KeyCount"] == 0


def test_a_head_request_is_refused_without_a_body(aws):
    name, s3 = bucket(aws), aws.client("s3")
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    aws.add("s3", "HeadObject", "throttle", times=1)
    assert refused(s3.head_object, Bucket=name, Key="k")[1] == 503
    assert s3.head_object(Bucket=name, Key="k")["ContentLength"] == 1  # the connection is still in step


def test_a_lost_answer_is_of_a_call_that_was_carried_out(aws):
    name, s3 = bucket(aws), aws.client("s3")
    aws.add("s3", "PutObject", "lost", nth=1)
    create = {"Bucket": name, "Key": "entry", "Body": b"x", "IfNoneMatch": "*"}
    with pytest.raises(ConnectionClosedError):
        s3.put_object(**create)
    assert refused(s3.put_object, **create) == ("PreconditionFailed", 412)


def test_a_call_that_times_out_is_not_carried_out_and_the_connection_closes_in_the_end(aws):
    name, s3 = bucket(aws), aws.client("s3")
    aws.add("s3", "PutObject", "timeout", seconds=0.2, times=1)
    with pytest.raises(ConnectionClosedError):
        s3.put_object(Bucket=name, Key="k", Body=b"x")
    assert s3.list_objects_v2(Bucket=name)["KeyCount"] == 0


def test_a_client_with_less_patience_than_the_fault_gives_up_first(aws):
    aws.add("sts", kind="timeout", seconds=600, times=1)
    with pytest.raises(ReadTimeoutError):
        aws.client("sts", read_timeout=0.3).get_caller_identity()


def test_a_slow_answer_is_correct_and_does_not_hold_up_others(aws):
    name, s3 = bucket(aws), aws.client("s3")
    s3.put_object(Bucket=name, Key="k", Body=b"right")
    aws.add("s3", "GetObject", "slow", seconds=1.5, times=1)
    with ThreadPoolExecutor() as one:
        slow = one.submit(s3.get_object, Bucket=name, Key="k")
        wait_until(lambda: aws.faults()[0]["struck"], 10)
        assert aws.client("s3").get_object(Bucket=name, Key="k")["Body"].read() == b"right"
        assert not slow.done()
        assert slow.result()["Body"].read() == b"right"


def test_the_third_matching_call_fails_and_no_other(aws):
    name, s3 = bucket(aws), aws.client("s3")
    aws.add("s3", "PutObject", nth=3)
    outcomes = []
    for number in range(5):
        s3.list_objects_v2(Bucket=name)
        try:
            s3.put_object(Bucket=name, Key=str(number), Body=b"x")
            outcomes.append("done")
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])
    assert outcomes == ["done", "done", "InternalError", "done", "done"]


def test_a_rule_for_one_caller_lets_everybody_else_through(aws):
    releaser, other = aws.client("sts", user_agent_appid="release"), aws.client("sts")
    aws.add("*", kind="expired", caller="app/release")
    assert refused(releaser.get_caller_identity) == ("ExpiredToken", 403)
    other.get_caller_identity()
    assert aws.calls() == {"sts:GetCallerIdentity": 2}
    assert aws.calls("app/release") == {"sts:GetCallerIdentity": 1}


def test_calls_are_counted_until_they_are_cleared_and_rules_go_with_them(aws):
    name, s3 = bucket(aws), aws.client("s3")
    aws.add("s3", "PutObject", nth=7)
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    aws.client("dynamodb").list_tables()
    assert aws.calls() == {"dynamodb:ListTables": 1, "s3:CreateBucket": 1, "s3:PutObject": 1}
    assert [(one["seen"], one["struck"]) for one in aws.faults()] == [(1, 0)]
    aws.clear()
    assert (aws.calls(), aws.faults()) == ({}, [])


def test_a_wrong_rule_is_refused_over_http_too(aws):
    answer = httpx.put(
        f"{aws.url}/_localcloud/faults", json={"service": "s3", "operation": "PutObjekt", "kind": "lost"}
    )
    assert (answer.status_code, "nearest: PutObject" in answer.json()["message"]) == (400, True)
    assert aws.faults() == []


# The Lambda service


def test_lambda_refuses_in_its_own_words(lambda_cloud, lambdas):
    for kind, answer in {
        "throttle": ("TooManyRequestsException", 429),
        "error": ("ServiceException", 500),
        "expired": ("ExpiredTokenException", 403),
    }.items():
        lambdas.add("lambda", "ListFunctions", kind, times=1)
        assert refused(lambda_cloud.lambdas.list_functions) == answer
        lambda_cloud.lambdas.list_functions()


def test_an_alias_moves_although_the_answer_is_lost_and_stays_when_the_call_times_out(lambda_cloud, lambdas):
    name, client = lambda_cloud.make(), lambda_cloud.lambdas
    version = lambda_cloud.update(name, "def handle(event, context):\n    return 2\n")
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    lambdas.add("lambda", "UpdateAlias", "timeout", seconds=0.2, nth=1)
    lambdas.add("lambda", "UpdateAlias", "lost", nth=2)
    for expected in ("1", version):
        with pytest.raises(ConnectionClosedError):
            client.update_alias(FunctionName=name, Name="live", FunctionVersion=version)
        assert client.get_alias(FunctionName=name, Name="live")["FunctionVersion"] == expected


def test_an_invocation_runs_although_its_answer_is_lost_and_function_urls_know_no_faults(lambda_cloud, lambdas):
    name = lambda_cloud.make("ran = []\ndef handle(event, context):\n    ran.append(1)\n    return len(ran)\n")
    url = lambda_cloud.lambdas.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]
    for number, action in enumerate(("lambda:InvokeFunctionUrl", "lambda:InvokeFunction")):
        more = {"FunctionUrlAuthType": "NONE"} if not number else {"InvokedViaFunctionUrl": True}
        lambda_cloud.lambdas.add_permission(
            FunctionName=name, StatementId=f"s{number}", Action=action, Principal="*", **more
        )
    lambdas.add("lambda", kind="lost", nth=1)
    with pytest.raises(ConnectionClosedError):
        lambda_cloud.invoke(name)
    lambdas.add("lambda", kind="error")
    assert httpx.get(url).json() == 2


def test_a_slow_lambda_call_answers_correctly(lambda_cloud, lambdas):
    name = lambda_cloud.make()
    lambdas.add("lambda", "GetFunction", "slow", seconds=0.3, times=1)
    assert lambda_cloud.lambdas.get_function(FunctionName=name)["Configuration"]["FunctionName"] == name
    assert [one["struck"] for one in lambdas.faults()] == [1]


# GitHub and the news


@pytest.mark.parametrize(
    ("kind", "status", "message"),
    [("throttle", 403, "secondary rate limit"), ("error", 502, "Server Error"), ("expired", 401, "Bad credentials")],
)
def test_github_refuses_in_its_own_words(github, kind, status, message):
    github.add("github", "POST /repos/*/issues", kind, times=1)
    answer = httpx.post(github.url + ISSUES, json={"title": "one"}, headers=AUTHORIZED)
    assert answer.status_code == status
    assert message in answer.json()["message"]
    assert ("Retry-After" in answer.headers) is (kind == "throttle")
    assert httpx.post(github.url + ISSUES, json={"title": "two"}, headers=AUTHORIZED).status_code == 201


def test_an_issue_is_there_although_the_answer_is_lost_and_not_when_the_call_times_out(github):
    listed = len(httpx.get(github.url + ISSUES, headers=AUTHORIZED).json())
    for kind, more in (("timeout", 0), ("lost", 1)):
        github.add("github", "POST /repos/*/issues", kind, times=1, **({"seconds": 0.2} if kind == "timeout" else {}))
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.post(github.url + ISSUES, json={"title": kind}, headers=AUTHORIZED)
        assert len(httpx.get(github.url + ISSUES, headers=AUTHORIZED).json()) == listed + more
    assert github.calls() == {"github:GET /repos/*/issues": 3, "github:POST /repos/*/issues": 2}


def test_the_news_refuse_in_their_own_words(news):
    for kind, status, code in (
        ("throttle", 429, "rateLimited"),
        ("error", 500, "unexpectedError"),
        ("expired", 401, "apiKeyInvalid"),
    ):
        news.add("news", "GET /v2/everything", kind, times=1)
        answer = httpx.get(f"{news.url}/v2/everything", params={"q": "tech", "apiKey": "k"})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert httpx.get(f"{news.url}/v2/everything", params={"q": "tech", "apiKey": "k"}).status_code == 200


# The commands


@pytest.fixture(scope="module")
def whole_cloud(tmp_path_factory):
    base = os.environ | {"LOCALCLOUD_HOME": str(tmp_path_factory.mktemp("faulty-cloud"))}
    cloud = Cloud(home=Path(base["LOCALCLOUD_HOME"]), variables=base)
    cloud.run(BIN / "localcloud", "start")
    cloud = Cloud(home=cloud.home, variables=base | cloud.run(BIN / "localcloud", "env", "--json").json())
    yield cloud
    cloud.stop()


@pytest.fixture
def cloud(whole_cloud):
    whole_cloud.run(BIN / "localcloud", "fault", "clear")
    return whole_cloud


def test_a_rule_reaches_its_part_and_is_listed_and_cleared(cloud):
    def fault(*arguments):
        return cloud.run(BIN / "localcloud", "fault", *arguments, "--json").json()

    fault("add", "lambda:UpdateAlias", "--kind", "throttle", "--nth", "2", "--times", "3")
    fault("add", "s3", "--kind", "slow", "--ratio", "0.2", "--seed", "7", "--caller", "app/release")
    fault("add", "*", "--kind", "expired", "--nth", "4")
    listed = fault("list")["faults"]
    assert [(one["part"], one["service"], one["kind"]) for one in listed] == [
        ("aws", "s3", "slow"),
        ("aws", "*", "expired"),
        ("lambdas", "lambda", "throttle"),
        ("lambdas", "*", "expired"),
        ("github", "*", "expired"),
        ("news", "*", "expired"),
    ]
    settings = {"ratio": 0.2, "seed": 7, "seconds": 5.0, "caller": "app/release"}
    assert listed[0] == {"part": "aws", "service": "s3", "kind": "slow", "seen": 0, "struck": 0} | settings
    assert fault("clear") == {"cleared": 6}
    assert fault("list") == {"faults": []}


def test_a_rule_hits_a_client_in_the_environment_and_the_parts_own_calls_are_neither_hit_nor_counted(cloud):
    cloud.run(BIN / "localcloud", "fault", "add", "*", "--kind", "throttle")
    script = (
        "import boto3; from botocore.config import Config; from botocore.exceptions import ClientError\n"
        "alarms = boto3.client('cloudwatch', config=Config(retries={'total_max_attempts': 1}))\n"
        "try: alarms.describe_alarms()\n"
        "except ClientError as error: print(error.response['Error']['Code'])"
    )
    assert cloud.run(ROOT / ".venv/bin/python", "-c", script).stdout == "Throttling\n"
    alarms = cloud.run(BIN / "localcloud", "status", "--json").json()["parts"]["alarms"]
    polls = {health(alarms)["last_poll"]}
    wait_until(lambda: health(alarms)["last_poll"] not in polls, 10)  # it asks CloudWatch all the time
    assert health(alarms)["problem"] is None
    counted = cloud.run(BIN / "localcloud", "fault", "calls", "--json").json()
    assert counted == {"calls": {"cloudwatch:DescribeAlarms": 1}}
    assert "cloudwatch:DescribeAlarms" in cloud.run(BIN / "localcloud", "fault", "calls").stdout


def health(url):
    return httpx.get(f"{url}/_localcloud/health").json()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "s5:PutObject", "--kind", "lost"], "has no service 's5'"),
        (["add", "lambda:UpdateAlais", "--kind", "lost"], "nearest: UpdateAlias"),
        (["add", "lambda", "--kind", "lost", "--nth", "1", "--ratio", "0.5"], "exclude each other"),
        (["add", "lambda", "--kind", "lost", "--seconds", "2"], "seconds belong to"),
        (["add", "lambda", "--kind", "vanish"], "'vanish' is not one of 'throttle'"),
        (["add", "lambda"], "Missing option '--kind'"),
    ],
)
def test_a_mistake_is_said_in_one_sentence_with_exit_code_2(cloud, arguments, said):
    wrong = cloud.run(BIN / "localcloud", "fault", *arguments, expected=2)
    assert said in " ".join(wrong.stderr.replace("│", " ").split())
    assert "Traceback" not in wrong.stderr


def test_without_a_running_cloud_the_command_says_so(tmp_path):
    wrong = subprocess.run(
        [BIN / "localcloud", "fault", "list"],
        env=os.environ | {"LOCALCLOUD_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert wrong.returncode == 2
    assert "the local cloud is not running" in wrong.stderr
