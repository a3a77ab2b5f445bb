"""The one process behind the local cloud: starts its parts, sees that they answer, and ends them all together.

`python -m localcloud.process.supervisor` reports on standard output, one line: `ready`, or what went wrong. After that
it is silent and lives until SIGTERM, or until one of its parts dies: a cloud with a missing part would answer wrongly,
so it says why in the state file and stops as a whole.
"""

import contextlib
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace

import psutil

from components.naming import ENVIRONMENTS, names
from localcloud import habits, paths
from localcloud.environment import aws_variables
from localcloud.iam.switch import ISSUER_VARIABLE, switched_on
from localcloud.process.direct import DIRECTLY
from localcloud.process.state import CloudState

PARTS = ("aws", "lambdas", "alarms", "schedules", "github", "news")
START_LIMIT_SECONDS = 60.0


def main() -> None:
    """Start everything, say `ready`, wait for the end."""
    # Not threading.Event, whose lock the handler would wait for when it interrupts this very thread inside wait().
    ended: queue.SimpleQueue[None] = queue.SimpleQueue()
    signal.signal(signal.SIGTERM, lambda *_: ended.put(None))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C belongs to the command in the foreground
    state = CloudState(
        pid=os.getpid(),
        created=psutil.Process().create_time(),
        clock=os.environ.get("LOCALCLOUD_CLOCK", "x1"),
        habits=os.environ.get(habits.VARIABLE, ""),
        identities=switched_on(),
        ports=_free_ports(),
    )
    children = {part: _start(part, state) for part in PARTS}
    try:
        _await_health(children, state, ended)
        _make_state_buckets(state)
        state.save()
        _report("ready")
    except (_PartFailedError, OSError) as failure:  # a broken pipe as well: who wanted this cloud is gone
        _end(children)
        paths.STATE_FILE.unlink(missing_ok=True)
        with contextlib.suppress(BrokenPipeError):
            _report(str(failure))
        sys.exit(1)
    failed = _wait(children, ended)
    # Before the parts end, which takes a moment: from here on nobody may count on this cloud.
    replace(state, failure=failed or "it was ended from outside").save()
    _end(children)
    if not failed:
        paths.STATE_FILE.unlink(missing_ok=True)


class _PartFailedError(Exception):
    """A part that did not come up."""


def _report(line: str) -> None:
    os.write(sys.stdout.fileno(), (line.replace("\n", " ") + "\n").encode())
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _free_ports() -> dict[str, int]:
    """Return a free port for each part; all stay open until every one is known, so that none comes twice."""
    with contextlib.ExitStack() as held:
        probes = {part: held.enter_context(socket.create_server(("127.0.0.1", 0))) for part in PARTS}
        return {part: probe.getsockname()[1] for part, probe in probes.items()}


def _start(part: str, state: CloudState) -> subprocess.Popen[bytes]:
    # The name of the app is in each user agent: calls between the parts are nobody's, no fault may hit them.
    ours = {"LOCALCLOUD_PARENT_WATCH": "1", "AWS_SDK_UA_APP_ID": "localcloud"}
    ours |= {ISSUER_VARIABLE: state.url("github")}
    environment = os.environ | aws_variables(state) | ours
    for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        environment.pop(proxy, None)  # every address of the local cloud is on loopback
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a start takes half the time with compiled modules
    arguments = ["--port", str(state.ports[part])]
    if part == "lambdas":
        data = paths.DATA / part
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(parents=True)
        arguments += ["--data", str(data)]
    with (paths.LOGS / f"{part}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", f"localcloud.{part}", *arguments],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=paths.ROOT,
        )


def _await_health(
    children: dict[str, subprocess.Popen[bytes]], state: CloudState, ended: queue.SimpleQueue[None]
) -> None:
    deadline = time.monotonic() + START_LIMIT_SECONDS
    for part, child in children.items():
        while not _healthy(state.url(part)):
            if not ended.empty():
                raise _PartFailedError("it was ended from outside while it started")
            if child.poll() is not None:
                raise _PartFailedError(f"{part} ended with code {child.returncode}: see {paths.LOGS / part}.log")
            if time.monotonic() > deadline:
                raise _PartFailedError(
                    f"{part} did not answer within {START_LIMIT_SECONDS:.0f} s: see {paths.LOGS / part}.log"
                )
            time.sleep(0.03)


def _healthy(url: str) -> bool:
    try:
        with DIRECTLY.open(f"{url}/_localcloud/health", timeout=2) as answer:
            return answer.status == 200  # noqa: PLR2004
    except (urllib.error.URLError, OSError):
        return False


def _make_state_buckets(state: CloudState) -> None:
    """Make the buckets that hold Pulumi's own state: in a real account `bootstrap` makes them, before any stack."""
    for environment in ENVIRONMENTS:
        request = urllib.request.Request(f"{state.url('aws')}/{names(environment).state_bucket}", method="PUT")
        DIRECTLY.open(request, timeout=10).close()


def _wait(children: dict[str, subprocess.Popen[bytes]], ended: queue.SimpleQueue[None]) -> str:
    """Wait for the end that was asked for (returns "") or for a part that died (returns what happened)."""
    while True:
        with contextlib.suppress(queue.Empty):
            ended.get(timeout=0.25)
            return ""
        for part, child in children.items():
            if child.poll() is not None:
                return f"its part `{part}` ended with code {child.returncode}; see {paths.LOGS / part}.log"


def _end(children: dict[str, subprocess.Popen[bytes]]) -> None:
    for child in children.values():
        child.terminate()
    deadline = time.monotonic() + 5
    for child in children.values():
        try:
            child.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


if __name__ == "__main__":
    main()
