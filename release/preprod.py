"""Preprod: publish a build and roll it out, then make the validation record from what the tests said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from release.build import verify
from release.context import Context
from release.errors import Refused, ReleaseError, UsageError
from release.ledger import IllegalStepError
from release.lifecycle import ReleaseId, Served, State
from release.packages import VALIDATION_FILE, release_id
from release.program import archive
from release.registry import AlreadyThereError
from release.stack import HandOver, LockedError
from release.validation import JunitReport, ValidationRecord, run_tests
from release.watch import right_answers


def deploy(context: Context, build: Path, sha: str | None) -> dict[str, Any]:
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
    program = archive(context.repo, manifest.sha, context.stack)
    with context.leased(f"deploy {release}"):
        with context.console.step(f"publishing {release} in {context.registry.bucket}"):
            hand_over = context.offered.publish(manifest, build, context.console)
            context.ledger.append(State.BUILT, release=release)
        with context.program(program) as stack:
            context.ledger.append(State.DEPLOYING, release=release, hand_over=hand_over)
            try:
                with context.console.step(f"pulumi up: {release} in preprod"):
                    up = HandOver(hand_over, {}, 100, confirmed=True)
                    try:
                        stack.up(up, message=str(release))
                    except LockedError as error:
                        if not error.dead_own:
                            raise
                        stack.cancel()
                        stack.up(up, refresh=True, message=str(release))
                    outputs = stack.outputs()
                with context.console.step("waiting until preprod answers as this release"):
                    _require_answers(context, release, outputs["dashboard_url"])
            except (ReleaseError, KeyboardInterrupt) as error:
                what = str(error) or "interrupted by hand"
                context.ledger.append(State.REFUSED, release=release, reason=what, rule="preprod-failed")
                raise
        served = Served(
            release=release,
            built_at=manifest.built_at,
            at=context.clock.stamp(),
            hand_over=hand_over,
            functions={name: context.traffic.deployed(name) for name in manifest.functions},
            dashboard_url=outputs["dashboard_url"],
            on_call_topic=outputs["on_call_topic"],
            alarms=tuple(outputs.get("alarms") or ()),
        )
        entry = context.ledger.append(State.LIVE, release=release, served=served)
    return {
        "stack": context.stack,
        "state": State.LIVE,
        "sha": release.sha,
        "manifest": release.digest,
        "versions": served.stable,
        "dashboard_url": served.dashboard_url,
        "entry": entry.seq,
        **context.clock.both(began),
    }


def test(context: Context, digest: str, tests: Path, junit: Path | None) -> JunitReport:
    """Run the integration tests against preprod, which must serve the release with this digest.

    Raises:
        Refused: Preprod serves another release, or a test failed.
    """
    served = _served(context, digest)
    with context.console.step(f"integration tests against {served.dashboard_url}"):
        return run_tests(tests, _variables(context, served), context.console, served.release, junit)


def validate(context: Context, digest: str, report: JunitReport) -> dict[str, Any]:
    """Write the validation record of a release from a passed report; the same release twice is fine.

    Raises:
        Refused: The report is of another release, or shows no pass.
    """
    _only_preprod(context, "validate")
    manifest = context.offered.manifest(digest)
    release = release_id(manifest)
    report.require_pass_of(release)
    record = ValidationRecord(
        manifest=release.digest,
        sha=release.sha,
        tests=report.tests,
        failed=report.failed,
        errors=report.errors,
        skipped=report.skipped,
        junit_sha256=report.digest,
        at=context.clock.stamp(),
        run=context.run,
    )
    key = context.offered.key(digest, VALIDATION_FILE)
    already = False
    try:
        context.offered.registry.create(key, record.body())
    except AlreadyThereError:
        stored = context.offered.registry.get(key)
        record, already = ValidationRecord.load(stored.body if stored else None, release), True
        context.console.line(f"{release} was validated before ({record.at}); that record stays")
    view = context.ledger.view()
    if not (view.confirmed and view.confirmed.release == release and view.state is State.VALIDATED):
        _write_validated(context, release, record)
    return {
        "stack": context.stack,
        "state": State.VALIDATED,
        "sha": release.sha,
        "manifest": release.digest,
        "already": already,
        "tests": record.tests,
        "skipped": record.skipped,
        "record": f"s3://{context.registry.bucket}/{key}",
    }


def _write_validated(context: Context, release: ReleaseId, record: ValidationRecord) -> None:
    """The record is what counts; the ledger tells people, and another deploy may have moved on meanwhile."""
    served = context.ledger.view().served
    same = served if served and served.release == release else None
    if same is None:
        context.console.warn(f"preprod serves another release by now, so its ledger does not call {release} validated")
        return
    try:
        context.ledger.append(State.VALIDATED, release=release, served=same, tests=record.tests)
    except (ReleaseError, IllegalStepError) as error:
        context.console.warn(f"the record is stored; the ledger was not written: {error}")


def _served(context: Context, digest: str) -> Served:
    _only_preprod(context, "validate")
    served = context.ledger.view().served
    if served is None or served.release.digest != digest:
        raise Refused(
            "not-deployed",
            f"preprod serves {served.release if served else 'nothing'}, not release {digest[:12]}",
            why="tests of another release would say nothing about this one",
            next_step="release deploy --stack preprod --build DIR",
        )
    return served


def _variables(context: Context, served: Served) -> dict[str, str]:
    """What the tests reach: the deployed things, by address and name; nothing of the checkout."""
    names = context.names
    return {
        "PREPROD_DASHBOARD_URL": served.dashboard_url,
        "PREPROD_DASHBOARD_API_KEY": context.aws.api_key(names.dashboard_key_secret),
        "ITEMS_TABLE": names.items_table,
        "NEW_ITEMS_TOPIC": served.on_call_topic.rpartition(":")[0] + f":{names.new_items_topic}",
        **{f"{name.upper()}_FUNCTION": names.function(name).function for name in served.functions},
        "RELEASE_SHA": served.release.sha,
        "RELEASE_DIGEST": served.release.digest,
    }


def _require_answers(context: Context, release: ReleaseId, url: str) -> None:
    right, said = right_answers(url, release, context.settings, context.clock)
    if not right:
        raise ReleaseError(
            f"preprod does not answer as {release}", why=said, next_step="look at the dashboard function's log"
        )


def _only_preprod(context: Context, command: str) -> None:
    if context.stack != "preprod":
        raise UsageError(
            f"`release {command}` is for preprod",
            why="production takes only what preprod has validated",
            next_step=f"release promote --stack {context.stack} --digest DIGEST",
        )
