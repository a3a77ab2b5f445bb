"""Every alarm of the table can fire: what it watches is broken, it rings, on-call is told, and it calms down again.

The stack is the real one, made by the engine with the real packages; the clock runs so fast that the minutes of the
table are seconds.
"""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import Any

import httpx
import pytest

from components.naming import names
from components.service.alarms import AlarmSpec, alarms
from localcloud.rehearsal.broken_releases import edited_clone
from release.pulumi.stack_config import OVERLAY, load
from tests.cloud import ROOT, Cloud
from tests.localcloud.parts import ACCOUNT, wait_until
from tests.stacks import STACK_FILES

pytestmark = pytest.mark.engine

STACK = "preprod"
NAMES = names(STACK)
HOURLY = {"sentiment-pipeline:scheduleExpression": "rate(1 hour)"}
"""The hours between two runs are what these tests wait for."""
ROWS = {row.key: row for row in alarms(load(STACK, STACK_FILES, {OVERLAY: json.dumps(HOURLY)}))}
PAGER = "pager"
PATIENCE_S = 60.0


@dataclass
class World:
    """A preprod that serves a release, with somebody on call."""

    cloud: Cloud
    outputs: dict[str, Any]
    told: list[tuple[str, str]] = field(default_factory=list)
    """Name and new state of each alarm that on-call was told of."""
    _reading: Lock = field(default_factory=Lock)

    @cached_property
    def parts(self) -> dict[str, str]:
        """Addresses of the parts of the cloud."""
        return self.cloud.run("localcloud", "status", "--json").json()["parts"]

    @cached_property
    def _clients(self) -> dict[str, Any]:
        return {name: self.cloud.client(name) for name in ("cloudwatch", "lambda", "scheduler", "sns", "sqs")}

    def __getitem__(self, service: str) -> Any:
        return self._clients[service]

    def get(self, path: str) -> None:
        """Ask the dashboard as a person would, whatever it answers."""
        key = self.cloud.client("secretsmanager").get_secret_value(SecretId=NAMES.dashboard_key_secret)
        headers = {"authorization": f"Bearer {json.loads(key['SecretString'])['api_key']}"}
        with suppress(httpx.TransportError):
            httpx.get(self.outputs["dashboard_url"].rstrip("/") + path, headers=headers, timeout=30)

    @contextmanager
    def fault(self, part: str, **rule: object) -> Iterator[None]:
        """Make calls of one part fail; `localcloud fault clear` would clear those of the others too."""
        url = f"{self.parts[part]}/_localcloud/faults"
        httpx.put(url, json=rule).raise_for_status()
        try:
            yield
        finally:
            httpx.delete(url).raise_for_status()

    def subscribe(self) -> None:
        self["sqs"].create_queue(QueueName=PAGER)
        endpoint = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{PAGER}"
        self["sns"].subscribe(TopicArn=self.outputs["on_call_topic"], Protocol="sqs", Endpoint=endpoint)

    def state(self, alarm: str) -> str:
        return self["cloudwatch"].describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]["StateValue"]

    def taken(self, queue: str) -> list[str]:
        """Take all messages out of a queue."""
        sqs = self["sqs"]
        url, bodies = sqs.get_queue_url(QueueName=queue)["QueueUrl"], []
        while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                bodies.append(message["Body"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return bodies

    def was_told_of(self, alarm: str) -> list[str]:
        """The states of an alarm that on-call was told of, oldest first."""
        with self._reading:
            for body in self.taken(PAGER):
                message = json.loads(json.loads(body)["Message"])
                self.told.append((message["AlarmName"], message["NewStateValue"]))
            return [state for name, state in self.told if name == alarm]


@dataclass(frozen=True)
class Case:
    """How a thing is broken, what callers do meanwhile, and what a person does afterwards."""

    broken: Callable[[World], AbstractContextManager[None]] = lambda _: nullcontext()
    act: Callable[[World], object] = lambda _: None
    mend: Callable[[World], object] = lambda _: None


@contextmanager
def schedule_off(world: World) -> Iterator[None]:
    found = world["scheduler"].get_schedule(Name=NAMES.function("ingestion").schedule)
    kept = ("Name", "GroupName", "ScheduleExpression", "FlexibleTimeWindow", "Target")
    settings = {name: found[name] for name in kept}
    world["scheduler"].update_schedule(**settings, State="DISABLED")
    try:
        yield
    finally:
        world["scheduler"].update_schedule(**settings, State="ENABLED")


@contextmanager
def no_concurrency(world: World) -> Iterator[None]:
    function = NAMES.function("dashboard").function
    world["lambda"].put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    try:
        yield
    finally:
        world["lambda"].delete_function_concurrency(FunctionName=function)


def announce_nonsense(world: World) -> None:
    world["sns"].publish(TopicArn=world.outputs["new_items_topic"], Message="this is no item")


@contextmanager
def nonsense_announced(world: World) -> Iterator[None]:
    announce_nonsense(world)
    yield


def news_down(world: World) -> AbstractContextManager[None]:
    return world.fault("news", service="news", operation="GET /v2/everything", kind="error")


SLOW_CALLS = ThreadPoolExecutor(4)


def at_once(act: Callable[[World], object]) -> Callable[[World], None]:
    """Do it three times at once: one failed call in a minute rings only where a schedule makes the calls."""
    return lambda world: list(SLOW_CALLS.map(act, [world] * 3)).clear()


CASES = {
    "ingestion-errors": Case(broken=news_down),
    "ingestion-news-failing": Case(broken=news_down),
    "ingestion-heartbeat": Case(broken=schedule_off),
    "analysis-errors": Case(act=at_once(announce_nonsense)),
    "dead-letters-waiting": Case(
        broken=nonsense_announced,
        mend=lambda world: world.taken(NAMES.dead_letters_queue),
    ),
    "dashboard-errors": Case(
        broken=lambda world: world.fault("aws", service="dynamodb", operation="Query", kind="error"),
        act=at_once(lambda world: world.get("/api/metrics")),
    ),
    "dashboard-throttled": Case(broken=no_concurrency, act=lambda world: world.get("/health")),
    "dashboard-slow": Case(
        # Longer than the function waits for its table, which it asks twice.
        broken=lambda world: world.fault("aws", service="dynamodb", operation="GetItem", kind="slow", seconds=4),
        act=lambda world: SLOW_CALLS.submit(world.get, "/health"),
    ),
}
ONE_AFTER_THE_OTHER = (
    ("ingestion-errors", "ingestion-news-failing", "ingestion-heartbeat"),
    ("dashboard-throttled", "dashboard-errors", "dashboard-slow"),
    ("analysis-errors", "dead-letters-waiting"),
)
"""What breaks the same thing takes turns."""


def live_through(world: World, row: AlarmSpec, case: Case) -> None:
    """Break it until it rings and on-call knows; mend it until it is quiet and on-call knows."""

    def until(state: str, act: Callable[[World], object]) -> None:
        def reached() -> bool:
            act(world)
            time.sleep(0.2)
            return world.was_told_of(row.name)[before:][-1:] == [state]

        wait_until(reached, PATIENCE_S, lambda: f"{row.key} did not become {state}, but {world.state(row.name)}")

    # A person has seen to what the row before this one has left.
    wait_until(lambda: (case.mend(world), world.state(row.name))[1] == "OK", PATIENCE_S)
    before = len(world.was_told_of(row.name))
    with case.broken(world):
        until("ALARM", case.act)
    until("OK", case.mend)


def hourly(text):
    """Pulumi.yaml, by which news are asked for every hour."""
    return text.replace("default: rate(6 hours)", "default: rate(1 hour)")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("every-alarm")
    cloud = Cloud.start(folder / "cloud", LOCALCLOUD_CLOCK="x450")
    try:
        build, source = str(folder / "build"), folder / "source"
        sha = edited_clone(ROOT, source, "Pulumi.yaml", hourly, "Ask for news every hour")
        with ThreadPoolExecutor() as both:
            built = both.submit(cloud.run, "release", "build", "--sha", sha, "--out", build, folder=source)
            cloud.run("pulumi", "up", "--yes", "--skip-preview", "--stack", f"{STACK}-foundation")
            cloud.run("localcloud", "fill-secrets")
            built.result()
        cloud.run("release", "deploy", "--stack", STACK, "--build", build, folder=source)
        made = World(cloud, cloud.run("pulumi", "stack", "output", "--json", "--stack", STACK).json())
        made.subscribe()
        yield made
    finally:
        cloud.stop()


@pytest.fixture(scope="module")
def episodes(world) -> dict[str, Future]:
    """What became of each row; those that do not disturb each other are lived through at once."""
    ended: dict[str, Future] = {key: Future() for key in CASES}

    def live(keys):
        for key in keys:
            try:
                ended[key].set_result(live_through(world, ROWS[key], CASES[key]))
            except BaseException as error:
                ended[key].set_exception(error)

    with ThreadPoolExecutor() as pool:
        list(pool.map(live, ONE_AFTER_THE_OTHER))
    return ended


def test_every_row_of_the_table_has_a_case_and_a_turn():
    assert set(CASES) == set(ROWS)
    assert sorted(key for keys in ONE_AFTER_THE_OTHER for key in keys) == sorted(ROWS)


@pytest.mark.parametrize("key", ROWS)
def test_an_alarm_rings_tells_on_call_and_calms_down_again(episodes, key):
    episodes[key].result()


def test_the_stack_holds_the_rows_of_the_table_and_nothing_else(world):
    found = {one["AlarmName"] for one in world["cloudwatch"].describe_alarms()["MetricAlarms"]}
    assert found == {row.name for row in ROWS.values()}
    assert sorted(world.outputs["alarms"] + world.outputs["service_alarms"]) == sorted(found)
