"""The lifecycle of a release: states, what each promises, and what may follow. Pure: no I/O, no clock.

A ledger is a list of entries, each with a state. `View.after` folds one entry into what is known about the environment,
and `check` says whether a state may be written now. Everything else of the releaser acts only after `check` has agreed
and the entry is stored.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from release.errors import Refused

_KEPT_CONFIRMATIONS: Final = 10


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


PROMISES: Final[dict[State, str]] = {
    State.BUILT: "the packages lie, checked and unchangeable, in the bucket of preprod",
    State.VALIDATED: "preprod serves this release and its integration tests passed against it",
    State.LEASED: "this run alone may change the environment; nothing has changed yet",
    State.ARMED: "own bucket holds every package, the way back to the confirmed release is proven; nothing has changed",
    State.DEPLOYING: "an update with traffic 0 may have begun; `live` serves the stable versions",
    State.DARK: "`candidate` is the new release; `live` serves the stable versions",
    State.CANARY: "`live` may send a tenth of the traffic to a candidate that was judged dark",
    State.LIVE: "`live` may serve the new release to everybody; its watch window has not passed",
    State.CONFIRMED: "the watch window passed; this release is what every rollback goes back to",
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

_PREPROD: Final[dict[State | None, frozenset[State]]] = {
    # A deploy of preprod may begin at any time: nothing there is worth a rollback, the next build replaces it.
    None: frozenset({State.BUILT}),
    State.BUILT: frozenset({State.BUILT, State.DEPLOYING}),
    State.DEPLOYING: frozenset({State.BUILT, State.LIVE}),
    State.LIVE: frozenset({State.BUILT, State.VALIDATED}),
    State.VALIDATED: frozenset({State.BUILT}),
}

_ROLLBACK_ENDS: Final = frozenset({State.ROLLED_BACK, State.ROLLED_BACK_TRAFFIC, State.ROLLBACK_FAILED})
_PROD: Final[dict[State | None, frozenset[State]]] = {
    None: frozenset({State.LEASED}),
    # LEASED again: a run that died before it changed anything is simply followed by the next.
    State.LEASED: frozenset({State.LEASED, State.ARMED}),
    State.ARMED: frozenset({State.LEASED, State.DEPLOYING}),
    State.DEPLOYING: frozenset({State.DARK, State.ROLLING_BACK}),
    State.DARK: frozenset({State.CANARY, State.LIVE, State.ROLLING_BACK}),
    State.CANARY: frozenset({State.LIVE, State.ROLLING_BACK}),
    State.LIVE: frozenset({State.CONFIRMED, State.ROLLING_BACK}),
    State.CONFIRMED: frozenset({State.LEASED, State.ROLLING_BACK}),
    State.ROLLING_BACK: _ROLLBACK_ENDS | {State.ROLLING_BACK},
    State.ROLLED_BACK: frozenset({State.LEASED, State.ROLLING_BACK}),
    State.ROLLED_BACK_TRAFFIC: frozenset({State.LEASED, State.ROLLING_BACK}),
    State.ROLLBACK_FAILED: frozenset({State.ROLLING_BACK}),
}


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ReleaseId(_Record):
    """A release: the digest of its manifest is its identity, the commit its name for people."""

    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    sha: str = Field(pattern=r"^[0-9a-f]{40}$")

    def __str__(self) -> str:
        return f"{self.sha[:7]} ({self.digest[:12]})"

    def as_reported(self) -> dict[str, str]:
        """The release in the documents of `--json`."""
        return {"sha": self.sha, "manifest": self.digest}


class DeployedFunction(_Record):
    """What an alias of one function serves."""

    version: str
    code_sha256: str
    configuration: dict[str, Any]


class Served(_Record):
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


class Run(_Record):
    """Who writes an entry: the CI run and its attempt, or a process on somebody's machine."""

    id: str
    actor: str
    host: str = ""
    pid: int = 0
    url: str = ""


class Entry(_Record):
    """One line of the ledger."""

    schema_: int = Field(default=1, alias="schema")
    seq: int = Field(ge=1)
    previous: str
    at: str
    stack: str
    state: State
    run: Run
    release: ReleaseId | None = None
    reason: str = ""
    served: Served | None = None
    details: dict[str, Any] = Field(default_factory=dict)

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Attempt(_Record):
    """A run that has begun: it ends with one of `ENDS`, or is still under way."""

    run: Run
    release: ReleaseId | None
    state: State
    began_at: str


