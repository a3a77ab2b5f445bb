"""A stack that nobody can look at, as the program of another commit would make it: what a head is compared with. Pure.

Where no copy of a state is published, the base's own preview from nothing tells every resource with its inputs. That
makes a state: the head is previewed against it, so that the provider says which change replaces what. It knows no value
that AWS makes up, and what a provider finds different in such a state is noise unless the two programs differ there. So
of its answer only that is kept in which the inputs of base and head really differ.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from components.naming import PROJECT
from release import yaml_file
from release.build.builder import HANDLER
from release.preview.compare import ENGINE_UNKNOWN
from release.pulumi.changes import REPLACED, UNCHANGED, property_of
from release.pulumi.checkpoint import with_resources

_ID: Final = "known-after-update-"
"""Beginning of the ids of such resources: a value that holds one is unknown."""
_NOT_KNOWN: Final = "not-known-in-base"
"""Stands in the state for what the base's preview does not know: the engine would take its own word for no value."""
_KEPT: Final = (
    "urn",
    "custom",
    "type",
    "parent",
    "provider",
    "dependencies",
    "propertyDependencies",
    "protect",
    "retainOnDelete",
    "additionalSecretOutputs",
)
_LONG_AGO: Final = "2000-01-01T00:00:00Z"


def state_of(document: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The state (`deployment`) that a preview of the base from nothing would lead to.

    `config` has the base's values of the stack file, from which the engine makes the providers.
    """
    created = [step["newState"] for step in document["steps"] if step["op"] == "create"]
    resources = [_resource(state, number) for number, state in enumerate(created)]
    references = sorted({str(state["provider"]) for state in created if state.get("provider")})
    providers = [_provider(reference, config) for reference in references]
    empty = {"version": 3, "deployment": {"manifest": {"time": _LONG_AGO, "magic": "", "version": ""}, "resources": []}}
    stack_first = sorted([*providers, *resources], key=lambda one: one["type"] != "pulumi:pulumi:Stack")
    return with_resources(empty, stack_first)["deployment"]


def _resource(state: Mapping[str, Any], number: int) -> dict[str, Any]:
    inputs = _with(_NOT_KNOWN, state.get("inputs") or {}, ENGINE_UNKNOWN)
    known = {key: value for key, value in (state.get("outputs") or {}).items() if not _holds(value, ENGINE_UNKNOWN)}
    made = {key: state[key] for key in _KEPT if key in state} | {"inputs": inputs}
    if state.get("custom"):
        made["id"] = f"{_ID}{number}"
        made["outputs"] = {key: value for key, value in inputs.items() if not _holds(value, _NOT_KNOWN)} | known
        made["outputs"].pop("__defaults", None)
    if "provider" in made:
        made["provider"] = f"{str(made['provider']).rpartition('::')[0]}::preview"
    return made


def _provider(reference: str, config: Mapping[str, Any]) -> dict[str, Any]:
    urn = reference.rpartition("::")[0]
    kind, _, name = urn.rpartition("::")
    package = kind.rpartition(":")[2]
    values = {
        key.partition(":")[2]: yaml_file.as_config_value(value)
        for key, value in config.items()
        if key.startswith(f"{package}:")
    }
    if found := re.fullmatch(r"default_(\d+)_(\d+)_(\d+)", name):
        values["version"] = ".".join(found.groups())
    return {
        "urn": urn,
        "custom": True,
        "id": "preview",
        "type": f"pulumi:providers:{package}",
        "inputs": values,
        "outputs": values,
    }


def without_noise(document: Mapping[str, Any]) -> dict[str, Any]:
    """The preview of a head against `state_of` its base, with nothing in it but what the programs do differently."""
    renewed: set[str] = set()
    steps = []
    for step in document["steps"]:
        cleaned = _cleaned(step, renewed)
        if cleaned["op"] in REPLACED | {"create"}:
            renewed.add(str(step["urn"]))
        steps.append(cleaned)
    return {**document, "steps": steps}


def _cleaned(step: Mapping[str, Any], renewed: Collection[str]) -> dict[str, Any]:
    """One step without its noise; `renewed` are the URNs of what is made anew before it."""
    cleaned = dict(step)
    for side in ("oldState", "newState"):
        if step.get(side):
            cleaned[side] = {
                **step[side],
                "inputs": _with(ENGINE_UNKNOWN, step[side].get("inputs") or {}, _ID, _NOT_KNOWN),
            }
    if step["op"] in UNCHANGED or not (cleaned.get("oldState") and cleaned.get("newState")):
        return cleaned
    carried = _carried(cleaned["newState"], renewed)
    changed = carried | _changed(cleaned["oldState"]["inputs"], cleaned["newState"]["inputs"])
    detailed = {path: one for path, one in (step.get("detailedDiff") or {}).items() if property_of(path) in changed}
    cleaned["detailedDiff"] = detailed or {key: {"kind": "update", "inputDiff": True} for key in sorted(changed)}
    for reasons in ("diffReasons", "replaceReasons"):
        cleaned[reasons] = [path for path in step.get(reasons) or () if property_of(path) in changed]
    forced = cleaned["replaceReasons"] or [path for path, one in detailed.items() if "replace" in str(one.get("kind"))]
    if not changed:
        cleaned["op"] = "same"
    elif carried and step["op"] in REPLACED and not step.get("replaceReasons") and not step.get("detailedDiff"):
        # What it belongs to is deleted before it is made anew, so the engine replaces it without giving a reason.
        cleaned["replaceReasons"] = sorted(carried)
    elif step["op"] in REPLACED and not forced:
        cleaned["op"] = "update"
    return cleaned


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> set[str]:
    """Names of the inputs that differ."""
    return {key for key in {*old, *new} - {"__defaults"} if old.get(key) != new.get(key)}


def _carried(state: Mapping[str, Any], renewed: Collection[str]) -> set[str]:
    """Names of the inputs that neither side knows, and that come from something which is made anew."""
    edges = state.get("propertyDependencies") or {}
    return {
        key
        for key, value in state["inputs"].items()
        if _holds(value, ENGINE_UNKNOWN) and not set(edges.get(key) or ()).isdisjoint(renewed)
    }


def _with(stand_in: str, value: Any, *markers: str) -> Any:
    """A value in which each text that holds one of the markers is the stand-in."""
    if isinstance(value, dict):
        return {key: _with(stand_in, inner, *markers) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with(stand_in, inner, *markers) for inner in value]
    return stand_in if any(_holds(value, marker) for marker in markers) else value


def _holds(value: Any, marker: str) -> bool:
    """Whether a value holds the marker anywhere within it."""
    return marker in json.dumps(value)


def made_up_release(functions: list[str], bucket: str) -> dict[str, Any]:
    """A release as the program is handed it, whose packages nobody has built: for a stack that has none."""
    return {
        "sha": "0" * 40,
        "manifest": "0" * 64,
        "functions": {function: made_up_package(function, bucket) for function in functions},
    }


def made_up_package(function: str, bucket: str) -> dict[str, str]:
    """The package of a function that no release holds yet."""
    return {
        "bucket": bucket,
        "key": f"{PROJECT}/{function}.zip",
        "version_id": "known-after-the-build",
        "code_sha256": f"{'A' * 43}=",
        "handler": HANDLER,
    }
