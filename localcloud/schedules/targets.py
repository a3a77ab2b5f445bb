"""What a schedule calls: a function, asynchronously, or any operation of an SDK (a "universal target")."""

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from localcloud.schedules.sdk import Clients, TargetError, call_operation

_FUNCTION: Final = re.compile(r"arn:aws:lambda:[\w-]+:\d{12}:function:[\w-]+(:[\w-]+)?")
_UNIVERSAL: Final = re.compile(r"arn:aws:scheduler:::aws-sdk:([a-z0-9-]+):([a-zA-Z0-9]+)")


@dataclass(frozen=True, slots=True)
class Firing:
    """One time at which a schedule is due, and which attempt at it this is."""

    schedule: Mapping[str, Any]
    """As GetSchedule describes it."""
    due: datetime
    attempt: int

    @property
    def payload(self) -> str:
        """What the target gets: the input with its context attributes filled in, or Scheduler's own event."""
        stamp = self.due.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        given = self.schedule["Target"].get("Input")
        if given is None:
            return json.dumps(self._event(stamp))
        for keyword, value in {
            "schedule-arn": self.schedule["Arn"],
            "scheduled-time": stamp,
            "execution-id": uuid.uuid4().hex[:16],
            "attempt-number": str(self.attempt),
        }.items():
            given = given.replace(f"<aws.scheduler.{keyword}>", value)
        return given

    def _event(self, stamp: str) -> dict[str, Any]:
        _, _, _, region, account, *_ = self.schedule["Arn"].split(":")
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": account,
            "time": stamp,
            "region": region,
            "resources": [self.schedule["Arn"]],
            "detail": "{}",
        }


def call(firing: Firing, clients: Clients) -> str:
    """Call the target once; return what was called, for the log.

    Raises:
        TargetError: It can never succeed.
        BotoCoreError, ClientError: The target's own refusal.
    """
    arn = firing.schedule["Target"]["Arn"]
    if _FUNCTION.fullmatch(arn):
        clients("lambda").invoke(FunctionName=arn, InvocationType="Event", Payload=firing.payload)
        return f"asked for a run of {arn}"
    universal = _UNIVERSAL.fullmatch(arn)
    if universal is None:
        raise TargetError(f"the local scheduler calls functions and aws-sdk operations, not {arn}")
    service, action = universal.groups()
    try:
        arguments = json.loads(firing.payload)
    except ValueError as error:
        raise TargetError(f"the input is no JSON: {error}") from error
    call_operation(clients, service, action, arguments)
    return f"called {service}:{action} with {firing.payload}"
