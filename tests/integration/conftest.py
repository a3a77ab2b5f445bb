"""Tests against a deployed preprod. They reach its URL, table, topic and functions, and nothing of the checkout.

`release validate` starts them and says where everything is. Started by it, a missing variable is a failure: a test that
was skipped proves nothing about a release. Started by hand without the variables, they are skipped.
"""

import json
import os
import time
from collections.abc import Callable

import boto3
import httpx
import pytest


def required(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        message = f"{name} is not set: start these tests by `release validate --stack preprod --digest DIGEST`"
        if os.environ.get("RELEASE_VALIDATE"):
            pytest.fail(message)
        pytest.skip(message)
    return value


@pytest.fixture(scope="session")
def release_sha() -> str:
    return required("RELEASE_SHA")


@pytest.fixture(scope="session")
def release_digest() -> str:
    return required("RELEASE_DIGEST")


@pytest.fixture(scope="session")
def api_key() -> str:
    return required("PREPROD_DASHBOARD_API_KEY")


@pytest.fixture(scope="session")
def dashboard():
    with httpx.Client(base_url=required("PREPROD_DASHBOARD_URL").rstrip("/"), timeout=10) as client:
        yield client


@pytest.fixture(scope="session")
def items_table():
    name = required("ITEMS_TABLE")
    return boto3.resource("dynamodb").Table(name)


@pytest.fixture(scope="session")
def new_items_topic():
    arn = required("NEW_ITEMS_TOPIC")
    return boto3.resource("sns").Topic(arn)


@pytest.fixture(scope="session")
def invoke() -> Callable:
    required("RELEASE_DIGEST")
    client = boto3.client("lambda")

    def run(function: str, event: dict, alias: str = "live") -> tuple[str | None, dict]:
        """Run a function through an alias; return `FunctionError` (None when there is none) and what it answered."""
        answer = client.invoke(
            FunctionName=required(f"{function.upper()}_FUNCTION"), Qualifier=alias, Payload=json.dumps(event)
        )
        return answer.get("FunctionError"), json.loads(answer["Payload"].read())

    return run


@pytest.fixture(scope="session")
def read_api(dashboard, api_key) -> Callable:
    def read(path: str, **query: str) -> dict:
        """GET a path of the API with the key."""
        answer = dashboard.get(path, params=query, headers={"X-API-Key": api_key})
        assert answer.status_code == 200, answer.text
        return answer.json()

    return read


@pytest.fixture(scope="session")
def eventually() -> Callable:
    def wait(what: str, look: Callable, limit_s: float = 60):
        """Return the first true answer of `look`; fail when none comes within `limit_s` seconds."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            if answer := look():
                return answer
            time.sleep(0.3)
        return pytest.fail(f"after {limit_s:.0f} s still not: {what}")

    return wait
