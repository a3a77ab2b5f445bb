"""Entry point of `python -m localcloud.schedules --port N`."""

from collections.abc import Callable

from localcloud.process.aws_clients import AwsClients
from localcloud.process.part import clock_scale
from localcloud.process.poller import serve_poller
from localcloud.schedules.runner import Runner

_TICK_S = 0.5
"""How long a new schedule may stay unknown. One that is known fires at its time, not at the next tick."""


def _prepare(clients: AwsClients) -> tuple[Callable[[], int], Callable[[], float]]:
    for service in ("scheduler", "lambda", "sqs", "events"):
        clients.client(service)  # making one takes a tenth of a second, which a schedule that is due should not wait
    runner = Runner(clients.client, clock_scale())
    return runner.run_once, lambda: runner.pause(_TICK_S)


serve_poller("schedules", "EventBridge Scheduler", _prepare)
