"""Every rule that refuses: its name, what a refusal by it means, the way forward, and the option that overrides it.

The refusals themselves stand where the rule is checked, from the ledger up to the gates, so this table lies below them
all. `docs/how-to/runbook.md` holds it as a table; a test compares the two, and the options of the command line and the
inputs of the workflows with `OVERRIDES`.
"""

from __future__ import annotations

from enum import Enum, unique
from typing import Final


@unique
class RefusalRule(Enum):
    """A rule: what a refusal by it means, and the way forward."""

    def __init__(self, means: str, way_forward: str, override: str = "") -> None:
        self.means, self.way_forward = means, way_forward
        self.override = override
        """The option of `release promote` by which a person overrides the rule; empty: nobody can."""

    @property
    def label(self) -> str:
        """The name of the rule in the ledger, in `--json` and in messages."""
        return self.name.lower().replace("_", "-")

    ALARM_RINGING = (
        "an alarm that judges releases is ringing already",
        'fix what it reports; or `release promote --digest DIGEST --despite-alarms "..."`',
        "--despite-alarms",
    )
    ALARMS_NOT_WATCHING = (
        "such an alarm is missing, muted or out of date",
        "`pulumi preview --refresh --stack prod` shows what was changed by hand",
    )
    BLOCKED = (
        "the release was rolled back, or a person has blocked it",
        'promote a new commit; or `release unblock DIGEST --reason "..."`',
    )
    BYTES_DIFFER = (
        "a package is not the one that was tested",
        "find out who changed the object (its versions, CloudTrail); build a new commit",
    )
    CANNOT_GO_BACK = (
        "the stack differs from what the confirmed release left, so a rollback could fail; or an alarm has taken "
        "traffic back",
        "undo the change that was made by hand, or `release reap`; `release status` says what users get and which",
    )
    CONTRACT_FIRST = (
        "the release needs a deletion at once that must wait until it is confirmed",
        "release twice: add and use the new resource, then remove the old one",
    )
    CONTRACT_PENDING = ("the old resources of the last release are not deleted yet", "`release confirm`")
    DESTRUCTIVE_CHANGE_NEEDS_REVIEW = (
        "the release deletes or replaces something and was not reviewed",
        "promote it on the reviewed path",
    )
    FROZEN = (
        "a person has stopped promotions",
        'ask who (`release history`), then `release freeze off --reason "..."`; or `release promote --digest '
        'DIGEST --despite-freeze "..."`',
        "--despite-freeze",
    )
    INTERRUPTED = ("the run was stopped before it changed anything", "promote the release again")
    LEASE_HELD = (
        "another run held production while this one waited",
        "`release status --follow`; start again when that run has ended, or see [its runner is "
        "dead](#a-release-is-under-way-and-its-runner-is-dead)",
    )
    LOSES_DATA = (
        "the release would delete or replace a resource that holds data",
        "keep the resource in the program; removing it takes two releases, as the refusal explains",
    )
    MANIFEST_CORRUPT = (
        "the manifest in the bucket cannot be read",
        "deploy the build to preprod again; read the trail",
    )
    MANIFEST_FOREIGN = ("the manifest is that of another release", "deploy the build to preprod again; read the trail")
    NEEDS_A_PERSON = (
        "the release was cleared without a reviewer, and an older release was restored since then",
        "start the workflow again: it requires approval",
    )
    NEVER_BUILT = ("preprod holds no such release", "`release deploy --stack preprod --build DIR`")
    NOT_ATTESTED = (
        "the build or the test result of the release is not attested by this repository's workflows",
        "run all jobs of build-and-promote.yml again, or merge a new commit; [attestations](attestations.md#refused)",
    )
    NOT_DEPLOYED = (
        "preprod serves another release than the one to be validated",
        "`release deploy --stack preprod --build DIR`",
    )
    NOT_ON_MAIN = (
        "the commit of the release is not on `main`, or this clone does not know",
        "`git fetch origin main`; merge the commit and promote the build of `main`",
    )
    NOT_PREPARED = (
        "copying or preparing its packages failed",
        "read the reason in `release explain`, then promote the release again",
    )
    NOT_VALIDATED = ("there is no test record of this release", "`release validate --stack preprod --digest DIGEST`")
    OLDER_COMMIT = (
        "the confirmed release already contains this commit",
        'to go back on purpose: `release rollback --to SHA --reason "..."`',
    )
    ONE_BUILD_PER_COMMIT = ("another build of this commit was published already", "use that build, or a new commit")
    ONE_BUILD_PER_FOLDER = ("another build lies in this folder already", "use that build, or a new folder")
    OUT_OF_TIME = (
        "waiting and preparing left less of the step's time than the release may take",
        "promote the release again",
    )
    PACKAGE_MISSING = (
        "preprod does not hold every package of the release",
        "`release deploy --stack preprod --build DIR`",
    )
    PLAN_CHANGED = (
        "the release would do something else than the reviewer has seen, or starts from another state",
        "read the difference, then run all jobs of the workflow again",
    )
    PLAN_NOT_APPROVED = (
        "the run was told of no plan that a reviewer has approved",
        "run all jobs of the workflow again",
    )
    PREPROD_FAILED = (
        "the update of preprod failed, or preprod did not answer as this release",
        "read why in `release explain --stack preprod`; fix it and deploy again",
    )
    ROLLBACK_FAILED = ("the last rollback is not complete", "[ROLLBACK_FAILED](#rollback_failed)")
    ROLLED_BACK_TOO_OFTEN = (
        "three releases in a row were rolled back",
        'find out what they have in common; then `release promote --digest DIGEST --despite-rollbacks "..."`',
        "--despite-rollbacks",
    )
    RUN_DIED = ("the run died before it changed anything", "promote the release again")
    SHARED_CHANGE_NEEDS_REVIEW = (
        "the release changes what the stable version uses, which affects all traffic at once",
        "promote it on the reviewed path",
    )
    STACK_LOCKED = (
        "somebody else holds a lock in Pulumi's state, or a lock there cannot be read",
        "wait for its owner, whom the refusal names; if that one has died, delete the object that it names",
    )
    SUPERSEDED = ("a newer release was confirmed while this one waited", "do nothing")
    TESTS_CONTRADICTORY = (
        "the totals of the report differ from its tests, or it holds an error outside of any test",
        "`release validate --stack preprod --digest DIGEST`",
    )
    TESTS_FAILED = (
        "a test against preprod failed or broke, or none ran",
        "fix it in a new commit; [what is tested](../reference/validation.md)",
    )
    TESTS_FOREIGN = ("the tests ran against another release", "`release validate --stack preprod --digest DIGEST`")
    TESTS_INCOMPLETE = (
        "a test was skipped, or a whole test file did not run",
        "fix what kept it from running, then validate again",
    )
    TESTS_STALE = (
        "the tests ran before this release was deployed",
        "`release validate --stack preprod --digest DIGEST`",
    )
    UNFINISHED_RELEASE = (
        "another run is at work, or has died",
        "`release status --follow`; start again when that run has ended, or see [its runner is "
        "dead](#a-release-is-under-way-and-its-runner-is-dead)",
    )
    VALIDATION_FAILED = (
        "the test record of this release shows no pass",
        "`release validate --stack preprod --digest DIGEST`",
    )
    VALIDATION_FOREIGN = (
        "the test record is of another release, or cannot be read",
        "`release validate --stack preprod --digest DIGEST`",
    )


OVERRIDES: Final = {rule.override: rule for rule in RefusalRule if rule.override}
