"""The default event bus: CloudWatch tells it of alarms, and it starts state machines, run as they are defined."""

import json
import logging
from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.schedules import states
from localcloud.schedules.sdk import Clients

_log = logging.getLogger("events")
_RUNS_AT_ONCE: Final = 8


class Bus:
    """The default event bus: hands events to the targets of the rules whose pattern they match.

    Args:
        clients: Gives the boto3 client of a service.
        scale: How much faster the clock runs.
        executor: What runs state machines; who sends an event never waits for one.
    """

    def __init__(self, clients: Clients, scale: float = 1.0, executor: Executor | None = None) -> None:
        self._clients, self._scale = clients, scale
        self._executor = executor or ThreadPoolExecutor(_RUNS_AT_ONCE, thread_name_prefix="execution")

    def send(self, event: Mapping[str, Any]) -> None:
        """Start what hears of an event.

        Raises:
            BotoCoreError, ClientError: EventBridge cannot be asked.
        """
        pages = self._clients("events").get_paginator("list_rules").paginate()
        for rule in (rule for page in pages for rule in page["Rules"]):
            if rule["State"] == "ENABLED" and _matches(rule.get("EventPattern"), event):
                answer = self._clients("events").list_targets_by_rule(Rule=rule["Name"])
                for target in answer["Targets"]:
                    self._executor.submit(self._start, rule["Name"], target, event)

    def _start(self, rule: str, target: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        arn = target["Arn"]
        try:
            if ":stateMachine:" not in arn or target.get("InputPath") or target.get("InputTransformer"):
                _log.error("rule %s: only state machines are started here, with a constant input, not %s", rule, target)
                return
            described = self._clients("stepfunctions").describe_state_machine(stateMachineArn=arn)
            given = json.loads(target["Input"]) if "Input" in target else event
            done = states.run(states.parse(described["definition"]), given, self._clients, self._scale)
            _log.info("rule %s: %s has called %s", rule, arn, "; ".join(done) or "nothing")
        except (BotoCoreError, ClientError, states.DefinitionError, states.ExecutionError, ValueError) as error:
            _log.error("rule %s: %s failed: %s", rule, arn, error)
        except Exception:
            _log.exception("rule %s: %s failed", rule, arn)


def _matches(pattern: str | None, event: Mapping[str, Any]) -> bool:
    from moto.events.models import EventPattern  # noqa: PLC0415 - slow, and needed only where there is a rule

    return bool(pattern) and EventPattern.load(pattern).matches_event(dict(event))  # ty: ignore[invalid-argument-type]
