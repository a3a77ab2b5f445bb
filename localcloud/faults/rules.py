"""Which call fails and how: rules, what they match, and the counting. Pure, and safe to share between threads."""

import random
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from localcloud.faults import names
from localcloud.faults.history import CallHistory
from localcloud.faults.kind import Kind

_DEFAULT_SECONDS = 5.0


class FaultRuleError(ValueError):
    """A rule that cannot be; the message is for people."""


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One API call.

    `operation` is what it is counted under; `exact` is what rules are held against (they differ for services that
    have no operations: there `operation` has `*` in the place of numbers and digests). `caller` is the user agent,
    `key` the access key that signed the call.
    """

    service: str
    operation: str
    caller: str = ""
    exact: str = ""
    key: str = ""


class FaultRule(BaseModel):
    """Which calls, which of them, and what happens to them.

    At most one of `nth` (from the n-th matching call on) and `ratio` (by chance, the same every time for one `seed`)
    is set; without them every matching call is meant. `times` limits how often the rule strikes;
    0 is without limit, and the default of `nth` is once. `caller` is a part of the user agent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    service: str
    operation: str = "*"
    kind: Kind
    nth: int = Field(0, ge=0)
    ratio: float = Field(0.0, ge=0, le=1)
    seed: int = 0
    times: int = Field(0, ge=0)
    seconds: float = Field(0.0, ge=0, le=600)
    caller: str = ""

    @classmethod
    def read(cls, document: Any) -> Self:
        """Check a rule as it came over HTTP or from the command line; raises FaultRuleError."""
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise FaultRuleError("; ".join(_sentence(one) for one in error.errors())) from None

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        given = dict(given)
        if given.get("nth") and not given.get("times"):
            given["times"] = 1
        if given.get("kind") in (Kind.TIMEOUT, Kind.SLOW) and given.get("seconds") is None:
            given["seconds"] = _DEFAULT_SECONDS
        if isinstance(given.get("operation"), str):
            given["operation"] = names.spelled(given.get("service"), given["operation"])
        return given

    @model_validator(mode="after")
    def _check(self) -> Self:
        problem = names.problem(self.service, self.operation)
        if problem:
            raise ValueError(problem)
        if self.nth and self.ratio:
            raise ValueError("nth and ratio exclude each other")
        if self.seed and not self.ratio:
            raise ValueError("a seed belongs to a ratio")
        if self.seconds and not (
            self.kind in (Kind.TIMEOUT, Kind.SLOW) or (self.service, self.kind) == ("github", Kind.THROTTLE)
        ):
            raise ValueError("seconds belong to timeout and slow, and to github's throttle (its Retry-After)")
        return self

    def matches(self, call: ApiCall) -> bool:
        """Whether the rule speaks of this call."""
        if self.service not in ("*", call.service) or self.caller not in call.caller:
            return False
        return self.operation == "*" or bool(names.pattern(call.service, self.operation).fullmatch(call.exact))


def _sentence(error: Any) -> str:
    message = error["msg"].removeprefix("Value error, ")
    return f"{'.'.join(map(str, error['loc']))}: {message}" if error["loc"] else message


class Count:
    """How often one rule has been matched and has struck."""

    def __init__(self, rule: FaultRule) -> None:
        self.rule = rule
        self.seen = 0
        self.struck = 0
        self._chance = random.Random(rule.seed)  # noqa: S311  the same sequence every time is the point

    def due(self) -> bool:
        """Count one more matching call; tell whether it is one of those meant."""
        rule = self.rule
        self.seen += 1
        meant = self._chance.random() < rule.ratio if rule.ratio else self.seen >= rule.nth
        return meant and not (rule.times and self.struck >= rule.times)


class Faults:
    """The rules of one server and the calls that it has seen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: list[Count] = []
        self._calls: Counter[tuple[str, str, str]] = Counter()
        self.history = CallHistory()

    def add(self, rule: FaultRule) -> None:
        """Let a rule hold from the next call on."""
        with self._lock:
            self._counts.append(Count(rule))

    def clear(self) -> int:
        """Forget all rules and all counts; return how many rules there were."""
        with self._lock:
            had = len(self._counts)
            self._counts = []
            self._calls.clear()
        return had

    def listed(self) -> list[dict[str, Any]]:
        """The rules in the order in which they were added, each with `seen` and `struck`."""
        with self._lock:
            return [
                {**one.rule.model_dump(mode="json", exclude_defaults=True), "seen": one.seen, "struck": one.struck}
                for one in self._counts
            ]

    def calls(self, caller: str = "") -> dict[str, int]:
        """How often each `service:operation` was called by user agents that contain `caller`."""
        total: Counter[str] = Counter()
        with self._lock:
            for (service, operation, agent), number in self._calls.items():
                if caller in agent:
                    total[f"{service}:{operation}"] += number
        return dict(sorted(total.items()))

    def strike(self, call: ApiCall) -> FaultRule | None:
        """Count a call; return the rule that it falls under, if any.

        Every rule that matches counts the call, but a call suffers one fault only: the rule added first wins, and one
        with a limit that would have struck too keeps its turn for the next call.
        """
        self.history.note(call.service, call.operation, call.key)
        with self._lock:
            self._calls[call.service, call.operation, call.caller] += 1
            winner: Count | None = None
            for count in self._counts:
                if count.rule.matches(call) and count.due() and winner is None:
                    winner = count
            if winner is None:
                return None
            winner.struck += 1
            return winner.rule
