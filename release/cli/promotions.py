"""Commands that bring a release into production, or back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from release.cli import environment
from release.cli.command import CommandResult, command
from release.cli.options import DigestOption, ReasonOption, ShaOption, StackOption
from release.errors import Reported, RollbackIncomplete, UsageError

if TYPE_CHECKING:
    from release.context import Context
    from release.reports import Report


@command
def check(stack: StackOption = "prod", digest: DigestOption = None, sha: ShaOption = None) -> Reported:
    """Tell whether production would admit a release. It changes nothing."""
    from release.gates.preconditions import admit
    from release.ledger.lifecycle import State
    from release.reports import ReleaseReport

    context = environment.context(stack)
    admitted = admit(context, environment.one_digest(context, digest, sha))
    return ReleaseReport(
        stack=stack,
        state=State.VALIDATED,
        sha=admitted.release.sha,
        manifest=admitted.release.digest,
        validation=admitted.record,
    )


@command
def route(stack: StackOption = "prod", digest: DigestOption = None, sha: ShaOption = None) -> Reported:
    """Tell through which GitHub environment a release goes. It tells why, commit by commit."""
    from release.gates import approval

    return approval.route(environment.context(stack), digest, sha)


@command
def plan(
    stack: StackOption = "prod",
    digest: DigestOption = None,
    sha: ShaOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="file for the plan, which `promote --plan` takes", dir_okay=False)
    ] = None,
) -> CommandResult:
    """Show what a release would change in an environment, for its approval. It changes nothing and needs no key.

    The digest that it tells binds the approval: `promote --approval` refuses to do anything else.
    """
    from release.preview.table import picture
    from release.reporting.review import review

    context = environment.context(stack)
    report = review(context, environment.one_digest(context, digest, sha), out, os.environ)
    return CommandResult(report, lambda: [*report.told(), "", picture(report.approved.plan)])


@command
def promote(
    *,
    stack: StackOption = "prod",
    digest: DigestOption = None,
    sha: ShaOption = None,
    path: Annotated[
        Literal["reviewed", "automatic"], typer.Option("--path", help="automatic: no person has approved it")
    ] = "reviewed",
    approval: Annotated[
        str | None, typer.Option("--approval", metavar="DIGEST", help="what `release plan` told the reviewer")
    ] = None,
    approved_plan: Annotated[
        Path | None,
        typer.Option("--plan", help="that plan; with it a refusal shows the difference", exists=True, dir_okay=False),
    ] = None,
    accept_inconclusive: Annotated[
        str, typer.Option(metavar="REASON", help="let pass what could not be measured")
    ] = "",
    despite_alarms: Annotated[str, typer.Option(metavar="REASON", help="mute alarms that ring already")] = "",
    despite_freeze: Annotated[str, typer.Option(metavar="REASON", help="override a freeze")] = "",
    despite_rollbacks: Annotated[str, typer.Option(metavar="REASON", help="override too many rollbacks in a row")] = "",
) -> Reported:
    """Promote a validated release to production, or roll it back. Steps: dark, 10 %, 100 %, confirmed."""
    from release.ledger.lifecycle import Override
    from release.preview.approved import BoundApproval
    from release.rollout import promote as promotion

    if approval is None and approved_plan is not None:
        raise UsageError("--plan alone approves nothing", next_step="--approval DIGEST, as `release plan` told it")
    bound = None
    if approval is not None:
        bound = BoundApproval.read(approval, approved_plan.read_bytes() if approved_plan else None)

    despite = Override(
        alarms=despite_alarms, freeze=despite_freeze, rollbacks=despite_rollbacks, inconclusive=accept_inconclusive
    )
    context = environment.context(stack)
    if stack == "preprod":
        raise UsageError("nothing is promoted to preprod", next_step="release deploy --stack preprod --build DIR")
    chosen = environment.one_digest(context, digest, sha)
    from release.rollout.attest import attested

    return attested(
        context, chosen, lambda: promotion.promote(context, chosen, path=path, despite=despite, approval=bound)
    )


@command
def keep(stack: StackOption = "prod") -> Reported:
    """Keep what a rollback runs with in the environment's bucket. Then no package index has to answer for one."""
    from release.rollout import operations

    return operations.keep(environment.context(stack))


@command
def resume(stack: StackOption = "prod") -> Reported:
    """Continue a release whose run has died. The ledger names the step."""
    from release.rollout import promote as promotion

    return promotion.resume(environment.context(stack))


@command
def rollback(
    reason: ReasonOption,
    stack: StackOption = "prod",
    to: Annotated[str | None, typer.Option("--to", help="a confirmed release: digest, SHA or `previous`")] = None,
) -> Reported:
    """Finish what a dead run left, or go back to an earlier release. Does nothing when there is nothing to do."""
    from release.rollout import rollback as way_back

    context = environment.context(stack)
    try:
        return _complete(context, way_back.rollback(context, to, reason))
    except KeyboardInterrupt:
        raise RollbackIncomplete(
            "interrupted in the middle of the rollback",
            why="the ledger says ROLLING_BACK, and nothing is released until it is finished",
            next_step=way_back.next_step(context),
        ) from None


@command
def reap(stack: StackOption = "prod") -> Reported:
    """Take back what a dead run left. Leaves a living run alone and never goes forward: for the watchdog."""
    from release.rollout import operations

    context = environment.context(stack)
    return _complete(context, operations.reap(context))


@command
def confirm(stack: StackOption = "prod") -> Reported:
    """Finish what follows a confirmation. It deletes what only the release before needed."""
    from release.rollout import confirm as confirmation

    return confirmation.confirm(environment.context(stack))


def _complete(context: Context, done: Report) -> Report:
    """The report of a rollback, or an error where a person still has something to do."""
    from release.ledger.lifecycle import State
    from release.reports import RollbackReport
    from release.rollout.rollback import next_step

    problems = done.problems if isinstance(done, RollbackReport) else ()
    if problems or done.state in {State.ROLLBACK_FAILED, State.ROLLED_BACK_TRAFFIC}:
        raise RollbackIncomplete(
            f"the rollback of {context.stack} is not complete: {done.state}",
            why="; ".join(problems) or "no release was ever confirmed to go back to",
            next_step=next_step(context),
            report=done,
        )
    return done
