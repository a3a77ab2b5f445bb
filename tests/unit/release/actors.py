"""Processes over the cloud in memory that can be stopped, failed and killed at every call that leaves them.

Two ways to use it. `Inline` runs one process in the test's own thread, lets a fault happen at one of its calls, and
keeps the world as it stood at each of them: a process that is killed there leaves exactly that behind. `Stage` runs
several processes in threads of which exactly one moves at a time; the test says which, and may kill it at the call
that it is about to make. A killed process raises `Killed` out of every further call, so that no `finally` or `except`
of it changes anything: that is SIGKILL.
"""

import threading
from dataclasses import dataclass, field
from enum import StrEnum

import httpx
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

from release.errors import ReleaseError
from release.pulumi.stack import PulumiError
from tests.unit.release.release_world import CALL_S, client_error

URL = "http://aws.test"
PATIENCE_S = 60
"""Real seconds after which a process that should move counts as hanging: a mistake in the test or in the releaser."""


LATE_S = 7200
"""Later than any deadline of the safety schedules."""

DIE = object()
"""The order to be gone before the next call."""


class Killed(BaseException):
    """The process is gone."""


class Fault(StrEnum):
    """How a call can go wrong, after the retries of the SDK have given up."""

    THROTTLED = "throttled"
    SERVER_ERROR = "5xx"
    NO_CONNECTION = "no connection"
    LOST_ANSWER = "answer lost"
    EXPIRED = "expired credentials"
    LATE_ANSWER = "answer after the deadline"


def failed(world, fault, call, act):
    """Let one call go wrong: raise what its client would raise, and for a lost answer do it first."""
    if fault is Fault.LATE_ANSWER:
        answer = act()
        world.pass_time(LATE_S)
        return answer
    family = call.partition(".")[0]
    if fault is Fault.LOST_ANSWER:
        act()
    if family == "http":
        return _failed_request(fault)
    if family in {"pulumi", "program", "git", "clock"}:
        kind = PulumiError if family == "pulumi" else ReleaseError
        raise kind(f"{call}: {fault}")
    if family == "github":
        from release.clients.github import GitHubError

        raise GitHubError(f"{call}: {fault}")
    raise _aws_error(fault, family, call.split()[0].partition(".")[2])


def _aws_error(fault, family, operation):
    match fault:
        case Fault.THROTTLED:
            return client_error("SlowDown" if family == "s3" else "ThrottlingException", operation, 429)
        case Fault.SERVER_ERROR:
            return client_error("InternalError", operation, 500)
        case Fault.NO_CONNECTION:
            return ConnectTimeoutError(endpoint_url=URL)
        case Fault.LOST_ANSWER:
            return ReadTimeoutError(endpoint_url=URL)
    return client_error("ExpiredToken" if family == "s3" else "ExpiredTokenException", operation, 403)


def _failed_request(fault):
    match fault:
        case Fault.NO_CONNECTION:
            raise httpx.ConnectTimeout("timed out")
        case Fault.LOST_ANSWER:
            raise httpx.ReadTimeout("timed out")
        case _:
            status = {Fault.THROTTLED: 429, Fault.SERVER_ERROR: 503, Fault.EXPIRED: 403}[fault]
            return httpx.Response(status, text="fault")


@dataclass
class Inline:
    """The calls of one process, made in the test's own thread."""

    world: object
    at: int | None = None
    """Number of the call that goes wrong."""
    fault: Fault | None = None
    lasting: bool = False
    """Whether every later call to a cloud goes wrong too."""
    keep: bool = False
    """Whether to keep the world as it stood before each call that follows a change."""
    calls: list = field(default_factory=list)
    worlds: list = field(default_factory=list)
    """(name of the place, the world as it stood there)."""

    def __call__(self, call, act):
        number = len(self.calls)
        self.calls.append(call)
        self.world.pass_time(CALL_S)
        self._keep(f"before {call}")
        hit = number == self.at or (self.lasting and self.at is not None and number > self.at)
        if hit and not call.startswith("clock."):
            return failed(self.world, self.fault, call, act)
        return act()

    def _keep(self, place):
        if self.keep:
            now = self.world.changes()
            if not self.worlds or self.worlds[-1][0] != now:
                self.worlds.append((now, place, self.world.save()))

    def __enter__(self):
        self.world.gate = self
        self.world.stack.between = lambda: self._keep("in the middle of pulumi.up")
        return self

    def __exit__(self, *_):
        self._keep("at the end")
        self.world.gate = self.world.straight_on
        self.world.stack.between = lambda: None


