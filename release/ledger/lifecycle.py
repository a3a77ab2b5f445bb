"""The lifecycle of a release: states, what each promises, and what may follow. Pure: no I/O, no clock.

A ledger is a list of entries, each with a state. `LedgerState.after` folds one entry into what is known about the
environment, and `check` says whether a state may be written now. Everything else of the releaser acts only after
`check` has agreed and the entry is stored.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from release.errors import LeaseLost, Refused
from release.rules import RefusalRule

_KEPT_CONFIRMATIONS: Final = 10
MOST_ROLLBACKS: Final = 3
"""After so many releases in a row that were rolled back, a person must look before the next."""


class State(StrEnum):
    """Named states; a ledger entry names exactly one."""

    BUILT = "BUILT"
    VALIDATED = "VALIDATED"
    LEASED = "LEASED"
    ARMED = "ARMED"
    DEPLOYING = "DEPLOYING"
    DARK = "DARK"
    CANARY = "CANARY"
    LIVE = "LIVE"
    CONFIRMED = "CONFIRMED"
    ROLLING_BACK = "ROLLING_BACK"
    ROLLED_BACK = "ROLLED_BACK"
    ROLLED_BACK_TRAFFIC = "ROLLED_BACK_TRAFFIC"
    ROLLBACK_FAILED = "ROLLBACK_FAILED"
    REFUSED = "REFUSED"
    SUPERSEDED = "SUPERSEDED"


class Decision(StrEnum):
    """What a person, or the watchdog, decided: written into the chain of the states, and never a state of a run."""

    BLOCKED = "BLOCKED"
    UNBLOCKED = "UNBLOCKED"
    FROZEN = "FROZEN"
    THAWED = "THAWED"
    UNLOCKED = "UNLOCKED"
    RESTORED = "RESTORED"


PROMISES: Final[dict[State, str]] = {
    State.BUILT: "the packages lie, checked and unchangeable, in the bucket of preprod",
    State.VALIDATED: "preprod serves this release and its integration tests passed against it",
    State.LEASED: "this run alone may change the environment; nothing has changed yet",
    State.ARMED: "own bucket holds every package, a rollback is proven to be possible; nothing has changed",
    State.DEPLOYING: "an update with traffic 0 may have begun; `live` serves the stable versions",
    State.DARK: "`candidate` is the new release; `live` serves the stable versions",
    State.CANARY: "`live` may send 10 % of the traffic to a candidate that passed its analysis in the dark",
    State.LIVE: "`live` may serve the new release to everybody; its watch window has not passed",
    State.CONFIRMED: "the watch window passed; every rollback of a later release returns to this one",
    State.ROLLING_BACK: "the release failed; `live` is being put back on the stable versions, then the stack",
    State.ROLLED_BACK: "functions, settings and stack are verified to be those of the confirmed release",
    State.ROLLED_BACK_TRAFFIC: "no user traffic reaches the failed release, the stack is not back: a person is needed",
    State.ROLLBACK_FAILED: "traffic may still reach the failed release: a person is needed at once",
    State.REFUSED: "a named rule forbade the release; this run changed nothing",
    State.SUPERSEDED: "a newer release was confirmed first; this run changed nothing",
}

# States in which a run has begun and has not yet ended.
UNCHANGED: Final = frozenset({State.LEASED, State.ARMED})
CHANGING: Final = frozenset({State.DEPLOYING, State.DARK, State.CANARY, State.LIVE, State.ROLLING_BACK})
# States that end a run.
ENDS: Final = frozenset(
    {State.CONFIRMED, State.ROLLED_BACK, State.ROLLED_BACK_TRAFFIC, State.ROLLBACK_FAILED, State.VALIDATED}
)
ASIDE: Final = frozenset({State.REFUSED, State.SUPERSEDED})
GOES_ON: Final = frozenset({State.ARMED, State.DARK, State.CANARY, State.LIVE, State.CONFIRMED})
"""Entries of a promotion that a freeze or a block since its last entry forbids."""
WITHOUT_LEASE: Final = ASIDE | {State.VALIDATED}
"""What is written by runs that change nothing."""

PREPROD: Final[dict[State | None, frozenset[State]]] = {
    # A deploy of preprod may begin at any time: nothing there is worth a rollback, the next build replaces it.
    None: frozenset({State.BUILT}),
    State.BUILT: frozenset({State.BUILT, State.DEPLOYING}),
    State.DEPLOYING: frozenset({State.BUILT, State.LIVE}),
    State.LIVE: frozenset({State.BUILT, State.VALIDATED}),
    State.VALIDATED: frozenset({State.BUILT}),
}

_ROLLBACK_ENDS: Final = frozenset({State.ROLLED_BACK, State.ROLLED_BACK_TRAFFIC, State.ROLLBACK_FAILED})
PROD: Final[dict[State | None, frozenset[State]]] = {
    None: frozenset({State.LEASED}),
    # LEASED again: a run that died before it changed anything is simply followed by the next.
    State.LEASED: frozenset({State.LEASED, State.ARMED}),
    State.ARMED: frozenset({State.LEASED, State.DEPLOYING}),
    # The same state again: `resume` does once more what the state names.
    State.DEPLOYING: frozenset({State.DEPLOYING, State.DARK, State.ROLLING_BACK}),
    State.DARK: frozenset({State.DARK, State.CANARY, State.LIVE, State.ROLLING_BACK}),
    State.CANARY: frozenset({State.CANARY, State.LIVE, State.ROLLING_BACK}),
    State.LIVE: frozenset({State.LIVE, State.CONFIRMED, State.ROLLING_BACK}),
    # CONFIRMED again: what the release no longer needs has been deleted.
    State.CONFIRMED: frozenset({State.CONFIRMED, State.LEASED, State.ROLLING_BACK}),
    State.ROLLING_BACK: _ROLLBACK_ENDS | {State.ROLLING_BACK},
    State.ROLLED_BACK: frozenset({State.LEASED, State.ROLLING_BACK}),
    State.ROLLED_BACK_TRAFFIC: frozenset({State.LEASED, State.ROLLING_BACK}),
    State.ROLLBACK_FAILED: frozenset({State.ROLLING_BACK}),
}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ReleaseId(_Frozen):
    """A release: the digest of its manifest is its identity, the commit its name for people."""

    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    sha: str = Field(pattern=r"^[0-9a-f]{40}$")

    def __str__(self) -> str:
        return f"{self.sha[:7]} ({self.digest[:12]})"

    def fits(self, name: str) -> bool:
        """Whether its digest or commit begins with `name`."""
        return self.digest.startswith(name) or self.sha.startswith(name)


class DeployedFunction(_Frozen):
    """What an alias of one function serves."""

    version: str
    code_sha256: str
    configuration: dict[str, Any]


class Deployment(_Frozen):
    """What `live` served of one release: all that a rollback to it needs, without asking GitHub, preprod or Pulumi."""

    release: ReleaseId
    built_at: str
    at: str
    hand_over: dict[str, Any]
    functions: dict[str, DeployedFunction]
    dashboard_url: str
    on_call_topic: str
    alarms: tuple[str, ...]
    program_sha256: str = ""
    checkpoint_sha256: str = ""

    @property
    def stable(self) -> dict[str, str]:
        """The versions that `live` serves while this release is the confirmed one."""
        return {name: function.version for name, function in sorted(self.functions.items())}


class Run(_Frozen):
    """Who writes an entry: the CI run and its attempt, or a process on somebody's machine."""

    id: str
    actor: str
    host: str = ""
    pid: int = 0
    url: str = ""
    machine: str = ""
    """What `release.processes.machine` returned; empty in entries of older releasers."""
    began: str = ""
    """When the process began, as that machine tells it."""
    repository: str = ""
    job: str = ""

    @property
    def attempt(self) -> tuple[str, int]:
        """Number of the CI run and of its attempt; of anything else, its id and 0."""
        number, _, attempt = self.id.partition(".")
        return number, int(attempt) if attempt.isdigit() else 0


