"""What a month costs more or less, from the standing prices of what comes and goes. Pure.

List prices: free amounts belong to the account, and one stack does not know what else uses them. What is paid by use is
left out: at the use that docs/reference/cost.md assumes it is free.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from release.preview.plan import Cost
from release.preview.prices import STANDING

_GONE: Final = frozenset({"delete", "delete-replaced", "discard"})


def cost_changes(steps: Iterable[Mapping[str, Any]]) -> tuple[Cost, ...]:
    """The standing prices of the steps of a preview (`--show-sames`) that change."""
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    for step in steps:
        op = str(step.get("op"))
        # With `--show-sames` a resource that stays has one state only.
        kind = str((step.get("newState") or step.get("oldState") or {}).get("type"))
        before[kind] += op not in {"create", "create-replacement"}
        after[kind] += op not in _GONE
    return tuple(
        Cost(what=what, before=before[kind], after=after[kind], usd=usd)
        for kind, (what, usd) in STANDING.items()
        if before[kind] != after[kind]
    )
