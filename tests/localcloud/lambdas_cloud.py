"""The Lambda service beside a plain moto, for the tests of the service: real processes, real boto3, real zips."""

import atexit
import functools
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import uuid
import zipfile
from pathlib import Path

import httpx
import pytest

from tests.localcloud.parts import ROOT, answers, client, free_port, wait_until

ASSUMED_BY_LAMBDA = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
ECHO = "def handle(event, context):\n    return {'event': event, 'version': context.function_version}\n"


class Service:
    """One running Lambda service with its own data folder."""

    def __init__(self, moto: str, port: int = 0, **environment: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lambdas-"))
        port = port or free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.log = self.folder / "log"
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "LOCALCLOUD_"))}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "localcloud.lambdas", "--port", str(port)),
                    *("--data", str(self.folder / "data")),
                ],
                cwd=ROOT,
                env=clean
                | {"LOCALCLOUD_PARENT_WATCH": "1", "AWS_ENDPOINT_URL": moto, "HOST_SECRET": "x"}
                | {"LOCALCLOUD_CLOCK": "x1200"}  # a failed event is tried again after 0.05 s
                | environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        complaint = "the Lambda service did not start:\n"
        wait_until(lambda: self.process.poll() is not None or self.answers(), 90, lambda: complaint + self.logged())
        assert self.process.poll() is None, complaint + self.logged()

    def answers(self) -> bool:
        return answers(f"{self.url}/_localcloud/health")

    def logged(self) -> str:
        return self.log.read_text()

    def cut_lifeline(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self.cut_lifeline()
        shutil.rmtree(self.folder, ignore_errors=True)


class Cloud:
    """Clients, a role, and short ways to make functions."""

    def __init__(self, moto: str, service: Service) -> None:
        self.moto = moto
        self.service = service
        self.lambdas = client("lambda", service.url)
        self.role = self.make_role()

    def client(self, name: str):
        return client(name, self.moto)

    def make_role(self, document: dict = ASSUMED_BY_LAMBDA) -> str:
        name = f"role-{uuid.uuid4().hex[:8]}"
        iam = self.client("iam")
        return iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document))["Role"]["Arn"]

    def make(self, source: str = ECHO, *, name: str | None = None, **settings) -> str:
        """Create and publish a function; the name."""
        name = name or f"fn-{uuid.uuid4().hex[:8]}"
        wanted = {"Runtime": "python3.11", "Role": self.role, "Handler": "handler.handle", "Publish": True} | settings
        self.lambdas.create_function(FunctionName=name, Code={"ZipFile": zipped(source)}, **wanted)
        return name

    def update(self, name: str, source: str) -> str:
        """Publish new code; the version."""
        return self.lambdas.update_function_code(FunctionName=name, ZipFile=zipped(source), Publish=True)["Version"]

    def invoke(self, name: str, event=None, **arguments):
        """Answer (parsed) and the whole response."""
        response = self.lambdas.invoke(FunctionName=name, Payload=json.dumps(event or {}), **arguments)
        return json.loads(response["Payload"].read() or b"null"), response

    def log_of(self, name: str) -> list[str]:
        """What a function and Lambda itself have written so far."""
        self.flush()
        events = self.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        return [event["message"] for event in events]

    def queue(self) -> tuple[str, str]:
        """URL and ARN of a new queue."""
        sqs = self.client("sqs")
        url = sqs.create_queue(QueueName=f"q-{uuid.uuid4().hex[:8]}")["QueueUrl"]
        return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def take_message(self, url: str):
        def receive():
            answer = self.client("sqs").receive_message(QueueUrl=url, MessageAttributeNames=["All"])
            return answer.get("Messages")

        return wait_until(receive, 10, lambda: f"no message arrived: {self.service.logged()[-2000:]}")[0]

    def flush(self) -> None:
        assert httpx.post(f"{self.service.url}/_localcloud/flush", timeout=30).json() == {"ok": True}


def zipped(source: str, **more: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as package:
        package.writestr("handler.py", textwrap.dedent(source))
        for name, text in more.items():
            package.writestr(f"{name}.py", text)
    return content.getvalue()


def start_moto(port: int) -> str:
    """A plain moto server that ends with the tests; its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def end() -> None:
        process.kill()
        process.wait()

    atexit.register(end)
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(f"{url}/moto-api/"), 90)
    return url


@functools.cache
def moto_url() -> str:
    """The moto that all modules share: starting one takes seconds."""
    return start_moto(free_port())


@functools.cache
def shared_cloud() -> Cloud:
    service = Service(moto_url())
    atexit.register(service.stop)
    return Cloud(moto_url(), service)


@pytest.fixture(name="cloud")
def cloud_fixture() -> Cloud:
    return shared_cloud()
