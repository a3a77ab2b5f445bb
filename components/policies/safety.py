"""What the traffic safety net may do: put aliases back, nothing else."""

from __future__ import annotations

from components.arns import Arns
from components.policies.documents import Document, allow, document


def return_traffic(arns: Arns) -> Document:
    """Move aliases of the environment's own functions.

    By prefix, so that a new function is inside the net without an administrator.
    """
    return document(allow("ReturnTraffic", ["lambda:UpdateAlias"], [arns.of("function", f"{arns.names.prefix}*")]))
