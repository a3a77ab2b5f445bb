"""Sandboxes: processes that run a function version, each with its own Lambda Runtime API on loopback."""

import asyncio
import contextlib
import json
import logging
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from localcloud.habits import COLD_STARTS, Habits
from localcloud.lambdas.rules import MAX_SYNC_PAYLOAD
from localcloud.lambdas.store import Snapshot

_LOG = logging.getLogger(__name__)
_LAUNCHER = Path(__file__).with_name("launcher.py")
_PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
_INIT_LIMIT = 10.0
_PER_VERSION = 10
_KEPT_IDLE = 16
_COST_AT_MB = 256


@dataclass(frozen=True, slots=True)
class Invocation:
    """One invocation as the function sees it."""

    request_id: str
    arn: str
    payload: bytes


@dataclass(slots=True)
class InvocationResult:
    """What an invocation came to. `failed` means a function error; durations are milliseconds."""

    payload: bytes
    failed: bool
    duration: float = 0.0
    log: list[tuple[int, str]] = field(default_factory=list)
    log_stream: str = ""


def make_runtime_folder(data: Path) -> Path:
    """Copy the runtime interface client and what it needs, and nothing else of our environment, under `data`."""
    version = metadata.version("awslambdaric")
    folder = data / f"runtime-{version}-{_PYTHON}"
    if folder.exists():
        return folder
    scratch = Path(tempfile.mkdtemp(dir=data, prefix=".runtime"))
    for name in _with_requirements("awslambdaric"):
        for file in metadata.files(name) or []:
            source = Path(str(file.locate()))
            if ".." not in file.parts and source.is_file() and source.suffix != ".pyc":
                target = scratch / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
    scratch.chmod(0o755)
    scratch.rename(folder)
    return folder


def _with_requirements(name: str) -> Iterable[str]:
    found, open_names = set(), [name]
    while open_names:
        current = open_names.pop()
        found.add(current)
        for requirement in metadata.requires(current) or []:
            match = re.match(r"[\w.-]+", requirement)
            if match and ";" not in requirement and match[0] not in found:
                open_names.append(match[0])
    return sorted(found)


