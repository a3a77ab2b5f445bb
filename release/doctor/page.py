"""The tables of docs/reference/readiness.md: `python -m release.doctor.page` makes them anew from the checks."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Final

from components.naming import foundation_stack
from release.doctor.check import Check
from release.doctor.table import CHECKS

PAGE: Final = Path("docs/reference/readiness.md")
_HEADING: Final = "## The checklist\n"


def renewed(text: str) -> str:
    """Return the page with today's checks; what stands above their heading is written by hand."""
    tables = [line for area, checks in groupby(CHECKS, lambda check: check.area) for line in _area(area, list(checks))]
    not_shown = [f"- `{check.name}`: {check.not_local}." for check in CHECKS if check.not_local]
    below = [*tables, "", "## What the local cloud cannot show", "", "These are never `ok` there:", "", *not_shown, ""]
    return text.partition(_HEADING)[0] + _HEADING + "\n".join(below)


def _area(area: str, checks: list[Check]) -> list[str]:
    return [
        "",
        f"### {area}",
        "",
        "| check | about | asks | is `ok` when | else |",
        "| --- | --- | --- | --- | --- |",
        *[
            f"| `{check.name}` | {_about(check)} | {check.asks} | {check.expected} | {_fix(check)} |"
            for check in checks
        ],
    ]


def _about(check: Check) -> str:
    return check.environments[0] if len(check.environments) == 1 else check.scope


def _fix(check: Check) -> str:
    return check.fix.format(stack="STACK", foundation=foundation_stack("prod").replace("prod", "STACK"))


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
