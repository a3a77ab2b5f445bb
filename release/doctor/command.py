"""`release doctor`: puts together where to look, and shows what was found."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from components.naming import foundation_stack
from release.console import columns
from release.context import Context
from release.doctor.check import Readiness
from release.doctor.examine import examine, report
from release.doctor.place import Place
from release.doctor.table import chosen
from release.errors import UsageError
from release.pulumi import stack_config
from release.text import one_line

_STYLES: Final[Mapping[str, str]] = {
    Readiness.OK: "green",
    Readiness.WARNING: "yellow",
    Readiness.UNKNOWN: "magenta",
    Readiness.FAILED: "bold red",
}
_LONGEST_EVIDENCE: Final = 600
_LONGEST_LINE: Final = 300


def doctor(contexts: Sequence[Context], only: list[str], *, test_page: bool = False) -> dict[str, Any]:
    """Make the checks that `only` names (all where it is empty) for these environments.

    Raises:
        UsageError: `only` names no check, or the settings of a stack cannot be used.
    """
    checks = chosen(only)
    places = [
        Place(
            settings=stack_config.load(foundation_stack(context.stack), context.repo, os.environ),
            context=context,
            test_page=test_page,
        )
        for context in contexts
    ]
    console = contexts[0].console
    with console.step(f"{len(checks)} checks of {' and '.join(context.stack for context in contexts)}"):
        findings = examine(checks, places, console)
    if not findings:
        raise UsageError("nothing was looked at", why="what --only names is not asked of this stack")
    return report(findings)


def lines(document: Mapping[str, Any]) -> list[str]:
    """What is not fine, one line each, for the summary of a workflow."""
    return [
        f"{finding['verdict']}: {finding['name']} {finding['stack']}: {one_line(finding['said'], _LONGEST_LINE)}"
        for finding in document["findings"]
        if finding["verdict"] != Readiness.OK
    ]


def picture(document: Mapping[str, Any]) -> RenderableType:
    """The findings for people: what is not fine with its evidence and its fix, the rest by name."""
    findings = document["findings"]
    table = columns("verdict", "check", "stack", "what was seen")
    for finding in findings:
        if finding["verdict"] is Readiness.OK:
            continue
        evidence = Text(f"{one_line(finding['said'], _LONGEST_EVIDENCE)}\n")
        evidence.append(f"asked: {finding['asked']}\nfix:   {finding['mend']}\n", style="dim")
        style = _STYLES[finding["verdict"]]
        table.add_row(Text(finding["verdict"], style=style), finding["name"], finding["stack"], evidence)
    fine = [f"{one['name']} {one['stack']}".strip() for one in findings if one["verdict"] is Readiness.OK]
    counts = ", ".join(f"{count} {verdict}" for verdict, count in document["counts"].items() if count)
    return Group(*([table] if table.row_count else []), Text(f"ok: {', '.join(fine)}", style="green"), Text(counts))
