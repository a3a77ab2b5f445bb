"""Makes the checks: one after the other, none hides another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from release.console import Console
from release.doctor.check import WORST_FIRST, Check, Finding, Judgement, Readiness, Scope
from release.doctor.place import Place, explain

EXIT_CODES: Final = {Readiness.OK: 0, Readiness.WARNING: 0, Readiness.UNKNOWN: 1, Readiness.FAILED: 3}
"""By the worst verdict: a rule is not kept (3), or nobody can say whether it is (1)."""


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
        judgement = check.judge(place.settings, check.look(place))
    except Exception as error:  # one check must not hide the others
        judgement = Judgement(Readiness.UNKNOWN, explain(error))
    return Finding(
        name=check.name,
        stack=place.settings.environment if check.scope in {Scope.ENVIRONMENT, Scope.ACCOUNT} else "",
        verdict=judgement.verdict,
        asked=check.asks,
        evidence=judgement.evidence,
        fix=check.fix_for(place.settings.environment) if judgement.verdict is not Readiness.OK else "",
    )


def report(findings: Sequence[Finding]) -> dict[str, Any]:
    """All findings as one document, the worst first, with the worst verdict and the exit code that says it."""
    counts = Counter(finding.verdict for finding in findings)
    worst = next((verdict for verdict in WORST_FIRST if counts[verdict]), Readiness.OK)
    ordered = sorted(findings, key=lambda finding: WORST_FIRST.index(finding.verdict))
    return {
        "verdict": worst,
        "exit_code": EXIT_CODES[worst],
        "counts": {verdict: counts[verdict] for verdict in WORST_FIRST},
        "findings": [finding.model_dump(by_alias=True) for finding in ordered],
    }


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
