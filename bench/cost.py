"""docs/reference/cost.md, computed from what the program makes: `python -m bench.cost > docs/reference/cost.md`.

Counts come from the program itself, run for each stack with its tracked settings; how much the service is used is
assumed, in one table. Prices: USD, us-east-1, as AWS's price pages state them in November 2026.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from components.naming import ENVIRONMENTS, foundation_stack, names, service_stack
from components.service.functions import FUNCTIONS
from release.preview import prices
from tests.unit.program.harness import Deployment, configuration, deployed

DAYS = 30
ITEMS_A_DAY = 200
DASHBOARD_REQUESTS_A_DAY = 1_000
RELEASES_A_MONTH = 20
REQUESTS_A_RELEASE = 1_500
"""Of the canary: the sample, the window at a tenth, health; and of the tests in preprod."""
LOG_BYTES_A_CALL = 1_000
ITEM_KB = 2
S3_REQUESTS_A_RELEASE = 2_000
MB_A_RELEASE = 12
KMS_CALLS_A_RELEASE = 50
KEYS = "keys of the states"


@dataclass(frozen=True)
class Line:
    """One price: how much of it a month needs in the account, how much of that is free, and what one unit costs."""

    service: str
    what: str
    amount: float
    free: float
    usd: float
    unit: str = ""
    standing: bool = False
    """Whether it is paid without anything happening."""

    @property
    def cost(self) -> float:
        return max(0.0, self.amount - self.free) * self.usd


def _of(deployments: list[Deployment], typ: str) -> list:
    return [resource for one in deployments for resource in one.of(typ).values()]


def _runs_a_month(stack: str) -> float:
    """Runs of the schedule; a rate as it says, a cron expression as one a day."""
    expression = configuration(stack)["sentiment-pipeline:scheduleExpression"]
    found = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    if not found:
        return DAYS
    return DAYS * 86_400 / (int(found[1]) * {"minute": 60, "hour": 3_600, "day": 86_400}[found[2]])


def lines() -> list[Line]:
    """Every price that the program, or the way to release it, touches."""
    services = [deployed(service_stack(environment)) for environment in ENVIRONMENTS]
    foundations = [deployed(foundation_stack(environment)) for environment in ENVIRONMENTS]
    stacks = services + foundations
    alarms = _of(stacks, "MetricAlarm")
    own_metrics = {
        json.dumps([one.inputs["namespace"], one.inputs["metricName"], one.inputs.get("dimensions")], sort_keys=True)
        for one in alarms
        if not one.inputs.get("namespace", "AWS/").startswith("AWS/")
    }
    environments = len(ENVIRONMENTS)
    runs = sum(_runs_a_month(service_stack(environment)) for environment in ENVIRONMENTS)
    items = ITEMS_A_DAY * DAYS * environments
    releases = RELEASES_A_MONTH * environments
    dashboard = DASHBOARD_REQUESTS_A_DAY * DAYS * environments
    calls = runs + items + dashboard + releases * REQUESTS_A_RELEASE
    memory_gb = int(configuration("prod")["sentiment-pipeline:functionMemoryMb"]) / 1024
    # Each with its aliases `state_key_alias` and `foundation_key_alias`; `release bootstrap` makes them.
    keys = environments * sum(name.endswith("_key_alias") for name in names("prod").physical())
    trails = _of(stacks, "Trail")
    return [
        Line("KMS", KEYS, keys, 0, prices.KEY, standing=True),
        Line("KMS", "requests", releases * KMS_CALLS_A_RELEASE, 20_000, 0.03 / 10_000),
        Line("Secrets Manager", "secrets", len(_of(stacks, "secret:Secret")), 0, prices.SECRET, standing=True),
        Line("Secrets Manager", "reads (one per started instance)", runs + dashboard / 20, 0, 0.05 / 10_000),
        Line(
            "CloudWatch",
            "alarm metrics",
            sum(prices.metrics_of(one.inputs) for one in alarms),
            10,
            prices.ALARM,
            standing=True,
        ),
        Line("CloudWatch", "metrics of our own", len(own_metrics), 10, 0.30, standing=True),
        Line("CloudWatch", "dashboards", len(_of(stacks, "dashboard:Dashboard")), 3, prices.DASHBOARD),
        Line("CloudWatch", "logs taken in", calls * LOG_BYTES_A_CALL / 1e9, 5, 0.50, "GB"),
        Line("CloudWatch", "metric data asked by the canary", releases * 60 * 12, 0, 0.01 / 1_000),
        Line("Lambda", "calls", calls, 1_000_000, 0.20 / 1_000_000),
        Line(
            "Lambda",
            "time x memory",
            calls * prices.SECONDS_A_CALL * memory_gb,
            400_000,
            prices.LAMBDA_GB_SECOND,
            "GB-s",
        ),
        Line("DynamoDB", "writes (item and three indexes, twice)", items * 8 * ITEM_KB, 0, 0.625 / 1_000_000),
        Line("DynamoDB", "reads", dashboard * 25, 0, 0.125 / 1_000_000),
        Line("DynamoDB", "storage", items * ITEM_KB * 4 / 1e6, 25, 0.25, "GB"),
        Line("DynamoDB", "recovery to any point in time", items * ITEM_KB / 1e6, 0, 0.20, "GB"),
        Line("SNS", "messages", items + releases, 1_000_000, 0.50 / 1_000_000),
        Line("SQS", "messages", items / 100, 1_000_000, 0.40 / 1_000_000),
        Line("EventBridge Scheduler", "runs", runs + releases * 7, 14_000_000, 1.0 / 1_000_000),
        # A start, a map, a call for each function and an end; more only where calls are repeated.
        Line("Step Functions", "steps of ten ways back", 10 * (3 + len(FUNCTIONS)), 4_000, 0.025 / 1_000),
        Line("S3", "packages, ledger, states (a year of releases)", releases * 12 * MB_A_RELEASE / 1e3, 0, 0.023, "GB"),
        Line("S3", "writes", releases * S3_REQUESTS_A_RELEASE / 2, 0, 0.005 / 1_000),
        Line("S3", "reads", releases * S3_REQUESTS_A_RELEASE, 0, 0.0004 / 1_000),
        Line("CloudTrail", "writes to the deployment buckets", releases * S3_REQUESTS_A_RELEASE / 2, 0, 0.10 / 100_000),
        Line("CloudTrail", "trails (the first of an account is free)", len(trails), 1, 2.0 / 100_000),
        Line("Budgets", "budgets that only tell", len(_of(stacks, "Budget")), len(_of(stacks, "Budget")), 0.0),
    ]


PAGE = """\
# What it costs to run

