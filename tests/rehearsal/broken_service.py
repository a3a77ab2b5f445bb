"""Ways in which a deployed function can be broken, most of them as code at the end of one of its modules.

`seen_by` names the test file against preprod that is there to see it; others may see it too.
"""

import os
import platform
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import pytest

from localcloud.rehearsal.broken_releases import head
from tests.cloud import ROOT

HANDLER = "handler.py"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One broken function."""

    name: str
    function: str
    code: str = ""
    module: str = HANDLER
    without: str = ""
    """A folder that the package lacks."""
    stale: str = ""
    """The one alias that serves it; the package is sound then, and of another release."""
    seen_by: str


def _wrapped(body: str) -> str:
    """Code that puts `body`, which may use `event`, `context` and `answer`, around what the sound handler answers."""
    return f"""
import json as broken_json, os as broken_os, time as broken_time

_sound = handle


def handle(event, context):
    path = event.get("rawPath", "")
    {body}
"""


def _health(changes: str) -> str:
    """Code that changes the body of the health answer by an expression over `body`."""
    return _wrapped(
        f"""answer = _sound(event, context)
    if path == "/health":
        body = broken_json.loads(answer["body"])
        answer = answer | {{"body": broken_json.dumps({changes})}}
    return answer"""
    )


def _key_check(expression: str) -> str:
    """Code that decides who may read by an expression over `offered` and `configured`."""
    return f"""
def is_allowed(headers):
    offered, configured = _offered_key(headers), _keys.configured()
    return {expression}
"""


def _written(condition: str, title: str = "") -> str:
    """Code that writes a score under another condition, and maybe another title with it."""
    also = ", title = :title" if title else ""
    return f"""
def _write_once(item, sentiment, value):
    names = {{"#status": "status", "#timestamp": "timestamp"}}
    values = {{":status": "analyzed", ":pending": "pending", ":sentiment": sentiment, ":score": value}}
    values |= {{":at": datetime.now(UTC).isoformat()}} | ({{":title": {title!r}}} if {title!r} else {{}})
    changes = "SET #status = :status, sentiment = :sentiment, score = :score, analyzed_at = :at{also}"
    condition = "({condition}) AND (#timestamp <> :pending)"
    try:
        answer = _table().update_item(
            Key={{"source_id": item.source_id, "timestamp": item.timestamp}}, UpdateExpression=changes,
            ConditionExpression=condition, ExpressionAttributeNames=names, ExpressionAttributeValues=values,
            ReturnValues="ALL_NEW",
        )
    except ClientError:
        return False, item.title
    return True, answer["Attributes"].get("title")
