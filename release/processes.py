"""Processes: on which machine, whether one is alive, and children that can all be ended at once."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from release.errors import ReleaseError


def machine() -> str:
    """Return what tells this machine, since it was last started, from all others, also from those of the same name.

    Containers of one host are machines of their own: none sees the processes of another.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux
        return f"node-{uuid.getnode():012x}"


def started(pid: int) -> str:
    """Return when a process of this machine began, in its own units; empty where it is gone or nobody tells."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]  # field 22 of the line; a zombie has ended


def is_alive(pid: int, began: str = "") -> bool:
    """Return whether the process of this machine runs that has this id, and began then; ids are given out again."""
    if pid <= 0:
        return False
    if Path("/proc/self/stat").exists():
        now = started(pid)
        return bool(now) and began in {"", now}
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def end(pid: int, began: str, patience_s: float = 60.0) -> bool:
    """End a process of this machine that is no child of ours: asked twice, then killed. `False`: it had ended."""
    if not began or not is_alive(pid, began):
        return False
    for number, wait_s in ((signal.SIGINT, patience_s), (signal.SIGINT, patience_s / 4), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        until = time.monotonic() + wait_s
        while time.monotonic() < until:
            if not is_alive(pid, began):
                return True
            time.sleep(0.05)
    raise ReleaseError(f"process {pid} cannot be ended", next_step=f"look what it does: ps -f -p {pid}")


class Children:
    """Runs commands from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(
        self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run one command to its end, without standard input.

        Raises:
            subprocess.TimeoutExpired: it ran longer than `timeout`.
            ReleaseError: `stop` was called before.
        """
        with self._lock:
            if self._stopped:
                raise ReleaseError("The build was stopped.")
            process = subprocess.Popen(
                command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            self._running.add(process)
        with process:
            try:
                stdout, stderr = process.communicate(timeout=timeout)
            except BaseException:
                process.kill()
                raise
            finally:
                with self._lock:
                    self._running.discard(process)
        return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)

    def stop(self) -> None:
        """End what runs and start nothing more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()
