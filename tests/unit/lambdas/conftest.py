import importlib.util
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from moto import mock_aws
from uv import find_uv_bin

from tests.unit.lambdas.rights import missing, recorded

LAMBDAS = Path(__file__).parents[3] / "lambdas"
TABLE = "preprod-sentiment-items"
DIGEST = "d" * 64
SHA = "a" * 40
NEWS_SECRET = "preprod/sentiment-analyzer/newsapi"
DASHBOARD_SECRET = "preprod/sentiment-analyzer/dashboard-api-key"


def loaded(function):
    """A function's modules as attributes, loaded afresh. Python forgets them at once: the three share module names."""
    folder = LAMBDAS / function
    names = [path.stem for path in folder.glob("*.py")]
    sys.path.insert(0, str(folder))
    try:
        return SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    finally:
        sys.path.remove(str(folder))
        for name in names:
            sys.modules.pop(name, None)


@pytest.fixture(autouse=True)
def needed():
    """The rights that the functions' code needed in this test. Its execution role has each of them."""
    with recorded() as rights:
        yield rights
    assert missing(rights) == [], "rights that the execution role lacks: components/service/functions.py"


@pytest.fixture
def context():
    return SimpleNamespace(
        function_name="preprod-sentiment-x",
        function_version="7",
        aws_request_id="request-1",
        get_remaining_time_in_millis=lambda: 30_000,
    )


# Making clients and tables costs more than all the calls of a test: they live as long as a test file, their contents
# as long as a test. (Not as long as the session: while moto is on, no other test could reach a real server.)
@pytest.fixture(scope="module")
def aws():
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "made-up",
            "AWS_SECRET_ACCESS_KEY": "made-up",
            "AWS_DEFAULT_REGION": "us-east-1",
            "ENVIRONMENT": "preprod",
            "RELEASE_SHA": SHA,
            "RELEASE_DIGEST": DIGEST,
            "ITEMS_TABLE": TABLE,
            "NEWS_SECRET": NEWS_SECRET,
            "WATCH_TAGS": "robots, climate",
            "DASHBOARD_KEY_SECRET": DASHBOARD_SECRET,
        }.items():
            patch.setenv(name, value)
        for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
            patch.delenv(name, raising=False)
        with mock_aws():
            yield SimpleNamespace(
                items=_items_table(), topic=_Topic(), secrets=boto3.client("secretsmanager"), secret_ids=set()
            )


def _items_table():
    """The items table with its indexes, as the program makes it."""
    indexed = ("sentiment", "tag", "status")
    return boto3.resource("dynamodb").create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[
            {"AttributeName": "source_id", "KeyType": "HASH"},
            {"AttributeName": "timestamp", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("source_id", "timestamp", *indexed)
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": f"by_{name}",
                "KeySchema": [
                    {"AttributeName": name, "KeyType": "HASH"},
                    {"AttributeName": "timestamp", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
            for name in indexed
        ],
    )


class _Topic:
    """The topic of new items with a queue behind it; call it to take the messages so far."""

    def __init__(self):
        sns, self._sqs = boto3.client("sns"), boto3.client("sqs")
        self.arn = sns.create_topic(Name="preprod-sentiment-new-items")["TopicArn"]
        self._queue = self._sqs.create_queue(QueueName="inbox")["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"]
        sns.subscribe(TopicArn=self.arn, Protocol="sqs", Endpoint=attributes["QueueArn"])

    def __call__(self):
        messages = []
        question = {"QueueUrl": self._queue, "MaxNumberOfMessages": 10}
        while batch := self._sqs.receive_message(**question).get("Messages"):
            messages += [json.loads(json.loads(message["Body"])["Message"]) for message in batch]
            done = [{"Id": message["MessageId"], "ReceiptHandle": message["ReceiptHandle"]} for message in batch]
            self._sqs.delete_message_batch(QueueUrl=self._queue, Entries=done)
        return messages


@pytest.fixture
def table(aws):
    yield aws.items
    with aws.items.batch_writer() as batch:
        for item in aws.items.scan()["Items"]:
            batch.delete_item(Key={name: item[name] for name in ("source_id", "timestamp")})


@pytest.fixture
def inbox(aws, monkeypatch):
    aws.topic()
    monkeypatch.setenv("NEW_ITEMS_TOPIC_ARN", aws.topic.arn)
    return aws.topic


@pytest.fixture
def set_secret(aws):
    """Gives a secret a value, or takes it away (None)."""

    def setting(name, value):
        if value is None:
            aws.secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
            aws.secret_ids.discard(name)
        elif name in aws.secret_ids:
            aws.secrets.put_secret_value(SecretId=name, SecretString=value)
        else:
            aws.secrets.create_secret(Name=name, SecretString=value)
            aws.secret_ids.add(name)

    return setting


@pytest.fixture(scope="session")
def _news_server():
    requests, answers, ended = [], [], threading.Event()

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            answer = answers[0] if len(answers) == 1 else answers.pop(0)
            if answer.never:
                ended.wait(10)
                return
            self.send_response(answer.status)
            for name, value in ({"content-length": str(len(answer.body))} | answer.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield SimpleNamespace(port=server.server_port, requests=requests, answers=answers)
        ended.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def news(_news_server, monkeypatch):
    """A news service on loopback: put answers of `newsapi_responses` into `answers`; the last one stays."""
    _news_server.requests.clear()
    _news_server.answers.clear()
    monkeypatch.setenv("NEWS_ENDPOINT", f"http://127.0.0.1:{_news_server.port}/v2/everything")
    return _news_server


@pytest.fixture(scope="session")
def vader(tmp_path_factory):
    """The sentiment library at the version and hash of analysis' own lock; it is in no other environment."""
    folder = tmp_path_factory.mktemp("vader")
    uv = find_uv_bin()
    export = [uv, "export", "-q", "--locked", "--offline", "--no-emit-project", "--no-header", "--no-annotate"]
    pins = subprocess.run(export, cwd=LAMBDAS / "analysis", check=True, capture_output=True, text=True).stdout
    lines = pins.replace("\\\n", " ").splitlines()
    (folder / "pins.txt").write_text("\n".join(line for line in lines if line.startswith("vadersentiment==")))
    install = [uv, "pip", "install", "-q", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    subprocess.run([*install, "--target", folder / "site", "-r", folder / "pins.txt"], check=True)
    sys.path.insert(0, str(folder / "site"))
    yield
    sys.path.remove(str(folder / "site"))


@pytest.fixture(scope="module")
def _ingestion(aws):
    return loaded("ingestion")


@pytest.fixture(scope="module")
def _dashboard(aws):
    return loaded("dashboard")


@pytest.fixture(scope="module")
def _analysis(aws, vader):
    return loaded("analysis")


@pytest.fixture
def ingestion(_ingestion, table, inbox, news, set_secret):
    set_secret(NEWS_SECRET, '{"api_key": "key-of-news"}')
    _ingestion.handler.news_key.cache_clear()
    return _ingestion


@pytest.fixture
def analysis(_analysis, table):
    return _analysis


@pytest.fixture
def dashboard(_dashboard, table, set_secret):
    set_secret(DASHBOARD_SECRET, '{"api_key": "right-key"}')
    _dashboard.auth.forget_key()
    return _dashboard
