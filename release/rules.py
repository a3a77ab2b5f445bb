"""Every rule that refuses: its name, what a refusal by it means, the way forward, and the option that overrides it.

The refusals themselves stand where the rule is checked, from the ledger up to the gates, so this table lies below them
all. `docs/how-to/runbook.md` holds it as a table; a test compares the two, and the options of a
athe command line and the inputa,
of the workflows with `OVERRIDES`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class RefusalRule(StrEnum):
    """A rule by its name, which stands in the ledger, in `--json` and in messages."""

    means: str
    way_forward: str
    override: str
    """The option of `release promote` by which a person overrides the rule; empty: nobody can."""

    def __new__(cls, name: str, means: str, way_forward: str, override: str = "") -> RefusalRule:
        """A member with its row of the table."""
        rule = str.__new__(cls, name)
        rule._value_, rule.means, rule.way_forward, rule.override = name, means, way_forward, override
        return rule

    ALARM_RINGING = (
        "alarm-ringing",
        "an alarm that judges releases is ringing already",
        'fix what it reports; or `release promote --digest DIGEST --despite-alarms "..."`',
        "--despite-alarms",
    )
    ALARMS_NOT_WATCHING = (
        "alarms-not-watching",
        "such an alarm is missing, muted or out of date",
        "`pulumi preview --refresh --stack prod` shows what was changed by hand",
    )
    BLOCKED = (
        "blocked",
        "the release was rolled back, or a person has blocked it",
        'promote a new commit; or `release unblock DIGEST --reason "..."`',
    )
    BYTES_DIFFER = (
        "bytes-differ",
        "a package is not the one that was tested",
        "find out who changed the object (its versions, CloudTrail); build a new commit",
    )
    CANNOT_GO_BACK = (
        "cannot-go-back",
        "the stack differs from what the confirmed release left, so a rollback could fail",
        'undo the change that was made by hand, or `release rollback --reason "..."`',
    )
    CONTRACT_FIRST = (
        "contract-first",
        "the release needs a deletion at once that must wait until it is confirmed",
        "release twice: add and use the new resource, then remove the old one",
    )
    CONTRACT_PENDING = (
        "contract-pending",
        "the old resources of the last release are not deleted yet",
        "`release confirm`",
    )
    DESTRUCTIVE_CHANGE_NEEDS_REVIEW = (
        "destructive-change-needs-review",
        "the release deletes or replaces something and was not reviewed",
        "promote it on the reviewed path",
    )
    FROZEN = (
        "frozen",
        "a person has stopped promotions",
        'ask who (`release history`), then `release freeze off --reason "..."`; or `release promote '
        '--digest DIGEST --despite-freeze "..."`',
        "--despite-freeze",
    )
    INTERRUPTED = (
        "interrupted",
        "the run was stopped before it changed anything",
        "promote the release again",
    )
    LEASE_HELD = (
        "lease-held",
        "another run held production while this one waited",
        "`release status --follow`; start again when that run has ended, or see [its runner is "
        "dead](#a-release-is-under-way-and-its-runner-is-dead)",
    )
    LOSES_DATA = (
        "loses-data",
        "the release would delete or replace a resource that holds data",
        "keep the resource in the program; removing it takes two releases, as the refusal explains",
    )
    MANIFEST_CORRUPT = (
        "manifest-corrupt",
        "the manifest in the bucket cannot be read",
        "deploy the build to preprod again; read the trail",
    )
    MANIFEST_FOREIGN = (
        "manifest-foreign",
        "the manifest is that of another release",
        "deploy the build to preprod again; read the trail",
    )
    NEEDS_A_PERSON = (
        "needs-a-person",
        "the release was cleared without a reviewer, and an older release was restored since then",
        "start the workflow again: it requires approval",
    )
    NEVER_BUILT = (
        "never-built",
        "preprod holds no such release",
        "`release deploy --stack preprod --build DIR`",
    )
    NOT_DEPLOYED = (
        "not-deployed",
        "preprod serves another release than the one to be validated",
        "`release deploy --stack preprod --build DIR`",
    )
    NOT_PREPARED = (
        "not-prepared",
        "copying or preparing its packages failed",
        "read the reason in `release explain`, then promote the release again",
    )
    NOT_VALIDATED = (
        "not-validated",
        "there is no test record of this release",
        "`release validate --stack preprod --digest DIGEST`",
    )
    OLDER_COMMIT = (
        "older-commit",
        "the confirmed release already contains this commit",
        'to go back on purpose: `release rollback --to SHA --reason "..."`',
    )
    ONE_BUILD_PER_COMMIT = (
        "one-build-per-commit",
        "another build of this commit was published already",
        "use that build, or a new commit",
    )
    ONE_BUILD_PER_FOLDER = (
        "one-build-per-folder",
        "another build lies in this folder already",
        "use that build, or a new folder",
    )
    PACKAGE_MISSING = (
        "package-missing",
        "preprod does not hold every package of the release",
        "`release deploy --stack preprod --build DIR`",
    )
    PREPROD_FAILED = (
        "preprod-failed",
        "the update of preprod failed, or preprod did not answer as this release",
        "read why in `release explain --stack preprod`; fix it and deploy again",
    )
    ROLLBACK_FAILED = (
        "rollback-failed",
        "the last rollback is not complete",
        "[ROLLBACK_FAILED](#rollback_failed)",
    )
    ROLLED_BACK_TOO_OFTEN = (
        "rolled-back-too-often",
        "three releases in a row were rolled back",
        'find out what they have in common; then `release promote --digest DIGEST --despite-rollbacks "..."`',
        "--despite-rollbacks",
    )
    RUN_DIED = (
        "run-died",
        "the run died before it changed anything",
        "promote the release again",
    )
    SHARED_CHANGE_NEEDS_REVIEW = (
        "shared-change-needs-review",
        "the release changes what the stable version uses, which affects all traffic at once",
        "promote it on the reviewed path",
    )
    SUPERSEDED = (
        "superseded",
        "a newer release was confirmed while this one waited",
        "do nothing",
    )
    TESTS_CONTRADICTORY = (
        "tests-contradictory",
        "the totals of the report differ from its tests, or it holds an error outside of any test",
        "`release validate --stack preprod --digest DIGEST`",
    )
    TESTS_FAILED = (
        "tests-failed",
        "a test against preprod failed or broke, or none ran",
        "fix it in a new commit; [what is tested](../reference/validation.md)",
    )
    TESTS_FOREIGN = (
        "tests-foreign",
        "the tests ran against another release",
        "`release validate --stack preprod --digest DIGEST`",
    )
    TESTS_INCOMPLETE = (
        "tests-incomplete",
        "a test was skipped, or a whole test file did not run",
        "fix what kept it from running, then validate again",
    )
    TESTS_STALE = (
        "tests-stale",
        "the tests ran before this release was deployed",
        "`release validate --stack preprod --digest DIGEST`",
    )
    UNFINISHED_RELEASE = (
        "unfinished-release",
        "a run began and never ended",
        "[its runner is dead](#a-release-is-under-way-and-its-runner-is-dead)",
    )
    VALIDATION_FAILED = (
        "validation-failed",
        "the test record of this release shows no pass",
        "`release validate --stack preprod --digest DIGEST`",
    )
    VALIDATION_FOREIGN = (
        "validation-foreign",
        "the test record is of another release, or cannot be read",
        "`release validate --stack preprod --digest DIGEST`",
    )


OVERRIDES: Final = {rule.override: rule for rule in RefusalRule if rule.override}
