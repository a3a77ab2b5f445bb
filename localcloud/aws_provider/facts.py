"""What the real provider declares of each resource type, read from `aws-facts.json`."""

import copy
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Property:
    """One property: what it takes, whether the program may set it, and whether a change replaces the resource."""

    type: str
    required: bool = False
    optional: bool = False
    computed: bool = False
    replaces: bool = False
    secret: bool = False
    max_items: int | None = None
    properties: Mapping[str, "Property"] = field(default_factory=dict)

    @property
    def settable(self) -> bool:
        """Whether a program may give it (otherwise AWS answers it)."""
        return self.required or self.optional

    @property
    def holds_objects(self) -> bool:
        """Whether its value is an object, or an array of objects, with declared properties."""
        return bool(self.properties)


@dataclass(frozen=True, kw_only=True)
class TypeFacts:
    """The declared properties of a type, and the names that only one of the provider's two generations takes."""

    type_name: str
    properties: Mapping[str, Property]
    since6: frozenset[str]
    gone_in6: frozenset[str]


def _property(raw: Mapping[str, Any]) -> Property:
    return Property(
        type=raw["type"],
        required=raw.get("required", False),
        optional=raw.get("optional", False),
        computed=raw.get("computed", False),
        # "not known" (its plan would not say) counts as an update: most of these are blocks that AWS changes in place.
        replaces=raw.get("replaces") is True,
        secret=raw.get("secret", False),
        max_items=raw.get("maxItems"),
        properties={name: _property(item) for name, item in raw.get("properties", {}).items()},
    )


@functools.cache
def _document() -> dict[str, Any]:
    text = resources.files("localcloud.aws_provider").joinpath("aws-facts.json").read_text(encoding="utf-8")
    return json.loads(text)["types"]


# Where pulumi-aws 7.51.1 differs from the shapes that the facts file has from generation 5: blocks that can be there
# once only are objects with a singular name in the SDK, and index keys have a second form. By type and path: the new
# name and what differs (None: the property is new).
_SHAPES: Mapping[str, tuple[tuple[str, str, dict[str, Any]], ...]] = {
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": (
        ("rules.filters.ands", "and", {"type": "object"}),
        ("rules.filters.tags", "tag", {"type": "object"}),
        ("rules.filters", "filter", {"type": "object"}),
        ("rules.expirations", "expiration", {"type": "object"}),
        ("rules.abortIncompleteMultipartUploads", "abortIncompleteMultipartUpload", {"type": "object"}),
        ("rules.noncurrentVersionExpirations", "noncurrentVersionExpiration", {"type": "object"}),
    ),
    "aws:dynamodb/table:Table": (
        (
            "globalSecondaryIndexes.keySchemas",
            "keySchemas",
            {"type": "array<object>", "optional": True},
        ),
    ),
}


def _reshaped(token: str, raw: dict[str, Any]) -> dict[str, Any]:
    for path, name, differs in _SHAPES.get(token, ()):
        *parents, old = path.split(".")
        properties = raw["properties"]
        for parent in parents:
            properties = properties[parent]["properties"]
        properties[name] = {**properties.pop(old, {}), **differs}
    return raw


@functools.cache
def type_facts(token: str) -> TypeFacts:
    """The facts of a type; KeyError when the facts file does not hold it."""
    raw = _reshaped(token, copy.deepcopy(_document()[token]))
    return TypeFacts(
        type_name=token,
        properties={name: _property(item) for name, item in raw["properties"].items()},
        since6=frozenset(raw.get("since6", ())),
        gone_in6=frozenset(raw.get("goneIn6", ())),
    )


# Types of the properties that came with generation 6 and that a service module here puts into effect.
SINCE_6: Mapping[str, Property] = {
    "region": Property(type="string", optional=True, computed=True, replaces=True),
    "invokedViaFunctionUrl": Property(type="bool", optional=True, replaces=True),
    "actionAfterCompletion": Property(type="string", optional=True),
}
