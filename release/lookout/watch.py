"""`release watch`: drift, dead runs, long waits and the cheap checks of `release doctor`, told in one issue."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from components.naming import foundation_stack
from release.clients.github import GitHub
from release.context import Context
from release.doctor.examine import examine
from release.doctor.place import Place, explain
from release.doctor.table import chosen
from release.errors import UsageError
from release.lookout import issue
from release.lookout.drift import look_for_drift
from release.pulumi import stack_config
from release.reports import Finding, Observation, Readiness, WatchReport

WORKFLOWS: Final = ("build-and-promote.yml", "deploy-prod.yml")
LEASE: Final = "releases.lease"
CHECKS: Final = (
    "alarms.table",
    "alarms.quiet",
    "alarms.topic",
    "functions.aliases",
    "functions.runtime",
    "releases.state",
    "releases.schedules",
)
"""What the watch role may ask, in a few calls; a readiness check beyond these is a person's, or an administrator's."""
_BAD: Final = frozenset({Readiness.FAILED, Readiness.UNKNOWN})


def watch(context: Context) -> WatchReport:
    """Look at one environment, and make its issue say what was found.

    While a run is at work nothing is looked at: what it changes is no drift, and the issue stays as it is.

    Raises:
        UsageError: There is no token for GitHub, so nobody could be told.
        GitHubError: GitHub did not take the issue.
    """
    github = context.github
    if github is None:
        raise UsageError("there is no GITHUB_TOKEN", why="what is found is told in an issue")
    settings = stack_config.load(foundation_stack(context.stack), context.repo, os.environ)
    place = Place(settings=settings, context=context)
    held = context.lease.holder()
    (lease,) = examine(chosen([LEASE]), [place], context.console)
    if held is not None and lease.verdict is Readiness.OK:
        return _quiet(context, f"run {held['run']['id']} is at work: {held['what']}")
    found = [*_observed([lease]), *_waits(context, github)]
    if context.ledger.view().served is not None:
        found += _observed(examine(chosen(list(CHECKS)), [place], context.console))
    if held is None:
        found += _drift(context)
        if context.lease.holder() is not None:
            return _quiet(context, "a run has begun while this looked")
    address, dated = issue.keep(github, context.stack, found, context.clock.stamp(), context.run.url)
    return WatchReport(stack=context.stack, observations=tuple(dated), issue=address)


def _quiet(context: Context, why: str) -> WatchReport:
    context.console.line(f"{context.stack} is left alone: {why}")
    return WatchReport(stack=context.stack, quiet=why)


def _drift(context: Context) -> list[Observation]:
    try:
        return look_for_drift(context, context.ledger.view())
    except Exception as error:  # what could not be looked at is told, and hides nothing else
        return [
            Observation(
                key="drift unknown",
                verdict=Readiness.UNKNOWN,
                title="nobody knows whether AWS is what the release has made",
                lines=(explain(error),),
                fixes=(f"see what could not be read, then: release watch --stack {context.stack}",),
            )
        ]


def _observed(findings: list[Finding]) -> list[Observation]:
    return [
        Observation(
            key=f"check {one.name}",
            verdict=one.verdict,
            title=_TITLES.get(one.name, f"{one.name} is {one.verdict}"),
            lines=(one.evidence, f"asked: {one.asked}"),
            fixes=(one.fix,) if one.fix else (),
        )
        for one in findings
        if one.verdict in _BAD
    ]


_TITLES: Final = {LEASE: "a run has died, or nobody can see whether it lives"}


def _waits(context: Context, github: GitHub) -> Iterator[Observation]:
    """Runs that wait for an approval, or for a runner, for longer than `approval_wait_h`."""
    if context.stack == "preprod":
        return
    limit, now = timedelta(hours=context.settings.approval_wait_h), context.clock.now()
    runs = {run.id: run for file in WORKFLOWS for run in github.waiting_runs(file)}
    for run in runs.values():
        if now - run.created > limit:
            yield Observation(
                key=f"run {run.id} waits",
                verdict=Readiness.FAILED,
                title=f"run {run.id} has waited for more than {context.settings.approval_wait_h:g} hours",
                lines=(f"commit {run.head_sha[:12]}, {run.status} since {run.created:%Y-%m-%d %H:%M} UTC", run.url),
                fixes=("approve or reject it in the run; a later release calls it off",),
            )
