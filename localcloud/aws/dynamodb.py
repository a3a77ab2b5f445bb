"""Patches of moto's DynamoDB that cost a canary of 800 requests half a minute when they are missing."""

import copy
from typing import Any, Final

from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb.models.dynamo_type import Item

_SCALARS: Final = frozenset({"S", "N", "BOOL", "NULL"})


def project_whole_attributes_at_once() -> None:
    """Projections: moto turns the whole item into JSON once per projected attribute (13 ms for a page of 8 items)."""
    project_nested = Item.project

    def project(self: Item, projection_expressions: list[list[str]]) -> Item:
        names = {expression[0] for expression in projection_expressions if len(expression) == 1}
        if len(names) < len(projection_expressions) or any("[" in name for name in names):
            return project_nested(self, projection_expressions)
        # The values are those of the stored item, or of a copy that moto has made: answers only read them.
        projected = copy.copy(self)
        projected.attrs = copy.copy(self.attrs)
        for name in set(projected.attrs) - names:
            del projected.attrs[name]
        return projected

    Item.project = project  # type: ignore[method-assign]


def send_scalar_values_as_they_are() -> None:
    """Attribute values: stored in wire form, yet moto looks for each of ten types under several names, per value."""
    serialize_structure = BaseJSONSerializer._serialize_type_structure

    def serialize(self: BaseJSONSerializer, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if shape.name == "AttributeValue" and isinstance(value, dict) and key and value.keys() <= _SCALARS:
            self._default_serialize(serialized, value, shape, key)
        else:
            serialize_structure(self, serialized, value, shape, key)

    BaseJSONSerializer._serialize_type_structure = serialize  # type: ignore[method-assign]
