"""What the real provider declares of each resource type, read from `aws-facts.json`."""

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


def declared(token: str) -> Mapping[str, Property]:
    """The properties of a type by name; KeyError when the facts file does not hold it."""
    return {name: _property(item) for name, item in _document()[token]["properties"].items()}


def later(token: str) -> frozenset[str]:
    """The names of properties that came with later generations and are refused here: their types are not known."""
    return frozenset(_document()[token].get("since6", ()))
