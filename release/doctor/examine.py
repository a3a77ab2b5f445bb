"""`release doctor`: makes the checks, one after the other, so that none hides another, and shows what was found."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from components.naming import foundation_stack
from release.console import Console, columns
from release.context import Context
from release.doctor.check import Check, Scope
from release.doctor.place import Place, explain
from release.doctor.table import chosen
from release.errors import UsageError
from release.pulumi import stack_config
from release.reports import DoctorReport, Finding, Readiness
from release.text import one_line

_STYLES: Final[Mapping[str, str]] = {
    Readiness.OK: "green",
    Readiness.WARNING: "yellow",
    Readiness.UNKNOWN: "magenta",
    Readiness.FAILED: "bold red",
}
_LONGEST_EVIDENCE: Final = 600


def doctor(contexts: Sequence[Context], only: list[str], *, test_page: bool = False) -> DoctorReport:
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
    return DoctorReport.of(findings)


def examine(checks: Sequence[Check[Any]], places: Sequence[Place], console: Console) -> list[Finding]:
    """Make every check wherever it applies, and tell how it goes."""
    found = []
    for check in checks:
        for place in _where(check, places):
            finding = make(check, place)
            found.append(finding)
            console.line(f"{finding.verdict:>8}  {' '.join(filter(None, (finding.name, finding.stack)))}")
    return found


def make(check: Check[Any], place: Place) -> Finding:
    """Look and judge. Whatever goes wrong on the way is an `unknown`, never an `ok` and never a crash."""
    try:
        if check.in_account:
            place.require_account()
        return check.judge(place.settings, check.look(place))
    except Exception as error:  # one check must not hide the others
        return check.finding(place.settings, Readiness.UNKNOWN, explain(error))


def _where(check: Check[Any], places: Sequence[Place]) -> Iterator[Place]:
    """The places that a check is made at: once where it is about something that there is only once."""
    fitting = [place for place in places if place.settings.environment in check.environments]
    if check.scope in {Scope.MACHINE, Scope.REPOSITORY}:
        # The settings of the stack that makes the rules of the repository say what they should be.
        yield from sorted(fitting, key=lambda place: not place.settings.owns_shared)[:1]
        return
    accounts = set()
    for place in fitting:
        if check.scope is Scope.ACCOUNT and place.settings.account_id in accounts:
            continue
        accounts.add(place.settings.account_id)
        yield place


def picture(report: DoctorReport) -> RenderableType:
    """The findings for people: what is not fine with its evidence and its fix, the rest by name."""
    table = columns("verdict", "check", "stack", "what was seen")
    for one in report.problems:
        evidence = Text(f"{one_line(one.evidence, _LONGEST_EVIDENCE)}\n")
        evidence.append(f"asked: {one.asked}\nfix:   {one.fix}\n", style="dim")
        table.add_row(Text(one.verdict, style=_STYLES[one.verdict]), one.name, one.stack, evidence)
    fine = [f"{one.name} {one.stack}".strip() for one in report.findings if one.verdict is Readiness.OK]
    counts = ", ".join(f"{count} {verdict}" for verdict, count in report.counts.items() if count)
    return Group(*([table] if table.row_count else []), Text(f"ok: {', '.join(fine)}", style="green"), Text(counts))
