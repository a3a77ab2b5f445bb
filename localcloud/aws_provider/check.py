"""Check: are these inputs what the real provider would take, and what the stand-in puts into effect?"""

from collections.abc import Iterator, Mapping
from typing import Any

from localcloud.aws_provider.facts import Property, later
from localcloud.aws_provider.resource_type import ResourceType
from localcloud.aws_provider.values import UNKNOWN, Asset, fits, plain

Failure = tuple[str, str]


def check_inputs(resource_type: ResourceType, inputs: Mapping[str, Any]) -> list[Failure]:
    """Everything that is wrong with `inputs`, as pairs of property path and reason. Unknown values pass."""
    values = plain(dict(inputs))
    failures = [failure for name, value in values.items() for failure in _top_level(resource_type, name, value)]
    failures += [
        (name, f"{resource_type.type_name} needs `{name}`, and the program does not give it")
        for name, declared in resource_type.properties.items()
        if (declared.required or name == resource_type.identity[-1]) and values.get(name) is None
    ]
    if not failures and resource_type.verify:
        failures += resource_type.verify(values)
    return failures


def _top_level(resource_type: ResourceType, name: str, value: Any) -> Iterator[Failure]:
    token = resource_type.type_name
    declared = resource_type.properties.get(name)
    if name.startswith("__"):  # the engine's own notes, like __defaults of an imported resource
        return
    if declared is None and name in later(token):
        yield name, _not_here(token, name)
    elif declared is None:
        known = ", ".join(sorted(key for key, item in resource_type.properties.items() if item.settable))
        yield name, f"{token} has no property `{name}`. It takes: {known}"
    elif not declared.settable or name == "tagsAll":
        yield name, f"`{name}` of {token} is answered by AWS; a program cannot set it. Remove it"
    elif name not in resource_type.inputs:
        yield name, _not_here(token, name)
    else:
        yield from _value(resource_type, declared, declared.type, value, (name, name))


def _not_here(token: str, name: str) -> str:
    return (
        f"the real provider takes `{name}` of {token}, this stand-in does not put it into effect. "
        f"Add it to the calls and to `inputs` of {token} in localcloud/aws_provider/"
    )


def _value(
    resource_type: ResourceType, declared: Property, kind: str, value: Any, where: tuple[str, str]
) -> Iterator[Failure]:
    """Check a value, or an element of one, against its declared kind; `where` is its place, with and without keys."""
    shown, path = where
    place = f"`{shown}` of {resource_type.type_name}"
    outer, _, inner = kind.removesuffix(">").partition("<")
    if value is None or value is UNKNOWN:
        return
    if path in resource_type.refuses:
        yield shown, _not_here(resource_type.type_name, path)
    elif isinstance(value, Asset):
        wanted = "the stand-in takes code only from S3 (s3Bucket, s3Key, s3ObjectVersion), as the pipeline ships it"
        yield shown, f"{place} comes from disk: {wanted}"
    elif not fits(value, outer):
        yield shown, f"{place} must be of type {kind}, not {type(value).__name__}"
    elif outer == "object":
        yield from _object(resource_type, declared, value, where)
    elif outer in {"array", "map"}:
        if declared.max_items is not None and len(value) > declared.max_items:
            yield shown, f"{place} takes at most {declared.max_items} entries"
        for key, item in value.items() if outer == "map" else enumerate(value):
            here = f"{shown}.{key}" if outer == "map" else f"{shown}[{key}]"
            yield from _value(resource_type, declared, inner, item, (here, path))


def _object(resource_type: ResourceType, declared: Property, value: Any, where: tuple[str, str]) -> Iterator[Failure]:
    shown, path = where
    token = resource_type.type_name
    for name, item in value.items():
        inner, here = declared.properties.get(name), f"{shown}.{name}"
        if name.startswith("__"):
            continue
        if inner is None:
            yield (
                here,
                f"`{shown}` of {token} has no property `{name}`. It takes: {', '.join(sorted(declared.properties))}",
            )
        elif not inner.settable:
            yield here, f"`{here}` of {token} is answered by AWS; remove it"
        else:
            yield from _value(resource_type, inner, inner.type, item, (here, f"{path}.{name}"))
    for name, inner in declared.properties.items():
        if inner.required and value.get(name) is None:
            yield f"{shown}.{name}", f"`{shown}` of {token} needs `{name}`"
