"""Previews of the real engine, as tests/engine/test_preview_classes.py recorded them, for tests that need no engine."""

import json
from pathlib import Path

FOLDER = Path(__file__).parent / "fixtures" / "previews"
STEP = ("op", "urn", "diffReasons", "replaceReasons", "detailedDiff")
STATE = ("custom", "type", "id", "protect", "retainOnDelete", "parent", "dependencies", "propertyDependencies")
LONG_OR_LOCAL = ("policy", "assumeRolePolicy", "redrivePolicy", "alarmDescription", "dashboardBody", "tags")


def trimmed(document: str) -> str:
    """The document of a preview without what no release depends on: traces, outputs, times, long texts."""
    data = json.loads(document)
    kept = {"steps": [_step(step) for step in sorted(data["steps"], key=lambda step: (step["urn"], step["op"]))]}
    if "diagnostics" in data:
        kept["diagnostics"] = [
            {key: entry.get(key, "") for key in ("severity", "message")} for entry in data["diagnostics"]
        ]
    return json.dumps(kept, indent=1, sort_keys=True) + "\n"


def _step(step: dict) -> dict:
    states = ("newState",) if step["op"] == "same" else ("oldState", "newState")
    return {key: step[key] for key in STEP if step.get(key)} | {
        name: _state(step[name], short=step["op"] == "same") for name in states if name in step
    }


def _state(state: dict, *, short: bool) -> dict:
    inputs = {key: value for key, value in (state.get("inputs") or {}).items() if key not in LONG_OR_LOCAL}
    if short:
        inputs = {key: inputs[key] for key in ("name", "functionName", "environment") if key in inputs}
    if "environment" in inputs:
        inputs["environment"]["variables"].pop("NEWS_ENDPOINT", None)
    fields = ("custom", "type") if short else STATE
    return {key: state[key] for key in fields if key in state} | ({"inputs": inputs} if inputs else {})


def recorded(name: str) -> str:
    return (FOLDER / f"{name}.json").read_text()
