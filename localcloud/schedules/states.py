"""State machines in Amazon States Language, as far as the program uses it: Map, calls of AWS's SDK, and Retry.

Whatever else a definition holds is an error when it is stored: nothing is read and then left out. Deviations from AWS:
the iterations of a Map run one after the other where they do not fail, and those that failed are repeated together; the
waits of Retry are divided by `LOCALCLOUD_CLOCK`.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.schedules.sdk import Clients, TargetError, call_operation

_SDK: Final = re.compile(r"arn:aws:states:::aws-sdk:([a-z0-9]+):([a-zA-Z0-9]+)")
_FIELD: Final = re.compile(r"\$\.(\w+)")


class DefinitionError(ValueError):
    """A definition that is none, or that holds what is not run here."""


class ExecutionError(Exception):
    """An execution that has failed for good."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a failed call is repeated, and after how many seconds."""

    first_s: float
    backoff: float
    longest_s: float
    times: int

    def waits(self) -> list[float]:
        """The seconds before each repetition."""
        return [min(self.first_s * self.backoff**number, self.longest_s) for number in range(self.times)]


@dataclass(frozen=True, slots=True)
class Task:
    """One call of an operation."""

    service: str
    action: str
    parameters: Mapping[str, Any]
    retry: Retry | None


@dataclass(frozen=True, slots=True)
class MapTask:
    """A task for each item of the input."""

    task: Task


def parse(text: str) -> MapTask | Task:
    """Read a definition: one state, which is a task, or a map of one.

    Raises:
        DefinitionError: It is none, or holds what is not run here.
    """
    try:
        definition = json.loads(text)
    except ValueError as error:
        raise DefinitionError(f"it is no JSON: {error}") from error
    state = _only_state(definition, "the definition", {"Comment"})
    if state.get("Type") == "Task":
        return _task(state)
    if state.get("Type") != "Map":
        raise DefinitionError(f"states of type {state.get('Type')!r} are not run here, only Map and Task")
    _holds(state, "Map", {"Type", "ItemProcessor", "End"}, {"Comment"})
    if not isinstance(state["ItemProcessor"], dict):
        raise DefinitionError("ItemProcessor must be an object")
    processor = dict(state["ItemProcessor"])
    if processor.pop("ProcessorConfig", {"Mode": "INLINE"}) != {"Mode": "INLINE"}:
        raise DefinitionError("only inline maps are run here")
    inner = _only_state(processor, "ItemProcessor", set())
    if inner.get("Type") != "Task":
        raise DefinitionError(f"inside a Map only Task is run here, not {inner.get('Type')!r}")
    return MapTask(_task(inner))


def run(
    machine: MapTask | Task,
    given: Any,
    clients: Clients,
    scale: float = 1.0,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Run an execution with its input, and return what was called.

    Raises:
        ExecutionError: Something failed, also after its repetitions; all else was called.
    """
    items = given if isinstance(machine, MapTask) else [given]
    if not isinstance(items, list):
        raise ExecutionError(f"a Map needs a list, not {type(items).__name__}")
    task = machine.task if isinstance(machine, MapTask) else machine
    done, waits, left = [], task.retry.waits() if task.retry else [], items
    for wait in (*waits, None):
        failed: list[tuple[Any, Exception]] = []
        for item in left:
            try:
                arguments = _filled(task.parameters, item)
                call_operation(clients, task.service, task.action, arguments)
                done.append(f"{task.service}:{task.action} with {json.dumps(arguments)}")
            except (ClientError, BotoCoreError, TargetError) as error:
                failed.append((item, error))
        if not failed:
            return done
        if wait is None:
            break
        sleep(wait / scale)
        left = [item for item, _ in failed]
    raise ExecutionError("; ".join(f"{item}: {error}" for item, error in failed))


def _filled(parameters: Any, given: Any) -> Any:
    """Return parameters with each `NAME.$` taken from the input."""
    if not isinstance(parameters, dict):
        return parameters
    filled = {}
    for name, value in parameters.items():
        if not name.endswith(".$"):
            filled[name] = _filled(value, given)
            continue
        field = value.removeprefix("$.")
        if not isinstance(given, dict) or field not in given:
            raise ExecutionError(f"the input {given} has no {value}")
        filled[name.removesuffix(".$")] = given[field]
    return filled


def _only_state(holder: Any, where: str, also: set[str]) -> dict[str, Any]:
    _holds(holder, where, {"StartAt", "States"}, also)
    states = holder["States"]
    if not isinstance(states, dict) or list(states) != [holder["StartAt"]]:
        raise DefinitionError(f"{where} must hold one state, which StartAt names: more are not run here")
    state = states[holder["StartAt"]]
    if not isinstance(state, dict) or state.get("End") is not True:
        raise DefinitionError(f"the state {holder['StartAt']} must be an object with End: true")
    return state


def _task(state: Mapping[str, Any]) -> Task:
    _holds(state, "Task", {"Type", "Resource", "Parameters", "End"}, {"Comment", "Retry"})
    sdk = _SDK.fullmatch(str(state["Resource"]))
    if sdk is None:
        raise DefinitionError(f"only operations of AWS's SDK are called here, not {state['Resource']!r}")
    _check_parameters(state["Parameters"])
    return Task(*sdk.groups(), state["Parameters"], _retry(state["Retry"]) if "Retry" in state else None)


def _check_parameters(parameters: Any) -> None:
    if not isinstance(parameters, dict):
        return
    for name, value in parameters.items():
        if name.endswith(".$") and not _FIELD.fullmatch(str(value)):
            raise DefinitionError(f"{name} must name one field of the input, as $.NAME does, not {value!r}")
        _check_parameters(value)


def _retry(retriers: Any) -> Retry:
    if not isinstance(retriers, list) or len(retriers) != 1 or retriers[0].get("ErrorEquals") != ["States.ALL"]:
        raise DefinitionError("Retry must be one retrier for States.ALL: others are not run here")
    (retrier,) = retriers
    numbers = {"IntervalSeconds": 1, "BackoffRate": 2.0, "MaxDelaySeconds": 31_622_400, "MaxAttempts": 3}
    _holds(retrier, "Retry", {"ErrorEquals"}, set(numbers))
    found = {**numbers, **{name: retrier[name] for name in numbers if name in retrier}}
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in found.values()):
        raise DefinitionError(f"Retry takes numbers, not {retrier}")
    return Retry(found["IntervalSeconds"], found["BackoffRate"], found["MaxDelaySeconds"], int(found["MaxAttempts"]))


def _holds(holder: Any, where: str, needed: set[str], also: set[str]) -> None:
    if not isinstance(holder, dict):
        raise DefinitionError(f"{where} must be an object")
    if missing := needed - set(holder):
        raise DefinitionError(f"{where} needs {', '.join(sorted(missing))}")
    if unknown := set(holder) - needed - also:
        raise DefinitionError(f"{where} holds {', '.join(sorted(unknown))}, which is not run here")
