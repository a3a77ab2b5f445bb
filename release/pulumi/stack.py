"""One Pulumi stack, driven through the `pulumi` on PATH.

The release is handed over in a temporary copy of the stack file (`--config-file`): `pulumi up -c` would write it into
the tracked one. The engine's events (`--json`) are shown as they come, and the last errors of a failed run end up in
the message. Ctrl-C reaches the engine, which finishes the resource in hand and releases its lock.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import IO, Any, Final

from components.environment import SERVICE
from release import yaml_file
from release.canonical import canonical_json
from release.console import Console
from release.errors import ReleaseError
from release.pulumi import child, engine, stack_config
from release.pulumi.backend import backend_url
from release.pulumi.changes import UpdatePlan, UpdateStep, classify, detached, read
from release.pulumi.child import BEAT, GO
from release.pulumi.locks import LockedError, PulumiError, StackLocks
from release.uv_settings import for_the_engine, path_with_uv

CONFIG_KEY: Final = "sentiment-pipeline:release"
_CHILD: Final = child.__file__
SILENCE_S: Final = 30
"""The engine is killed when we hang for so long: GitHub takes minutes to give a runner up, and then another may act."""
_NO_STACK: Final = 6
_SUBSCRIPTION: Final = "aws:sns/topicSubscription:TopicSubscription"
_CHANGES: Final = 7
_KEPT_LINES: Final = 12
_DOING: Final = {
    "create": "+",
    "update": "~",
    "delete": "-",
    "replace": "±",
    "create-replacement": "±",
    "delete-replaced": "-",
}
_INTERRUPTED = re.compile(r"^\s*\* (?P<urn>\S+), interrupted while (?P<doing>.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ReleaseInput:
    """What the releaser tells the program about one release."""

    release: dict[str, Any]
    stable: dict[str, str]
    traffic: int
    confirmed: bool = False

    def as_config_value(self) -> str:
        """The stack config value: a JSON string."""
        return canonical_json(asdict(self)).decode()


@dataclass(slots=True)
class _Finished:
    code: int
    document: str = ""
    errors: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))
    pending: tuple[str, ...] = ()


class Stack:
    """The stack `name`, run with the program in the folder `program`.

    Before a command that changes something, the `locks` that dead engines of ours have left are removed, and the engine
    is listed with the lease, which fails for who has lost it.
    """

    def __init__(
        self,
        name: str,
        program: Path,
        console: Console,
        suffix: str = "",
        *,
        locks: StackLocks | None = None,
    ) -> None:
        self.name = name
        self.suffix = suffix
        self.program = program
        self._console = console
        self._locks = locks

    def up(
        self, release: ReleaseInput, *, refresh: bool = False, message: str = "", targets: Sequence[str] = ()
    ) -> None:
        """Make the stack what the program says for `release`: all of it, or only what has the URNs `targets`.

        What is not a target stays as it is; the outputs of the stack and its record are written all the same.

        Raises:
            LockedError: The lock is another run's, or nobody can tell whose: it is left alone.
            PulumiError: The update failed; what it had done by then stays done.
        """
        # An update that died may have done more than the state says.
        died = self._clear_locks()
        self._up(release, refresh or (died and not targets), message, targets)

    def _up(self, release: ReleaseInput, refresh: bool, message: str, targets: Sequence[str]) -> None:
        flags = ["--yes", "--skip-preview", "--json", *(["--refresh"] if refresh else [])]
        flags += [word for target in targets for word in ("--target", target)]
        self._checked(["up", *flags, *(["--message", message] if message else [])], release, self._show, changes=True)

    def plan(self, release: ReleaseInput, *, refresh: bool = False) -> UpdatePlan:
        """Return what `up` would do, classified. It changes nothing and takes no lock.

        With `refresh` it compares with the cloud as it is now. That is needed where nothing has just proved that state
        and cloud agree: arming has, a failed update has not.

        Raises:
            PulumiError: The preview itself failed.
        """
        finished = self._run(["preview", "--json", "--show-sames", *(["--refresh"] if refresh else [])], release)
        try:
            plan = read(finished.document)
        except ValueError as error:
            raise self._preview_failed(finished, str(error)) from error
        # The engine fails where something protected would go; that is a plan as well, and `refuse` says what to do.
        if finished.code and not any(step.protected for step in plan.destructive):
            raise self._preview_failed(finished)
        return plan

    def expand(self, release: ReleaseInput, plan: UpdatePlan, *, message: str = "", refresh: bool = False) -> None:
        """Do all of a plan but its destructive steps: expand, then contract. The lease must be held.

        A full `up` of the same release is the contraction.

        Raises:
            PulumiError: The update failed; what it had done by then stays done.
        """
        targets = plan.targets()
        if plan.destructive and not targets:
            raise PulumiError(
                f"stack {self.name} has no record, so nothing can be left out of an update",
                why="every step of the plan is destructive",
            )
        if targets and (cut := detached(self.export(), plan.deleted)):
            self.import_state(cut)
        self.up(release, message=message, targets=targets, refresh=refresh)

    def preview(self, release: ReleaseInput) -> tuple[str, ...]:
        """Return what `up` would change in the cloud as it is now, as `update aws:lambda/alias:Alias dashboard-live`.

        Asking by mail again does not count.

        Raises:
            PulumiError: The preview itself failed.
        """
        finished = self._run(["preview", "--json", "--refresh", "--expect-no-changes"], release)
        if finished.code == 0:
            return ()
        document = parsed(finished.document)
        steps = classify(document).steps if document.get("steps") else ()
        changes = tuple(str(step) for step in steps if not _asks_by_mail_again(step))
        if finished.code == _CHANGES and steps and not changes:
            return ()
        # The code of a violated expectation alone proves nothing: a wrapper could use it too.
        if finished.code == _CHANGES or (changes and not preview_errors(document)):
            return changes or ("changes that the engine did not list",)
        raise self._preview_failed(finished)

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs; secret ones read "[secret]"."""
        return json.loads(self._checked(["stack", "output", "--json"]) or "{}")

    def export(self) -> bytes:
        """Return the stack's checkpoint, its secrets encrypted."""
        return self._checked(["stack", "export"]).encode()

    def import_state(self, deployment: bytes) -> None:
        """Replace the stack's checkpoint. The engine takes the lock, checks the references and drops what is pending.

        Raises:
            LockedError: The lock is another run's, or nobody can tell whose: it is left alone.
            PulumiError: The engine does not take it; the checkpoint is as it was.
        """
        self._clear_locks()
        self._import(deployment)

    def _import(self, deployment: bytes) -> None:
        with tempfile.TemporaryDirectory(prefix="release-") as folder:
            file = Path(folder) / "checkpoint.json"
            file.touch(mode=0o600)
            file.write_bytes(deployment)
            self._checked(["stack", "import", "--file", str(file)], changes=True)

    def _clear_locks(self) -> bool:
        return self._locks is not None and self._locks.clear()

    def _checked(
        self,
        arguments: list[str],
        release: ReleaseInput | None = None,
        show: _Show | None = None,
        *,
        changes: bool = False,
    ) -> str:
        """Return what a command of the engine wrote; raise what it says where it failed."""
        finished = self._run(arguments, release, show, changes=changes)
        if finished.code:
            words = takewhile(lambda word: not word.startswith("-"), arguments)
            raise self._failed(f"pulumi {' '.join(words)}", finished)
        return finished.document

    def _run(
        self,
        arguments: list[str],
        release: ReleaseInput | None = None,
        show: _Show | None = None,
        *,
        changes: bool = False,
    ) -> _Finished:
        with tempfile.TemporaryDirectory(prefix="release-") as folder:
            if release is not None:
                copy = Path(folder) / f"Pulumi.{self.name}.yaml"
                copy.write_text(self._stack_file_with(release), encoding="utf-8")
                arguments = [*arguments, "--config-file", str(copy)]
            return self._engine([*arguments, "--stack", self.name], show, changes=changes)

    def _stack_file_with(self, release: ReleaseInput) -> str:
        document = stack_config.document(self.program / f"Pulumi.{self.name}.yaml")
        return yaml_file.write(document | {"config": document["config"] | {CONFIG_KEY: release.as_config_value()}})

    def _engine(self, arguments: list[str], show: _Show | None, *, changes: bool) -> _Finished:
        finished, begun = _Finished(code=-1), False
        path = path_with_uv(os.environ)
        if (pulumi := shutil.which("pulumi", path=path)) is None:
            raise engine.missing()
        child = [sys.executable, "-I", "-S", _CHILD, str(os.getpid()), str(SILENCE_S), str(Path(pulumi).absolute())]
        # A session of its own: Ctrl-C on the terminal comes to us alone, and we pass it on exactly once.
        process = subprocess.Popen(
            [*child, *arguments, "--non-interactive", "--color", "never"],
            cwd=self.program,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.PIPE,
            text=True,
            errors="replace",
            # Where the state lies follows from the stack's name, unless the environment says otherwise.
            env={
                "PULUMI_BACKEND_URL": backend_url(self.name, self.suffix),
                **for_the_engine(os.environ),
                **SERVICE,
                "PULUMI_SKIP_UPDATE_CHECK": "true",
                "PATH": path,
            },
            start_new_session=True,
        )
        assert process.stdout is not None  # noqa: S101 -- for the type checker: all three are pipes
        assert process.stderr is not None  # noqa: S101
        assert process.stdin is not None  # noqa: S101
        complaints = threading.Thread(target=_collect, args=(process.stderr, finished.errors), daemon=True)
        complaints.start()
        try:
            if changes and self._locks is not None:
                self._locks.lease.note_engine(process.pid)
            begun = True
            threading.Thread(target=_beat, args=(process, process.stdin), daemon=True).start()
            if show is None:
                finished.document = process.stdout.read()
            else:
                for line in process.stdout:
                    show(line, finished)
            finished.code = process.wait()
        except BaseException as error:
            # Whatever stops us, the engine must not go on without us.
            try:
                if begun:
                    self._console.warn(f"{_why(error)}: asking pulumi to end (it finishes the resource in hand)")
                else:
                    process.stdin.close()  # the first word never comes: it ends, even if it misses the signal
            finally:
                _end(process, process.stdout)
            raise
        finally:
            complaints.join(timeout=5)
            process.stdin.close()
            process.stdout.close()
            process.stderr.close()
        return finished

    def _show(self, line: str, finished: _Finished) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            if line.strip():
                self._console.detail(line.rstrip())
            return
        if "resourcePreEvent" in event or "resOpFailedEvent" in event:
            failed = "resOpFailedEvent" in event
            metadata = (event.get("resOpFailedEvent") or event["resourcePreEvent"])["metadata"]
            if sign := _DOING.get(metadata["op"]):
                name = metadata.get("urn", "").rsplit("::", 1)[-1]
                self._console.detail(f"{'✗' if failed else sign} {metadata.get('type', '')} {name}")
        elif "diagnosticEvent" in event:
            diagnostic = event["diagnosticEvent"]
            text = diagnostic.get("message", "").strip()
            severity = diagnostic.get("severity", "")
            if interrupted := tuple(f"{found['doing']} {found['urn']}" for found in _INTERRUPTED.finditer(text)):
                finished.pending = interrupted
            if severity.startswith("error") or (severity == "info#err" and text.startswith("error:")):
                urn = diagnostic.get("urn", "").rsplit("::", 1)[-1]
                finished.errors.append(f"{urn}: {text}" if urn else text)
            if severity.startswith(("error", "warning")):
                self._console.detail(text.splitlines()[-1] if text else "")

    def _preview_failed(self, finished: _Finished, *more: str) -> ReleaseError:
        finished.errors.extend([*preview_errors(parsed(finished.document)), *more])
        return self._failed("pulumi preview", finished)

    def _failed(self, what: str, finished: _Finished) -> ReleaseError:
        said = _last_words(finished.errors) or "it gave no reason"
        if finished.code == _NO_STACK or "no stack named" in said:
            return ReleaseError(
                f"{what}: there is no stack {self.name} in the state backend",
                why=said,
                next_step=f"an administrator makes it once: pulumi stack init {self.name}",
            )
        if "currently locked by" in said:
            return LockedError(
                f"{what}: another update holds the lock of stack {self.name}",
                why=said,
                next_step="wait for it, then try again",
            )
        advice = ""
        if killed := ", ".join(finished.pending):
            advice = (
                f"an earlier update was killed while {killed}. See which of these exist in AWS; "
                f"pulumi refresh --stack {self.name} settles all but creations"
            )
        return PulumiError(
            f"{what} of stack {self.name} failed (exit code {finished.code})", why=said, next_step=advice
        )


