"""The plan that a reviewer approves: which bytes, which steps, and which state the steps start from.

It is made twice by the same function: before the approval, where the reviewer reads it, and under the lease, where
nobody else can change anything any more. Pulumi binds a saved plan to its steps only; here the state that they start
from is part of it. Neither needs a key: the secrets are taken out of the state, and no cloud is asked. What was changed
in the cloud by hand is found under the lease, by the proof of the way back.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from release.artifacts.manifest import Manifest
from release.canonical import canonical_json, sha256
from release.context import Context
from release.errors import Refused, UsageError
from release.ledger.lifecycle import Deployment
from release.preview.compare import plan_of
from release.preview.copy import copy_of
from release.preview.engine import preview
from release.preview.lines import OPS, Lines
from release.preview.plan import Against, Digest, Head, PlanDocument, ResourceChange
from release.preview.state import deployed_state, stored_state
from release.pulumi import stack_config
from release.pulumi.stack import CONFIG_KEY, ReleaseInput, Stack
from release.rules import RefusalRule

_AGAIN: Final = "read the difference, then run all jobs of the workflow again: they show the plan of now to a reviewer"
_MOST_LINES: Final = 12
_LONGEST_VALUE: Final = 200


class ApprovedPlan(BaseModel):
    """A plan, the manifest digest of the release that it brings, and the state that it starts from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    manifest: Digest
    serial: Digest | Literal["none"]
    """SHA-256 of the state as it is stored, which every update writes anew; `none`: the stack has no state yet."""
    plan: PlanDocument

    @property
    def digest(self) -> str:
        """SHA-256 of what is approved."""
        return sha256(canonical_json({"manifest": self.manifest, "serial": self.serial, "plan": self.plan.digest}))


@dataclass(frozen=True, slots=True)
class BoundApproval:
    """What a run was told of the approval: the digest, and the plan as far as it is at hand, to show a difference."""

    digest: str
    plan: ApprovedPlan | None = None

    @classmethod
    def read(cls, digest: str, body: bytes | None) -> BoundApproval:
        """Return the approval with this digest; `body` is the plan as `release plan --out` wrote it.

        Raises:
            UsageError: What was written is no plan, or is another one than was approved.
        """
        if body is None:
            return cls(digest)
        try:
            plan = ApprovedPlan.model_validate_json(body)
        except ValidationError as error:
            where = ", ".join(sorted({".".join(map(str, one["loc"])) or "all of it" for one in error.errors()}))
            raise UsageError("the approved plan cannot be read", why=f"wrong or missing: {where[:200]}") from None
        if plan.digest != digest:
            raise UsageError(
                "the plan in the file is not the one that was approved",
                why=f"its digest is {plan.digest[:12]}, approved was {digest[:12] or 'none'}",
                next_step="hand over the file and the digest of one and the same `release plan`",
            )
        return cls(digest, plan)


def plan_for_approval(context: Context, manifest: Manifest, stack: Stack, confirmed: Deployment | None) -> ApprovedPlan:
    """Return what the dark update of a release would do to the state as it is now.

    `stack` is driven by the program of the release. Where its packages lie in this environment's bucket is known
    before they are there, but for the versions of these objects.

    Raises:
        ReleaseError: The state cannot be read, or the program cannot be previewed.
    """
    stored = deployed_state(context) if confirmed else stored_state(context)
    sha = confirmed.release.sha if confirmed else None
    deployment = {}
    if stored is not None:
        settings = stack_config.load(context.stack, context.repo, os.environ)  # a program has the file of one stack
        export = json.dumps({"deployment": stored.deployment}).encode()
        deployment = copy_of(export, settings, sha=manifest.sha, manifest=manifest.digest, at="now").deployment
    handed = ReleaseInput(context.releases.expected(manifest), confirmed.stable if confirmed else {}, traffic=0)
    config = stack_config.stack_values(context.stack, stack.program, os.environ)
    config[CONFIG_KEY] = handed.as_config_value()
    with context.console.step("planning what the release changes, from the state as it is"):
        done = preview(stack.program, context.stack, config, deployment)
        plan = plan_of(
            done.document,
            stack=context.stack,
            head=Head(sha=manifest.sha),
            against=Against(kind="state", sha=sha),
            people=done.people,
        )
    return ApprovedPlan(manifest=manifest.digest, serial=stored.serial if stored else "none", plan=plan)


def refuse_other_plan(approval: BoundApproval, now: ApprovedPlan) -> None:
    """Raise `Refused` unless the plan of now is the one that was approved."""
    if not approval.digest:
        raise Refused(
            RefusalRule.PLAN_NOT_APPROVED,
            "nobody has seen what this release changes",
            why="the run was told no digest of an approved plan",
            next_step="run all jobs of the workflow again: `release plan` makes the plan that a reviewer approves",
        )
    if approval.digest == now.digest:
        return
    if approval.plan is None:
        said = [f"plan {now.digest[:12]} is not the approved {approval.digest[:12]}, which is not at hand to compare"]
    else:
        said = [*differences(approval.plan, now)]
    raise _changed(said)


def refuse_unseen_steps(approved: PlanDocument, planned: PlanDocument) -> None:
    """Raise `Refused` unless the engine plans exactly the approved steps, with the secrets and packages in place."""
    seen, found = Counter(map(_step, approved.changes)), Counter(map(_step, planned.changes))
    said = [*(f"only now: {step}" for step in found - seen), *(f"only approved: {step}" for step in seen - found)]
    if said:
        raise _changed(said)


def _changed(said: list[str]) -> Refused:
    left = len(said) - _MOST_LINES
    more = [f"and {left} more"] if left > 0 else []
    return Refused(
        RefusalRule.PLAN_CHANGED,
        "the release would do something else than was approved",
        why="; ".join([*said[:_MOST_LINES], *more]),
        next_step=_AGAIN,
    )


def differences(approved: ApprovedPlan, now: ApprovedPlan) -> Iterator[str]:
    """What differs between an approved plan and the one of now, a sentence each."""
    if approved.manifest != now.manifest:
        yield f"release {now.manifest[:12]} instead of {approved.manifest[:12]}"
    one, other = approved.plan, now.plan
    before, after = ({_step(change): change for change in plan.changes} for plan in (one, other))
    yield from (f"only now: {_told(change)}" for step, change in after.items() if step not in before)
    yield from (f"only approved: {_told(change)}" for step, change in before.items() if step not in after)
    for step, change in after.items():
        if step in before and before[step] != change:
            yield f"differs: {step}: approved {_lines(before[step])}, now {_lines(change)}"
    if one.stack != other.stack:
        yield f"stack {other.stack} instead of {one.stack}"
    if one.unchanged != other.unchanged:
        yield f"{other.unchanged} resources stay as they are instead of {one.unchanged}"
    if approved.serial != now.serial:
        which = f"{now.serial[:12]} instead of {approved.serial[:12]}"
        yield f"the state was written again since, by another release or by hand ({which})"


def _step(change: ResourceChange) -> str:
    return " ".join([OPS.get(change.op, change.op), change.short_type, change.name])


def _told(change: ResourceChange) -> str:
    return f"{_step(change)} ({_lines(change)})"


def _lines(change: ResourceChange) -> str:
    return _joined(Lines(_LONGEST_VALUE).resource(change))


def _joined(lines: Iterable[str]) -> str:
    return ", ".join(lines) or "no property shown"
