"""Entry point of `python -m localcloud.alarms --port N`."""

from collections.abc import Callable

from localcloud.alarms.evaluator import Evaluator
from localcloud.alarms.events import Bus
from localcloud.process.aws_clients import AwsClients
from localcloud.process.part import clock_scale
from localcloud.process.poller import serve_poller

_TICK_S = 0.5
_SHORTEST_TICK_S = 0.25


def _prepare(clients: AwsClients) -> tuple[Callable[[], int], Callable[[], float]]:
    scale = clock_scale()
    evaluator = Evaluator(
        clients.client("cloudwatch"), clients.client("sns"), scale, send=Bus(clients.client, scale).send
    )
    return evaluator.run_once, lambda: max(_SHORTEST_TICK_S, _TICK_S / scale)


serve_poller("alarms", "CloudWatch", _prepare)
