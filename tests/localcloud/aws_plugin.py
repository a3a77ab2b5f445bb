"""The AWS provider stand-in as the engine sees it: a process of its own, spoken to over gRPC, with moto behind it."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from localcloud.aws_provider.values import struct_from_wire, struct_to_wire
from tests.localcloud.parts import ROOT, await_end

_DIFF = provider_pb2.DiffResponse


def environment(aws: str, **more: str) -> dict[str, str]:
    """What `localcloud run` sets, with nothing of the machine's own AWS settings."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    return clean | {
        "AWS_ENDPOINT_URL": aws,
        "AWS_ACCESS_KEY_ID": "AKIALOCALCLOUD000000",
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        **more,
    }


class Plugin:
    """A running plugin. Each method is one request of the engine, with plain values in and out."""

    def __init__(self, stub: Any, process: subprocess.Popen) -> None:
        self.stub = stub
        self.process = process

    def configure(self, **settings: Any) -> None:
        args = struct_to_wire(settings)
        self.stub.Configure(provider_pb2.ConfigureRequest(args=args, acceptSecrets=True, acceptResources=True))

    def check(self, token: str, inputs: Mapping[str, Any], name: str = "it") -> tuple[dict[str, Any], dict[str, str]]:
        """The checked inputs, and the reasons by property."""
        answer = self.stub.Check(
            provider_pb2.CheckRequest(urn=_urn(token, name), type=token, name=name, news=struct_to_wire(inputs))
        )
        return struct_from_wire(answer.inputs), {item.property: item.reason for item in answer.failures}

    def create(self, token: str, inputs: Mapping[str, Any], *, preview: bool = False) -> tuple[str, dict[str, Any]]:
        answer = self.stub.Create(
            provider_pb2.CreateRequest(
                urn=_urn(token), type=token, name="it", properties=struct_to_wire(inputs), preview=preview
            )
        )
        return answer.id, struct_from_wire(answer.properties)

    def diff(self, token: str, resource_id: str, state: Any, inputs: Any) -> Any:
        return self.stub.Diff(
            provider_pb2.DiffRequest(
                id=resource_id,
                urn=_urn(token),
                type=token,
                name="it",
                olds=struct_to_wire(state),
                news=struct_to_wire(inputs),
            )
        )

    def read(
        self, token: str, resource_id: str, state: Any = None, inputs: Any = None
    ) -> tuple[str, dict[str, Any], dict[str, Any]]:
        answer = self.stub.Read(
            provider_pb2.ReadRequest(
                id=resource_id,
                urn=_urn(token),
                type=token,
                name="it",
                properties=struct_to_wire(state or {}),
                inputs=struct_to_wire(inputs or {}),
            )
        )
        return answer.id, struct_from_wire(answer.properties), struct_from_wire(answer.inputs)

    def update(self, token: str, resource_id: str, state: Any, inputs: Any, *, preview: bool = False) -> dict[str, Any]:
        answer = self.stub.Update(
            provider_pb2.UpdateRequest(
                id=resource_id,
                urn=_urn(token),
                type=token,
                name="it",
                olds=struct_to_wire(state),
                news=struct_to_wire(inputs),
                preview=preview,
            )
        )
        return struct_from_wire(answer.properties)

    def delete(self, token: str, resource_id: str, state: Any) -> None:
        self.stub.Delete(
            provider_pb2.DeleteRequest(
                id=resource_id, urn=_urn(token), type=token, name="it", properties=struct_to_wire(state)
            )
        )


def _urn(token: str, name: str = "it") -> str:
    return f"urn:pulumi:preprod::sentiment-pipeline::{token}::{name}"


def changed(answer: Any) -> list[str]:
    """The paths that a Diff reports; empty when it reports no change."""
    assert (answer.changes == _DIFF.DIFF_SOME) == bool(answer.detailedDiff)
    return sorted(answer.detailedDiff)


def partial_state(error: grpc.RpcError) -> provider_pb2.ErrorResourceInitFailed:
    """What a failed request says about a resource that exists nevertheless."""
    metadata = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    detail = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(detail)
    return detail


@contextmanager
def running_plugin(env: Mapping[str, str], *arguments: str) -> Iterator[Plugin]:
    process = subprocess.Popen(
        [sys.executable, "-m", "localcloud.aws_provider", *arguments],
        cwd=Path(ROOT),
        env=dict(env),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        port = process.stdout.readline().strip()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Plugin(provider_pb2_grpc.ResourceProviderStub(channel), process)
    finally:
        process.terminate()
        await_end(process)
