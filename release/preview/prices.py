"""Prices and assumed use of what the program makes, for docs/reference/cost.md and for the cost in a preview. Pure.

Prices: USD, us-east-1, as AWS's price pages state them in November 2026. List prices: free amounts belong to the
account, and one stack does not know what else uses them. A preview leaves out what is paid by use: at the use that
docs/reference/cost.md assumes it is free.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from release.preview.plan import Cost

ALARM: Final = 0.10
DASHBOARD: Final = 3.0
KEY: Final = 1.0
SECRET: Final = 0.40
LAMBDA_GB_SECOND: Final = 0.0000166667

SECONDS_A_CALL: Final = 0.3

_METRIC_ALARM: Final = "aws:cloudwatch/metricAlarm:MetricAlarm"
_GONE: Final = frozenset({"delete", "delete-replaced", "discard"})
STANDING: Final[Mapping[str, tuple[str, float]]] = {
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": ("composite alarms", 0.50),
    "aws:cloudwatch/dashboard:Dashboard": ("dashboards", DASHBOARD),
    _METRIC_ALARM: ("alarm metrics", ALARM),
    "aws:ec2/natGateway:NatGateway": ("NAT gateways", 32.85),
    "aws:kms/key:Key": ("keys", KEY),
    "aws:secretsmanager/secret:Secret": ("secrets", SECRET),
}
"""What is paid each month for having one, by type: what to call several of them, and USD for each."""


def cost_changes(steps: Iterable[Mapping[str, Any]]) -> tuple[Cost, ...]:
    """The standing prices of the steps of a preview (`--show-sames`) that change."""
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    for step in steps:
        op = str(step.get("op"))
        # With `--show-sames` a resource that stays has one state only.
        old, new = (
            step.get("oldState") or step.get("newState") or {},
            step.get("newState") or step.get("oldState") or {},
        )
        kind = str(new.get("type"))
        before[kind] += _paid(old) * (op not in {"create", "create-replacement"})
        after[kind] += _paid(new) * (op not in _GONE)
    return tuple(
        Cost(what=what, before=before[kind], after=after[kind], usd=usd)
        for kind, (what, usd) in STANDING.items()
        if before[kind] != after[kind]
    )


def _paid(state: Mapping[str, Any]) -> int:
    """How many times the price of its type one resource costs."""
    return metrics_of(state.get("inputs") or {}) if state.get("type") == _METRIC_ALARM else 1


def metrics_of(alarm: Mapping[str, Any]) -> int:
    """How many metrics an alarm with these inputs looks at: each costs what an alarm on one metric does."""
    return sum(bool(query.get("metric")) for query in alarm.get("metricQueries") or ()) or 1
