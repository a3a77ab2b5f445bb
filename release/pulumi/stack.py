"""One Pulumi stack, driven through the `pulumi` on PATH.

The release is handed over in a temporary copy of the stack file (`--config-file`): `pulumi up -c` would write it into
the tracked one. The engine's events (`--json`) are shown as they come, and the last errors of a failed run end up in
the message. Ctrl-C reaches the engine, which finishes the resource in hand and releases its lock.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from components.environment import SERVICE
from release import yaml_file
from release.console import Console
from release.errors import ReleaseError, UsageError
from release.processes import is_alive
from release.pulumi.backend import backend_url
from release.pulumi.changes import UNCHANGED, UpdatePlan, detached, read
from release.uv_settings import path_with_uv, sources_only

CONFIG_KEY: Final = "sentiment-pipeline:release"
_NO_STACK: Final = 6
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
_LOCKED_BY = re.compile(r"created by (?P<user>\S+)@(?P<host>\S+) \(pid (?P<pid>\d+)\)")


class PulumiError(ReleaseError):
    """The engine ended with an error."""


class LockedError(PulumiError):
    """Another update holds the lock of the stack; `dead_own` if it was ours and its process is gone."""

    dead_own = False
    owners: tuple[tuple[str, int], ...] = ()
    """Host and process id of each lock, as the engine names them; empty when it named none."""


@dataclass(frozen=True, slots=True)
class ReleaseInput:
    """What the releaser tells the program about one release."""

    release: dict[str, Any]
    stable: dict[str, str]
    traffic: int
    confirmed: bool = False

    def as_config_value(self) -> str:
        """The stack config value: a JSON string."""
        document = {
            "release": self.release,
            "stable": self.stable,
            "traffic": self.traffic,
            "confirmed": self.confirmed,
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Preview:
    """What an update would do: `changes` are lines like `update aws:lambda/alias:Alias dashboard-live`."""

    changes: tuple[str, ...]


@dataclass(slots=True)
class _Finished:
    code: int
    document: str = ""
    errors: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))
    pending: tuple[str, ...] = ()
    changed: int = 0


class Stack:
    """The stack `name`, run with the program in the folder `program`."""

    def __init__(self, name: str, program: Path, console: Console, suffix: str = "") -> None:
        self.name = name
        self.suffix = suffix
        self.program = program
        self._console = console

    def up(
        self, hand_over: ReleaseInput, *, refresh: bool = False, message: str = "", targets: Sequence[str] = ()
    ) -> None:
        """Make the stack what the program says for `hand_over`: all of it, or only what has the URNs `targets`.

        What is not a target stays as it is; the outputs of the stack and its record are written all the same.

        Raises:
            PulumiError: The update failed; what it had done by then stays done.
        """
        flags = ["--yes", "--skip-preview", "--json", *(["--refresh"] if refresh else [])]
        named = [word for target in targets for word in ("--target", target)]
        finished = self._with_hand_over(
            ["up", *flags, *named, *(["--message", message] if message else [])], hand_over, self._show
        )
        if finished.code:
            raise self._failed("pulumi up", finished)

    def plan(self, hand_over: ReleaseInput, *, refresh: bool = False) -> UpdatePlan:
        """What `up` would do, classified. It changes nothing and takes no lock.

        Args:
            hand_over: What `up` would be handed.
            refresh: Compare with the cloud as it is now, not with the state. Needed where nothing has just proved that
                they agree: arming has, a failed update has not.

        Raises:
            PulumiError: The preview itself failed: nothing can be said.
        """
        arguments = ["preview", "--json", "--show-sames", *(["--refresh"] if refresh else [])]
        finished = self._with_hand_over(arguments, hand_over, None)
        try:
            plan = read(finished.document)
        except ValueError as error:
            finished.errors.extend([*preview_errors(parsed(finished.document)), str(error)])
            raise self._failed("pulumi preview", finished) from error
        # The engine fails where something protected would go; that is a plan as well, and `refuse` says what to do.
        if finished.code and not any(step.protected for step in plan.destructive):
            finished.errors.extend(preview_errors(parsed(finished.document)))
            raise self._failed("pulumi preview", finished)
        return plan

    def expand(self, hand_over: ReleaseInput, plan: UpdatePlan, *, message: str = "") -> None:
        """Do all of a plan but its destructive steps: expand, then contract. The lease must be held.

        A full `up` of the same hand-over is the contraction.

        Args:
            hand_over: What the plan was made for.
            plan: What `plan` said.
            message: Kept by Pulumi with the update.

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
        self.up(hand_over, message=message, targets=targets)

    def preview(self, hand_over: ReleaseInput) -> Preview:
        """What `up` would change, against the cloud as it is now (`--refresh`). Asking by mail again does not count.

        Raises:
            PulumiError: The preview itself failed: nothing can be said.
        """
        arguments = ["preview", "--json", "--refresh", "--expect-no-changes"]
        finished = self._with_hand_over(arguments, hand_over, None)
        if finished.code == 0:
            return Preview(())
        steps = parsed(finished.document).get("steps", [])
        mails = [step for step in steps if _asks_by_mail_again(step)]
        changes = _changes(step for step in steps if step not in mails)
        if finished.code == _CHANGES and mails and not changes:
            return Preview(())
        # The code of a violated expectation alone proves nothing: a wrapper could use it too.
        if finished.code == _CHANGES or (changes and not preview_errors(parsed(finished.document))):
            return Preview(changes or ("changes that the engine did not list",))
        finished.errors.extend(preview_errors(parsed(finished.document)))
        raise self._failed("pulumi preview", finished)

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs; secret ones read "[secret]"."""
        finished = self._run(["stack", "output", "--json", "--stack", self.name], None)
        if finished.code:
            raise self._failed("pulumi stack output", finished)
        return json.loads(finished.document or "{}")

    def export(self) -> bytes:
        """The stack's checkpoint, its secrets encrypted."""
        finished = self._run(["stack", "export", "--stack", self.name], None)
        if finished.code:
            raise self._failed("pulumi stack export", finished)
        return finished.document.encode()

    def import_state(self, deployment: bytes) -> None:
        """Replace the stack's checkpoint. The engine takes the lock, checks the references and drops what is pending.

        Raises:
            PulumiError: The engine does not take it; the checkpoint is as it was.
        """
        with tempfile.TemporaryDirectory(prefix="release-") as folder:
            file = Path(folder) / "checkpoint.json"
            file.touch(mode=0o600)
            file.write_bytes(deployment)
            finished = self._run(["stack", "import", "--file", str(file), "--stack", self.name], None)
        if finished.code:
            raise self._failed("pulumi stack import", finished)

    def cancel(self) -> None:
        """Remove the locks of the stack. Only for a lock that is known to be ours and dead: it asks nobody."""
        finished = self._run(["cancel", "--yes", "--stack", self.name], None)
        if finished.code:
            raise self._failed("pulumi cancel", finished)

    def _with_hand_over(self, arguments: list[str], hand_over: ReleaseInput, show: _Show | None) -> _Finished:
        with tempfile.TemporaryDirectory(prefix="release-") as folder:
            copy = Path(folder) / f"Pulumi.{self.name}.yaml"
            copy.write_text(self._stack_file_with(hand_over), encoding="utf-8")
            return self._run([*arguments, "--stack", self.name, "--config-file", str(copy)], show)

    def _stack_file_with(self, hand_over: ReleaseInput) -> str:
        tracked = self.program / f"Pulumi.{self.name}.yaml"
        try:
            document = yaml_file.read(tracked) or {}
        except FileNotFoundError:
            raise UsageError(
                f"there is no stack {self.name}: {tracked.name} is missing",
                why=f"looked in {self.program}",
                next_step="use --stack preprod or --stack prod, inside a clone of the repository",
            ) from None
        except yaml_file.YamlError as error:
            raise ReleaseError(f"{tracked.name} is not YAML", why=str(error), next_step="repair the file") from error
        if not isinstance(document, dict) or not isinstance(document.get("config") or {}, dict):
            raise UsageError(
                f"{tracked.name} holds no settings", next_step="it needs a `config:` with one line per setting"
            )
        document["config"] = (document.get("config") or {}) | {CONFIG_KEY: hand_over.as_config_value()}
        return yaml_file.write(document)

    def _run(self, arguments: list[str], show: _Show | None) -> _Finished:
        command = ["pulumi", *arguments, "--non-interactive", "--color", "never"]
        finished = _Finished(code=-1)
        try:
            # A session of its own: Ctrl-C on the terminal comes to us alone, and we pass it on exactly once.
            process = subprocess.Popen(
                command,
                cwd=self.program,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
                # Where the state lies follows from the stack's name, unless the environment says otherwise.
                env={
                    "PULUMI_BACKEND_URL": backend_url(self.name, self.suffix),
                    **sources_only(os.environ),
                    **SERVICE,
                    "PULUMI_SKIP_UPDATE_CHECK": "true",
                    "PATH": path_with_uv(os.environ),
                },
                start_new_session=True,
            )
        except FileNotFoundError:
            raise ReleaseError(
                "there is no `pulumi` on the PATH",
                why="releases are rolled out by the Pulumi engine",
                next_step="install Pulumi, or run this inside `localcloud run -- ...`",
            ) from None
        assert process.stdout is not None  # noqa: S101 -- for the type checker: both are pipes
        assert process.stderr is not None  # noqa: S101
        complaints = threading.Thread(target=_collect, args=(process.stderr, finished.errors), daemon=True)
        complaints.start()
        try:
            if show is None:
                finished.document = process.stdout.read()
            else:
                for line in process.stdout:
                    show(line, finished)
            finished.code = process.wait()
        except KeyboardInterrupt:
            self._console.warn("interrupted: asking pulumi to end (it finishes the resource in hand)")
            _end(process, process.stdout)
            raise
        finally:
            complaints.join(timeout=5)
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
            if metadata["op"] in _DOING:
                finished.changed += 1
                self._console.detail(f"{'✗' if failed else _DOING[metadata['op']]} {_short(metadata)}")
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

    def _failed(self, what: str, finished: _Finished) -> ReleaseError:
        said = _last_words(finished.errors) or "it gave no reason"
        if finished.code == _NO_STACK or "no stack named" in said:
            return ReleaseError(
                f"{what}: there is no stack {self.name} in the state backend",
                why=said,
                next_step=f"an administrator makes it once: pulumi stack init {self.name}",
            )
        if "currently locked by" in said:
            error = LockedError(
                f"{what}: another update holds the lock of stack {self.name}",
                why=said,
                next_step=f"wait for it; if it has died: pulumi cancel --stack {self.name}",
            )
            owners = _LOCKED_BY.finditer("\n".join(finished.errors))
            error.owners = tuple((owner["host"], int(owner["pid"])) for owner in owners)
            error.dead_own = bool(error.owners) and all(
                host == socket.gethostname() and not is_alive(pid) for host, pid in error.owners
            )
            return error
        failed = f"{what} of stack {self.name} failed (exit code {finished.code})"
        return PulumiError(failed, why=said, next_step=self._advice(finished))

    def _advice(self, finished: _Finished) -> str:
        if not finished.pending:
            return ""
        return (
            f"an earlier update was killed while {', '.join(finished.pending)}. See which of these exist in AWS; "
            f"pulumi refresh --stack {self.name} settles all but creations"
        )


