"""What commands report. `as_dict` is the document that `--json` prints and the ledger keeps; the docs name its keys."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, computed_field, model_serializer

from release.analysis.verdict import Verdict
from release.ledger.lifecycle import ApprovalPath, Entry, ReleaseId, Rollout, Run, State
from release.pulumi.checkpoint import ResourceNote
from release.traffic.aliases import Alias
from release.validation.record import ValidationRecord


class _Document(BaseModel):
    """A document that holds only what was given."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-able data."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class NamedRelease(_Document):
    """A release by its commit and by the digest of its manifest."""

    sha: str
    manifest: str

    @classmethod
    def of(cls, release: ReleaseId) -> NamedRelease:
        """The names of a release."""
        return cls(sha=release.sha, manifest=release.digest)


class Report(_Document):
    """How an environment stands after a command."""

    stack: str = ""
    state: State | None = None
    sha: str = ""
    manifest: str = ""


class BakeReport(_Document):
    """How the confirmed release bakes."""

    until: str
    """Until when an alarm takes traffic back (UTC)."""
    to: NamedRelease
    """Where traffic would go."""
    armed: bool | None = None
    """Whether the cloud has it so; `None`: it was not asked, or did not say."""
    fired: dict[str, str] = Field(default_factory=dict)
    """The functions that an alarm has taken back, with their versions."""


def _record(record: ValidationRecord) -> dict[str, Any]:
    return record.model_dump(mode="json", by_alias=True)


class ReleaseReport(Report):
    """A release that was built, deployed, validated, checked or confirmed."""

    folder: str = ""
    versions: dict[str, str] = Field(default_factory=dict)
    """What `live` of each function serves."""
    dashboard_url: str = ""
    verdicts: tuple[Verdict, ...] = ()
    entry: int = 0
    """Number of the ledger's entry."""
    resumed: bool = False
    already: bool = False
    """Nothing had to be done."""
    tests: int = 0
    failed_tests: tuple[str, ...] = ()
    """Each test that failed or broke, with the first line of why."""
    seconds: float | None = None
    clock_seconds: float | None = None
    """The same time on the clock that the local cloud scales."""
    tools: dict[str, str] = Field(default_factory=dict)
    record: str = ""
    """Address of the validation record."""
    baking: BakeReport | None = None
    no_bake: str = ""
    """Why it does not bake."""
    validation: Annotated[ValidationRecord, PlainSerializer(_record)] | None = None


class IdleReport(Report):
    """Nothing was released or rolled back."""

    nothing_to_do: bool = False
    confirmed: NamedRelease | None = None
    left_alone: str = ""
    """The run that may still be alive."""
    reaped: str = ""
    """The dead run that had changed nothing."""


class NoticeReport(Report):
    """What the person on call was told about a run of the workflows, or why there was nothing to tell."""

    told: bool
    subject: str
    lines: tuple[str, ...] = ()
    next_step: str = ""
    notes: tuple[str, ...] = ()
    """Channels that are not there yet."""


class KeptReport(Report):
    """What a rollback runs with lies in the environment's own bucket."""

    kept: tuple[str, ...] = ()
    """Keys of the archives."""


class DecisionReport(Report):
    """What a person has decided."""

    told: str = ""
    """One sentence: what holds now, since which entry of the ledger, and how it is undone."""
    entry: int = 0
    """Number of the ledger's entry; 0: there was nothing to decide."""
    blocked: str = ""
    unblocked: str = ""
    was: str = ""
    frozen: str = ""
    freed: dict[str, Any] | None = None
    """Who held the lease."""
    reason: str = ""


class RoutedCommit(_Document):
    """Whether one commit may go to production without a person, and why."""

    sha: str
    automatic: bool
    reason: str


class RouteReport(Report):
    """Through which GitHub environment a release goes to production."""

    since: str = ""
    """Commit of the confirmed release."""
    environment: str
    path: ApprovalPath
    reason: str
    commits: tuple[RoutedCommit, ...]


class RollbackReport(Report):
    """How a rollback went: in seconds since the verdict, proven or not, and what is left to do."""

    from_: NamedRelease = Field(alias="from")
    to: NamedRelease | None
    """`None`: no release was ever confirmed."""
    reason: str = ""
    detected_s: float | None = None
    traffic_restored_s: float | None = None
    converged_s: float | None = None
    problems: list[str] = []
    warnings: list[str] = []
    left_in_aws: tuple[ResourceNote, ...] = ()
    renamed_back: tuple[ResourceNote, ...] = ()
    deleted: tuple[ResourceNote, ...] = ()
    verified: bool
    paged: bool = False
    complaints: list[str] = []
    """Why somebody was not told."""
    entry: int = 0
    verdicts: tuple[Verdict, ...] = ()


