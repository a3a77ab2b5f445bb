"""Preprod: publish a build and roll it out, then make the validation record from what the tests said."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Final

from release.analysis.health import await_health
from release.artifacts.program import archive
from release.artifacts.store import PROVENANCE_FILE, VALIDATION_FILE, release_id
from release.build.builder import verify
from release.console import Console
from release.context import Context
from release.errors import Refused, ReleaseError, UsageError
from release.ledger.ledger import Ledger
from release.ledger.lifecycle import Deployment, Entry, IllegalStepError, ReleaseId, State
from release.ledger.objects import AlreadyThereError
from release.preview import published
from release.pulumi.stack import ReleaseInput, Stack
from release.reports import NamedRelease, ReleaseReport
from release.rollout.attest import attest_result, read_provenance
from release.rollout.confirm import deployment
from release.rollout.reconcile import repair_record
from release.rules import RefusalRule
from release.validation.junit import JunitReport
from release.validation.record import ValidationRecord
from release.validation.runner import required, run_tests

_REACHED: Final = ("dashboard_url", "functions", "ingestion_schedule", "items_table", "new_items_topic")
"""The stack outputs by which the integration tests find what is deployed."""
_LOOK_BACK: Final = 50
"""Entries of preprod's ledger in which the deployment of a release is looked for."""


def deploy(context: Context, build: Path, sha: str | None) -> ReleaseReport:
    """Publish a build in preprod's bucket and make preprod serve it.

    Raises:
        Refused: The build is not what its manifest says, or the commit was published with other bytes.
        ReleaseError: The update failed, or preprod does not answer as this release.
    """
    _only_preprod(context, "deploy")
    began = context.clock.monotonic()
    with context.console.step(f"checking the build in {build}"):
        manifest = verify(build)
    if sha and manifest.sha != sha:
        raise UsageError(
            f"{build} holds the build of {manifest.sha[:12]}, not of {sha[:12]}",
            next_step="name the right folder or SHA",
        )
    release = release_id(manifest)
    signed = read_provenance(manifest, build) if context.attestations else None
    program = archive(context.repo, manifest.sha, context.stack)
    with context.leased(f"deploy {release}"):
        unended = context.ledger.view().attempt is not None  # a deploy has died or failed
        with context.console.step(f"publishing {release} in {context.objects.bucket}"):
            hand_over = context.promotions.publish(manifest, build, context.console)
            if signed is not None and not context.promotions.attest(manifest.digest, PROVENANCE_FILE, signed):
                context.console.detail("it was attested before; that statement stays")
            context.ledger.append(State.BUILT, release=release)
        with context.program(program) as stack:
            context.ledger.append(State.DEPLOYING, release=release, hand_over=hand_over)
            try:
                with context.console.step(f"pulumi up: {release} in preprod"):
                    if unended:
                        repair_record(context, stack, release, None)
                    stack.up(ReleaseInput(hand_over, {}, 100, confirmed=True), refresh=unended, message=str(release))
                    outputs = stack.outputs()
                with context.console.step("waiting until preprod answers as this release"):
                    _require_answers(context, release, outputs["dashboard_url"])
                served = deployment(context, manifest, hand_over, outputs)
                _keep_copy(context, release, stack)
            except (ReleaseError, KeyboardInterrupt) as error:
                what = str(error) or "interrupted by hand"
                context.ledger.append(
                    State.REFUSED, release=release, reason=what, rule=RefusalRule.PREPROD_FAILED.label
                )
                raise
        reached = {
            "release": NamedRelease.of(release).as_dict(),
            **{name: outputs[name] for name in _REACHED if name in outputs},
        }
        entry = context.ledger.append(State.LIVE, release=release, served=served, outputs=reached)
    return ReleaseReport(
        stack=context.stack,
        state=State.LIVE,
        sha=release.sha,
        manifest=release.digest,
        versions=served.stable,
        dashboard_url=served.dashboard_url,
        entry=entry.seq,
    ).model_copy(update=context.clock.both(began))


def _keep_copy(context: Context, release: ReleaseId, stack: Stack) -> None:
    try:
        published.keep(context.stack, context.repo, release, stack.export(), context.clock.stamp())
    except ReleaseError as error:
        context.console.warn(f"no copy of the state was made for previews: {error} {error.why}".rstrip())


def test(context: Context, digest: str, tests: Path, junit: Path | None) -> JunitReport:
    """Run the integration tests against preprod, which must serve the release with this digest.

    Raises:
        Refused: Preprod serves another release, or not every test passed.
    """
    served = _served(context, digest)
    entry = _deployed(context.ledger, digest)
    variables = {
        "PREPROD_OUTPUTS": json.dumps(entry.details.get("outputs") or {}),
        "PREPROD_DASHBOARD_API_KEY": context.aws.api_key(context.names.dashboard_key_secret),
    }
    with context.console.step(f"integration tests against {served.dashboard_url}"):
        report = run_tests(tests, variables, context.console, served.release, junit)
    _require_pass(report, served.release, entry, required(tests))
    return report