class Process:
    """One process on a `Stage`."""

    def __init__(self, stage, run, work):
        self.stage = stage
        self.run = run
        self.work = work
        self.waits_for = None
        """The call that it is about to make."""
        self.ended = False
        self.result = None
        self.error = None
        self.calls = []
        self.dead = False
        self._orders = None
        self._go = threading.Semaphore(0)
        self._alone = threading.Lock()
        self._thread = threading.Thread(target=self._live, daemon=True)

    def _live(self):
        try:
            self.result = self.work(self.stage.world.context(run=self.run))
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001, RUF100 -- whatever it is, the test looks at it
            self.error = error
        self.ended = True
        self.stage.moved.release()

    def gate(self, call, act):
        """Wait until the stage lets this process make its call."""
        with self._alone:
            if self.dead:
                raise Killed
            self.waits_for = call
            self.stage.moved.release()
            self._go.acquire()
            orders, self._orders = self._orders, None
            if orders is DIE:
                self._die()
            self.waits_for = None
            self.calls.append(call)
            self.stage.world.pass_time(CALL_S)
            self.stage.world.running = self.run
            if isinstance(orders, Fault) and not call.startswith("clock."):
                return failed(self.stage.world, orders, call, act)
            if isinstance(orders, int):
                return self._cut_short(orders, act)
            return act()

    def _die(self):
        self.dead = True
        raise Killed

    def _cut_short(self, left, act):
        """Die after so many resources of an update, or right after any other call."""

        def count():
            nonlocal left
            left -= 1
            if left <= 0:
                self._die()

        self.stage.world.stack.between = count
        try:
            act()
        finally:
            self.stage.world.stack.between = lambda: None
        self._die()


class Stage:
    """Several processes over one world, of which exactly one moves at a time."""

    def __init__(self, world):
        self.world = world
        self.moved = threading.Semaphore(0)
        self.processes = []
        self._on = None
        world.gate = self._gate

    def start(self, work, *, run=None):
        """A new process: it goes on to its first call and waits there."""
        process = Process(self, run or self.world.new_run(), work)
        self.processes.append(process)
        self._on = process
        process._thread.start()
        self._wait(process)
        return process

    def step(self, process, orders=None):
        """Let a process make the call that it waits for; `orders` is a `Fault`, or a number for `_cut_short`."""
        assert not process.ended
        self._on = process
        process._orders = orders
        process._go.release()
        self._wait(process)

    def kill(self, process):
        """SIGKILL before the call that it waits for."""
        self.step(process, DIE)

    def finish(self, process, limit=20_000):
        """Let one process run to its end."""
        for _ in range(limit):
            if process.ended:
                return process
            self.step(process)
        raise AssertionError(f"{process.run.id} does not end; it waits for {process.waits_for}")

    def end(self):
        """Kill whatever still runs, and give the world its own gate back."""
        for process in self.processes:
            if not process.ended:
                self.kill(process)
        self.world.gate = self.world.straight_on

    @property
    def running(self):
        return [process for process in self.processes if not process.ended]

    def _gate(self, call, act):
        if self._on is None:
            return self.world.straight_on(call, act)  # the test itself looks at the world
        return self._on.gate(call, act)

    def _wait(self, process):
        if not self.moved.acquire(timeout=PATIENCE_S):
            raise AssertionError(f"{process.run.id} neither calls nor ends")
        self._on = None
        if process.ended:
            process._thread.join(PATIENCE_S)
            self.world.dead.add(process.run.id)
