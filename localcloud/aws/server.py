"""Serves moto over HTTP/1.1: health, keep-alive, and one request at a time per service."""

import http
import io
import os
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, cast

# Before moto is imported: it reads its settings only once.
os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"

from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import get_account_id_from, iam_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import ThreadedWSGIServer

from localcloud.aws import cloudtrail
from localcloud.aws.identities import MotoDirectory
from localcloud.aws.patches import apply_patches
from localcloud.aws.rights import YoungRights
from localcloud.aws.sqs import send_metrics_of_queues
from localcloud.faults import names
from localcloud.faults.answers import Answer, denial, refusal
from localcloud.faults.control import OWN, call_of, control
from localcloud.faults.kind import Kind
from localcloud.faults.rules import ApiCall, FaultRule, Faults
from localcloud.habits import Habits
from localcloud.iam.control import answer_about_identities
from localcloud.iam.enforcement import Enforcement
from localcloud.iam.evaluator import evaluator
from localcloud.iam.received import Received
from localcloud.iam.switch import switched_on
from localcloud.process.parent_watch import exit_when_parent_is_gone
from localcloud.process.part import arguments

_HEALTH_PATH = "/_localcloud/health"

# Services whose handlers wait on purpose (SQS: long polling): a lock would make everybody else wait with them.
_WAITING_SERVICES = frozenset({"sqs"})

StartResponse = Callable[..., Any]


class OneAtATime(DomainDispatcherApplication):
    """Runs one request at a time per service.

    moto checks and then writes in separate steps. In a threaded server two conditional writes could both pass their
    check, and a ledger that is moved by compare-and-swap would have two winners. A lock per service costs nothing:
    moto is bound by one interpreter anyway.
    """

    def __init__(self) -> None:
        super().__init__(create_backend_app)
        self.faults = Faults()
        self.rights = YoungRights(Habits.from_environment())
        self.enforcement = Enforcement(MotoDirectory(), evaluator()) if switched_on() else None
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._backends: dict[str | None, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        """Remember which service answers a host: moto looks through its folders on disk for every request."""
        if host not in self._backends:
            self._backends[host] = super().get_backend_for_host(host)
        return self._backends[host]

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer the health route, or pass the request to its service."""
        if environ["PATH_INFO"] == _HEALTH_PATH:
            start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "12")])
            return [b'{"ok": true}']
        app = self.get_application(environ)
        service = str(getattr(app, "service", ""))
        if service in _WAITING_SERVICES:
            return app(environ, start_response)
        with self._locks[service]:
            return list(app(environ, start_response))


class KeepAliveHandler(MotoRequestHandler):
    """Answers many requests on one connection.

    Werkzeug closes every connection and first waits 10 ms for left-over bytes, which is more than moto needs for a
    call. Here the body is read to its end before the application runs, so that the next request starts cleanly, and
    an answer leaves in one write (two would meet Nagle's algorithm and the client's delayed acknowledgement).
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def run_wsgi(self) -> None:
        """Read the whole request, run the application, write the whole answer; unless a fault is due."""
        self.environ = environ = self.make_environ()
        length = environ.get("CONTENT_LENGTH")
        if environ.get("wsgi.input_terminated"):
            body = environ["wsgi.input"].read()
        else:
            body = self.rfile.read(int(length)) if length else b""
        environ["wsgi.input"] = io.BytesIO(body)
        app = cast("OneAtATime", self.server.app)
        ours = None
        if self.path.startswith(OWN):
            ours = control(app.faults, self.command, self.path, body) or answer_about_identities(
                app.enforcement, self.command, self.path, body
            )
        if ours is not None:
            self._send_answer(ours)
            return
        named = names.aws_call(self.command, self.path, self.headers, body)
        call = call_of((*named, named[1]) if named else None, self.headers)
        rule = app.faults.strike(call) if call else None
        received = Received(self.command, self.path, self.headers, body)
        denied = app.enforcement.refusal(received) if app.enforcement else None
        if denied:
            self._send_answer(denied)
        elif call and app.rights.deny(self.headers.get("X-Amz-Security-Token"), f"{call.service}:{call.operation}"):
            self._send_answer(denial(call, self.headers))
        elif rule is None and call and (call.service, call.operation) == ("cloudtrail", "LookupEvents"):
            self._send_answer(cloudtrail.lookup(app.faults.history.listed(), body))
        elif call is None or rule is None:
            self._send(*self._answer(environ))
        else:
            self._misbehave(rule, call, environ)

    def _misbehave(self, rule: FaultRule, call: ApiCall, environ: dict[str, Any]) -> None:
        carried_out = self._answer(environ) if rule.kind in (Kind.LOST, Kind.SLOW) else None
        if rule.kind in (Kind.TIMEOUT, Kind.SLOW):
            time.sleep(rule.seconds)
        if rule.kind is Kind.SLOW and carried_out:
            self._send(*carried_out)
        elif rule.kind in (Kind.LOST, Kind.TIMEOUT):
            self.close_connection = True
        else:
            self._send_answer(refusal(rule, call, self.headers))

    def _send_answer(self, answer: Answer) -> None:
        status = f"{answer.status} {http.HTTPStatus(answer.status).phrase}"
        self._send(status, list(answer.headers.items()), answer.body)

    def handle_expect_100(self) -> bool:
        """Tell the client to go on (S3 clients ask before they send a body)."""
        self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _answer(self, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> Callable[..., None]:
            started[:] = [status, headers]
            return lambda _: None

        try:
            content = b"".join(self.server.app(environ, start_response))
        except Exception as error:
            self.log("error", "%s %s failed: %s: %s", self.command, self.path, type(error).__name__, error)
            return "500 Internal Server Error", [("Content-Type", "text/plain")], repr(error).encode()
        return started[0], started[1], content

    def _send(self, status: str, headers: list[tuple[str, str]], content: bytes) -> None:
        code = int(status.split(None, 1)[0])
        may_have_body = self.command != "HEAD" and code not in (204, 304)
        lines = [f"HTTP/1.1 {status}", f"Date: {self.date_time_string()}"]
        lines += [
            f"{name}: {value}" for name, value in headers if name.lower() != "content-length" or not may_have_body
        ]
        if may_have_body:
            lines.append(f"Content-Length: {len(content)}")
        if self.close_connection:
            lines.append("Connection: close")
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        self.wfile.write(head + content if may_have_body else head)
        self.log_request(code)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002 - signature of the base
        """Write one plain line per request; health probes are not worth one."""
        if self.path != _HEALTH_PATH:
            target = self.headers.get("X-Amz-Target", "")
            sys.stderr.write(
                f"{self.log_date_time_string()} {code} {self.command} {self.path} {target}\n".rstrip() + "\n"
            )


def _load_managed_policies() -> None:
    """Load AWS's own policies beside the start, not in front of somebody's first call: a second of work."""
    iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    get_account_id_from("")  # as every call does: it looks into all partitions of the account, and so makes them


def serve(port: int) -> None:
    """Apply the patches and serve on loopback until the process ends."""
    apply_patches()
    send_metrics_of_queues()
    threading.Thread(target=_load_managed_policies, name="managed-policies", daemon=True).start()
    server = ThreadedWSGIServer("127.0.0.1", port, OneAtATime(), KeepAliveHandler)
    server.serve_forever()


def main() -> None:
    """Serve the AWS services (`--port`)."""
    port = arguments("aws").parse_args().port
    exit_when_parent_is_gone()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    serve(port)
