"""What the running service may do: statements for execution roles, and the boundary around all of them."""

from __future__ import annotations

from collections.abc import Sequence

from components.arns import Arns
from components.naming import BY_SENTIMENT, BY_STATUS, BY_TAG
from components.policies.documents import Document, Statement, allow, document


def write_logs(arns: Arns, log_group: str) -> Statement:
    """Write into one log group; the program makes the group, so that its retention is ours."""
    return allow("Logs", ["logs:CreateLogStream", "logs:PutLogEvents"], [f"{arns.of('log group', log_group)}:*"])


def store_items(arns: Arns) -> Statement:
    """Add new items, each only once."""
    return allow("StoreItems", ["dynamodb:PutItem"], [arns.of("table", arns.names.items_table)])


def score_items(arns: Arns) -> Statement:
    """Write the score of an item."""
    return allow("ScoreItems", ["dynamodb:UpdateItem"], [arns.of("table", arns.names.items_table)])


def read_table(arns: Arns) -> Statement:
    """Read an item by its key, which is how a health answer finds out whether the table can be read."""
    return allow("ReadTable", ["dynamodb:GetItem"], [arns.of("table", arns.names.items_table)])


def query_items(arns: Arns) -> Statement:
    """Query the indexes, and not the table itself."""
    table = arns.of("table", arns.names.items_table)
    return allow(
        "QueryItems", ["dynamodb:Query"], [f"{table}/index/{index}" for index in (BY_SENTIMENT, BY_TAG, BY_STATUS)]
    )


def announce_items(arns: Arns) -> Statement:
    """Publish new items."""
    return allow("AnnounceItems", ["sns:Publish"], [arns.of("topic", arns.names.new_items_topic)])


def leave_dead_letters(arns: Arns) -> Statement:
    """Send what failed for good to the dead-letter queue."""
    return allow("DeadLetters", ["sqs:SendMessage"], [arns.of("queue", arns.names.dead_letters_queue)])


def read_secret(arns: Arns, name: str) -> Statement:
    """Read one secret."""
    return allow("Secret", ["secretsmanager:GetSecretValue"], [arns.secret(name)])


def start_live(arns: Arns, function_names: Sequence[str]) -> Statement:
    """Call `live` of these functions, and nothing but `live`."""
    return allow("StartLive", ["lambda:InvokeFunction"], [arns.live(name) for name in function_names])


def boundary(arns: Arns) -> Document:
    """The most that any role made by a deploy role can do, whatever policy it is given.

    Without it, who may make roles and pass them on is an administrator.
    """
    names = arns.names
    table = arns.of("table", names.items_table)
    return document(
        allow(
            "Logs",
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            [arns.of("log group", f"/aws/lambda/{names.prefix}*")],
        ),
        allow(
            "Items",
            ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"],
            [table, f"{table}/index/*"],
        ),
        allow("Topics", ["sns:Publish"], [arns.of("topic", f"{names.prefix}*")]),
        allow("Queues", ["sqs:SendMessage"], [arns.of("queue", f"{names.prefix}*")]),
        allow(
            "Secrets",
            ["secretsmanager:GetSecretValue"],
            [arns.secret(names.newsapi_secret), arns.secret(names.dashboard_key_secret)],
        ),
        allow("Functions", ["lambda:InvokeFunction"], [arns.of("function", f"{names.prefix}*")]),
    )
