"""What things cost and how much of them is assumed to be used: for docs/cost.md, and for the difference in a preview.

Prices: USD, us-east-1, as AWS's price pages state them in November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices:
    """Prices and assumptions that more than one place needs."""

    alarm: float = 0.10
    dashboard: float = 3.0
    key: float = 1.0
    secret: float = 0.40
    lambda_gb_second: float = 0.0000166667
    seconds_a_call: float = 0.3


PRICES: Final = Prices()
CALLS_A_MONTH: Final = 66_000
"""Of all functions of one environment; bench/cost.py computes it, and a test compares the two."""

STANDING: Final[Mapping[str, tuple[str, float]]] = {
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": ("composite alarms", 0.50),
    "aws:cloudwatch/dashboard:Dashboard": ("dashboards", PRICES.dashboard),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ("alarms", PRICES.alarm),
    "aws:ec2/natGateway:NatGateway": ("NAT gateways", 32.85),
    "aws:kms/key:Key": ("keys", PRICES.key),
    "aws:secretsmanager/secret:Secret": ("secrets", PRICES.secret),
}
"""What is paid each month for having one, by type: what to call several of them, and USD for each."""