class Place(_Record):
    """Where a confirmed release stands in the ledger."""

    release: ReleaseId
    seq: int


class View(_Record):
    """What the entries so far say; kept in the head, so that nobody must read them all."""

    stack: str
    state: State | None = None
    resting: State | None = None
    attempt: Attempt | None = None
    served: Served | None = None
    """What `live` serves as far as the ledger knows; in preprod also before it is validated."""
    confirmed: Served | None = None
    confirmations: tuple[Place, ...] = ()
    blocked: dict[str, str] = Field(default_factory=dict)

    @property
    def under_way(self) -> bool:
        """Whether a run has begun to change the environment and has not ended."""
        return self.attempt is not None and self.attempt.state in CHANGING

    def after(self, entry: Entry) -> View:
        """This view with `entry` folded in."""
        if entry.state in ASIDE:
            own = self.attempt is not None and self.attempt.run == entry.run and self.attempt.state in UNCHANGED
            # The run that was refused had changed nothing: what stood before it stands again.
            return self.model_copy(update={"attempt": None, "state": self.resting}) if own else self
        update: dict[str, Any] = {"state": entry.state}
        if entry.state in ENDS:
            update["resting"] = entry.state
        began = (
            self.attempt.began_at
            if self.attempt and self.attempt.run == entry.run and entry.state not in {State.LEASED, State.BUILT}
            else entry.at
        )
        update["attempt"] = (
            None
            if entry.state in ENDS
            else Attempt(run=entry.run, release=entry.release, state=entry.state, began_at=began)
        )
        if entry.served is not None:
            update["served"] = entry.served
            if entry.state in {State.CONFIRMED, State.VALIDATED, State.ROLLED_BACK}:
                update["confirmed"] = entry.served
            if entry.state in {State.CONFIRMED, State.VALIDATED}:
                place = Place(release=entry.served.release, seq=entry.seq)
                update["confirmations"] = (*self.confirmations, place)[-_KEPT_CONFIRMATIONS:]
        if entry.state in _ROLLBACK_ENDS:
            blocked = entry.details.get("blocked")
            if blocked:
                update["blocked"] = {**self.blocked, blocked: entry.reason or "its canary failed"}
        return self.model_copy(update=update)


class IllegalStepError(Exception):
    """A step that the lifecycle does not know: a mistake in the releaser, or an entry of another run in between."""


def check(view: View, state: State, run: Run) -> None:
    """Raise `IllegalStepError` unless `run` may write `state` now."""
    if state is State.REFUSED:
        if view.attempt and view.attempt.run == run and view.attempt.state not in UNCHANGED and view.stack != "preprod":
            raise IllegalStepError(
                f"a run that is {view.attempt.state} has changed something: it is not refused any more"
            )
        return
    if state is State.SUPERSEDED:
        return
    table = _PREPROD if view.stack == "preprod" else _PROD
    allowed = table.get(view.state, frozenset())
    if state not in allowed:
        raise IllegalStepError(f"{view.state or 'an empty ledger'} is not followed by {state}")
    takes_over = state in {State.LEASED, State.ROLLING_BACK, State.BUILT, State.VALIDATED}
    if view.attempt is not None and view.attempt.run != run and not takes_over:
        raise IllegalStepError(f"run {view.attempt.run.id} is {view.attempt.state}; run {run.id} may not go on for it")


def refuse_start(view: View, release: ReleaseId) -> None:
    """Raise `Refused` when the ledger alone forbids to promote `release` now."""
    if view.state is State.ROLLBACK_FAILED:
        raise Refused(
            "rollback-failed",
            f"{view.stack} is in ROLLBACK_FAILED: nothing is released until it is back",
            why=PROMISES[State.ROLLBACK_FAILED],
            next_step=f"release rollback --stack {view.stack} --reason 'finish the rollback'",
        )
    if view.under_way and view.attempt is not None:
        raise Refused(
            "unfinished-release",
            f"release {view.attempt.release} of run {view.attempt.run.id} is {view.attempt.state} and was never ended",
            why=PROMISES[view.attempt.state],
            next_step=f"release rollback --stack {view.stack} --reason 'run {view.attempt.run.id} died'",
        )
    if release.digest in view.blocked:
        raise Refused(
            "blocked",
            f"release {release} is blocked: {view.blocked[release.digest]}",
            why="a release that was rolled back is never tried again by itself",
            next_step="fix the cause in a new commit and promote that",
        )