class Sandbox:
    """One process of one version. It answers one call at a time and is kept warm in between."""

    def __init__(self, snapshot: Snapshot, code: Path, runtime: Path, data: Path, host: Mapping[str, str]) -> None:
        self._snapshot = snapshot
        self._code = code
        self._runtime = runtime
        self._data = data
        self._host = host
        self.log_stream = f"{datetime.now(UTC):%Y/%m/%d}/[{snapshot.version}]{uuid.uuid4().hex}"
        self.usable = True
        self.idle_since = 0.0
        self._calls: asyncio.Queue[Invocation] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = loop.create_future()
        self._init_failed: asyncio.Future[bytes] = loop.create_future()
        self._answer: asyncio.Future[tuple[bool, bytes]] = loop.create_future()
        self._current = ""
        self._log: list[tuple[int, str]] = []
        self._unfinished_line = b""
        self._cold_since: float | None = None
        self._serving: set[asyncio.Task] = set()

    @property
    def alive(self) -> bool:
        """Whether it can take another call."""
        return self.usable and self._process.returncode is None

    async def start(self) -> None:
        """Start the process; it initialises while the first call waits."""
        self._cold_since = time.perf_counter()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 16)
        self._tmp = Path(tempfile.mkdtemp(dir=self._data / "tmp"))
        self._output, write_end = os.pipe()
        os.set_blocking(self._output, False)
        asyncio.get_running_loop().add_reader(self._output, self._read_output)
        try:
            self._process = await asyncio.create_subprocess_exec(
                # The base interpreter without site-packages: nothing of the project's own environment is importable.
                getattr(sys, "_base_executable", sys.executable),
                *("-I", "-S", "-X", f"pycache_prefix={self._data / 'pycache'}", str(_LAUNCHER)),
                stdin=asyncio.subprocess.PIPE,
                stdout=write_end,
                stderr=write_end,
                cwd=self._code,
                env=self._environment(),
                start_new_session=True,
            )
        finally:
            os.close(write_end)
        self._exited = asyncio.create_task(self._process.wait())

    def _environment(self) -> dict[str, str]:
        settings = self._snapshot.settings
        port = self._server.sockets[0].getsockname()[1]
        own = {
            "_HANDLER": settings["Handler"],
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{settings['Runtime']}",
            "AWS_LAMBDA_FUNCTION_NAME": self._snapshot.function,
            "AWS_LAMBDA_FUNCTION_VERSION": self._snapshot.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(settings["MemorySize"]),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": self._snapshot.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": self.log_stream,
            "AWS_LAMBDA_LOG_FORMAT": "Text",
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}",
            "LAMBDA_TASK_ROOT": str(self._code),
            "LAMBDA_RUNTIME_DIR": str(self._runtime),
            "AWS_SESSION_TOKEN": settings["Role"],  # whose rights it has: localcloud/aws/rights.py reads it
        }
        defaults = {"TMPDIR": str(self._tmp), "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": ":UTC"}
        return {**defaults, **self._host, **self._snapshot.variables, **own}

    async def invoke(self, call: Invocation) -> InvocationResult:
        """Run one call to its end: an answer, a function error, a time-out or the death of the process."""
        cold = self._cold_since is not None
        self._current = call.request_id
        self._answer = asyncio.get_running_loop().create_future()
        self._calls.put_nowait(call)
        endings: list[asyncio.Future] = [self._init_failed, self._exited]
        if cold:
            # AWS gives initialisation ten seconds of its own; whatever it needs beyond counts as the call's time.
            await asyncio.wait([self._ready, *endings], timeout=_INIT_LIMIT, return_when=asyncio.FIRST_COMPLETED)
        init = (time.perf_counter() - self._cold_since) * 1000 if self._cold_since is not None else None
        self._cold_since = None
        limit = self._snapshot.settings["Timeout"]
        started, started_at = time.perf_counter(), time.time()
        await asyncio.wait([self._answer, *endings], timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        duration = (time.perf_counter() - started) * 1000
        if self._answer.done():
            failed, payload = self._answer.result()
        else:
            self.usable = False
            failed, payload, duration = True, *self._ending(call, duration)
        self._read_output()
        if self._unfinished_line:
            self._log.append((_now(), _text(self._unfinished_line)))
            self._unfinished_line = b""
        lines, self._log = self._log, []
        start, end = _platform_lines(self._snapshot, call.request_id, duration, init)
        log = [(int(started_at * 1000), start), *lines, *((_now(), line) for line in end)]
        return InvocationResult(payload, failed, duration, log, self.log_stream)

    def _ending(self, call: Invocation, duration: float) -> tuple[bytes, float]:
        """Payload and duration of a call that got no answer."""
        prefix = f"RequestId: {call.request_id} Error: "
        if self._init_failed.done():
            return self._init_failed.result(), duration
        if self._exited.done():
            code = self._exited.result()
            why = "Runtime exited without providing a reason"
            if code < 0:
                why = f"Runtime exited with error: signal: {str(signal.strsignal(-code)).lower()}"
            elif code:
                why = f"Runtime exited with error: exit status {code}"
            return _error("Runtime.ExitError", prefix + why), duration
        limit = float(self._snapshot.settings["Timeout"])
        text = f"Task timed out after {limit:.2f} seconds"
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._log.append((_now(), f"{now} {call.request_id} {text}"))
        return _error("Sandbox.Timedout", prefix + text), limit * 1000

    def _read_output(self) -> None:
        """Take over what the function has printed so far."""
        if self._output < 0:
            return
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._output, 1 << 16):
                *lines, self._unfinished_line = (self._unfinished_line + chunk).split(b"\n")
                for line in lines:
                    self._log.append((_now(), _text(line)))
            self._close_output()

    def _close_output(self) -> None:
        if self._output >= 0:
            asyncio.get_running_loop().remove_reader(self._output)
            os.close(self._output)
            self._output = -1

    async def close(self) -> None:
        """End the process and everything it started."""
        self.usable = False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._exited
        self._server.close()
        for task in self._serving:
            task.cancel()
        self._close_output()
        shutil.rmtree(self._tmp, ignore_errors=True)

    # The Runtime API: the few requests that the runtime interface client makes

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        try:
            while request := await _read_request(reader):
                method, path, body = request
                await self._route(method, path.removeprefix("/2018-06-01/runtime"), body, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def _route(self, method: str, path: str, body: bytes, writer: asyncio.StreamWriter) -> None:
        if method == "GET" and path == "/invocation/next":
            if not self._ready.done():
                self._ready.set_result(None)
            call = await self._calls.get()
            _write(writer, 200, call.payload, self._headers(call))
        elif path == "/init/error":
            if not self._init_failed.done():
                self._init_failed.set_result(body)
            _write(writer, 202, b"{}")
        elif path == f"/invocation/{self._current}/response" and len(body) > MAX_SYNC_PAYLOAD:
            text = (
                f"Response payload size ({len(body)} bytes) exceeded maximum allowed payload size "
                f"({MAX_SYNC_PAYLOAD} bytes)."
            )
            self._settle(failed=True, payload=_error("Function.ResponseSizeTooLarge", text))
            # The client raises on any other status, and the sandbox would be lost; AWS keeps it as well.
            _write(writer, 202, b"{}")
        elif path == f"/invocation/{self._current}/response":
            self._settle(failed=False, payload=body)
            _write(writer, 202, b"{}")
        elif path == f"/invocation/{self._current}/error":
            self._settle(failed=True, payload=body)
            _write(writer, 202, b"{}")
        else:
            _LOG.warning("the Runtime API has no %s %s (or that call is over)", method, path)
            _write(writer, 404, b"{}")
        await writer.drain()

    def _headers(self, call: Invocation) -> dict[str, str]:
        deadline = int((time.time() + self._snapshot.settings["Timeout"]) * 1000)
        return {
            "Lambda-Runtime-Aws-Request-Id": call.request_id,
            "Lambda-Runtime-Deadline-Ms": str(deadline),
            "Lambda-Runtime-Invoked-Function-Arn": call.arn,
            "Lambda-Runtime-Trace-Id": f"Root=1-{int(time.time()):08x}-{call.request_id.replace('-', '')[:24]}",
        }

    def _settle(self, *, failed: bool, payload: bytes) -> None:
        if not self._answer.done():
            self._answer.set_result((failed, payload))


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, str, bytes] | None:
    """One HTTP request: method, path and body; None when the peer has closed the connection.

    The runtime interface client always says how long a body is, and waits for no permission to send it.
    """
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    method, path, _ = head.split("\r\n", 1)[0].split(" ", 2)
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:] if line)
    }
    return method, path, await reader.readexactly(int(headers.get("content-length") or 0))


