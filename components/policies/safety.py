"""What the traffic safety net may do: put aliases back, end a bake, nothing else."""

from __future__ import annotations

from typing import Final

from components.arns import Arns
from components.policies.documents import Document, allow, document

TRUSTED: Final = ("scheduler", "states")
"""The services that may act as the role that moves aliases."""
TRUSTED_TO_START: Final = ("events",)
"""The services that may act as the role that starts the state machine."""


def return_traffic(arns: Arns) -> Document:
    """Move aliases of the environment's own functions, and switch the rule off that does so while a release bakes.

    Functions are named by prefix, so that a new one is inside the net without an administrator.
    """
    return document(
        allow("ReturnTraffic", ["lambda:UpdateAlias"], [arns.of("function", f"{arns.names.prefix}*")]),
        allow("EndBake", ["events:DisableRule"], [arns.of("rule", arns.names.bake_rule)]),
    )


def start_way_back(arns: Arns) -> Document:
    """Start the state machine that takes traffic back."""
    return document(allow("StartWayBack", ["states:StartExecution"], [arns.of("state machine", arns.names.way_back)]))