_Show = Callable[[str, _Finished], None]


def _collect(stream: Any, lines: deque[str]) -> None:
    for line in stream:
        if line.strip():
            lines.append(line.rstrip())


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


def _short(metadata: dict[str, Any]) -> str:
    return f"{metadata.get('type', '')} {metadata.get('urn', '').rsplit('::', 1)[-1]}"


def parsed(document: str) -> dict[str, Any]:
    """The engine's JSON document; empty where it wrote none."""
    try:
        found = json.loads(document)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _changes(steps: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    lines = []
    for step in steps:
        state = step.get("newState") or step.get("oldState") or {}
        if step.get("op") not in UNCHANGED:
            properties = ", ".join(sorted(step.get("detailedDiff") or {}))
            name = step.get("urn", "").rsplit("::", 1)[-1]
            lines.append(f"{step['op']} {state.get('type', '')} {name}" + (f" ({properties})" if properties else ""))
    return tuple(lines)


def _asks_by_mail_again(step: dict[str, Any]) -> bool:
    """Whether SNS has dropped a subscription that nobody confirmed, or whose owner has left: no fault of a release."""
    state = step.get("newState") or {}
    mail = (state.get("inputs") or {}).get("protocol") == "email"
    return mail and step.get("op") == "create" and state.get("type") == "aws:sns/topicSubscription:TopicSubscription"


def preview_errors(document: Mapping[str, Any]) -> list[str]:
    """What went wrong in a preview, as the engine's document says it."""
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
