"""The page of the lifecycle: `python -m release.ledger.diagram > docs/reference/lifecycle.md`."""

from __future__ import annotations

import sys

from release.ledger.lifecycle import CHANGING, ENDS, PREPROD, PROD, PROMISES, UNCHANGED, Decision, State

_DECISIONS = {
    Decision.BLOCKED: "this release is not promoted (`release block`)",
    Decision.UNBLOCKED: "this release may be promoted again (`release unblock`)",
    Decision.FROZEN: "nothing is promoted; a rollback is still possible (`release freeze on`)",
    Decision.THAWED: "promotions are allowed again (`release freeze off`)",
    Decision.UNLOCKED: "the lease of a dead run was freed by hand (`release unlock`)",
    Decision.RESTORED: "weights that no run had set were taken off `live` (`release reap`)",
}


def document() -> str:
    """The page: a diagram and a table per environment."""
    return "\n".join(
        [
            "# The lifecycle of a release",
            "",
            "`python -m release.ledger.diagram` makes this page from `release/ledger/lifecycle.py`; a test compares",
            "them. A state is written into the ledger **before** the step that it names. A run that dies therefore",
            "leaves a state that says what may have happened, and `release resume` repeats that step.",
            "",
            "## Production",
            "",
            *_diagram(PROD),
            "",
            "REFUSED and SUPERSEDED are possible at any time before DEPLOYING. They change nothing and leave the state",
            "as it was. `release resume` enters the same state again.",
            "",
            "## Preprod",
            "",
            *_diagram(PREPROD),
            "",
            "A deployment of preprod may begin at any time, because nothing there needs a rollback.",
            "",
            "## What each state promises",
            "",
            "| state | promise | kind |",
            "| --- | --- | --- |",
            *[f"| {state} | {PROMISES[state]} | {_kind(state)} |" for state in State],
            "",
            "## Decisions of people",
            "",
            "Decisions are entries of the same chain, with the person and the reason. They change no state.",
            "",
            "| decision | meaning |",
            "| --- | --- |",
            *[f"| {decision} | {_DECISIONS[decision]} |" for decision in Decision],
            "",
        ]
    )


def _diagram(table: dict[State | None, frozenset[State]]) -> list[str]:
    lines = ["```mermaid", "stateDiagram-v2"]
    for state, following in table.items():
        others = [after for after in State if after in following and after is not state]
        lines += [f"    {state or '[*]'} --> {after}" for after in others]
    return [*lines, "```"]


def _kind(state: State) -> str:
    if state in UNCHANGED:
        return "under way, nothing changed"
    if state in CHANGING:
        return "under way"
    return "end" if state in ENDS else "aside" if state in {State.REFUSED, State.SUPERSEDED} else "preprod"


if __name__ == "__main__":
    sys.stdout.write(document())
