"""What follows a confirmation: delete what only the release before needed, call off older runs, prune old versions.

None of it can take the confirmation back. What is left undone is said, recorded, and done by `release confirm`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from components.naming import CANDIDATE
from release.artifacts.manifest import Manifest
from release.artifacts.store import release_id
from release.context import Context
from release.errors import ReleaseError, with_why
from release.git.history import contains
from release.ledger.lifecycle import Deployment, State
from release.oncall.advice import next_step
from release.oncall.pager import page
from release.preview import published
from release.pulumi.stack import Stack
from release.reports import ReleaseReport
from release.rollout.reconcile import pinned_to
from release.traffic.bake import taken_back

WORKFLOWS: Final = ("build-and-promote.yml", "deploy-prod.yml")
"""In which a release may wait: the pipeline from main, and a dispatch by hand."""


def deployment(
    context: Context, manifest: Manifest, hand_over: dict[str, Any], outputs: Mapping[str, Any], **kept: str
) -> Deployment:
    """Return what `live` serves now, read from AWS; `kept` are the digests of what is stored of a confirmed release.

    Raises:
        ReleaseError: `live` serves something else than this release alone.
    """
    functions = {name: context.traffic.deployed(name, CANDIDATE) for name in manifest.functions}
    wrong = context.traffic.moved({name: candidate.version for name, candidate in functions.items()})
    wrong += [
        f"`{CANDIDATE}` of {name} has code {candidate.code_sha256}, not what was built"
        for name, candidate in functions.items()
        if candidate.code_sha256 != manifest.functions[name].code_sha256
    ]
    if wrong:
        raise ReleaseError(
            f"release {release_id(manifest)} is not what users get in {context.stack}",
            why="; ".join(wrong),
            next_step="find out who moved the aliases (CloudTrail: UpdateAlias)",
        )
    return Deployment(
        release=release_id(manifest),
        built_at=manifest.built_at,
        at=context.clock.stamp(),
        hand_over=hand_over,
        functions=functions,
        dashboard_url=outputs["dashboard_url"],
        on_call_topic=outputs["on_call_topic"],
        alarms=tuple(outputs.get("alarms") or ()),
        **kept,
    )


def confirm(context: Context) -> ReleaseReport:
    """The command: do what follows a confirmation, as far as it is still to be done.

    Raises:
        ReleaseError: No release is confirmed, or something could not be done.
    """
    _to_finish(context)
    with context.leased("finish the confirmed release"):
        served = _to_finish(context)  # another run may have been faster
        with context.program(context.releases.confirmed_program(served)) as stack:
            problems = finish(context, served, stack)
    report = ReleaseReport(
        stack=context.stack,
        state=State.CONFIRMED,
        sha=served.release.sha,
        manifest=served.release.digest,
        dashboard_url=served.dashboard_url,
    )
    return finished(context, report, problems)


def _to_finish(context: Context) -> Deployment:
    view = context.ledger.view()
    if view.confirmed is None or view.resting is not State.CONFIRMED or view.under_way:
        raise ReleaseError(
            f"{context.stack} is {view.state or 'untouched'}: there is no confirmed release to finish",
            next_step=next_step(view) or f"release status --stack {context.stack}",
        )
    require_live(context, view.confirmed)
    return view.confirmed


def require_live(context: Context, served: Deployment) -> None:
    """Raise `ReleaseError` unless users get what the ledger says."""
    if moved := context.traffic.moved(served.stable):
        raise ReleaseError(
            f"{context.stack} is not what the ledger has recorded: users do not get {served.release} alone",
            why="; ".join(moved),
            next_step=f"release reap --stack {context.stack}"
            if taken_back(context.traffic, context.ledger.view())
            else f"release rollback --stack {context.stack} --to {served.release.digest[:12]} --reason ...",
        )


def finish(context: Context, served: Deployment, stack: Stack) -> list[str]:
    """Do all that follows the confirmation of `served`, and return what could not be done. The lease must be held."""
    problems: list[str] = []
    if context.ledger.view().contract_pending:
        problems += _contract(context, served, stack)
    for what, work in (
        ("runs of older commits were not called off", _supersede),
        ("old function versions were not pruned", _prune),
        ("no copy of the state was made for previews", _keep_copy),
    ):
        try:
            work(context, served, stack)
        except (ReleaseError, ClientError, BotoCoreError) as error:
            context.console.warn(f"{what}: {error} {getattr(error, 'why', '')}".rstrip())
    return problems


def finished(context: Context, report: ReleaseReport, problems: list[str]) -> ReleaseReport:
    """The report of a confirmed release, or an error that says what is left to do.

    Raises:
        ReleaseError: There are problems.
    """
    if problems:
        raise ReleaseError(
            f"release {report.sha[:7]} is confirmed in {context.stack}, but not everything after it was done",
            why="; ".join(problems),
            next_step=f"release confirm --stack {context.stack}",
        )
    return report


def _contract(context: Context, served: Deployment, stack: Stack) -> list[str]:
    """Delete or replace what the release before still needed: the second half of "expand, then contract"."""
    try:
        with context.console.step(f"pulumi up: deleting what {served.release} no longer needs"):
            # `live` is pinned: should this publish another version, nobody has judged it.
            stack.up(pinned_to(served), message=f"{served.release} contracted")
            checkpoint = context.releases.confirm_checkpoint(served.release, stack.export())
        context.ledger.append(
            State.CONFIRMED,
            release=served.release,
            reason="what only the release before needed is deleted",
            served=served.model_copy(update={"checkpoint_sha256": checkpoint}),
        )
    except ReleaseError as error:
        problem = with_why(error)
        lines = [problem, f"next: release confirm --stack {context.stack}"]
        subject = f"{context.stack}: {served.release.sha[:7]} is confirmed, its old resources are not deleted"
        page(context, subject, lines, release=served.release, dashboard_url=served.dashboard_url)
        return [problem]
    return []


def _supersede(context: Context, served: Deployment, stack: Stack) -> None:  # noqa: ARG001 -- all of these look alike
    """Call off runs that wait (for an approval, or a runner) with a commit that the confirmed release contains."""
    if context.github is None:
        return
    own = context.run.id.split(".", maxsplit=1)[0]
    for run in (run for workflow in WORKFLOWS for run in context.github.waiting_runs(workflow)):
        if str(run.id) == own or not contains(context.repo, served.release.sha, run.head_sha):
            continue
        context.github.cancel(run.id)
        reason = f"release {served.release} was confirmed while run {run.id} waited"
        context.ledger.append(
            State.SUPERSEDED, reason=reason, superseded_run=str(run.id), sha=run.head_sha, url=run.url
        )
        context.console.line(f"called off: run {run.id} of commit {run.head_sha[:7]} waited and is superseded")


def _prune(context: Context, served: Deployment, stack: Stack) -> None:  # noqa: ARG001 -- all of these look alike
    """Delete published versions that no alias serves and none of the last ten confirmed releases needs."""
    kept: dict[str, set[str]] = {function: {version} for function, version in served.stable.items()}
    for place in context.ledger.view().confirmations:
        confirmed = context.ledger.entry(place.seq).served
        for function, version in (confirmed.stable if confirmed else {}).items():
            kept.setdefault(function, set()).add(version)
    for function, versions in sorted(kept.items()):
        pruned = context.traffic.prune(function, versions)
        if pruned:
            context.console.line(f"{function}: deleted {len(pruned)} old versions that nothing needs")


def _keep_copy(context: Context, served: Deployment, stack: Stack) -> None:
    published.keep(context.stack, context.repo, served.release, stack.export(), context.clock.stamp())