`python -m bench.cost > docs/reference/cost.md` computes this page from the program; a test compares the two.
Both environments in one account, us-east-1, prices of November 2026 in USD a month, without tax. Only free amounts
that never expire are taken off.

**About {total:.2f} USD a month, {standing:.2f} of it independent of use.** The budget of {budget} USD
(`monthlyBudgetUsd`) warns on-call at 80 % and 100 %, and when the forecast exceeds it.

| service | what | a month | free | USD |
| --- | --- | ---: | ---: | ---: |
{rows}
| | **together** | | | **{total:.2f}** |

Assumptions: {items} new items and {requests:,} requests to the dashboard a day in each environment, {releases} releases
a month through both, {seconds} s and {log:,} bytes of log a call, items of {kb} kB, packages of {mb} MB a release. Runs
of the schedule, memory, alarms, secrets and keys come from the program.

Cheaper: one key for all states costs {keys:.2f} USD less, but CI could then decrypt the administrator's state. More
expensive: a network of its own for the functions (a NAT gateway costs some 32 USD a month), a schedule of a minute,
a flood of requests to the public `/health`.

GitHub is free for public repositories; reviewers on private ones need an Enterprise plan. Two accounts cost the same,
but each has its own free amounts, trail and budget.
"""


def document() -> str:
    """The whole page."""
    known = lines()
    rows = [
        f"| {line.service} | {line.what} | {_number(line.amount)}{' ' + line.unit if line.unit else ''} "
        f"| {_number(line.free) if line.free else ''} | {line.cost:.2f} |"
        for line in known
    ]
    keys = next(line.cost for line in known if line.what == KEYS)
    return PAGE.format(
        total=sum(line.cost for line in known),
        standing=sum(line.cost for line in known if line.standing),
        budget=configuration("prod-foundation")["sentiment-pipeline:monthlyBudgetUsd"],
        rows="\n".join(rows),
        items=ITEMS_A_DAY,
        requests=DASHBOARD_REQUESTS_A_DAY,
        releases=RELEASES_A_MONTH,
        seconds=prices.SECONDS_A_CALL,
        log=LOG_BYTES_A_CALL,
        kb=ITEM_KB,
        mb=MB_A_RELEASE,
        keys=keys - 1,
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2f}"


if __name__ == "__main__":
    sys.stdout.write(document())