def validate(context: Context, digest: str, report: JunitReport, modules: Collection[str]) -> ReleaseReport:
    """Write the validation record of a release from a passed report; the same release twice is fine.

    Raises:
        Refused: The report is of another release, older than the deployment, or shows no pass.
    """
    _only_preprod(context, "validate")
    manifest = context.promotions.manifest(digest)
    release = release_id(manifest)
    _require_pass(report, release, _deployed(context.ledger, digest), modules)
    record = ValidationRecord(
        manifest=release.digest,
        sha=release.sha,
        tests=report.tests,
        failed=report.failed,
        errors=report.errors,
        skipped=len(report.skipped),
        duration_s=report.duration_s,
        tools=report.tools,
        junit_sha256=report.digest,
        at=context.clock.stamp(),
        run=context.run,
    )
    key = context.promotions.key(digest, VALIDATION_FILE)
    already = False
    try:
        context.promotions.objects.create(key, record.body())
    except AlreadyThereError:
        stored = context.promotions.objects.get(key)
        record, already = ValidationRecord.load(stored.body if stored else None, release), True
        context.console.line(f"{release} was validated before ({record.at}); that record stays")
    if context.attestations:
        there = context.promotions.objects.get(key)
        attest_result(context, release, there.body if there else b"")
    view = context.ledger.view()
    if not (view.confirmed and view.confirmed.release == release and view.state is State.VALIDATED):
        _write_validated(context.ledger, context.console, release, record)
    return ReleaseReport(
        stack=context.stack,
        state=State.VALIDATED,
        sha=release.sha,
        manifest=release.digest,
        already=already,
        tests=record.tests,
        seconds=record.duration_s,
        tools=record.tools,
        record=f"s3://{context.objects.bucket}/{key}",
    )


def _require_pass(report: JunitReport, release: ReleaseId, deployed: Entry, modules: Collection[str]) -> None:
    """Refuse a report that shows no pass; the refusal carries the names of all tests that failed, for the summary."""
    try:
        report.require_pass_of(release, datetime.fromisoformat(deployed.at), modules)
    except Refused as refusal:
        refusal.report = ReleaseReport(
            stack="preprod", sha=release.sha, manifest=release.digest, failed_tests=report.complaints
        )
        raise


def _write_validated(ledger: Ledger, console: Console, release: ReleaseId, record: ValidationRecord) -> None:
    """Write VALIDATED for people (the record is what counts), unless another deploy has moved on meanwhile."""
    served = ledger.view().served
    if served is None or served.release != release:
        console.warn(f"preprod serves another release by now, so its ledger does not call {release} validated")
        return
    try:
        ledger.append(State.VALIDATED, release=release, served=served, tests=record.tests)
    except (ReleaseError, IllegalStepError) as error:
        console.warn(f"the record is stored; the ledger was not written: {error}")


def _served(context: Context, digest: str) -> Deployment:
    _only_preprod(context, "validate")
    served = context.ledger.view().served
    if served is None or served.release.digest != digest:
        raise Refused(
            RefusalRule.NOT_DEPLOYED,
            f"preprod serves {served.release if served else 'nothing'}, not release {digest[:12]}",
            why="tests of another release would say nothing about this one",
            next_step="release deploy --stack preprod --build DIR",
        )
    return served


def _deployed(ledger: Ledger, digest: str) -> Entry:
    """Return the newest deployment of a release; a run may have deployed another one meanwhile."""
    for entry in ledger.newest_first(_LOOK_BACK):
        if entry.state is State.LIVE and entry.release and entry.release.digest == digest:
            return entry
    raise Refused(
        RefusalRule.NOT_DEPLOYED,
        f"the last {_LOOK_BACK} entries of preprod's ledger hold no deployment of release {digest[:12]}",
        why="what was never deployed cannot have been tested",
        next_step="release deploy --stack preprod --build DIR",
    )


def _require_answers(context: Context, release: ReleaseId, url: str) -> None:
    if complaint := await_health(url, release, context.settings, context.clock):
        raise ReleaseError(
            f"preprod does not answer as {release}", why=complaint, next_step="look at the dashboard function's log"
        )


def _only_preprod(context: Context, command: str) -> None:
    if context.stack != "preprod":
        raise UsageError(
            f"`release {command}` is for preprod",
            why="production takes only what preprod has validated",
            next_step=f"release promote --stack {context.stack} --digest DIGEST",
        )
