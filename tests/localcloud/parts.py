"""Starts parts of the local cloud for tests as the supervisor does: own process, own port, lifeline on its input."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import httpx
from botocore.config import Config

ROOT = Path(__file__).parents[2]
ACCOUNT = "123456789012"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running_part(part: str, log: Path, **environment: str) -> Iterator[str]:
    """Run `python -m localcloud.PART`, yield its address once it answers, end it by closing its lifeline."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", f"localcloud.{part}", "--port", str(port)],
            cwd=ROOT,
            env=os.environ | {"LOCALCLOUD_PARENT_WATCH": "1", "PYTHONUNBUFFERED": "1"} | environment,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: answers(f"{url}/_localcloud/health"), 30, lambda: f"{part} did not start: {log.read_text()}")
        yield url
    finally:
        process.stdin.close()
        await_end(process)


def await_end(process: subprocess.Popen) -> None:
    """Wait for a process that was told to end; one that stays is this test's failure, not the next one's."""
    try:
        process.wait(10)
    finally:
        process.kill()
        process.communicate()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def wait_until(condition, seconds: float, complaint=lambda: "it did not happen in time"):
    """Return the first true answer of the condition, or fail with the complaint."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(0.03)
    raise AssertionError(complaint())


def client(service: str, url: str, key: str = "AKIALOCALCLOUD000000", secret: str = "made-up", token=None):
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, max_pool_connections=40),
    )