def _entry(entry: Entry) -> dict[str, Any]:
    return entry.model_dump(mode="json", by_alias=True, exclude={"served"})


ReportedEntry = Annotated[Entry, PlainSerializer(_entry)]
"""An entry of the ledger, without what its release served."""


class ServedRelease(NamedRelease):
    """A release that was or is live, since when, and which versions it means."""

    at: str
    versions: dict[str, str]
    dashboard_url: str


def _alias(alias: Alias) -> dict[str, Any]:
    return {"version": alias.version, "weights": alias.weights}


class LeaseReport(_Document):
    """Who holds the lease, what for, and how long already."""

    run: Run
    since: str
    what: str
    held_s: float


class SafetyReport(_Document):
    """When the one-time schedules take traffic back, by function."""

    pending: dict[str, str]
    unknown: str = ""
    """Why they could not be read."""


class StatusReport(Report):
    """What an environment serves, what is under way, and what to do now."""

    at: str
    promise: str
    next_step: str
    dashboard_url: str = ""
    confirmed: ServedRelease | None
    serves: ServedRelease | None
    candidate: NamedRelease | None
    last_entry: ReportedEntry | None
    under_way: Annotated[Rollout, PlainSerializer(lambda rollout: rollout.model_dump(mode="json"))] | None
    lease: LeaseReport | None
    functions: dict[str, dict[str, Annotated[Alias, PlainSerializer(_alias)] | None]]
    as_recorded: bool
    """Whether `live` is what the ledger says."""
    astray: tuple[str, ...] = ()
    """What users get although no run is at work and the ledger says otherwise, one sentence for each function."""
    safety: SafetyReport
    baking: BakeReport | None = None
    no_bake: str = ""
    """Why the confirmed release does not bake."""
    contract_pending: bool
    frozen: str
    blocked: dict[str, str]
    rollbacks_in_a_row: int


class HistoryReport(Report):
    """Entries of the ledger, newest first."""

    entries: tuple[ReportedEntry, ...]
    problems: list[str] = []
    """What is wrong with the chain."""


class ToldEntry(_Document):
    """An entry of the ledger, with the verdicts that no entry before it has."""

    entry: Entry
    new_verdicts: tuple[Verdict, ...]

    @model_serializer
    def _flat(self) -> dict[str, Any]:
        return {**_entry(self.entry), "new_verdicts": [verdict.as_dict() for verdict in self.new_verdicts]}


class StoryReport(Report):
    """What happened to one release, and what it is to its environment now."""

    release: NamedRelease
    promise: str
    stands: str
    blocked: str
    """Why it is blocked."""
    url: str
    """Where the AWS console shows its last entry."""
    entries: tuple[ToldEntry, ...]


class AuditedArtifact(_Document):
    """A package that the program of an environment was handed."""

    stack: str
    function: str
    bucket: str
    key: str
    version: str
    sha256: str = ""
    """Of the bytes that lie there now."""
    unread: str = ""
    """Why they could not be read."""


class AuditedCall(_Document):
    """One call of AWS's management API, as CloudTrail has it."""

    at: str
    service: str
    operation: str
    changes: bool
    """Whether it may have changed something."""
    resources: tuple[str, ...] = ()
    error: str = ""
    id: str


class AuditedRun(_Document):
    """A run that has written into the ledger of an environment about the release."""

    stack: str
    id: str
    actor: str
    url: str
    path: str = ""
    """`reviewed` or `automatic`, where it promoted."""
    jobs: tuple[str, ...] = ()
    session: str
    """Name of its sessions in AWS."""
    approvals: tuple[str, ...] = ()
    calls: tuple[AuditedCall, ...] = ()
    unread: tuple[str, ...] = ()
    """What of it could not be read, and why."""


