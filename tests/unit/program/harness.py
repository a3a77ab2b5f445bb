"""Runs the real `__main__.py` of a stack, with its real files, against a monitor that records what is registered.

Nothing is asserted while the program runs: it is drained first, then tests look at plain data.
"""

import json
import logging
import runpy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import yaml
from pulumi.runtime import mocks, rpc
from pulumi.runtime.settings import ROOT as ROOT_RESOURCE
from pulumi.runtime.stack import run_in_stack
from pulumi.runtime.sync_await import _sync_await

from components.service.functions import KEYS
from release.pulumi.stack_config import raw
from tests.stacks import STACK_FILES

ROOT = Path(__file__).parents[3]
PROJECT = "sentiment-pipeline"
ACCOUNT = "123456789012"
SERVICE_STACKS = ("preprod", "prod")
FOUNDATION_STACKS = ("preprod-foundation", "prod-foundation")
STACKS = SERVICE_STACKS + FOUNDATION_STACKS
SHA, DIGEST = "a1" * 20, "b2" * 32
CODE_SHA256 = "LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE="
NEW_VERSION = "7"


@dataclass(frozen=True)
class Resource:
    """One registration."""

    typ: str
    name: str
    urn: str
    parent: str
    custom: bool
    protect: bool
    inputs: Mapping[str, Any]
    dependencies: tuple[str, ...]


@dataclass
class Deployment:
    """Everything that one run of the program registered."""

    resources: list[Resource] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    invokes: list[str] = field(default_factory=list)
    exports: dict[str, Any] = field(default_factory=dict)

    def of(self, typ: str) -> dict[str, Resource]:
        """Resources whose type token ends in `typ`, by logical name."""
        return {resource.name: resource for resource in self.resources if resource.typ.endswith(typ)}

    def one(self, typ: str, name: str) -> Mapping[str, Any]:
        """Inputs of one resource."""
        return self.of(typ)[name].inputs

    @property
    def custom(self) -> list[Resource]:
        return [resource for resource in self.resources if resource.custom]

    @property
    def record(self) -> Any:
        """Outputs of the record component, or None."""
        return next((value for urn, value in self.outputs.items() if "sentiment:service:Record" in urn), None)


class Cloud(mocks.Mocks):
    """Answers like a provider: inputs come back, and what AWS computes is made up from the name."""

    def __init__(self, deployment: Deployment, state: Mapping[str, Any], new_version: str) -> None:
        self._deployment = deployment
        self._state = state
        self._new_version = new_version

    def call(self, args):
        self._deployment.invokes.append(args.token)
        if args.token == "pulumi:pulumi:readStackResourceOutputs":
            return {"name": args.args["stackName"], "outputs": self._state}
        if args.token == "github:index/getTeam:getTeam":
            return {"id": str(2000 + len(args.args["slug"])), "slug": args.args["slug"]}
        assert args.token == "github:index/getUser:getUser", args.token
        return {"id": str(1000 + len(args.args["username"])), "username": args.args["username"]}

    def new_resource(self, args):
        name = args.inputs.get("name") or args.inputs.get("bucket") or args.name
        computed = {"arn": f"arn:aws:{args.typ.split(':')[1].split('/')[0]}:us-east-1:{ACCOUNT}:{name}"}
        match args.typ:
            case "aws:lambda/function:Function":
                computed |= {"version": self._new_version, "arn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}"}
            case "aws:lambda/alias:Alias":
                function = args.inputs["functionName"]
                computed["arn"] = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{function}:{name}"
            case "aws:lambda/functionUrl:FunctionUrl":
                computed["functionUrl"] = "https://abc.lambda-url.us-east-1.on.aws/"
            case "aws:iam/role:Role" | "aws:iam/policy:Policy":
                kind = args.typ.split(":")[2].lower()
                computed["arn"] = f"arn:aws:iam::{ACCOUNT}:{kind}/{name}"
            case "aws:sqs/queue:Queue":
                computed["url"] = f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/{name}"
        return f"{args.name}-id", {**args.inputs, **computed}


