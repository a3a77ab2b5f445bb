"""Prices and assumed use of what the program makes, for docs/reference/cost.md and for the cost in a preview.

Prices: USD, us-east-1, as AWS's price pages state them in November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ALARM: Final = 0.10
DASHBOARD: Final = 3.0
KEY: Final = 1.0
SECRET: Final = 0.40
LAMBDA_GB_SECOND: Final = 0.0000166667

SECONDS_A_CALL: Final = 0.3

STANDING: Final[Mapping[str, tuple[str, float]]] = {
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": ("composite alarms", 0.50),
    "aws:cloudwatch/dashboard:Dashboard": ("dashboards", DASHBOARD),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ("alarms", ALARM),
    "aws:ec2/natGateway:NatGateway": ("NAT gateways", 32.85),
    "aws:kms/key:Key": ("keys", KEY),
    "aws:secretsmanager/secret:Secret": ("secrets", SECRET),
}
"""What is paid each month for having one, by type: what to call several of them, and USD for each."""
