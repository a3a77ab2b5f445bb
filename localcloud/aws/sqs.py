"""The metrics that SQS sends to CloudWatch of each queue; moto sends none."""

import threading
import time
from datetime import UTC, datetime

from moto.cloudwatch.models import cloudwatch_backends
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sqs.models import sqs_backends

from localcloud.process.part import clock_scale

_EVERY_S = 60.0
_SHORTEST_S = 0.25
_ACTIVE_S = 6 * 3600.0


def send_metrics_of_queues() -> None:
    """Start to send, every minute of `LOCALCLOUD_CLOCK`, how many messages wait in each active queue.

    A queue is active while it holds messages, and for six hours after. (SQS also takes any call for activity.)
    """
    scale = clock_scale()
    active: dict[str, float] = {}

    def send() -> None:
        while True:
            time.sleep(max(_SHORTEST_S, _EVERY_S / scale))
            now = time.time()
            for region, backend in list(sqs_backends[DEFAULT_ACCOUNT_ID].items()):
                for queue in list(backend.queues.values()):
                    if queue.approximate_number_of_messages or queue.approximate_number_of_messages_not_visible:
                        active[queue.queue_arn] = now
                    if now - active.setdefault(queue.queue_arn, now) < _ACTIVE_S / scale:
                        _count(region, queue.name, queue.approximate_number_of_messages, now)

    threading.Thread(target=send, name="queue-metrics", daemon=True).start()


def _count(region: str, queue: str, waiting: int, now: float) -> None:
    datum = {
        "MetricName": "ApproximateNumberOfMessagesVisible",
        "Dimensions": [{"Name": "QueueName", "Value": queue}],
        "Timestamp": datetime.fromtimestamp(now, UTC),
        "Value": waiting,
        "Unit": "Count",
    }
    cloudwatch_backends[DEFAULT_ACCOUNT_ID][region].put_metric_data("AWS/SQS", [datum])
