"""From inputs to outputs and back: defaults, previews, and inputs derived from what AWS answers."""

import json
from collections.abc import Mapping
from typing import Any

from localcloud.aws_provider.facts import Property
from localcloud.aws_provider.resource_type import ResourceType
from localcloud.aws_provider.values import UNKNOWN


def with_defaults(resource_type: ResourceType, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Plain inputs, completed by the defaults of the real provider, nested ones included. Nulls are dropped."""
    return _fill(resource_type, inputs, "")


def _fill(resource_type: ResourceType, values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    filled = {
        name: _fill_value(resource_type, value, f"{prefix}{name}")
        for name, value in values.items()
        if value is not None and not name.startswith("__")
    }
    for path, default in resource_type.defaults.items():
        parent, _, name = path.rpartition(".")
        if (f"{parent}." if parent else "") == prefix and name not in filled:
            filled[name] = default
    return filled


def _fill_value(resource_type: ResourceType, value: Any, path: str) -> Any:
    if isinstance(value, dict) and _declared(resource_type, path).holds_objects:
        return _fill(resource_type, value, f"{path}.")
    if isinstance(value, list):
        return [_fill_value(resource_type, item, path) for item in value]
    return value


def _declared(resource_type: ResourceType, path: str) -> Property:
    first, *rest = path.split(".")
    declared = resource_type.properties[first]
    for name in rest:
        declared = declared.properties[name]
    return declared


def previewed(resource_type: ResourceType, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs a create would have: what is given and defaulted, and `UNKNOWN` for all that AWS will answer."""
    outputs = with_defaults(resource_type, inputs)
    if resource_type.tagged:
        outputs["tagsAll"] = inputs.get("tags") or {}
    for name, declared in resource_type.properties.items():
        if (declared.computed or name in resource_type.chosen) and name not in outputs:
            outputs[name] = UNKNOWN
    return outputs


def blank(value: Any) -> bool:
    """Whether the value says nothing: absent, empty, false or zero (the provider cannot tell these apart)."""
    return value is None or value is False or (value is not UNKNOWN and value in ("", [], {}, 0))


def same_json(one: Any, other: Any, *, policy: bool) -> bool:
    """Whether two texts are the same JSON document; for policies the order of lists and lists of one do not count."""
    if not (isinstance(one, str) and isinstance(other, str)):
        return False
    if one == other:
        return True
    try:
        left, right = json.loads(one), json.loads(other)
    except ValueError:
        return False
    return _ordered(left) == _ordered(right) if policy else left == right


def _ordered(document: Any) -> Any:
    if isinstance(document, dict):
        return {name: _ordered(value) for name, value in document.items()}
    if isinstance(document, list):
        items = sorted((_ordered(item) for item in document), key=lambda item: json.dumps(item, sort_keys=True))
        return items[0] if len(items) == 1 else items
    return document


def settle(resource_type: ResourceType, outputs: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Outputs as AWS has them, in the words of the state or inputs before: a refresh must show drift, not spelling.

    JSON documents that say the same keep their text, sets keep their order, and what no AWS call answers is taken over.
    """
    settled = {name: value for name, value in outputs.items() if value is not None}
    for name in (*resource_type.json_documents, *resource_type.policies):
        old = before.get(name)
        if name in settled and same_json(settled[name], old, policy=name in resource_type.policies):
            settled[name] = old
    settled |= {name: before[name] for name in resource_type.kept if before.get(name, UNKNOWN) is not UNKNOWN}
    for path in resource_type.sets:
        _reorder(settled, before, path.split("."))
    return settled


def _reorder(now: Any, before: Any, path: list[str]) -> None:
    if isinstance(now, list) and isinstance(before, list):
        for item, old in zip(now, before, strict=False):
            _reorder(item, old, path)
        return
    if not (isinstance(now, dict) and isinstance(before, dict)):
        return
    name, *rest = path
    if rest:
        _reorder(now.get(name), before.get(name), rest)
    elif isinstance(now.get(name), list) and isinstance(before.get(name), list):
        order = before[name]
        now[name] = sorted(now[name], key=lambda item: order.index(item) if item in order else len(order))


def derived_inputs(
    resource_type: ResourceType, outputs: Mapping[str, Any], inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """The inputs that would make what AWS has now, in the shape of the inputs before.

    A property that the program sets takes the value of the cloud. One that it leaves out appears only when the cloud
    has something that neither is the default nor was chosen by AWS: somebody's change, to be undone by the next update.
    """
    derived = _project(resource_type, resource_type.properties, outputs, inputs, "")
    return {name: value for name, value in inputs.items() if name.startswith("__")} | derived


def _project(
    resource_type: ResourceType,
    properties: Mapping[str, Property],
    values: Mapping[str, Any],
    inputs: Mapping[str, Any],
    prefix: str,
) -> dict[str, Any]:
    derived = {}
    for name, declared in properties.items():
        value, path = values.get(name), f"{prefix}{name}"
        if not declared.settable or name == "tagsAll" or path in resource_type.refuses:
            continue
        if name in inputs:
            if value is not None:
                derived[name] = _project_value(resource_type, declared, value, inputs[name], path)
            elif blank(inputs[name]):
                derived[name] = inputs[name]
        elif not (
            blank(value)
            or declared.computed
            or value == resource_type.defaults.get(path)
            or path in resource_type.chosen
            or (not prefix and name not in resource_type.inputs)
        ):
            derived[name] = _project_value(resource_type, declared, value, None, path)
    return derived


def _project_value(resource_type: ResourceType, declared: Property, value: Any, given: Any, path: str) -> Any:
    if isinstance(value, dict) and declared.holds_objects:
        shape = given if isinstance(given, dict) else {}
        return _project(resource_type, declared.properties, value, shape, f"{path}.")
    if isinstance(value, list) and declared.holds_objects:
        shapes = given if isinstance(given, list) else []
        padded = [*shapes, *([None] * len(value))]
        return [
            _project_value(resource_type, declared, item, shape, path)
            for item, shape in zip(value, padded, strict=False)
        ]
    return value
