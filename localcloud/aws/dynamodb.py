"""A patch of moto's DynamoDB: projections that do not hold up a canary's requests."""

from __future__ import annotations

import copy

from moto.dynamodb.models.dynamo_type import Item


def project_whole_attributes_at_once() -> None:
    """Projections: moto turns the whole item into JSON once per projected attribute (13 ms for a page of 8 items)."""
    project_nested = Item.project

    def project(self: Item, projection_expressions: list[list[str]]) -> Item:
        names = {expression[0] for expression in projection_expressions if len(expression) == 1}
        if len(names) < len(projection_expressions) or any("[" in name for name in names):
            return project_nested(self, projection_expressions)
        projected = copy.deepcopy(self)
        for name in set(projected.attrs) - names:
            del projected.attrs[name]
        return projected

    Item.project = project  # type: ignore[method-assign]
