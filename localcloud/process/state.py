"""What is known about the running local cloud: one small file that the supervisor writes and everybody else reads."""

import json
from dataclasses import asdict, dataclass, field
from typing import Self

import psutil

from localcloud import paths
from localcloud.errors import LocalCloudError

START = "start it with `localcloud start` (it begins empty), or run the whole rehearsal with `make demo`"


@dataclass(frozen=True, kw_only=True)
class CloudState:
    """One run of the local cloud.

    `pid` and `created` (seconds since the epoch, as the operating system tells it) together name the supervisor's
    process: a process id alone may belong to somebody else by now. `failure` says why a run ended that nobody stopped.
    """

    pid: int
    created: float
    clock: str
    habits: str = ""
    identities: bool = False
    """Whether calls are decided for the role that makes them."""
    ports: dict[str, int] = field(default_factory=dict)
    failure: str = ""

    @classmethod
    def load(cls) -> Self | None:
        """Return the last run's state, or None when there never was one (or its file cannot be read)."""
        try:
            return cls(**json.loads(paths.STATE_FILE.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def save(self) -> None:
        """Replace the state file in one step, so that no reader ever sees half of it."""
        scratch = paths.STATE_FILE.with_suffix(".tmp")
        scratch.write_text(json.dumps(asdict(self), indent=1))
        scratch.replace(paths.STATE_FILE)

    def process(self) -> psutil.Process | None:
        """Return the supervisor's process, or None when it is gone."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 1
        except psutil.NoSuchProcess:
            return None
        return process if same and lives(process) else None

    @property
    def running(self) -> bool:
        """Whether the supervisor lives and has not given up."""
        return not self.failure and self.process() is not None

    @property
    def end(self) -> str:
        """What became of a run that runs no more, in one sentence without its full stop."""
        if self.failure:
            return f"the local cloud has stopped: {self.failure}"
        return "the local cloud was ended from outside, and what it held in memory is gone with it"

    def url(self, part: str) -> str:
        """Return the address of one part, without a trailing slash."""
        return f"http://127.0.0.1:{self.ports[part]}"


def running_cloud() -> CloudState:
    """Return the running local cloud, or raise `LocalCloudError` that says what became of it."""
    state = CloudState.load()
    if state is None:
        raise LocalCloudError("the local cloud is not running", next_step=START)
    if not state.running:
        raise LocalCloudError(state.end, next_step=START)
    return state


def lives(process: psutil.Process) -> bool:
    """Whether a process still does something; one that has ended may stay listed where nobody asks for its exit code.

    Containers whose first process is no real init are such places, and CI jobs run in them.
    """
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
