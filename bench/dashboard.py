"""How long the dashboard takes with many items in its table: `python bench/dashboard.py` (some two minutes).

The function's own code runs in several processes, as Lambda's instances are, against the AWS part of the local cloud:
moto sorts the whole table for each question, in one process, and is far slower than DynamoDB. Measures only; the
behaviour is tests/localcloud/test_many_items.py.
"""

import argparse
import importlib
import json
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.machine import described  # noqa: E402
from components.service.items import EXPIRES_AT, INDEXES, PARTITION_KEY, SORT_KEY  # noqa: E402
from tests.localcloud.parts import client, running_part  # noqa: E402

TABLE, SECRET, KEY = "preprod-sentiment-items", "preprod/sentiment-analyzer/dashboard-api-key", "made-up-key"
PATHS = ("/", "/api/metrics", "/api/items", "/health")
ITEMS = (100, 2_648, 10_000)
READERS = (1, 4, 8)
ASKED = 3
_TIME_LIMIT = 30.0
"""Seconds: `functionTimeoutSeconds`."""
_AT_ONCE = 25
"""Items that one call of DynamoDB writes at most."""


def variables(url: str) -> dict[str, str]:
    """What the function is told, and where its AWS is."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "made-up",
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "AWS_DEFAULT_REGION": "us-east-1",
        "ENVIRONMENT": "preprod",
        "RELEASE_SHA": "a" * 40,
        "RELEASE_DIGEST": "d" * 64,
        "ITEMS_TABLE": TABLE,
        "DASHBOARD_KEY_SECRET": SECRET,
    }


def prepare(url: str) -> None:
    """Make the table as the program does, and the secret."""
    schema = [{"AttributeName": PARTITION_KEY, "KeyType": "HASH"}, {"AttributeName": SORT_KEY, "KeyType": "RANGE"}]
    keys = [PARTITION_KEY, SORT_KEY, *(attribute for _, attribute in INDEXES)]
    client("dynamodb", url).create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=schema,
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        GlobalSecondaryIndexes=[
            {
                "IndexName": index,
                "KeySchema": [{"AttributeName": attribute, "KeyType": "HASH"}, schema[1]],
                "Projection": {"ProjectionType": "ALL"},
            }
            for index, attribute in INDEXES
        ],
    )
    client("secretsmanager", url).create_secret(Name=SECRET, SecretString=json.dumps({"api_key": KEY}))


def fill(url: str, first: int, last: int, now: datetime) -> None:
    """Write the items from number `first` on and before `last`, each two minutes older than the one before."""
    dynamodb = client("dynamodb", url)
    for begin in range(first, last, _AT_ONCE):
        numbers = range(begin, min(begin + _AT_ONCE, last))
        dynamodb.batch_write_item(
            RequestItems={TABLE: [{"PutRequest": {"Item": _item(number, now)}} for number in numbers]}
        )


def _item(number: int, now: datetime) -> dict[str, Any]:
    text = {
        PARTITION_KEY: f"news#{number:064d}",
        SORT_KEY: f"{now - timedelta(minutes=2 * number):%Y-%m-%dT%H:%M:%SZ}",
        "status": "analyzed",
        "sentiment": ("positive", "neutral", "negative")[number % 3],
        "tag": ("markets", "technology")[number % 2],
        "title": f"Article {number} about markets and technology, with a title as long as titles are",
        "text": "Some words of the article. " * 20,
        "url": f"https://news.example.com/{number}",
    }
    expires = int((now + timedelta(days=30)).timestamp())
    numbers = {"score": {"N": "0.5"}, EXPIRES_AT: {"N": str(expires)}}
    return {name: {"S": value} for name, value in text.items()} | numbers


def ask(path: str) -> tuple[int, dict[str, str], str, float]:
    """Status, headers, body and seconds of one request, as its function URL asks the function in this process."""
    answer: dict[str, Any]
    request = {"rawPath": path, "headers": {"x-api-key": KEY}, "requestContext": {"http": {"method": "GET"}}}
    began = time.monotonic()
    try:
        answer = importlib.import_module("handler").handle(request, SimpleNamespace(function_version="1"))
    except Exception as error:
        answer = {"statusCode": 502, "headers": {}, "body": type(error).__name__}  # as Lambda does
    seconds = time.monotonic() - began
    if seconds > _TIME_LIMIT:
        answer = {"statusCode": 502, "headers": {}, "body": "Lambda ends the function"}
    return answer["statusCode"], answer["headers"], answer["body"], seconds


def instances(url: str, count: int) -> ProcessPoolExecutor:
    """Processes that hold the function; ask them with `ask`."""
    return ProcessPoolExecutor(count, get_context("spawn"), _begin, (variables(url),))


def _begin(environment: dict[str, str]) -> None:
    os.environ.update(environment)
    sys.path.insert(0, str(ROOT / "lambdas" / "dashboard"))
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the function's log
    ask("/api/items")  # the cold start is not measured here


def row(pool: ProcessPoolExecutor, items: int, readers: int, path: str) -> None:
    """Measure one path, asked by all readers at once."""
    answers = [answer for _ in range(ASKED) for answer in pool.map(ask, [path] * readers)]
    seconds = [answer[3] for answer in answers]
    statuses = sorted({answer[0] for answer in answers})
    bounded = sum("at least" in answer[2] or '"truncated": true' in answer[2] for answer in answers)
    print(
        f"| {items:,} | {readers} | `{path}` | {', '.join(map(str, statuses))} | {statistics.median(seconds):.2f} "
        f"| {max(seconds):.2f} | {len(answers)} | {bounded} |",
        flush=True,
    )


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(described())
    print(f"load average before: {os.getloadavg()[0]:.1f}. Seconds.\n")
    print('| items | at once | path | status | median | worst | answers | of them "at least" |')
    print("| ---: | ---: | --- | --- | ---: | ---: | ---: | ---: |")
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as folder, running_part("aws", Path(folder) / "aws.log") as url:
        prepare(url)
        there = 0
        for items in ITEMS:
            fill(url, there, items, now)
            there = items
            for readers in READERS:
                with instances(url, readers) as pool:
                    for path in PATHS:
                        row(pool, items, readers, path)


if __name__ == "__main__":
    main()
