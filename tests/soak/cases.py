"""What the soak does to production, decided by a seed: which run is killed or failed where, and who puts it right."""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cloud import Ran
from tests.dying import ORDER, REASON, Stage, job, kill, on_host

KINDS: Final = ("throttle", "error", "timeout", "lost", "slow", "expired")
RECOVERIES: Final = ("reap", "resume", "rollback job", "re-run")
LOCKS: Final = {
    "a person's lock": b'{"pid":1,"username":"ann","hostname":"laptop","timestamp":"2026-11-01T10:00:00Z"}',
    "an empty lock": b"",
    "a damaged lock": b'{"pid":',
}
AFTER_RETRIES: Final = 6
"""Failures in a row that botocore's five attempts do not outlast."""


@dataclass(frozen=True)
class Kill:
    """SIGKILL so long after the ledger names a state; afterwards one command, or a job on another machine."""

    state: str
    after_s: float
    recovery: str

    def __str__(self) -> str:
        return f"killed {self.after_s:.1f} s into {self.state}, {self.recovery}"


@dataclass(frozen=True)
class Zombie:
    """SIGSTOP of the releaser alone; it wakes when a job on another machine has taken the release back."""

    state: str
    after_s: float

    def __str__(self) -> str:
        return f"hung {self.after_s:.1f} s into {self.state}, awake after the rollback job"


@dataclass(frozen=True)
class Fault:
    """One operation that fails from its n-th call on."""

    target: str
    kind: str
    nth: int
    times: int
    caller: str

    def __str__(self) -> str:
        whose = "the releaser's" if self.caller else "any"
        return f"{self.kind} of {whose} {self.target}, {self.times} in a row from call {self.nth} on"

    def options(self) -> list[str]:
        caller = ["--caller", self.caller] if self.caller else []
        seconds = ["--seconds", "7"] if self.kind in {"timeout", "slow"} else []
        return [self.target, "--kind", self.kind, "--nth", str(self.nth), "--times", str(self.times), *caller, *seconds]


def kills(seed: int) -> list[Kill]:
    """Every state with every recovery."""
    chance = random.Random(seed)
    return [Kill(state, round(chance.uniform(0.0, 4.0), 1), recovery) for state in ORDER for recovery in RECOVERIES]


def zombies(seed: int) -> list[Zombie]:
    """The states in which a run looks on, so that it can hang without its engine."""
    chance = random.Random(seed)
    return [Zombie(state, round(chance.uniform(0.0, 2.0), 1)) for state in ("DARK", "CANARY", "LIVE")]


def faults(seed: int, calls: dict[str, int], all_calls: dict[str, int]) -> Iterator[Fault]:
    """Every operation with every kind, in an order that the seed decides.

    Args:
        seed: Decides the order, which call fails, and how often.
        calls: How often the releaser calls each operation in one promotion.
        all_calls: The same of everybody, the engine included.
    """
    chance = random.Random(seed)
    wanted = [(target, number, kind, "app/release") for target, number in sorted(calls.items()) for kind in KINDS]
    engines = {target: number for target, number in all_calls.items() if target not in calls}
    wanted += [(target, number, kind, "") for target, number in sorted(engines.items()) for kind in KINDS]
    chance.shuffle(wanted)
    for target, number, kind, caller in wanted:
        yield Fault(target, kind, chance.randint(1, number), chance.choice([1, AFTER_RETRIES]), caller)


def killed(stage: Stage, digest: str, source: Path, dying: Kill, number: int) -> str:
    """Promote, kill, recover by one command or by job `number` elsewhere; what became of it."""
    elsewhere = dying.recovery in {"rollback job", "re-run"}
    run = (
        stage.promote(digest, source, "runner-1", **job(number, "deploy"))
        if elsewhere
        else stage.promote(digest, source)
    )
    stage.until(lambda: stage.reached(digest, dying.state), dying.state, run)
    time.sleep(dying.after_s)
    kill(run)
    where = (stage.view()["attempt"] or {}).get("state") or stage.view()["state"]
    if dying.recovery == "rollback job":
        ended = rollback_job(stage, source, number)
    elif dying.recovery == "re-run":
        promote = ("release", "promote", "--stack", "prod", "--digest", digest, "--despite-rollbacks", "a rehearsal")
        again = stage.windows | job(number, "deploy", attempt=2)
        ended = stage.cloud.run(*on_host("runner-2", *promote), folder=source, expected=None, **again)
    else:
        ended = stage.run(dying.recovery, "--json", folder=source, expected=None)
    assert ended.exit_code in {0, 3, 4}, f"{dying.recovery} ended with {ended.exit_code}: {ended.stdout} {ended.stderr}"
    stage.run("reap")  # frees the lease of a run that died after its last entry
    return f"died in {where}, {stage.view()['state']}"


def rollback_job(stage: Stage, source: Path, number: int) -> Ran:
    """The job of the same CI run that finishes what another has left, on a machine of its own."""
    words = on_host("runner-2", "release", "rollback", "--stack", "prod", *REASON, "--json")
    return stage.cloud.run(*words, folder=source, expected=None, **job(number, "rollback"))
