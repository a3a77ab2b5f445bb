"""Calls: which version answers, the concurrency limit, retries of events and what becomes of the undeliverable."""

import asyncio
import json
import logging
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.lambdas.errors import ServiceError, throttled
from localcloud.lambdas.packages import Packages
from localcloud.lambdas.rules import EVENT_AGE_SECONDS, MAX_RETRIES
from localcloud.lambdas.runtime import Invocation, InvocationResult, Pool
from localcloud.lambdas.store import CallRoute, FunctionStore
from localcloud.lambdas.telemetry import LogEvents, Point, Telemetry
from localcloud.process.aws_clients import AwsClients

_LOG = logging.getLogger(__name__)
_RETRY_DELAY, _LONGEST_THROTTLE_WAIT = 60, 300


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a caller wants: a function and a qualifier ('' for $LATEST)."""

    name: str
    qualifier: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a call came to, and the route it took."""

    outcome: InvocationResult
    route: CallRoute


@dataclass(slots=True)
class _Event:
    """An asynchronous invocation on its way."""

    target: Target
    payload: bytes
    request_id: str
    accepted: float = field(default_factory=time.monotonic)
    failures: int = 0
    waits: int = 0


@dataclass(kw_only=True)
class Invoker:
    """Runs calls against the store's functions."""

    store: FunctionStore
    packages: Packages
    pool: Pool
    telemetry: Telemetry
    cloud: AwsClients
    clock: float
    """How many times faster than AWS's own times events wait and grow old."""
    _running: Counter[str] = field(default_factory=Counter)
    _events: set[asyncio.Task] = field(default_factory=set)

    async def call(self, target: Target, payload: bytes, request_id: str) -> Reply:
        """Run one call to its end.

        Raises:
            ServiceError: no such function or qualifier, or the function's concurrency is used up.
        """
        route = self.store.route(target.name, target.qualifier)
        if full := self._full(target.name):
            self._measure(route, time.time(), {"Throttles": 1})
            raise throttled(full)
        self._running[target.name] += 1
        started = time.time()
        try:
            snapshot = route.snapshot
            call = Invocation(request_id, route.arn, payload)
            outcome = await self.pool.run(snapshot, self.packages.code_path(snapshot.code.sha256), call)
        finally:
            self._running[target.name] -= 1
        counts = {"Invocations": 1, "Errors": int(outcome.failed), "Duration": outcome.duration, "Throttles": 0}
        self._measure(route, started, counts)
        group = route.snapshot.log_group
        self.telemetry.log(LogEvents(group, outcome.log_stream, outcome.log))
        return Reply(outcome, route)

    def _full(self, name: str) -> str:
        """Return why one more call of a function would be too many; empty when it would not."""
        functions = self.store.functions
        reserved = functions[name].reserved
        if reserved is not None:
            return "ReservedFunctionConcurrentInvocationLimitExceeded" if self._running[name] >= reserved else ""
        shared = sum(n for one, n in self._running.items() if one in functions and functions[one].reserved is None)
        return "ConcurrentInvocationLimitExceeded" if shared >= self.store.unreserved else ""

    def _measure(self, route: CallRoute, at: float, values: dict[str, float]) -> None:
        version = route.snapshot.version if route.counts_version else None
        self.telemetry.add(Point(route.snapshot.function, route.resource, version, at, values))

    def send(self, target: Target, payload: bytes, request_id: str) -> None:
        """Accept an event: it is delivered in the background, with the retries of a function that nobody set otherwise.

        Raises:
            ServiceError: no such function or qualifier.
        """
        self.store.snapshot(target.name, target.qualifier)
        task = asyncio.create_task(self._deliver(_Event(target, payload, request_id)))
        self._events.add(task)
        task.add_done_callback(self._events.discard)

    async def _deliver(self, event: _Event) -> None:
        try:
            while (pause := await self._attempt(event)) is not None:
                await asyncio.sleep(pause)
        except ServiceError as error:
            _LOG.warning("event %s for %s is dropped: %s", event.request_id, event.target.name, error.message)
        except Exception:
            _LOG.exception("event %s for %s is lost", event.request_id, event.target.name)

    async def _attempt(self, event: _Event) -> float | None:
        """Try once; seconds to wait before the next attempt, or None when the event is done with."""
        route = self.store.route(event.target.name, event.target.qualifier)
        is_old = (time.monotonic() - event.accepted) * self.clock > EVENT_AGE_SECONDS
        try:
            reply = await self.call(event.target, event.payload, event.request_id)
        except ServiceError as error:
            if error.code != "TooManyRequestsException":
                raise
            # A reservation of zero is how one sends all events to the dead-letter queue: AWS does not retry then.
            if self.store.function(event.target.name).reserved == 0 or is_old:
                await self._give_up(event, route, None)
                return None
            event.waits += 1
            return min(2 ** (event.waits - 1), _LONGEST_THROTTLE_WAIT) / self.clock  # from one second on
        if not reply.outcome.failed:
            return None
        event.failures += 1
        if event.failures > MAX_RETRIES or is_old:
            await self._give_up(event, reply.route, reply.outcome)
            return None
        return _RETRY_DELAY * event.failures / self.clock

    async def _give_up(self, event: _Event, route: CallRoute, outcome: InvocationResult | None) -> None:
        """Hand an event that failed for good to the dead-letter target."""
        target = route.snapshot.settings["DeadLetterConfig"].get("TargetArn")
        if not target:
            return
        attributes = {"RequestID": ("String", event.request_id), "ErrorCode": ("Number", "200" if outcome else "429")}
        if outcome:
            attributes["ErrorMessage"] = ("String", _message_of(outcome.payload)[:1024] or "-")
        try:
            await asyncio.to_thread(
                _put_message, self.cloud, target, event.payload.decode(errors="replace"), attributes
            )
        except (BotoCoreError, ClientError) as error:
            _LOG.warning("%s did not take an event that %s failed on: %s", target, route.resource, error)
            self._measure(route, time.time(), {"DeadLetterErrors": 1})


def new_request_id() -> str:
    """The id of one invocation, the same in answers, logs and the function's context."""
    return str(uuid.uuid4())


def _message_of(payload: bytes) -> str:
    try:
        return str(json.loads(payload)["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return payload.decode(errors="replace")


def _put_message(cloud: AwsClients, target: str, body: str, attributes: dict[str, tuple[str, str]]) -> None:
    values = {key: {"DataType": kind, "StringValue": value} for key, (kind, value) in attributes.items()}
    _, _, service, _, account, name = target.split(":", 5)
    if service == "sns":
        cloud.client("sns").publish(TopicArn=target, Message=body, MessageAttributes=values)
        return
    sqs = cloud.client("sqs")
    queue = sqs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody=body, MessageAttributes=values)
