"""The end of a command: lines for people, one JSON document for machines, outputs and a summary for the workflow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from release.oncall.advice import how_to_treat
from release.text import block, link, one_line, title

_OUTPUTS: Final = ("state", "sha", "manifest", "dashboard_url", "environment", "path")
_LONGEST_WHY: Final = 300


def lines(document: Mapping[str, Any]) -> list[str]:
    """What happened, in a few lines."""
    said = []
    if document.get("state"):
        said.append(": ".join(str(document[key]) for key in ("stack", "state") if document.get(key)))
    if document.get("sha"):
        said.append(f"release {document['sha'][:12]}, manifest {document['manifest'][:12]}")
    if "environment" in document:
        said.append(f"goes through {document['environment']}: {one_line(document['reason'], _LONGEST_WHY)}")
        said += [
            f"{commit['sha'][:12]} {'automatic' if commit['automatic'] else 'needs a person'}: "
            f"{one_line(commit['reason'], _LONGEST_WHY)}"
            for commit in document["commits"]
        ]
    if document.get("versions"):
        said.append("live: " + ", ".join(f"{name} {version}" for name, version in document["versions"].items()))
    if document.get("dashboard_url"):
        said.append(f"look: {document['dashboard_url']}")
    if document.get("record"):
        said.append(f"{document['tests']} tests passed in {document['seconds']} s: {document['record']}")
    said += [f"despite {rule}: {one_line(reason)}" for rule, reason in (document.get("despite") or {}).items()]
    if "verified" in document:
        said += rollback_lines(document)
    said += [verdict_line(verdict) for verdict in document.get("verdicts") or ()]
    if document.get("contract_pending"):
        said.append("what only the release before needed is not deleted yet: release confirm")
    said += [
        f"{finding['verdict']}: {finding['name']} {finding['stack']}: {one_line(finding['said'], _LONGEST_WHY)}"
        for finding in document.get("findings") or ()
        if finding["verdict"] != "ok"
    ]
    said += [
        f"not everybody was told: {one_line(complaint, _LONGEST_WHY)}" for complaint in document.get("complaints") or ()
    ]
    if "seconds" in document:
        clock = document.get("clock_seconds", document["seconds"])
        scaled = "" if clock == document["seconds"] else f" ({clock:.0f} s of the scaled clock)"
        said.append(f"took {document['seconds']:.1f} s{scaled}")
    return said


def verdict_line(verdict: Mapping[str, Any]) -> str:
    """One verdict in short: outcome, what was looked at, and the numbers it rests on."""
    numbers = verdict.get("numbers") or {}
    median, p99 = numbers.get("median_ms"), numbers.get("p99_ms")
    measured = ""
    if median and p99:
        measured = f"{p99:g} ms" if numbers.get("measured") == 1 else f"median {median:g} ms, p99 {p99:g} ms"
    why = one_line(verdict["why"], _LONGEST_WHY)
    return f"{verdict['outcome']}: {verdict['subject']} - {why}{f' ({measured})' if measured else ''}"


def rollback_lines(report: Mapping[str, Any]) -> list[str]:
    """How the way back went: from where to where, in how many seconds, proven or not, and what is left."""
    went_to = report["to"]["sha"][:12] if report["to"] else "no release (none was ever confirmed)"
    times = [
        f"{what} {report[key]:.1f} s"
        for what, key in (
            ("detected after", "detected_s"),
            ("traffic back after", "traffic_restored_s"),
            ("stack back after", "converged_s"),
        )
        if report.get(key) is not None
    ]
    said = [f"from {report['from']['sha'][:12]} to {went_to}; {', '.join(times)}"]
    said.append("verified by reading the cloud" if report["verified"] else "NOT verified")
    said += [f"problem: {one_line(problem, _LONGEST_WHY)}" for problem in report["problems"]]
    said += [f"besides: {one_line(warning, _LONGEST_WHY)}" for warning in report.get("warnings") or ()]
    return [*said, *(one_line(how_to_treat(left), 2 * _LONGEST_WHY) for left in report.get("left_in_aws") or ())]


def tell_workflow(document: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> None:
    """Write step outputs (`state` in small letters, `digest`, ...) and a summary where GitHub Actions asks for them."""
    values = {key: document[key] for key in _OUTPUTS if document.get(key)}
    if "manifest" in values:
        values["digest"] = values.pop("manifest")
    if "state" in values:
        values["state"] = str(values["state"]).lower()
    # An output is one line: a line end in a value would begin another output.
    _append(environment.get("GITHUB_OUTPUT"), [f"{key}={one_line(value)}" for key, value in values.items()])
    _append(environment.get("GITHUB_STEP_SUMMARY"), summary(document))


def summary(document: Mapping[str, Any]) -> list[str]:
    """The step's summary in Markdown. Text from commits, errors and people stands in a block of code only."""
    told = lines(document)
    if "what" in document:  # an error: what happened, why, what next
        rule = f"refused by rule {document['rule']}: " if document.get("rule") else ""
        told += [f"{rule}{document['what']}"]
        told += [f"{name}: {document[key]}" for name, key in (("why", "why"), ("next", "next_step")) if document[key]]
    if not told:
        return []
    stack, state = document.get("stack", ""), document.get("state", "")
    heading = title(": ".join(filter(None, [str(stack), str(state)])) or "release", 200)
    looks = [f"- look: {link(str(document['dashboard_url']))}"] if document.get("dashboard_url") else []
    return [f"### {heading}", "", *block(told).splitlines(), "", *looks]


def _append(file: str | None, new: list[str]) -> None:
    if file and new:
        with Path(file).open("a", encoding="utf-8") as stream:
            stream.write("".join(f"{line}\n" for line in new))
