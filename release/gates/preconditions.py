"""What may go to production: every rule that refuses a release before anything is changed, each with its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.github_rules import BRANCH
from release.analysis.alarms import look_at_alarms
from release.analysis.verdict import Outcome
from release.artifacts.manifest import Manifest
from release.artifacts.store import VALIDATION_FILE, release_id
from release.context import Context
from release.errors import Refused
from release.gates.attested import refuse_unattested
from release.git.history import contains
from release.ledger.lifecycle import NO_OVERRIDE, Deployment, LedgerState, Override, ReleaseId, refuse_start
from release.rules import RefusalRule
from release.traffic.bake import taken_back
from release.validation.record import ValidationRecord


@dataclass(frozen=True, slots=True)
class Admitted:
    """A release that no rule refuses, its packages in memory, each hashed again."""

    manifest: Manifest
    record: ValidationRecord
    packages: dict[str, bytes]
    ringing: frozenset[str] = frozenset()
    """Alarms that ring already, and that a person has muted."""
    attestations: Mapping[str, bytes] = field(default_factory=dict)
    """Signed statements by the names of their files, each verified; none where the setting is off."""

    @property
    def release(self) -> ReleaseId:
        """Identity and name."""
        return release_id(self.manifest)


def admit(context: Context, digest: str, despite: Override = NO_OVERRIDE) -> Admitted:
    """Read and check a release that preprod offers: first what it is, then whether the environment may take one.

    Raises:
        Refused: With the name of the rule.
    """
    # The lease first: a run ends its lease after its last entry.
    leased = context.lease.holder() is not None
    view, offered = context.ledger.view(), context.promotions
    with context.console.step(f"checking release {digest[:12]}: manifest, validation record, packages, alarms"):
        manifest = offered.manifest(digest)
        release = release_id(manifest)
        refuse_start(view, release, despite, leased=leased)
        stored = offered.objects.get(offered.key(digest, VALIDATION_FILE))
        record = ValidationRecord.load(stored.body if stored else None, release)
        attested = refuse_unattested(context, manifest, stored.body if stored else b"")
        _refuse_off_main(context, manifest.sha)
        if view.confirmed:
            refuse_older(context, manifest, view.confirmed)
        packages = offered.packages(manifest)
        refuse_taken_back(context, view)  # before the alarms: the one that did it may still ring
        ringing = refuse_ringing(context, view, despite)
        context.console.detail(
            f"commit {manifest.sha[:12]}, {record.counts}, {len(packages)} packages with the right bytes"
        )
    return Admitted(manifest, record, packages, ringing, attested)


def _refuse_off_main(context: Context, sha: str) -> None:
    """Raise `Refused` (rule `not-on-main`) for a commit that nobody has merged, also where the clone cannot tell."""
    if context.rehearsed or contains(context.repo, f"refs/remotes/origin/{BRANCH}", sha):
        return
    raise Refused(
        RefusalRule.NOT_ON_MAIN,
        f"commit {sha[:12]} is not on {BRANCH}",
        why=f"only what was reviewed and merged goes to {context.stack}; this clone's origin/{BRANCH} does not hold it",
        next_step=f"git fetch origin {BRANCH}; if it is not merged yet, merge it and promote the build of {BRANCH}",
    )


def refuse_older(context: Context, manifest: Manifest, confirmed: Deployment) -> None:
    """Raise `Refused` (rule `older-commit`) for a commit that the confirmed release already contains."""
    if manifest.sha == confirmed.release.sha:
        raise Refused(
            RefusalRule.OLDER_COMMIT,
            f"commit {manifest.sha[:12]} is confirmed in {context.stack} already",
            next_step=f"release status --stack {context.stack}",
        )
    older = contains(context.repo, confirmed.release.sha, manifest.sha)
    how = "the confirmed release contains it already"
    if older is None:  # this clone does not know both commits: their times decide
        older = manifest.built_at < confirmed.built_at
        how = f"it is of {manifest.built_at}, the confirmed release of {confirmed.built_at}"
    if older:
        raise Refused(
            RefusalRule.OLDER_COMMIT,
            f"commit {manifest.sha[:12]} is older than the confirmed {confirmed.release.sha[:12]}",
            why=how,
            next_step=f"to go back on purpose: release rollback --stack {context.stack} --to SHA --reason ...",
        )


def refuse_taken_back(context: Context, view: LedgerState) -> None:
    """Raise `Refused` (rule `cannot-go-back`) when an alarm has taken traffic back from the confirmed release."""
    moved = taken_back(context.traffic, view)
    if moved and view.baking is not None:
        raise Refused(
            RefusalRule.CANNOT_GO_BACK,
            f"an alarm has taken traffic of {context.stack} back to {view.baking.to}, and the stack has not followed",
            why=", ".join(f"`live` of {function} is on version {version}" for function, version in moved.items()),
            next_step=f"release reap --stack {context.stack}",
        )


def refuse_ringing(context: Context, view: LedgerState, despite: Override = NO_OVERRIDE) -> frozenset[str]:
    """Raise `Refused` when an alarm that judges releases rings already, or cannot; else return the muted ones."""
    if view.confirmed is None:
        return frozenset()  # the alarms come with the first release
    verdict = look_at_alarms(context.aws.alarms, view.confirmed.alarms, context.clock)
    ringing = frozenset(sample.name for sample in verdict.samples)
    if verdict.outcome is Outcome.FAIL and despite.alarms:
        context.console.warn(f"muted ({despite.alarms}): {verdict.why}")
        return ringing
    if verdict.outcome is Outcome.FAIL:
        raise Refused(
            RefusalRule.ALARM_RINGING,
            f"{context.stack} is not well: {verdict.why}",
            why="a release that starts under a ringing alarm would be rolled back for it, or hide it: "
            + "; ".join(f"{sample.name}: {sample.said}" for sample in verdict.samples),
            next_step="find out why it rings; promote when it has stopped, or with --despite-alarms REASON",
        )
    if verdict.outcome is Outcome.INCONCLUSIVE:
        raise Refused(
            RefusalRule.ALARMS_NOT_WATCHING,
            f"the alarms of {context.stack} would not notice a broken release: {verdict.why}",
            why=verdict.rule,
            next_step=f"pulumi preview --refresh --stack {context.stack} shows what has drifted",
        )
    return frozenset()
