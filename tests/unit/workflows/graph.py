"""Plays a workflow: which jobs run, and which are skipped, when the ones before them end in a given way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.unit.workflows.expressions import Scope, asks_for_status, condition, evaluate, truthy

ROOT = Path(__file__).parents[3]
WORKFLOWS = ROOT / ".github" / "workflows"
RESULTS = ("success", "failure", "cancelled", "skipped")


class _Loader(yaml.CSafeLoader):
    """YAML 1.2 as GitHub reads it: `on` is a word and no boolean."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool" or first in "tTfF"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def load(path: Path) -> dict[str, Any]:
    """One workflow or action, parsed."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)


def workflows() -> dict[str, dict[str, Any]]:
    """All workflows of the repository by file name."""
    return {path.name: load(path) for path in sorted(WORKFLOWS.glob("*.yml"))}


def needs(job: Mapping[str, Any]) -> list[str]:
    """The jobs that a job waits for."""
    wanted = job.get("needs", [])
    return [wanted] if isinstance(wanted, str) else list(wanted)


def ancestors(jobs: Mapping[str, Any], name: str) -> set[str]:
    """The jobs that a job waits for, directly or not."""
    direct = needs(jobs[name])
    return set(direct).union(*(ancestors(jobs, one) for one in direct))


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job ends if it runs, and what it puts out."""

    result: str = "success"
    outputs: Mapping[str, str] = field(default_factory=dict)


def play(
    files: Mapping[str, Mapping[str, Any]],
    start: str,
    endings: Mapping[str, Ending],
    *,
    cancelled: bool = False,
    inputs: Mapping[str, str] | None = None,
    github: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Results of all jobs of the workflow `start`, those of called workflows as `caller/job`.

    Args:
        files: Workflows by file name.
        start: The one that an event starts.
        endings: How jobs end, by job id; a job that is not named ends in success without outputs.
        cancelled: Somebody cancelled the run while the jobs whose ending is `cancelled` were running.
        inputs: What a person who dispatched it gave; a called workflow gets none but those it is called with.
        github: What GitHub tells of the event, where a condition looks at it.
    """
    given = {"inputs": inputs or {}, **({"github": github} if github is not None else {})}
    return _play(files, start, endings, cancelled=cancelled, contexts=given)[0]


def _play(
    files: Mapping[str, Mapping[str, Any]],
    name: str,
    endings: Mapping[str, Ending],
    *,
    cancelled: bool,
    contexts: Mapping[str, Any],
) -> tuple[dict[str, str], str]:
    jobs = files[name]["jobs"]
    results: dict[str, str] = {}
    nested: dict[str, str] = {}
    outputs: dict[str, Mapping[str, str]] = {}
    while len(results) < len(jobs):
        ready = [one for one in jobs if one not in results and all(need in results for need in needs(jobs[one]))]
        assert ready, f"{name}: jobs wait for each other in a circle"
        for one in ready:
            job = jobs[one]
            over = cancelled and "cancelled" in results.values()
            if not _runs(jobs, one, results, outputs, cancelled=over, contexts=contexts):
                results[one] = "skipped"
            elif "uses" in job:
                given = dict.fromkeys(job.get("with") or {}, "given")
                inner = {**contexts, "inputs": given}
                below, results[one] = _play(files, Path(job["uses"]).name, endings, cancelled=cancelled, contexts=inner)
                nested |= {f"{one}/{name_below}": result for name_below, result in below.items()}
            else:
                ending = endings.get(one, Ending())
                undeclared = set(ending.outputs) - set(job.get("outputs", {}))
                assert not undeclared, f"{name}: job {one} declares no outputs {undeclared}"
                results[one], outputs[one] = ending.result, ending.outputs
    return results | nested, _together(results)


def _together(results: Mapping[str, str]) -> str:
    """Result of a called workflow: the worst of its jobs."""
    return next(result for result in ("failure", "cancelled", "success", "skipped") if result in results.values())


def _runs(
    jobs: Mapping[str, Any],
    name: str,
    results: Mapping[str, str],
    outputs: Mapping[str, Mapping[str, str]],
    *,
    cancelled: bool,
    contexts: Mapping[str, Any],
) -> bool:
    before = {results[one] for one in ancestors(jobs, name)}
    status = {
        "always": True,
        "cancelled": cancelled,
        "success": before <= {"success"} and not cancelled,
        "failure": "failure" in before and not cancelled,
    }
    done = {one: {"result": results[one], "outputs": outputs.get(one, {})} for one in needs(jobs[name])}
    expression = condition(str(jobs[name].get("if", "success()")))
    holds = truthy(evaluate(expression, Scope({**contexts, "needs": done}, status)))
    return holds and (asks_for_status(expression) or status["success"])