class AuditReport(Report):
    """A release from its commit to the calls that deployed it."""

    committed_at: str
    built_at: str
    packages: dict[str, str]
    """SHA-256 of each function's package, as the manifest says."""
    artifacts: tuple[AuditedArtifact, ...]
    validation: Annotated[ValidationRecord, PlainSerializer(_record)] | None
    attestations: tuple[str, ...] = ()
    """Signed statements about build and test result that were verified; none where nobody asks for them."""
    entries: tuple[ReportedEntry, ...]
    runs: tuple[AuditedRun, ...]
    unread: tuple[str, ...]
    """Steps that could not be read, and why."""

    @property
    def gaps(self) -> list[str]:
        """Everything that could not be read, or is not what the manifest says."""
        return [
            *self.unread,
            *(f"{one.stack} {one.function}: {one.unread}" for one in self.artifacts if one.unread),
            *(
                f"{one.stack} {one.function}: the bytes are not those of the manifest"
                for one in self.artifacts
                if one.sha256 and self.packages and one.sha256 != self.packages.get(one.function)
            ),
            *(f"run {run.id} in {run.stack}: {why}" for run in self.runs for why in run.unread),
        ]


class FileChange(_Document):
    """One file before and after."""

    file: str
    before: str = Field(exclude=True)
    after: str = Field(exclude=True)

    @computed_field
    @property
    def diff(self) -> list[str]:
        """The difference as lines of a patch."""
        before, after = self.before.splitlines(), self.after.splitlines()
        return list(difflib.unified_diff(before, after, f"a/{self.file}", f"b/{self.file}", lineterm=""))


class InitReport(Report):
    """The files that settings of the project were written into, or would be."""

    files: list[FileChange]
    written: bool
    next: list[str]


class SetupStatus(StrEnum):
    """States of a step of the bootstrap."""

    DONE = "done"
    TO_DO = "to do"
    WAITS = "waits"
    """Something that the bootstrap does not do has to come first."""


class StepReport(_Document):
    """One thing that an environment needs before its first `pulumi up`."""

    what: str
    now: str
    will_be: str
    status: SetupStatus


class BootstrapReport(Report):
    """What an environment has of what it needs, and what to do next."""

    account: str
    region: str
    caller: str
    complete: bool
    steps: list[StepReport]
    next: list[str]


class Readiness(StrEnum):
    """Verdicts of a check of the readiness checklist, from the best to the worst."""

    OK = "ok"
    WARNING = "warning"
    UNKNOWN = "unknown"
    FAILED = "failed"


WORST_FIRST: Final = tuple(reversed(Readiness))
EXIT_CODES: Final = {Readiness.OK: 0, Readiness.WARNING: 0, Readiness.UNKNOWN: 1, Readiness.FAILED: 3}
"""By the worst verdict: a rule is not kept (3), or nobody can say whether it is (1)."""


class Finding(_Document):
    """The result of a check for one environment (empty: for the machine or the repository)."""

    name: str
    stack: str
    verdict: Readiness
    asked: str
    evidence: str = Field(serialization_alias="said")
    fix: str = Field(serialization_alias="mend")


class DoctorReport(Report):
    """The findings of all checks, the worst first."""

    verdict: Readiness
    """The worst one."""
    exit_code: int
    counts: dict[Readiness, int]
    findings: list[Finding]

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> DoctorReport:
        """The report of these findings."""
        ordered = sorted(findings, key=lambda finding: WORST_FIRST.index(finding.verdict))
        counts = Counter(finding.verdict for finding in ordered)
        worst = ordered[0].verdict if ordered else Readiness.OK
        counted = {verdict: counts[verdict] for verdict in WORST_FIRST}
        return cls(verdict=worst, exit_code=EXIT_CODES[worst], counts=counted, findings=ordered)

    @property
    def problems(self) -> list[Finding]:
        """What is not fine."""
        return [one for one in self.findings if one.verdict is not Readiness.OK]


class Observation(_Document):
    """One thing that is wrong with an environment, or that nobody could look at."""

    key: str
    """Names it from one look to the next."""
    verdict: Readiness
    title: str
    lines: tuple[str, ...] = ()
    fixes: tuple[str, ...] = ()
    """What to do: each a command or an edit."""
    since: str = ""


class WatchReport(Report):
    """What was found while nobody looked, and the issue that tells it."""

    observations: tuple[Observation, ...] = ()
    issue: str = ""
    """Address of the issue that is open, or that was closed."""
    quiet: str = ""
    """Why nothing was looked at."""


class CommentReport(Report):
    """What a pull request was told about its previews."""

    pull: int | None
    """`None`: nothing was said."""
    run: int = 0
    status: str = ""
    description: str
    digests: dict[str, str] = Field(default_factory=dict)
    """Of the plans, by stack."""


class PublishReport(Report):
    """The copy of a state that was published."""

    branch: str
    commit: str
