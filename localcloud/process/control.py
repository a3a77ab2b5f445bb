"""Starting and ending the local cloud from the command line's side."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable

import psutil

from localcloud import paths
from localcloud.environment import make_passphrase
from localcloud.errors import LocalCloudError
from localcloud.habits import Habits
from localcloud.iam import evaluator
from localcloud.iam.switch import switched_on
from localcloud.process.locks import alone
from localcloud.process.state import CloudState, lives

STOP_LIMIT_SECONDS = 15.0


def start(say: Callable[[str], None] = lambda _: None) -> CloudState:
    """Start the local cloud, or return the one that runs.

    Commands that start it at the same moment get the same one. `say` is told that it takes a moment, and whether an
    earlier cloud is gone with what it held. Raises `LocalCloudError` when it does not start; nothing is left then.
    """
    with alone(paths.HOME / "control.lock"):
        make_passphrase()
        state = CloudState.load()
        if state is not None and state.running:
            if switched_on() and not state.identities:
                raise LocalCloudError(
                    "the local cloud runs, and does not enforce identities", next_step="`localcloud stop`, then again"
                )
            return state
        say(f"{state.end}; starting a new one, which is empty" if state else "starting the local cloud")
        _end(state)
        return _start()


def stop() -> bool:
    """End the local cloud and everything that it started; return whether there was something to end."""
    if not paths.HOME.exists():
        return False
    with alone(paths.HOME / "control.lock"):  # one that is just being started becomes ready first
        return _end(CloudState.load())


def _start() -> CloudState:
    Habits.from_environment()  # raises for a name that is in no row
    if switched_on():
        evaluator.installed()
    for folder in (paths.LOGS, paths.DATA):
        folder.mkdir(parents=True, exist_ok=True)
    for folder in (paths.STACKS, paths.OVERLAYS):  # they belong to a state that was in memory
        shutil.rmtree(folder, ignore_errors=True)
    with (paths.LOGS / "supervisor.log").open("wb") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "localcloud.process.supervisor"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=paths.ROOT,
            start_new_session=True,  # it outlives this command and the terminal's Ctrl-C
        )
    assert supervisor.stdout is not None  # noqa: S101 (narrows the type)
    try:
        with supervisor.stdout as answers:
            answer = answers.readline().decode().strip()
    except BaseException:  # Ctrl-C: nobody waits for this cloud any more
        _end_family(psutil.Process(supervisor.pid))
        raise
    if answer != "ready":
        supervisor.wait(STOP_LIMIT_SECONDS)
        raise LocalCloudError(
            f"the local cloud did not start: {answer or 'its supervisor died'}",
            next_step=f"if that does not explain it, read the logs in {paths.LOGS}; then `localcloud start` again",
        )
    state = CloudState.load()
    assert state is not None  # noqa: S101 (the supervisor saves it before it says ready)
    return state


def _end(state: CloudState | None) -> bool:
    """End the run that `state` tells of, and forget it; return whether it still ran."""
    process = state.process() if state else None
    if process is not None:
        _end_family(process)
    paths.STATE_FILE.unlink(missing_ok=True)
    return process is not None


def _end_family(supervisor: psutil.Process) -> None:
    try:
        family = [supervisor, *supervisor.children(recursive=True)]
        supervisor.terminate()
    except psutil.NoSuchProcess:
        return
    for survivor in _await_end(family):
        survivor.kill()
    _await_end(family)


def _await_end(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Wait until all have ended; return those that have not after the limit."""
    deadline = time.monotonic() + STOP_LIMIT_SECONDS
    while (left := [process for process in processes if lives(process)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left