"""


_CANARY, _DASHBOARD = "test_canary_preprod", "test_dashboard_preprod"
_INGESTION, _ANALYSIS, _END_TO_END = "test_ingestion_preprod", "test_analysis_preprod", "test_end_to_end_preprod"

VARIANTS = [
    Variant(
        name="health answers 500",
        function="dashboard",
        code=_wrapped('return _sound(event, context) | ({"statusCode": 500} if path == "/health" else {})'),
        seen_by=_CANARY,
    ),
    Variant(
        name="health says degraded",
        function="dashboard",
        code=_health('body | {"status": "degraded"}'),
        seen_by=_CANARY,
    ),
    Variant(
        name="health hides the digest",
        function="dashboard",
        code=_health('{name: body[name] for name in ("status", "release", "version")}'),
        seen_by=_CANARY,
    ),
    Variant(
        name="health names another digest",
        function="dashboard",
        code=_health('body | {"digest": body["digest"][::-1]}'),
        seen_by=_CANARY,
    ),
    Variant(
        name="health names $LATEST",
        function="dashboard",
        code=_health('body | {"version": "$LATEST"}'),
        seen_by=_CANARY,
    ),
    Variant(
        name="health is slow",
        function="dashboard",
        code=_wrapped('broken_time.sleep(1.2 if path == "/health" else 0)\n    return _sound(event, context)'),
        seen_by=_CANARY,
    ),
    Variant(
        name="health may be cached",
        function="dashboard",
        code=_wrapped(
            """answer = _sound(event, context)
    return answer | {"headers": answer["headers"] | {"cache-control": "max-age=600"}}"""
        ),
        seen_by=_CANARY,
    ),
    Variant(
        name="without a key it is open",
        function="dashboard",
        module="auth.py",
        code=_key_check("offered in ('', configured)"),
        seen_by=_CANARY,
    ),
    Variant(
        name="any key opens",
        function="dashboard",
        module="auth.py",
        code=_key_check("bool(offered)"),
        seen_by=_CANARY,
    ),
    Variant(
        name="the beginning of the key opens",
        function="dashboard",
        module="auth.py",
        code=_key_check("bool(offered) and configured.startswith(offered)"),
        seen_by=_CANARY,
    ),
    Variant(
        name="the key in other letters opens",
        function="dashboard",
        module="auth.py",
        code=_key_check("offered.lower() == configured.lower()"),
        seen_by=_CANARY,
    ),
    Variant(
        name="nobody gets in",
        function="dashboard",
        module="auth.py",
        code=_key_check("False"),
        seen_by=_CANARY,
    ),
    Variant(
        name="bearer is not understood",
        function="dashboard",
        module="auth.py",
        code="\ndef _offered_key(headers):\n    return headers.get('x-api-key', '').strip()\n",
        seen_by=_CANARY,
    ),
    Variant(
        name="probes are shown",
        function="dashboard",
        module="store.py",
        code="\ndef _is_real(item):\n    return True\n",
        seen_by=_DASHBOARD,
    ),
    Variant(
        name="every page is the first one",
        function="dashboard",
        code=_wrapped(
            '(event.get("queryStringParameters") or {}).pop("after", None)\n    return _sound(event, context)'
        ),
        seen_by=_DASHBOARD,
    ),
    Variant(
        name="limits are not checked",
        function="dashboard",
        code=_wrapped(
            """query = event.get("queryStringParameters") or {}
    if not query.get("limit", "1").isdigit() or not 0 < int(query.get("limit", "1")) <= 100:
        query.pop("limit")
    return _sound(event, context)"""
        ),
        seen_by=_DASHBOARD,
    ),
    Variant(
        name="an unknown path is the page",
        function="dashboard",
        code=_wrapped('return _sound(event | ({"rawPath": "/"} if "secrets" in path else {}), context)'),
        seen_by=_DASHBOARD,
    ),
    Variant(
        name="a security header is lost",
        function="dashboard",
        code=_wrapped(
            """answer = _sound(event, context)
    headers = {name: value for name, value in answer["headers"].items() if name != "x-frame-options"}
    return answer | {"headers": headers}"""
        ),
        seen_by=_DASHBOARD,
    ),
    Variant(
        name="errors name the table",
        function="dashboard",
        code=_wrapped(
            """answer = _sound(event, context)
    if answer["statusCode"] == 404:
        answer = answer | {"body": broken_json.dumps({"error": "nothing in " + broken_os.environ["ITEMS_TABLE"]})}
    return answer"""
        ),
        seen_by=_DASHBOARD,
    ),
    Variant(
        name="the counts are wrong",
        function="dashboard",
        code=_wrapped(
            """answer = _sound(event, context)
    if path == "/api/metrics" and answer["statusCode"] == 200:
        body = broken_json.loads(answer["body"])
        body["by_tag"] = {tag: count + 1 for tag, count in body["by_tag"].items()}
        answer = answer | {"body": broken_json.dumps(body)}
    return answer"""
        ),
        seen_by=_DASHBOARD,
    ),
    Variant(
        name="the page does not escape",
        function="dashboard",
        code=_wrapped(
            """answer = _sound(event, context)
    return answer | {"body": answer["body"].replace("&lt;", "<").replace("&gt;", ">")}"""
        ),
        seen_by=_DASHBOARD,
    ),
    Variant(
        name="articles are stored again and again",
        function="ingestion",
        module="items.py",
        code="""
def store(table, items):
    items = list(items)
    for item in items:
        table.put_item(Item=item)
    return items, 0
