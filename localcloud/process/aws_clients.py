"""boto3 clients for the rest of the local cloud."""

import threading
from typing import Any

import boto3
from botocore.config import Config

_CONFIG = Config(
    connect_timeout=3,
    read_timeout=15,
    retries={"max_attempts": 2, "mode": "standard"},
    s3={"addressing_style": "path"},
    disable_request_compression=True,
)


class AwsClients:
    """Clients, made at first use and kept: making one takes far longer than a call."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def client(self, service: str) -> Any:
        """Return the client of an AWS service; its address comes from AWS_ENDPOINT_URL*."""
        with self._lock:
            if service not in self._clients:
                # Creating clients is not safe in several threads at once, using them is.
                session = boto3.session.Session(
                    region_name=self._region,
                    aws_access_key_id="local",
                    aws_secret_access_key="local",  # noqa: S106  made up: moto asks for any key
                )
                self._clients[service] = session.client(service, config=_CONFIG)
            return self._clients[service]