def _write(writer: asyncio.StreamWriter, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
    lines = [f"HTTP/1.1 {status} {'OK' if status < 300 else 'No'}", "Content-Type: application/json"]  # noqa: PLR2004
    lines += [f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)


def _platform_lines(
    snapshot: Snapshot, request_id: str, duration: float, init: float | None
) -> tuple[str, tuple[str, str]]:
    """Return the lines that Lambda itself writes before and after a call; times are milliseconds."""
    billed = int(duration + (init or 0)) + 1
    report = (
        f"REPORT RequestId: {request_id}\tDuration: {duration:.2f} ms\tBilled Duration: {billed} ms\t"
        f"Memory Size: {snapshot.settings['MemorySize']} MB\t"
    )
    if init is not None:
        report += f"Init Duration: {init:.2f} ms\t"
    return f"START RequestId: {request_id} Version: {snapshot.version}", (f"END RequestId: {request_id}", report)


def _error(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def _text(line: bytes) -> str:
    # The runtime interface client joins the lines of one message with carriage returns.
    return line.decode(errors="replace").rstrip("\r").replace("\r", "\n")


def _now() -> int:
    return int(time.time() * 1000)


class _Fleet:
    """The sandboxes of one version."""

    def __init__(self) -> None:
        self.idle: list[Sandbox] = []
        self.places = asyncio.Semaphore(_PER_VERSION)
        self.retired = False


class Pool:
    """Runs calls in warm or new sandboxes, a few at a time for each version.

    Args:
        data: folder for the runtime, unpacked code and scratch files.
        host: environment that every sandbox gets: the addresses of the local cloud and made-up credentials.
        habits: whether a new sandbox costs time.
    """

    def __init__(self, data: Path, host: Mapping[str, str], habits: Habits) -> None:
        self._data = data
        self._host = host
        self._habits = habits
        self._runtime = make_runtime_folder(data)
        # What sandboxes of a killed service left behind.
        shutil.rmtree(data / "tmp", ignore_errors=True)
        (data / "tmp").mkdir()
        self._fleets: dict[str, _Fleet] = {}
        self._closing: set[asyncio.Task] = set()

    async def run(self, snapshot: Snapshot, code: Path, call: Invocation) -> InvocationResult:
        """Run one call of this version; more than a few at a time wait for a free sandbox."""
        if snapshot.settings["Runtime"] != _PYTHON:
            text = (
                f"The local Lambda service runs {_PYTHON} only, and this function wants {snapshot.settings['Runtime']}"
            )
            return InvocationResult(_error("Runtime.InvalidRuntime", text), failed=True)
        fleet = self._fleets.setdefault(snapshot.revision_id, _Fleet())
        async with fleet.places:
            sandbox = await self._ready_sandbox(fleet, snapshot, code)
            try:
                return await sandbox.invoke(call)
            finally:
                sandbox.idle_since = time.monotonic()
                if sandbox.alive and not fleet.retired:
                    fleet.idle.append(sandbox)
                    self._end_oldest()
                else:
                    self._end(sandbox)

    async def _ready_sandbox(self, fleet: _Fleet, snapshot: Snapshot, code: Path) -> Sandbox:
        while fleet.idle:
            sandbox = fleet.idle.pop()
            if sandbox.alive:
                return sandbox
            self._end(sandbox)
        sandbox = Sandbox(snapshot, code, self._runtime, self._data, self._host)
        await sandbox.start()
        cost = self._habits.seconds(COLD_STARTS, f"{snapshot.function}/{snapshot.version}")
        await asyncio.sleep(cost * _COST_AT_MB / snapshot.settings["MemorySize"])
        return sandbox

    def retire(self, snapshot: Snapshot) -> None:
        """End the sandboxes of a version that no longer exists; a running call still gets its answer."""
        self._retire(snapshot.revision_id)

    def _retire(self, revision: str) -> None:
        if fleet := self._fleets.pop(revision, None):
            fleet.retired = True
            while fleet.idle:
                self._end(fleet.idle.pop())

    def _end_oldest(self) -> None:
        """End the sandboxes that nobody has called for longest, beyond a number."""
        idle = [(fleet, sandbox) for fleet in self._fleets.values() for sandbox in fleet.idle]
        for fleet, sandbox in sorted(idle, key=lambda one: one[1].idle_since)[:-_KEPT_IDLE]:
            fleet.idle.remove(sandbox)
            self._end(sandbox)

    def _end(self, sandbox: Sandbox) -> None:
        task = asyncio.create_task(sandbox.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """End every idle sandbox. Busy ones end with the service, which holds their standard input."""
        for revision in list(self._fleets):
            self._retire(revision)
        if self._closing:
            await asyncio.wait(self._closing)