class Entry(_Frozen):
    """One line of the ledger."""

    schema_: int = Field(default=1, alias="schema")
    seq: int = Field(ge=1)
    previous: str
    at: str
    stack: str
    state: State | Decision
    run: Run
    release: ReleaseId | None = None
    reason: str = ""
    served: Deployment | None = None
    details: dict[str, Any] = Field(default_factory=dict)
    fence: int = 0
    """Number of the lease that its writer held; 0: it held none."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


ApprovalPath = Literal["reviewed", "automatic"]
"""`automatic`: no person has looked at the release."""


class Override(_Frozen):
    """Rules that a person overrides for one promotion, each with the reason; empty: not overridden."""

    alarms: str = ""
    freeze: str = ""
    rollbacks: str = ""
    inconclusive: str = ""

    @property
    def given(self) -> dict[str, str]:
        """The reasons that were given, by rule."""
        return {rule: reason for rule, reason in self.model_dump().items() if reason}


NO_OVERRIDE: Final = Override()


class Rollout(_Frozen):
    """A run that has begun: it ends with one of `ENDS`, or is still under way."""

    run: Run
    release: ReleaseId | None
    state: State
    began_at: str
    deadline: str = ""
    """When the safety schedules take traffic back (UTC); empty while no traffic was moved."""
    path: ApprovalPath = "reviewed"
    despite: Override = NO_OVERRIDE
    aside: tuple[str, ...] = ()
    """Alarms that rang before the release, and that a person has muted for it."""


class Confirmation(_Frozen):
    """Where a confirmed release stands in the ledger."""

    release: ReleaseId
    seq: int


class Baking(_Frozen):
    """The bake of the confirmed release: until when an alarm takes traffic back, and where to."""

    until: str
    to: ReleaseId
    stable: dict[str, str]
    """The versions of the release before."""


class BegunRollback(_Frozen):
    """A rollback that is under way or not complete: every later try goes to the same release."""

    failed: ReleaseId | None
    to: ReleaseId | None
    """`None`: no release was ever confirmed."""


class LedgerState(_Frozen):
    """What the entries so far say; kept in the head, so that nobody must read them all."""

    stack: str
    state: State | None = None
    resting: State | None = None
    attempt: Rollout | None = None
    served: Deployment | None = None
    """What `live` serves as far as the ledger knows; in preprod also before it is validated."""
    confirmed: Deployment | None = None
    confirmations: tuple[Confirmation, ...] = ()
    blocked: dict[str, str] = Field(default_factory=dict)
    """Why, by manifest digest."""
    frozen: str = ""
    """Why nothing is promoted; empty when promotions are open."""
    rollbacks: int = 0
    """Releases rolled back since the last one was confirmed."""
    begun_rollback: BegunRollback | None = None
    rollback_tries: int = 0
    """How often the rollback that is under way, or that failed, was begun."""
    fence: int = 0
    """The newest lease under which anything was written: whoever held an older one has lost it."""
    baking: Baking | None = None
    """How the confirmed release bakes, or did; `None` where it never did, or something was changed since."""
    no_bake: str = ""
    """Why the confirmed release does not bake."""
    contract_pending: bool = False
    """The confirmed release has left things to delete that only the release before it needed."""

    @property
    def under_way(self) -> bool:
        """Whether a run has begun to change the environment and has not ended."""
        return self.attempt is not None and self.attempt.state in CHANGING

    @property
    def settled(self) -> bool:
        """Whether everything was on the confirmed release when the last run ended that had changed anything."""
        return not self.under_way and self.resting in {State.CONFIRMED, State.ROLLED_BACK}

    @property
    def to_roll_back(self) -> bool:
        """Whether a rollback has to be begun or finished, once no run is at work any more."""
        if self.confirmed is None:  # what was taken off traffic has nothing to go back to
            return self.under_way or self.resting is State.ROLLBACK_FAILED
        return not self.settled

    def after(self, entry: Entry) -> LedgerState:
        """Return this state with `entry` folded in."""
        now = self._after(entry)
        return now.model_copy(update={"fence": entry.fence}) if entry.fence > now.fence else now

    def _after(self, entry: Entry) -> LedgerState:
        state, details = entry.state, entry.details
        if isinstance(state, Decision):
            return self._decided(state, entry)
        if state in ASIDE:
            # The run that was refused had changed nothing: what stood before it stands again.
            return self.model_copy(update={"attempt": None, "state": self.resting}) if self._ends(entry) else self
        run = {"attempt": None, "resting": state} if state in ENDS else {"attempt": self._rollout(state, entry)}
        update: dict[str, Any] = {"state": state, **run}
        if entry.served is not None:
            update["served"] = entry.served
            if state in {State.CONFIRMED, State.VALIDATED, State.ROLLED_BACK}:
                update["confirmed"] = entry.served
            if state in {State.CONFIRMED, State.VALIDATED}:
                update["confirmations"] = self._with_confirmation(entry.served.release, entry.seq)
        if state is State.ROLLING_BACK:
            update["rollback_tries"] = self.rollback_tries + 1
            update["begun_rollback"] = BegunRollback(failed=entry.release, to=details.get("to"))
        elif state not in UNCHANGED | {State.ROLLBACK_FAILED, State.ROLLED_BACK_TRAFFIC}:
            update |= {"rollback_tries": 0, "begun_rollback": None}
        update["rollbacks"] = 0 if state is State.CONFIRMED else self.rollbacks + (state is State.ROLLED_BACK)
        if state in _ROLLBACK_ENDS and details.get("blocked"):
            update["blocked"] = {**self.blocked, details["blocked"]: entry.reason or "its canary failed"}
        if state in {State.CONFIRMED, State.ROLLED_BACK}:
            update["contract_pending"] = bool(details.get("contract_pending"))
        update |= self._baking(state, entry)
        return self.model_copy(update=update)

    def _baking(self, state: State, entry: Entry) -> dict[str, Any]:
        """The bake begins with the confirmation, and ends before anything is changed again."""
        if state in CHANGING:
            return {"baking": None, "no_bake": ""}
        if state is not State.CONFIRMED or self.state is State.CONFIRMED:
            return {}
        details = entry.details
        until, no_bake = details.get("baking_until"), str(details.get("no_bake") or "")
        baking = Baking(until=until, to=details["back_to"], stable=details["stable"]) if until else None
        return {"baking": baking, "no_bake": no_bake}

    def _with_confirmation(self, release: ReleaseId, seq: int) -> tuple[Confirmation, ...]:
        others = self.confirmations
        if others and others[-1].release == release:
            others = others[:-1]  # confirmed once, and written again when its rest was deleted
        return (*others, Confirmation(release=release, seq=seq))[-_KEPT_CONFIRMATIONS:]

    def _ends(self, entry: Entry) -> bool:
        """Return whether a refusal ends the rollout: written by its own run, or by one that found it dead."""
        if self.attempt is None or self.attempt.state not in UNCHANGED:
            return False
        return self.attempt.run == entry.run or entry.details.get("ended_run") == self.attempt.run.id

    def _rollout(self, state: State, entry: Entry) -> Rollout:
        details, begun = entry.details, None if state in {State.LEASED, State.BUILT} else self.attempt
        now: dict[str, Any] = {"run": entry.run, "release": entry.release, "state": state}
        if begun is None:
            begun = Rollout(
                **now,
                began_at=entry.at,
                path=details.get("path") or "reviewed",
                despite=Override.model_validate(details.get("despite") or {}),
                aside=tuple(details.get("set_aside") or ()),
            )
        # Who goes on with a rollout, or takes it back, keeps its beginning and what was allowed to it.
        return begun.model_copy(update=now | {"deadline": str(details.get("deadline") or begun.deadline)})

    def _decided(self, decision: Decision, entry: Entry) -> LedgerState:
        digest = entry.release.digest if entry.release else ""
        update: dict[str, Any] = {}
        if decision is Decision.BLOCKED:
            update["blocked"] = {**self.blocked, digest: entry.reason}
        elif decision is Decision.UNBLOCKED:
            update["blocked"] = {key: why for key, why in self.blocked.items() if key != digest}
        elif decision in {Decision.FROZEN, Decision.THAWED}:
            update["frozen"] = entry.reason if decision is Decision.FROZEN else ""
        return self.model_copy(update=update)


class IllegalStepError(Exception):
    """A step that the lifecycle does not know: a mistake in the releaser, or an entry of another run in between."""


def check(view: LedgerState, state: State | Decision, run: Run, fence: int = 0) -> None:
    """Check that `run` may write `state` now, under the lease number `fence` (0: under none).

    Raises:
        LeaseLost: Another run has written under a newer lease.
        IllegalStepError: The lifecycle does not allow it.
        Refused: A person has frozen the environment, or blocked the release, since the run began.
    """
    if isinstance(state, Decision):
        return  # a person may decide at any time
    if fence < view.fence and (fence or state not in WITHOUT_LEASE):
        raise lease_lost(view.stack)
    if state is State.REFUSED:
        if view.attempt and view.attempt.run == run and view.attempt.state not in UNCHANGED and view.stack != "preprod":
            raise IllegalStepError(
                f"a run that is {view.attempt.state} has changed something: it is not refused any more"
            )
        return
    if state is State.SUPERSEDED:
        return
    table = PREPROD if view.stack == "preprod" else PROD
    allowed = table.get(view.state, frozenset())
    if state not in allowed:
        raise IllegalStepError(f"{view.state or 'an empty ledger'} is not followed by {state}")
    takes_over = state == view.state or state in {State.LEASED, State.ROLLING_BACK, State.BUILT, State.VALIDATED}
    if view.attempt is not None and view.attempt.run != run and not takes_over:
        raise IllegalStepError(f"run {view.attempt.run.id} is {view.attempt.state}; run {run.id} may not go on for it")
    if state in GOES_ON and table is PROD:
        refuse_stopped(view)


def refuse_stopped(view: LedgerState) -> None:
    """Raise `Refused` when a person has frozen the environment, or blocked the release that is under way."""
    if view.attempt is not None and view.attempt.release is not None:
        _refuse_decided(view, view.attempt.release, view.attempt.despite)


def lease_lost(stack: str) -> LeaseLost:
    """Return the error of a run that has lost its lease."""
    return LeaseLost(
        f"this run has lost the lease of {stack}: it touches nothing any more",
        why="a person or a later job has taken over, because this run seemed to be over",
        next_step=f"release status --stack {stack}",
    )


def refuse_start(
    view: LedgerState, release: ReleaseId, despite: Override = NO_OVERRIDE, *, leased: bool = False
) -> None:
    """Raise `Refused` when the ledger alone forbids to promote `release` now.

    `leased`: another run holds the lease, so that what is under way may well end.
    """
    if view.state is State.ROLLBACK_FAILED:
        raise Refused(
            RefusalRule.ROLLBACK_FAILED,
            f"{view.stack} is in ROLLBACK_FAILED: nothing is released until it is back",
            why=PROMISES[State.ROLLBACK_FAILED],
            next_step=f"release rollback --stack {view.stack} --reason 'finish the rollback'",
        )
    if view.under_way and view.attempt is not None:
        raise Refused(
            RefusalRule.UNFINISHED_RELEASE,
            f"release {view.attempt.release} of run {view.attempt.run.id} is {view.attempt.state}"
            + ("" if leased else ", but holds no lease any more: it is over"),
            why=PROMISES[view.attempt.state],
            next_step=f"wait for it: release status --follow --stack {view.stack}"
            if leased
            else f"release reap --stack {view.stack} (back), or release resume --stack {view.stack} (on)",
        )
    if view.contract_pending:
        raise Refused(
            RefusalRule.CONTRACT_PENDING,
            f"{view.stack} still holds what only the release before the confirmed one needed",
            why="its deletion was put off until the release was confirmed, and was never done",
            next_step=f"release confirm --stack {view.stack}",
        )
    _refuse_decided(view, release, despite)
    if view.rollbacks >= MOST_ROLLBACKS and not despite.rollbacks:
        raise Refused(
            RefusalRule.ROLLED_BACK_TOO_OFTEN,
            f"the last {view.rollbacks} releases to {view.stack} were all rolled back",
            why="something other than the commits may be wrong, so a person has to look first",
            next_step="promote with --despite-rollbacks REASON when you know what was wrong",
        )


def _refuse_decided(view: LedgerState, release: ReleaseId, despite: Override) -> None:
    if release.digest in view.blocked:
        raise Refused(
            RefusalRule.BLOCKED,
            f"release {release} is blocked: {view.blocked[release.digest]}",
            why="a release that was rolled back, or blocked by a person, is never tried again automatically",
            next_step="fix the cause in a new commit and promote that, "
            f"or: release unblock --stack {view.stack} {release.digest[:12]} --reason ...",
        )
    if view.frozen and not despite.freeze:
        raise Refused(
            RefusalRule.FROZEN,
            f"{view.stack} is frozen: {view.frozen}",
            why="a person has stopped promotions; a rollback is still possible",
            next_step=f"release freeze off --stack {view.stack} --reason ..., or promote with --despite-freeze REASON",
        )
