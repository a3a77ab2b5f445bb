"""Commands that set an environment up, and check that it is ready."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Annotated

import typer

from components.naming import ENVIRONMENTS
from release.cli import environment
from release.cli.command import CommandResult, command
from release.cli.options import AnyStackOption, StackOption


@command
def init(
    *,
    account: Annotated[str | None, typer.Option("--account", help="AWS account, of prod where there are two")] = None,
    preprod_account: Annotated[
        str | None, typer.Option("--preprod-account", help="AWS account of preprod, where it has its own")
    ] = None,
    region: Annotated[str | None, typer.Option("--region", help="AWS region of both environments")] = None,
    repository: Annotated[str | None, typer.Option("--repository", metavar="OWNER/REPO", help="on GitHub")] = None,
    owner_id: Annotated[
        str | None, typer.Option("--owner-id", help="numeric id of the repository's owner; empty for none")
    ] = None,
    repository_id: Annotated[
        str | None, typer.Option("--repository-id", help="numeric id of the repository; empty for none")
    ] = None,
    reviewer: Annotated[
        list[str] | None, typer.Option("--reviewer", help="login of who may approve a release; repeatable")
    ] = None,
    team: Annotated[list[str] | None, typer.Option("--team", help="slug of such a team; repeatable")] = None,
    mail: Annotated[list[str] | None, typer.Option("--mail", help="address of who is on call; repeatable")] = None,
    name_suffix: Annotated[
        str | None, typer.Option("--name-suffix", help="what tells your buckets from everybody else's; empty for none")
    ] = None,
    only_plan: Annotated[bool, typer.Option("--plan", help="only show what would change")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask anything")] = False,
    as_json: bool,
) -> CommandResult:
    """Write account, repository and people into the stack files.

    Without options it asks for each value. With options it changes these alone, after it has shown the difference.
    """
    from release.bootstrap import init as settling
    from release.console import Console

    def listed(values: list[str] | None) -> tuple[str, ...] | None:
        """An empty word makes the list empty."""
        return tuple(filter(None, values)) if values else None

    options = {
        "account": account,
        "preprod_account": preprod_account,
        "region": region,
        "repository": repository,
        "owner_id": owner_id,
        "repository_id": repository_id,
        "reviewers": listed(reviewer),
        "teams": listed(team),
        "mails": listed(mail),
        "name_suffix": name_suffix,
    }
    answers = {name: value for name, value in options.items() if value is not None}
    report = settling.init(environment.clone(), answers, Console(), only_plan=only_plan, agreed=yes, show=not as_json)

    files = ", ".join(change.file for change in report.files)
    said = f"{'written' if report.written else 'would change'}: {files}" if files else "nothing to change"
    return CommandResult(report, lambda: [said, *(f"next: {step}" for step in report.next)])


@command
def bootstrap(
    *,
    stack: StackOption = "preprod",
    only_plan: Annotated[bool, typer.Option("--plan", help="only say what would be done")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask whether to do it")] = False,
    rotate: Annotated[
        list[str] | None, typer.Option("--rotate", help="replace newsapi, dashboard or access-keys; repeatable")
    ] = None,
    access_keys: Annotated[
        bool, typer.Option("--access-keys", help="jobs log in with keys of users (docs/examples/access-keys)")
    ] = False,
    as_json: bool,
) -> CommandResult:
    """Make what an environment needs before its first `pulumi up`. After it, fill in its secrets.

    An administrator runs it, as often as it takes: it does only what is missing. The key of the news service is asked
    for, or read as a line from standard input.
    """
    from release.bootstrap import run as bootstrapping
    from release.console import Console

    site = bootstrapping.site_of(stack, environment.clone(), rotate or (), with_access_keys=access_keys)
    report = bootstrapping.bootstrap(site, Console(), only_plan=only_plan, agreed=yes, show=not as_json)
    return CommandResult(report, lambda: [f"next: {step}" for step in report.next])


@command
def env(stack: AnyStackOption = "preprod") -> CommandResult:
    """Print the variables for `pulumi` on a stack. Use: eval "$(release env --stack prod-foundation)"."""
    from release.pulumi import backend, stack_config

    variables = backend.shell_variables(stack_config.load(stack, environment.clone(), os.environ))
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    return CommandResult(variables, lambda: sys.stdout.writelines(lines))


@command
def doctor(
    stack: Annotated[
        list[str] | None, typer.Option("--stack", help="preprod or prod; both where none is named")
    ] = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="a check or an area; repeatable")] = None,
    test_page: Annotated[bool, typer.Option("--test-page", help="really send a message to who is on call")] = False,
) -> CommandResult:
    """Check every line of docs/reference/readiness.md. Exit code 3: one failed, 1: one is unknown."""
    from release.doctor.examine import doctor as examine
    from release.doctor.examine import picture

    contexts = [environment.context(one) for one in stack or reversed(ENVIRONMENTS)]
    report = examine(contexts, only or [], test_page=test_page)
    return CommandResult(report, lambda: [picture(report)], report.exit_code)
