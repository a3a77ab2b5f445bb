"""The dashboard's code over HTTP with a table of 10,000 items, as the local cloud serves it."""

import json
from datetime import UTC, datetime

import httpx
import pytest

from bench import dashboard
from tests.localcloud.parts import running_part

MANY = 10_000


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    with running_part("aws", tmp_path_factory.mktemp("aws") / "aws.log") as url:
        dashboard.prepare(url)
        dashboard.fill(url, 0, MANY, datetime.now(UTC))
        yield url


@pytest.fixture(scope="module")
def function(table):
    with dashboard.instances(table, 4) as pool:
        yield pool


@pytest.mark.parametrize("path", dashboard.PATHS)
def test_page_and_api_answer_several_readers_of_many_items(function, path):
    answers = list(function.map(dashboard.ask, [path] * 4))
    assert [status for status, *_ in answers] == [200] * 4
    for _, _, body, _ in answers:
        if path == "/api/metrics":
            counts = json.loads(body)
            assert counts["total"] == MANY or (counts["truncated"] and 0 < counts["total"] < MANY)
        if path == "/":
            assert "10,000" in body or "at least" in body


def test_a_table_that_is_too_slow_is_503_with_a_reason_and_health_says_so_too(table, function):
    slow = {"service": "dynamodb", "operation": "*", "kind": "slow", "seconds": 4}
    httpx.put(f"{table}/_localcloud/faults", json=slow).raise_for_status()
    try:
        answers = dict(zip(dashboard.PATHS, function.map(dashboard.ask, dashboard.PATHS), strict=True))
    finally:
        httpx.delete(f"{table}/_localcloud/faults").raise_for_status()
    assert {status for status, *_ in answers.values()} == {503}
    for path in ("/", "/api/metrics", "/api/items"):
        _, headers, body, _ = answers[path]
        assert headers["retry-after"] == "30"
        assert "in time" in json.loads(body)["error"]
    assert json.loads(answers["/health"][2])["status"] == "timeout"
