"""The status of the deployment on GitHub, where a token is: how the release ended in its environment."""

from __future__ import annotations

from typing import Final

from components.identities import PRODUCTION_AUTO, github_environments
from release.context import Context
from release.ledger.lifecycle import Decision, LedgerState, State
from release.oncall.message import Page

_STATUS: Final[dict[State | Decision, str]] = {
    State.ROLLED_BACK: "failure",
    State.ROLLED_BACK_TRAFFIC: "error",
    State.ROLLBACK_FAILED: "error",
}


def publish(context: Context, _: LedgerState, told: Page) -> None:
    """Set the status of the release's deployment in the environment that it went through."""
    if context.github is None or told.release is None or told.state not in _STATUS:
        return
    context.github.set_deployment_status(
        told.release.sha,
        PRODUCTION_AUTO if told.automatic else github_environments(context.stack)[0],
        _STATUS[told.state],
        told.subject,
        context.run.url,
        dict(told.places).get("dashboard", ""),
    )
