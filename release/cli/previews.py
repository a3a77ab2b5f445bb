"""Commands that show what a change would do, and what they start from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.naming import STACKS
from release.cli import environment
from release.cli.command import CommandResult, command
from release.cli.options import AnyStackOption, StackOption
from release.errors import Reported, UsageError

if TYPE_CHECKING:
    from release.clients.github import GitHub


@command
def preview(
    *,
    stack: AnyStackOption = "prod",
    every: Annotated[bool, typer.Option("--all", help="all four stacks")] = False,
    base: Annotated[
        str | None, typer.Option("--base", metavar="REF", help="commit to compare with where no state is published")
    ] = None,
    copy: Annotated[
        Path | None,
        typer.Option("--copy", help="copy of the state, instead of the published one", exists=True, dir_okay=False),
    ] = None,
    without_copy: Annotated[bool, typer.Option("--without-copy", help="compare with the base in any case")] = False,
    head: Annotated[
        str | None, typer.Option("--head", metavar="REF", help="commit to name, where GitHub has merged it")
    ] = None,
    pull: Annotated[int | None, typer.Option("--pull", help="number of the pull request to name")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="folder for STACK.json, .md and .html", file_okay=False)
    ] = None,
    expect_no_changes: Annotated[
        bool, typer.Option("--expect-no-changes", help="exit with 7 when something would change")
    ] = False,
) -> CommandResult:
    """Show what the working tree would change in a stack. It needs no credentials and asks no cloud.

    Exit code 3: data would be destroyed. With --out the documents say so, and the command ends with 0.
    """
    from release.console import Console
    from release.preview import command as previewing
    from release.preview.table import picture

    question = previewing.Question(
        clone=environment.clone(), base=base, copy=copy, without_copy=without_copy, head=head, pull=pull
    )
    report = previewing.run(question, STACKS if every else (stack,), out, os.environ, Console())
    exit_code = report.exit_code(expect_no_changes=expect_no_changes, documents=out is not None)
    return CommandResult(report, lambda: map(picture, report.plans), exit_code)


@command
def comment(
    *,
    run: Annotated[int | None, typer.Option("--run", help="run of stack-preview.yml that made the previews")] = None,
    pull: Annotated[int | None, typer.Option("--pull", help="pull request whose labels have changed")] = None,
) -> CommandResult:
    """Comment on a pull request with the previews of its run. It sets the status too, and needs GITHUB_TOKEN.

    It runs from the default branch and checks whatever the run has left: that is made by code of strangers.
    """
    from release.console import Console
    from release.preview.pull_request import comment_on_pull, comment_on_run

    codeowners = (environment.clone() / ".github" / "CODEOWNERS").read_text(encoding="utf-8")
    if run is not None and pull is None:
        found = comment_on_run(_github(), run, codeowners, Console())
    elif pull is not None and run is None:
        found = comment_on_pull(_github(), pull, codeowners, Console())
    else:
        raise UsageError(
            "name what to comment on", why="it needs exactly one of --run and --pull", next_step="--run ID"
        )
    return CommandResult(found, lambda: [found.description])


@command
def publish(
    stack: StackOption = "prod",
    copy: Annotated[
        Path | None, typer.Option("--copy", help="the copy; else the one that the last command here has made")
    ] = None,
) -> Reported:
    """Publish the secret-free copy of a state. Previews without credentials start from it. It needs GITHUB_TOKEN."""
    from release.console import Console
    from release.preview import published

    done = published.publish(_github(), stack, copy or published.place(environment.clone(), stack))
    Console().line(f"branch {done.branch} holds the copy of {stack} as of {done.sha[:12]}")
    return done


def _github() -> GitHub:
    """The repository of the job, with the job's token."""
    from release.clients.github import GitHub

    github = GitHub.from_environment(os.environ)
    if github is None:
        raise UsageError(
            "there is no token for GitHub",
            why="GITHUB_TOKEN or GITHUB_REPOSITORY is not set",
            next_step="set both, as the workflows do",
        )
    return github
