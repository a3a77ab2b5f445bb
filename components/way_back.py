"""The state machine that takes traffic back while a release bakes, as data: no code, and no runtime that ages.

Its input is a list of functions with the versions that their `live` goes to, `FunctionName` and `FunctionVersion`. Each
is moved beside the others. A call that fails is repeated for some five minutes, and no longer: a later call could meet
the traffic of a newer release.
"""

from __future__ import annotations

from typing import Any, Final

from components.naming import LIVE

UPDATE_ALIAS: Final = "arn:aws:states:::aws-sdk:lambda:updateAlias"
_RETRY: Final = {
    "ErrorEquals": ["States.ALL"],
    "IntervalSeconds": 1,
    "BackoffRate": 2,
    "MaxDelaySeconds": 60,
    "MaxAttempts": 10,
}


def definition() -> dict[str, Any]:
    """The definition in Amazon States Language."""
    move = {
        "Type": "Task",
        "Resource": UPDATE_ALIAS,
        "Parameters": {
            "FunctionName.$": "$.FunctionName",
            "Name": LIVE,
            "FunctionVersion.$": "$.FunctionVersion",
            "RoutingConfig": {"AdditionalVersionWeights": {}},  # left out, the weights would stay as they are
        },
        "Retry": [_RETRY],
        "End": True,
    }
    each = {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "PutBack", "States": {"PutBack": move}}
    return {
        "Comment": f"Puts {LIVE} of each function back on the version of the release before",
        "StartAt": "EachFunction",
        "States": {"EachFunction": {"Type": "Map", "ItemProcessor": each, "End": True}},
    }