class Monitor(mocks.MockMonitor):
    """Records what the mocks alone do not see: parents, protection and registered outputs."""

    def __init__(self, cloud: Cloud, deployment: Deployment) -> None:
        super().__init__(cloud)
        self._deployment = deployment

    def RegisterResource(self, request):  # noqa: N802
        response = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            self._deployment.resources.append(
                Resource(
                    typ=request.type,
                    name=request.name,
                    urn=response.urn,
                    parent=request.parent,
                    custom=request.custom,
                    protect=request.protect,
                    inputs=rpc.deserialize_properties(request.object),
                    dependencies=tuple(request.dependencies),
                )
            )
        return response

    def RegisterResourceOutputs(self, request):  # noqa: N802
        outputs = rpc.deserialize_properties(request.outputs)
        if "::pulumi:pulumi:Stack::" in request.urn:
            self._deployment.exports.update(outputs)
        else:
            self._deployment.outputs[request.urn] = outputs
        return super().RegisterResourceOutputs(request)


def _program() -> None:
    runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")


def project_file() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "Pulumi.yaml").read_text())


def configuration(stack: str, **overrides: Any) -> dict[str, str]:
    """Raw configuration as the engine hands it to the program: defaults, then the stack's file, then `overrides`.

    Overrides without a namespace of their own (`aws:region`) are the project's.
    """
    return raw(
        stack, STACK_FILES, {key if ":" in key else f"{PROJECT}:{key}": value for key, value in overrides.items()}
    )


def run(
    stack: str,
    *,
    state: Mapping[str, Any] | None = None,
    new_version: str = NEW_VERSION,
    **overrides: Any,
) -> Deployment:
    """Run the program of `stack` and return what it registered; raises what the program raises."""
    deployment = Deployment()
    cloud = Cloud(deployment, state or {}, new_version)
    logger = logging.getLogger("pulumi.tests")
    logger.disabled = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        mocks.set_mocks(
            cloud,
            project=PROJECT,
            stack=stack,
            preview=False,
            logger=logger,
            monitor=Monitor(cloud, deployment),
            organization="organization",
        )
        pulumi.runtime.set_all_config(configuration(stack, **overrides))
        ROOT_RESOURCE.set(None)  # set_mocks has made one, whose exports nobody sees
        _sync_await(run_in_stack(_program))
    return deployment


def release(environment: str, **changes: Any) -> dict[str, Any]:
    """A release as the releaser hands it over."""
    packages = {
        key: {
            "bucket": f"{environment}-sentiment-lambda-deployments",
            "key": f"packages/{DIGEST}/{key}-{SHA}.zip",
            "version_id": f"{key}-object-version",
            "code_sha256": CODE_SHA256,
            "handler": "handler.handle",
        }
        for key in KEYS
    }
    return {"sha": SHA, "manifest": DIGEST, "functions": packages} | changes


STABLE = {key: str(version) for version, key in enumerate(KEYS, 3)}


def hand_over(environment: str, traffic: int = 0, *, stable=STABLE, confirmed=False, **changes: Any) -> str:
    """A whole hand-over, as text."""
    return json.dumps(
        {
            "release": release(environment, **changes),
            "stable": stable,
            "traffic": traffic,
            "confirmed": confirmed,
        }
    )


def state_with(record: Mapping[str, Any] | None, functions: int) -> dict[str, Any]:
    """The engine's answer about a stack with that record and that many functions."""
    base = f"urn:pulumi:x::{PROJECT}::"
    resources: dict[str, Any] = {
        f"{base}aws:lambda/function:Function::f{number}": {"type": "aws:lambda/function:Function", "outputs": {}}
        for number in range(functions)
    }
    if record is not None:
        resources[f"{base}sentiment:service:Record::record"] = {"type": "sentiment:service:Record", "outputs": record}
    return resources


@cache
def deployed(stack: str) -> Deployment:
    """A stack with all it can have: for service stacks, a confirmed release that is live."""
    if stack in SERVICE_STACKS:
        return run(stack, release=hand_over(stack, 100, confirmed=True))
    return run(stack)
