"""The end of a command: lines for people, one JSON document for machines, outputs and a summary for the workflow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_OUTPUTS: Final = ("state", "sha", "manifest", "dashboard_url")


def lines(document: Mapping[str, Any]) -> list[str]:
    """What happened, in a few lines."""
    said = []
    if "state" in document:
        said.append(f"{document.get('stack', '')}: {document['state']}")
    if document.get("sha"):
        said.append(f"release {document['sha'][:12]}, manifest {document['manifest'][:12]}")
    if document.get("versions"):
        said.append("live: " + ", ".join(f"{name} {version}" for name, version in document["versions"].items()))
    if document.get("dashboard_url"):
        said.append(f"look: {document['dashboard_url']}")
    if document.get("record"):
        said.append(f"{document['tests']} tests passed ({document['skipped']} skipped): {document['record']}")
    if "verified" in document:
        said += _rollback(document)
    if "seconds" in document:
        clock = document.get("clock_seconds", document["seconds"])
        scaled = "" if clock == document["seconds"] else f" ({clock:.0f} s of the scaled clock)"
        said.append(f"took {document['seconds']:.1f} s{scaled}")
    return said


def _rollback(report: Mapping[str, Any]) -> list[str]:
    went_to = report["to"]["sha"][:12] if report["to"] else "no release (none was ever confirmed)"
    times = [
        f"{what} {report[key]:.1f} s"
        for what, key in (
            ("detected after", "detected_s"),
            ("traffic back after", "traffic_restored_s"),
            ("stack back after", "converged_s"),
        )
        if report[key] is not None
    ]
    said = [f"from {report['from']['sha'][:12]} to {went_to}; {', '.join(times)}"]
    said.append("verified by reading the cloud" if report["verified"] else "NOT verified")
    return [*said, *(f"problem: {problem}" for problem in report["problems"])]


def tell_workflow(document: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> None:
    """Write step outputs (`state` in small letters, `digest`, ...) and a summary where GitHub Actions asks for them."""
    values = {key: document[key] for key in _OUTPUTS if document.get(key)}
    if "manifest" in values:
        values["digest"] = values.pop("manifest")
    if "state" in values:
        values["state"] = str(values["state"]).lower()
    _append(environment.get("GITHUB_OUTPUT"), [f"{key}={_one_line(value)}" for key, value in values.items()])
    _append(environment.get("GITHUB_STEP_SUMMARY"), [f"- {_one_line(line)}" for line in lines(document)])


def _one_line(value: Any) -> str:
    # An output is one line: a line end in a value would begin another output.
    return " ".join(str(value).split())


def _append(file: str | None, new: list[str]) -> None:
    if file and new:
        with Path(file).open("a", encoding="utf-8") as stream:
            stream.write("".join(f"{line}\n" for line in new))