_Show = Callable[[str, _Finished], None]


def _collect(stream: Any, lines: deque[str]) -> None:
    for line in stream:
        if line.strip():
            lines.append(line.rstrip())


def _beat(process: subprocess.Popen[str], word: IO[str]) -> None:
    """Let the engine begin, and tell every second that we are at work."""
    with suppress(OSError, ValueError):  # the engine has ended
        word.write(GO)
        while process.poll() is None:
            word.write(BEAT)
            word.flush()
            time.sleep(1)


def _why(error: BaseException) -> str:
    return "interrupted" if isinstance(error, KeyboardInterrupt) else type(error).__name__


def _end(process: subprocess.Popen[str], stdout: Any) -> None:
    """Pass one interrupt on and wait for the engine; a second Ctrl-C makes it stop at once."""
    # Read on, or the engine blocks on a full pipe while it winds up.
    drain = threading.Thread(target=stdout.read, daemon=True)
    drain.start()
    while process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGINT)
            process.wait()
        except KeyboardInterrupt:
            time.sleep(0.2)
        except ProcessLookupError:
            process.wait()
    drain.join(timeout=5)


def parsed(document: str) -> dict[str, Any]:
    """The engine's JSON document; empty where it wrote none."""
    try:
        found = json.loads(document)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _asks_by_mail_again(step: UpdateStep) -> bool:
    """Return whether SNS has dropped a subscription that nobody confirmed, or whose owner has left."""
    return (step.op, step.input("protocol"), step.type) == ("create", "email", _SUBSCRIPTION)


def preview_errors(document: Mapping[str, Any]) -> list[str]:
    """Return what went wrong in a preview, as the engine's document says it."""
    texts = [
        (entry.get("severity", ""), entry.get("message", "").strip()) for entry in document.get("diagnostics") or ()
    ]
    # What a program raises comes as `info#err`, its first line beginning with "error:".
    return [text for severity, text in texts if severity.startswith("error") or text.startswith("error:")]


def _last_words(errors: Sequence[str]) -> str:
    """The errors, each once, without the frames of Python tracebacks."""
    seen: dict[str, None] = {}
    for error in errors:
        lines = [line for line in error.splitlines() if line.strip() and not line.startswith((" ", "Traceback"))]
        seen.setdefault("; ".join(line.strip() for line in lines[-4:]), None)
    return " | ".join(text for text in seen if text)[-1500:]
