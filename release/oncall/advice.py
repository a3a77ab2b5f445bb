"""What to do now: the next step of each state. Pure; the pager, `status` and `explain` say the same.

What to do after a refusal stands in the refusal itself; docs/how-to/runbook.md has both, at length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from components.naming import LIVE, names
from release.ledger.lifecycle import CHANGING, LedgerState, ReleaseId, State
from release.pulumi.checkpoint import ResourceNote
from release.traffic.aliases import Astray


def of_state(stack: str, state: State, release: ReleaseId | None = None, *, way_back: bool = True) -> str:
    """What a person does who is told that `release` has come to `state`; empty when nothing is to be done.

    `way_back` says whether any release was ever confirmed.
    """
    if state is State.ROLLED_BACK_TRAFFIC and not way_back:
        return "no release was ever confirmed: fix it in a new commit and promote that"
    at, named = f"--stack {stack}", f"{release.digest[:12]} " if release else ""
    match state:
        case State.ROLLED_BACK:
            return f"release explain {named}{at} says why; fix it in a new commit, this release is blocked"
        case State.ROLLED_BACK_TRAFFIC:
            return f"users are safe; bring the stack back: release rollback {at} --reason 'finish the rollback'"
        case State.ROLLBACK_FAILED:
            return f"at once: release rollback {at} --reason 'finish the rollback'; then docs/how-to/runbook.md"
        case State.REFUSED:
            return f"release explain {named}{at} names the rule and the way forward"
        case _:
            return ""


def next_step(
    view: LedgerState, elsewhere: Sequence[Astray] = (), *, left: bool = False, taken_back: bool = False
) -> str:
    """What a person does first about an environment as it stands; empty when nothing is to be done.

    `elsewhere` are the functions whose aliases are not what the ledger says; `left`: nobody holds the lease;
    `taken_back`: an alarm has moved them while the release was baking.
    """
    if taken_back:
        return f"finish what the alarm began: release reap --stack {view.stack}"
    return next(_steps(view, elsewhere, left=left), "")


def how_to_treat(left: ResourceNote) -> str:
    """What a person does about a resource that a rollback has left in AWS, on one line."""
    name, known = left.urn.rsplit("::", 1)[-1], left.id or "its name"
    return (
        f"left in AWS: {left.type} {name} ({known}), {left.why}. The stack does not know it any more: delete it "
        "by hand, or keep it: a release that declares it under the same name takes it over, and under another name "
        f"with pulumi.ResourceOptions(import_={left.id!r})"
    )


def _steps(view: LedgerState, elsewhere: Sequence[Astray], *, left: bool) -> Iterator[str]:
    """What is to be done, the most urgent first."""
    at = f"--stack {view.stack}"
    if view.state in {State.ROLLED_BACK_TRAFFIC, State.ROLLBACK_FAILED}:
        state = State.ROLLBACK_FAILED if elsewhere else view.state  # the aliases, not the record, say who is safe
        yield of_state(view.stack, state, way_back=view.confirmed is not None)
    elif any(one.only_weights for one in elsewhere):
        yield f"take off the weights that no run has set: release reap {at}"
    for one in elsewhere:
        if one.live is not None and one.recorded is not None:
            function = names(view.stack).function(one.function).function
            yield (
                f"find out who has moved {LIVE}, then: aws lambda update-alias --function-name {function} "
                f"--name {LIVE} --function-version {one.recorded} --routing-config AdditionalVersionWeights={{}}"
            )
        yield f"find out who has changed {one.function} (CloudTrail), then: pulumi up --refresh {at}"
    if view.attempt is not None and view.stack != "preprod":
        on = f", or go on: release resume {at}" if view.attempt.state in CHANGING - {State.ROLLING_BACK} else ""
        yield f"{'' if left else f'let it run; if run {view.attempt.run.id} has died: '}release reap {at}{on}"
    if view.contract_pending:
        yield f"delete what only the release before needed: release confirm {at}"
    if view.frozen:
        yield f"when the cause is gone: release freeze off {at} --reason ..."
    if view.state is State.ROLLED_BACK:
        yield "fix it in a new commit and promote that; the release that failed is blocked"