""",
        seen_by=_INGESTION,
    ),
    Variant(
        name="a failure is hidden in an answer",
        function="ingestion",
        code=_wrapped(
            """try:
        return _sound(event, context)
    except Exception:
        answer = {"statusCode": 500, "fetched": 0, "stored": 0, "known": 0, "announced": 0, "probe": True}
        named = {"release": broken_os.environ["RELEASE_SHA"], "digest": broken_os.environ["RELEASE_DIGEST"]}
        return answer | named"""
        ),
        seen_by=_INGESTION,
    ),
    Variant(
        name="nothing is announced",
        function="ingestion",
        module="items.py",
        code="\ndef announce(sns, topic_arn, items):\n    return None\n",
        seen_by=_END_TO_END,
    ),
    Variant(
        name="probes are not marked",
        function="ingestion",
        module="items.py",
        code="""
_sound_items = to_items


def to_items(articles, tag, now, *, probe=False):
    return _sound_items(articles, tag, now)
""",
        seen_by=_INGESTION,
    ),
    Variant(
        name="items are kept for ever",
        function="ingestion",
        module="items.py",
        code="\n_KEPT = timedelta(days=3650)\n",
        seen_by=_INGESTION,
    ),
    Variant(
        name="ingestion names another release",
        function="ingestion",
        code=_wrapped('return _sound(event, context) | {"digest": "0" * 64}'),
        seen_by=_INGESTION,
    ),
    Variant(
        name="poison is swallowed",
        function="analysis",
        code=_wrapped(
            """try:
        return _sound(event, context)
    except MalformedRecordError:
        named = {"release": broken_os.environ["RELEASE_SHA"], "digest": broken_os.environ["RELEASE_DIGEST"]}
        return {"analyzed": 0, "already_analyzed": 0, "items": []} | named"""
        ),
        seen_by=_ANALYSIS,
    ),
    Variant(
        name="a second delivery writes again",
        function="analysis",
        code=_written("attribute_exists(source_id)"),
        seen_by=_ANALYSIS,
    ),
    Variant(
        name="items that are gone are made again",
        function="analysis",
        code=_written("attribute_not_exists(source_id) OR #status = :pending"),
        seen_by=_ANALYSIS,
    ),
    Variant(
        name="the title is overwritten",
        function="analysis",
        code=_written("#status = :pending", title="analyzed"),
        seen_by=_ANALYSIS,
    ),
    Variant(
        name="nothing is written",
        function="analysis",
        code="\ndef _write_once(item, sentiment, value):\n    return True, item.title\n",
        seen_by=_ANALYSIS,
    ),
    Variant(
        name="everything is neutral",
        function="analysis",
        module="sentiment.py",
        code="\ndef score(text):\n    return 'neutral', Decimal(0)\n",
        seen_by=_ANALYSIS,
    ),
    Variant(
        name="a dependency is missing",
        function="analysis",
        without="vaderSentiment",
        seen_by=_ANALYSIS,
    ),
    *(
        Variant(
            name=f"{alias} of {function} stayed on another release", function=function, stale=alias, seen_by=seen_by
        )
        for alias, function, seen_by in (
            ("live", "dashboard", _CANARY),
            ("live", "ingestion", _INGESTION),
            ("live", "analysis", _ANALYSIS),
            ("candidate", "dashboard", _CANARY),
            ("candidate", "ingestion", _INGESTION),
            ("candidate", "analysis", _CANARY),
        )
    ),
]


def chosen(sample: int) -> list[Variant]:
    """The variants of a run: all in `make soak`, else as many as `sample`, drawn by the commit."""
    if wanted := os.environ.get("BROKEN_SERVICE"):
        return [variant for variant in VARIANTS if variant.name == wanted]
    if "SOAK_MINUTES" in os.environ:
        return VARIANTS
    return random.Random(head(ROOT)).sample(VARIANTS, sample)


def measured() -> list[str]:
    """When, of which commit and on which machine a table was made, in lines."""
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}"
    versions = f"Python {platform.python_version()}, pytest {pytest.__version__}, moto {version('moto')}"
    return [
        f"Last result of `make soak`, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, at commit {head(ROOT)[:12]};",
        f"{machine}; {versions}.",
    ]
