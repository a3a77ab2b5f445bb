"""What a month costs more or less, from the standing prices of what comes and goes. Pure.

List prices: free amounts belong to the account, and one stack does not know what else uses them. How much is used
follows the assumptions of docs/reference/cost.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from release.preview.plan import Cost
from release.preview.prices import CALLS_A_MONTH, LAMBDA_GB_SECOND, SECONDS_A_CALL, STANDING

_FUNCTION: Final = "aws:lambda/function:Function"
_GONE: Final = frozenset({"delete", "delete-replaced", "discard"})


def cost_changes(steps: Iterable[Mapping[str, Any]]) -> tuple[Cost, ...]:
    """The standing prices of the steps of a preview (`--show-sames`) that change."""
    held: dict[str, Counter[str]] = {"before": Counter(), "after": Counter()}
    memory = {"before": 0.0, "after": 0.0}
    for step in steps:
        op, old, new = str(step.get("op")), step.get("oldState") or {}, step.get("newState") or {}
        kind = str((new or old).get("type"))
        # With `--show-sames` a resource that stays has one state only.
        was, will = op not in {"create", "create-replacement"}, op not in _GONE
        for when, there, state in (("before", was, old or new), ("after", will, new)):
            held[when][kind] += there
            memory[when] += _memory_gb(state) if there and kind == _FUNCTION else 0.0
    before, after = held["before"], held["after"]
    costs = [
        Cost(what=what, before=before[kind], after=after[kind], usd=usd)
        for kind, (what, usd) in STANDING.items()
        if before[kind] != after[kind]
    ]
    if memory["before"] != memory["after"]:
        seconds = CALLS_A_MONTH / max(before[_FUNCTION], after[_FUNCTION]) * SECONDS_A_CALL
        costs.append(
            Cost(
                what="memory of the functions (GB, at the calls that docs/reference/cost.md assumes)",
                before=round(memory["before"], 4),
                after=round(memory["after"], 4),
                usd=round(seconds * LAMBDA_GB_SECOND, 6),
            )
        )
    return tuple(costs)


def _memory_gb(state: Mapping[str, Any]) -> float:
    size = (state.get("inputs") or {}).get("memorySize")
    return size / 1024 if isinstance(size, int | float) else 0.125
