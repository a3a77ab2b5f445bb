"""Starting and ending the local cloud from the command line's side."""

import shutil
import subprocess
import sys

import psutil

from localcloud import paths
from localcloud.errors import LocalCloudError
from localcloud.state import CloudState

STOP_LIMIT_SECONDS = 15.0


def start(ports: dict[str, int] | None = None) -> CloudState:
    """Start the local cloud, or return the one that runs. `ports` fixes the port of single parts."""
    state = CloudState.load()
    if state is not None and state.running:
        return state
    stop()  # what an earlier, broken run may have left
    for folder in (paths.LOGS, paths.DATA):
        folder.mkdir(parents=True, exist_ok=True)
    for folder in (paths.STACKS, paths.OVERLAYS):  # they belong to a state that was in memory
        shutil.rmtree(folder, ignore_errors=True)
    with (paths.LOGS / "supervisor.log").open("wb") as log:
        supervisor = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "localcloud.supervisor",
                *(f"{part}={port}" for part, port in (ports or {}).items()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=paths.ROOT,
            start_new_session=True,  # it outlives this command and the terminal's Ctrl-C
        )
    assert supervisor.stdout is not None  # noqa: S101 (narrows the type)
    with supervisor.stdout as answers:
        answer = answers.readline().decode().strip()
    if answer != "ready":
        raise LocalCloudError(
            f"the local cloud did not start: {answer or 'its supervisor died'}",
            next_step=f"read the logs in {paths.LOGS}, then `localcloud start` again",
        )
    state = CloudState.load()
    assert state is not None  # noqa: S101 (the supervisor saves it before it says ready)
    return state


def stop() -> bool:
    """End the local cloud and everything that it started; return whether there was something to end."""
    state = CloudState.load()
    process = state.process() if state else None
    if process is not None:
        family = [process, *process.children(recursive=True)]
        process.terminate()
        _, alive = psutil.wait_procs(family, timeout=STOP_LIMIT_SECONDS)
        for survivor in alive:
            survivor.kill()
        psutil.wait_procs(alive, timeout=STOP_LIMIT_SECONDS)
    paths.STATE_FILE.unlink(missing_ok=True)
    return process is not None
