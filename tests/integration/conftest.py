"""Tests against a deployed preprod. They reach its URL, table, topic, schedule and functions, and import none of them.

`release validate` starts them. By hand, against AWS or the local cloud alike (there behind `localcloud run --`):

    export PREPROD_OUTPUTS="$(pulumi stack output --json --stack preprod)"
    export PREPROD_DASHBOARD_API_KEY=...
    pytest tests/integration

Nothing else says where preprod is. Started by `release validate`, a missing variable is a failure: a test that was
skipped proves nothing about a release. By hand without the variables, the tests are skipped.

Whatever a test makes has a name of its own and is removed afterwards, so that two runs at a time do not meet.
"""

import json
import os
import platform
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import boto3
import httpx
import pytest

# Years ago, so that what a test makes up rarely stands among the newest items, which people see.
LONG_AGO = "2001-01-01T00:00:00Z"


def required(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        message = f"{name} is not set: start these tests by `release validate --stack preprod --digest DIGEST`"
        if os.environ.get("RELEASE_VALIDATE"):
            pytest.fail(message)
        pytest.skip(message)
    return value


@pytest.fixture(scope="session", autouse=True)
def tool_versions(record_testsuite_property):
    """The validation record says what the tests ran with."""
    record_testsuite_property("tool:python", platform.python_version())
    for tool in ("pytest", "boto3", "httpx"):
        record_testsuite_property(f"tool:{tool}", version(tool))


@pytest.fixture(scope="session")
def outputs() -> dict:
    """The outputs of the stack."""
    return json.loads(required("PREPROD_OUTPUTS"))


@pytest.fixture(scope="session")
def release(outputs) -> dict:
    """What every answer must name: commit and manifest digest of the release under test."""
    return {"release": outputs["release"]["sha"], "digest": outputs["release"]["manifest"]}


@pytest.fixture(scope="session")
def api_key() -> str:
    return required("PREPROD_DASHBOARD_API_KEY")


class TurnedAway(httpx.HTTPTransport):
    """Asks again, for a minute, where Lambda answers 429: the account runs too much at once, whoever is asked."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        until = time.monotonic() + 60
        while (answer := super().handle_request(request)).status_code == 429 and time.monotonic() < until:
            answer.close()
            time.sleep(0.5)
        return answer


@pytest.fixture(scope="session")
def dashboard(outputs):
    url = outputs["dashboard_url"].rstrip("/")
    with httpx.Client(base_url=url, timeout=10, transport=TurnedAway()) as client:
        yield client


@pytest.fixture(scope="session")
def read_api(dashboard, api_key, release) -> Callable:
    def read(path: str, **query: str | int) -> dict:
        """GET a path of the API with the key; the answer must come from the release under test."""
        answer = dashboard.get(path, params=query, headers={"X-API-Key": api_key})
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-release-digest"] == release["digest"]
        return answer.json()

    return read


@pytest.fixture(scope="session")
def table(outputs):
    return boto3.resource("dynamodb").Table(outputs["items_table"])


@pytest.fixture(scope="session")
def topic(outputs):
    return boto3.resource("sns").Topic(outputs["new_items_topic"])


@pytest.fixture(scope="session")
def invoke(outputs, release) -> Callable:
    client = boto3.client("lambda")

    def run(function: str, event: dict, alias: str = "live") -> tuple[str | None, dict]:
        """Run a function; return the type of its error (None when there is none) and what it answered.

        Events that must fail go through `candidate`, which is the same version in preprod: the alarms watch `live`.
        """
        answer = client.invoke(
            FunctionName=outputs["functions"][function], Qualifier=alias, Payload=json.dumps(event).encode()
        )
        said = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            return said["errorType"], said
        assert {name: said.get(name) for name in release} == release, "another release answers"
        return None, said

    return run


@pytest.fixture(scope="session")
def first_run(invoke) -> tuple[str | None, dict]:
    """One run with the event of the schedule, for all tests: the news service answers a key only so many times."""
    return invoke("ingestion", {})


@pytest.fixture(scope="session")
def eventually() -> Callable:
    patience_s = float(os.environ.get("PREPROD_PATIENCE_S", "60"))

    def wait(what: str, look: Callable):
        """Return the first true answer of `look`; fail when none comes within a minute."""
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            if answer := look():
                return answer
            time.sleep(0.2)
        return pytest.fail(f"after {patience_s:.0f} s still not: {what}")

    return wait


@pytest.fixture
def now() -> str:
    """For items that must be among the newest: the page shows no others, and the counts end somewhere."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def tag() -> str:
    """A tag of this test alone."""
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
def make_item(table, tag):
    """Makes items up as ingestion stores them, with the tag of this test; they are removed afterwards."""
    made = []

    def make(**changes) -> dict:
        item = {
            "source_id": f"news#{uuid.uuid4().hex}",
            "timestamp": LONG_AGO,
            "status": "pending",
            "tag": tag,
            "title": "A wonderful day: everybody is happy",
            "text": "The best results ever, and people love them.",
            "url": "https://example.com/integration-test",
            "expires_at": int((datetime.now(UTC) + timedelta(hours=1)).timestamp()),
        } | changes
        made.append(item)
        table.put_item(Item=item)
        return item

    yield make
    for item in made:
        table.delete_item(Key=key_of(item))


@pytest.fixture
def read_item(table) -> Callable:
    def read(item: dict) -> dict:
        """The item as it is in the table now; empty when it is not there."""
        return table.get_item(Key=key_of(item), ConsistentRead=True).get("Item", {})

    return read


@pytest.fixture
def analyzed(read_item) -> Callable:
    def look(item: dict) -> dict | None:
        """The item, once it is analyzed."""
        found = read_item(item)
        return found if found.get("status") == "analyzed" else None

    return look


@pytest.fixture(scope="session")
def announcement() -> Callable:
    def text(item: dict) -> str:
        """The message by which ingestion announces an item."""
        return json.dumps({field: item[field] for field in ("source_id", "timestamp", "tag", "title", "text")})

    return text


def key_of(item: dict) -> dict:
    return {name: item[name] for name in ("source_id", "timestamp")}
