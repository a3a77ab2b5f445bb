"""The stack's memory of the release that it runs: written as outputs of a resource, read back from the state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi.runtime import invoke

from components.service import release

RECORD_TYPE: Final = "sentiment:service:Record"
_FUNCTION_TYPE: Final = "aws:lambda/function:Function"


@dataclass(frozen=True, kw_only=True, slots=True)
class Remembered:
    """What the state says before this `up`: the record, if there is one, and how many functions the stack has."""

    record: release.RecordedRelease | None
    functions: int


def remember() -> Remembered:
    """Read the record from the state of the running stack.

    This is the engine's own function over the checkpoint that it works on: no provider and no cloud is asked.
    Raises `release.ReleaseInputError` when there is a record but it cannot be understood.
    """
    stack = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    answer = invoke("pulumi:pulumi:readStackResourceOutputs", {"stackName": stack}).value or {}
    return from_state(answer.get("outputs") or {})


def from_state(resources: Mapping[str, Any]) -> Remembered:
    """As `remember`, from the engine's answer: type and outputs of every resource, by URN."""
    records = [resource["outputs"] for resource in resources.values() if resource["type"] == RECORD_TYPE]
    if len(records) > 1:
        raise release.ReleaseInputError(
            f"the state holds {len(records)} records of a release, there can be one: look at `pulumi stack --show-urns`"
        )
    return Remembered(
        record=release.parse_record(records[0]) if records else None,
        functions=sum(resource["type"] == _FUNCTION_TYPE for resource in resources.values()),
    )


@dataclass(frozen=True, kw_only=True)
class RecordArgs:
    """The plan of this `up`; ids of all aliases that it moves; the versions that `live` then serves, by function."""

    plan: release.ServicePlan
    alias_ids: Sequence[pulumi.Input[str]]
    live_versions: Mapping[str, pulumi.Input[str]]


class Record(pulumi.ComponentResource):
    """Remembers a release once all its aliases are where they belong.

    The outputs hang on every alias, so that an `up` that fails half way leaves the former record alone. They are a
    resource's outputs, because those of the stack are overwritten even by a program that raised before it exported any.
    """

    release: pulumi.Output[dict[str, Any]]
    stable: pulumi.Output[dict[str, str]]

    def __init__(self, name: str, args: RecordArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(RECORD_TYPE, name, None, opts)
        plan = args.plan
        serving = args.live_versions if plan.confirmed else plan.stable
        complete = pulumi.Output.all(*args.alias_ids)
        self.release = complete.apply(lambda _: plan.release.as_output())
        self.stable = pulumi.Output.all(complete, pulumi.Output.all(**serving)).apply(lambda both: dict(both[1]))
        self.register_outputs({"release": self.release, "stable": self.stable})
