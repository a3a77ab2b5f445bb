"""Commands that say what an environment serves and how it came to that."""

from __future__ import annotations

from typing import Annotated

import typer

from release.cli import environment
from release.cli.command import CommandResult, command
from release.cli.options import StackOption
from release.errors import ReleaseError, Reported


@command
def status(
    *,
    stack: StackOption = "prod",
    follow: Annotated[bool, typer.Option("--follow", help="go on showing it until no run is at work")] = False,
    as_json: bool,
) -> CommandResult:
    """Show what is confirmed, live and under way, and what to do.

    With `--follow` the picture is drawn again until the run that is at work ends.
    """
    from release import console
    from release.reporting import status as reporting

    context = environment.context(stack)
    if follow:
        report = reporting.follow(context, console.result(stderr=as_json))
        return CommandResult(report, lambda: None)  # who follows has seen it
    report = reporting.status(context)
    return CommandResult(report, lambda: [reporting.picture(report)])


@command
def audit(
    wanted: Annotated[str, typer.Argument(metavar="SHA|DIGEST", help="a release: its commit or manifest digest")],
    stack: Annotated[str | None, typer.Option("--stack", help="preprod or prod; both where none is named")] = None,
) -> CommandResult:
    """Follow a release from its commit to the calls that deployed it. Exit code 1: something could not be read."""
    from components.naming import ENVIRONMENTS
    from release.reporting import audit as reporting

    report = reporting.audit([environment.context(one) for one in ([stack] if stack else ENVIRONMENTS)], wanted)
    return CommandResult(report, exit_code=1 if report.gaps else 0)


@command
def notify(stack: StackOption = "prod") -> Reported:
    """Tell who is on call what this workflow run came to, if nobody has. NEEDS holds the results of its jobs."""
    import os

    from release.oncall import notify as telling

    needs = telling.needs_of(os.environ.get("NEEDS", ""))
    return telling.notify(environment.context(stack), needs, os.environ.get("GITHUB_SHA", ""))


@command
def watch(stack: StackOption = "prod") -> Reported:
    """Look for drift, dead runs, long waits and failed checks, and keep one issue that says what is wrong."""
    from release.lookout import watch as looking

    return looking.watch(environment.context(stack))


@command
def history(
    *,
    stack: StackOption = "prod",
    newest: Annotated[int, typer.Option("--newest", help="how many entries", min=1)] = 30,
    verify: Annotated[bool, typer.Option("--verify", help="check the whole chain of entries")] = False,
) -> CommandResult:
    """Show what happened to which release, newest first. It tells who decided what, and why."""
    from release.reporting import status as reporting

    report = reporting.history(environment.context(stack).ledger, newest, verify=verify)
    if report.problems:
        raise ReleaseError(
            f"the ledger of {stack} was tampered with",
            why="; ".join(report.problems),
            next_step="read the versions of those objects and the trail (CloudTrail)",
        )

    verified = ["every entry is the one that was written"] if verify else []
    return CommandResult(report, lambda: [reporting.history_table(report.entries), *verified])


@command
def explain(
    wanted: Annotated[
        str | None,
        typer.Argument(metavar="[DIGEST|SHA]", help="a release; else the newest"),
    ] = None,
    stack: StackOption = "prod",
) -> CommandResult:
    """Tell the whole story of one release. It tells who, when, why, and every verdict with its numbers."""
    from release.reporting import explain as reporting

    report = reporting.explain(environment.context(stack), wanted)
    return CommandResult(report, lambda: [reporting.story_picture(report)])
