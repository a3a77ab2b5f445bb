"""Asks the dashboard function as a function URL does."""

import json

KEY = {"x-api-key": "right-key"}


def ask(dashboard, context, path, headers=None, query=None, method="GET"):
    """Status, body (parsed when it is JSON) and headers of an answer."""
    event = {"version": "2.0", "rawPath": path, "headers": headers or {}, "queryStringParameters": query}
    answer = dashboard.handler.handle(event | {"requestContext": {"http": {"method": method, "path": path}}}, context)
    is_json = answer["headers"]["content-type"] == "application/json"
    return answer["statusCode"], json.loads(answer["body"]) if is_json else answer["body"], answer["headers"]
