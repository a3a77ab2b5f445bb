"""The bootstrap of one environment: who asks, what there is, what will be done, and doing it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from botocore.exceptions import ClientError
from rich.table import Table

from components.naming import foundation_stack, service_stack
from components.policies.state_access import root
from release.bootstrap import access_keys, bucket, keys, secrets, stacks
from release.bootstrap.step import SetupStep, Site, StepState, done
from release.bootstrap.taken import refuse_taken_names
from release.clients.github import GitHub
from release.console import Console, result
from release.errors import ReleaseError, UsageError
from release.pulumi import stack_config
from release.reports import BootstrapReport, SetupStatus, StepReport

ROTATABLE: Final = (secrets.NEWSAPI, secrets.DASHBOARD, access_keys.ACCESS_KEYS)
_STYLES: Final = {SetupStatus.DONE: "green", SetupStatus.TO_DO: "yellow", SetupStatus.WAITS: "dim"}


Plan = Sequence[tuple[SetupStep, StepState]]
"""Each step with how it stands."""


def site_of(stack: str, folder: Path, rotate: Sequence[str] = (), *, with_access_keys: bool = False) -> Site:
    """The environment that a stack belongs to, as this shell's credentials see it.

    Raises:
        UsageError: There is no such stack, its settings are wrong or differ, or something else would be rotated.
    """
    environment = stack_config.load(stack, folder, os.environ).environment
    foundation = stack_config.load(foundation_stack(environment), folder, os.environ)
    service = stack_config.load(service_stack(environment), folder, os.environ)
    for name in ("account_id", "region", "other_account_id"):
        ours, theirs = getattr(foundation, name), getattr(service, name)
        if ours != theirs:
            raise UsageError(
                f"{name} differs between the two stacks of {environment}: {ours} and {theirs}",
                why="both live in one account and region",
                next_step=f"make them equal in Pulumi.{environment}.yaml and Pulumi.{environment}-foundation.yaml",
            )
    if unknown := set(rotate) - set(ROTATABLE):
        raise UsageError(
            f"{', '.join(sorted(unknown))} cannot be rotated", next_step=f"--rotate {' or '.join(ROTATABLE)}"
        )
    repository = f"{foundation.github_owner}/{foundation.github_repository}"
    return Site(
        foundation=foundation,
        service=service,
        folder=folder,
        overlaid=bool(stack_config.overlay(os.environ)),
        variables=os.environ,
        github=GitHub.from_environment({**os.environ, "GITHUB_REPOSITORY": repository}),
        rotate=frozenset(rotate),
        with_access_keys=with_access_keys or access_keys.ACCESS_KEYS in rotate,
    )


def bootstrap(site: Site, console: Console, *, only_plan: bool, agreed: bool, show: bool) -> BootstrapReport:
    """Find out what is missing, say what will be done, and do it once the person has agreed.

    `only_plan` changes nothing, `agreed` asks nothing, `show` prints the plan as a table.

    Raises:
        ReleaseError: A step failed, or somebody has to act; what was done stays done and is found by the next run.
    """
    caller = _require_administrator(site)
    with console.step(f"look at what {site.environment} has in account {site.foundation.account_id}"):
        refuse_taken_names(site)
        plan = [(step, step.look()) for step in _steps(site)]
    work = [step for step, found in plan if found.status is SetupStatus.TO_DO]
    if show:
        result().print(table(plan))
    if work and not only_plan:
        if not agreed and not site.person.agrees(f"Do these {len(work)} things as {caller}?"):
            raise ReleaseError("nothing was changed", why="the answer was no")
        plan = [(step, _done(step, found, console)) for step, found in plan]
    return BootstrapReport(
        stack=site.environment,
        account=site.foundation.account_id,
        region=site.foundation.region,
        caller=caller,
        complete=all(found.status is SetupStatus.DONE for _, found in plan),
        steps=[
            StepReport(what=step.what, now=found.now, will_be=step.wanted, status=found.status) for step, found in plan
        ],
        next=_next(site, plan),
    )


def table(plan: Plan) -> Table:
    """The plan for people."""
    shown = Table("what", "now", "will be", "")
    for step, found in plan:
        will = step.wanted if found.status is SetupStatus.TO_DO else ""
        shown.add_row(step.what, found.now, will, f"[{_STYLES[found.status]}]{found.status}[/]")
    return shown


def _steps(site: Site) -> list[SetupStep]:
    made = [*bucket.steps(site), *keys.steps(site), *stacks.steps(site), *secrets.steps(site)]
    return [*made, *access_keys.steps(site)] if site.with_access_keys else made


def _done(step: SetupStep, found: StepState, console: Console) -> StepState:
    """Do a step where there is anything to do, and return its state."""
    if found.status is not SetupStatus.DONE:
        found = step.look()  # the steps before it may have changed that
    if found.status is not SetupStatus.TO_DO:
        return found
    with console.step(step.what):
        kept = step.do()
    return kept if isinstance(kept, StepState) else done(step.wanted)


def _next(site: Site, plan: Plan) -> list[str]:
    """Return the person's next steps, in order."""
    waiting = list(dict.fromkeys(found.next_step for _, found in plan if found.status is SetupStatus.WAITS))
    again = f"release bootstrap --stack {site.environment}"
    if any(found.status is SetupStatus.TO_DO for _, found in plan):
        return [again]
    if not waiting:
        return [f"release doctor --stack {site.environment}"]
    files = f"Pulumi.{site.environment}.yaml Pulumi.{site.environment}-foundation.yaml"
    commit = [] if site.overlaid else [f"git diff {files}   # commit what is new: CI reads there which key it needs"]
    return [*commit, *waiting, *([again] if not any(again in step for step in waiting) else [])]


def _require_administrator(site: Site) -> str:
    """ARN of who asks.

    Raises:
        UsageError: The credentials are of another account, or of somebody whom the policies would lock out.
    """
    identity = site.aws("sts").get_caller_identity()
    if identity["Account"] != site.foundation.account_id:
        raise UsageError(
            f"these credentials belong to account {identity['Account']}, "
            f"{site.environment} lives in {site.foundation.account_id}",
            next_step="log in to that account, or correct accountId and aws:allowedAccountIds in the stack files",
        )
    caller, administrator = _principal(site, identity["Arn"]), site.foundation.administrator_role_arn
    if caller != root(site.arns) and not fnmatchcase(caller, administrator):
        raise UsageError(
            f"{caller} is not the administrator of {site.environment}",
            why=f"the setting administratorRoleArn names {administrator}, and nobody else will reach the state",
            next_step=f"log in as that role, or set it in Pulumi.{site.environment}.yaml and "
            f"Pulumi.{site.environment}-foundation.yaml",
        )
    return caller


def _principal(site: Site, arn: str) -> str:
    """The ARN by which policies know a caller: of an assumed role the role itself, with its path."""
    session = arn.split(":", 5)[-1].split("/")
    if session[0] != "assumed-role":
        return arn
    try:
        return site.aws("iam").get_role(RoleName=session[1])["Role"]["Arn"]
    except ClientError as error:
        raise ReleaseError(
            f"IAM does not say which role {session[1]} is",
            why=str(error),
            next_step="an administrator may ask iam:GetRole: log in as one",
        ) from error
