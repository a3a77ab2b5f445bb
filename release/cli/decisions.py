"""Commands by which people decide: each is an entry of the ledger, with who and why."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from release.cli import environment
from release.cli.command import command
from release.cli.options import ReasonOption, StackOption, WantedArgument
from release.errors import Reported


@command
def block(release: WantedArgument, reason: ReasonOption, stack: StackOption = "prod") -> Reported:
    """Forbid a release. Under way it is rolled back at its next look."""
    from release.rollout import operations

    context = environment.context(stack)
    return operations.block(context, operations.named(context, release), reason)


@command
def unblock(release: WantedArgument, reason: ReasonOption, stack: StackOption = "prod") -> Reported:
    """Let a blocked release be promoted again."""
    from release.rollout import operations

    context = environment.context(stack)
    return operations.unblock(context, operations.named(context, release), reason)


@command
def freeze(
    switch: Annotated[Literal["on", "off"], typer.Argument(help="stop promotions, or open them again")],
    reason: ReasonOption,
    stack: StackOption = "prod",
) -> Reported:
    """Stop promotions, the one under way too, or open them again. A rollback is never stopped."""
    from release.rollout import operations

    return operations.freeze(environment.context(stack), reason, frozen=switch == "on")


@command
def unlock(reason: ReasonOption, stack: StackOption = "prod") -> Reported:
    """Free the lease of a run that has died where nobody can see it. A run that still lives would go on: look first."""
    from release.rollout import operations

    return operations.unlock(environment.context(stack), reason)
