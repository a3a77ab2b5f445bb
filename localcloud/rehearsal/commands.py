"""Runs the commands of a rehearsal: what each says goes to a log of its own, and line by line to whoever listens."""

import contextlib
import json
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import psutil

_TAIL_LINES: Final = 15


class EndedError(Exception):
    """The rehearsal was ended while this command ran, or before it began."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How one command ended."""

    exit_code: int
    seconds: float
    log: Path
    output: str
    """What a command with `--json` wrote to stdout; empty for any other."""

    @property
    def document(self) -> Any:
        """The JSON document that it printed."""
        return json.loads(self.output)

    @property
    def tail(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])


class Commands:
    """Runs commands, several at a time if need be, and can end all of them at once.

    Args:
        variables: The environment of every command.
        logs: The folder of the logs.
    """

    def __init__(self, variables: Mapping[str, str], logs: Path) -> None:
        self._variables, self._logs = variables, logs
        self._lock = threading.Lock()
        self._running: set[int] = set()
        self._ended = False

    def run(self, name: str, command: tuple[str, ...], folder: Path, told: Callable[[str], None]) -> Finished:
        """Run one command in `folder` to its end.

        Args:
            name: Names the log.
            command: The command; with `--json` among its words its stdout is a document, and only stderr is progress.
            folder: Where it runs.
            told: Gets each line of progress.

        Raises:
            EndedError: `end` was called.
        """
        began = time.monotonic()
        log = self.log(name)
        output: list[str] = []
        with log.open("w", buffering=1) as written:
            written.write(f"$ {shlex.join(command)}\n")
            with self._started(command, folder, machine="--json" in command) as process:
                documents = threading.Thread(target=_collect, args=(process.stdout, output))
                if process.stderr:
                    documents.start()
                for line in process.stderr or process.stdout or ():
                    written.write(line)
                    told(line.rstrip())
                if process.stderr:
                    documents.join()
            written.writelines(output)
        if self._ended:
            raise EndedError
        seconds = time.monotonic() - began
        return Finished(exit_code=process.returncode, seconds=seconds, log=log, output="".join(output))

    def log(self, name: str) -> Path:
        """Return the log of the command that is named so."""
        return self._logs / f"demo-{name}.log"

    def end(self) -> None:
        """Kill every running command with all that it started; no further one begins.

        Nothing is asked to wind up: a rehearsal that does not reach its end is begun anew, with an empty cloud.
        """
        with self._lock:
            self._ended = True
            for pid in self._running:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process = psutil.Process(pid)
                    for member in [*process.children(recursive=True), process]:
                        with contextlib.suppress(psutil.NoSuchProcess):
                            member.kill()

    @contextlib.contextmanager
    def _started(self, command: tuple[str, ...], folder: Path, *, machine: bool) -> Generator[subprocess.Popen[str]]:
        with self._lock:
            if self._ended:
                raise EndedError
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=self._variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if machine else subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,  # Ctrl-C on the terminal comes to the rehearsal alone, which ends the commands
            )
            self._running.add(process.pid)
        try:
            with process:
                yield process
        finally:
            with self._lock:
                self._running.discard(process.pid)


def _collect(stream: IO[str], lines: list[str]) -> None:
    lines.extend(stream)
