"""No execution role has a right that nobody uses. (That none is missing is asserted after each test of this folder.)"""

import json

import pytest

from components.service.functions import FUNCTIONS
from tests.fixtures import newsapi_responses as newsapi
from tests.unit.lambdas.rights import ARNS, STATEMENTS
from tests.unit.program.evaluate import decision
from tests.unit.program.harness import deployed


def run_ingestion(use, context):
    function, news = use("ingestion"), use("news")
    news.answers.append(newsapi.happy_path())
    assert function.handler.handle({}, context)["announced"] > 0


def run_analysis(use, context):
    function, table = use("analysis"), use("table")
    message = {"source_id": "news#1", "timestamp": "2026-11-23T00:00:00Z", "tag": "robots", "title": "Good", "text": ""}
    table.put_item(Item=message | {"status": "pending"})
    record = {"Sns": {"Message": json.dumps(message)}}
    assert function.handler.handle({"Records": [record]}, context)["analyzed"] == 1


def run_dashboard(use, context):
    function = use("dashboard")
    items = [("/api/items", {"tag": "robots"}), ("/api/items", {"sentiment": "positive"})]
    for path, query in [("/health", {}), ("/", {}), ("/api/metrics", {}), *items]:
        request = {"rawPath": path, "requestContext": {"http": {"method": "GET"}}, "queryStringParameters": query}
        answer = function.handler.handle(request | {"headers": {"x-api-key": "right-key"}}, context)
        assert answer["statusCode"] == 200, path


RUNS = {"ingestion": run_ingestion, "analysis": run_analysis, "dashboard": run_dashboard}


@pytest.mark.parametrize("function", STATEMENTS)
def test_every_right_of_an_execution_role_is_used_by_its_function(function, request, context, needed):
    RUNS[function](request.getfixturevalue, context)
    unused = [
        f"{action} on {resource}"
        for statement in STATEMENTS[function]
        for action in statement["Action"]
        for resource in statement["Resource"]
        if not any(
            decision({"Statement": [statement | {"Action": action, "Resource": resource}]}, need.action, need.resource)
            == "allowed"
            for need in needed[function]
        )
    ]
    assert unused == [], "rights that nobody uses: components/service/functions.py"


@pytest.mark.parametrize("spec", FUNCTIONS, ids=lambda spec: spec.key)
def test_an_execution_role_has_besides_only_what_lambda_itself_uses(spec):
    """It writes what the function prints, and leaves an event in the queue that failed for good."""
    registered = deployed("preprod").one("iam/rolePolicy:RolePolicy", spec.key)
    besides = [one for one in json.loads(registered["policy"])["Statement"] if one not in STATEMENTS[spec.key]]
    expected = {"Logs": f"{ARNS.of('log group', ARNS.names.function(spec.key).log_group)}:*"}
    if spec.trigger.asynchronous:
        expected["DeadLetters"] = ARNS.of("queue", ARNS.names.dead_letters_queue)
    assert {one["Sid"]: one["Resource"] for one in besides} == {sid: [arn] for sid, arn in expected.items()}
