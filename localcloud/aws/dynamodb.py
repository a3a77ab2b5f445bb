"""Patches of moto's DynamoDB: it takes half a minute of 800 requests, and its indexes are never late."""

import copy
import itertools
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import Table

from localcloud.habits import LATE_INDEXES, Habits

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


def let_indexes_follow_late(habits: Habits) -> None:
    """Global indexes: moto reads the table itself, where DynamoDB's follow its writes in order, within a second."""
    written, query = itertools.count(), Table.query

    def remembering(write: Callable[..., Any]) -> Callable[..., Any]:
        def remember(
            self: DynamoDBBackend, table_name: str, attributes: dict[str, Any], *more: Any, **named: Any
        ) -> Any:
            answer = write(self, table_name, attributes, *more, **named)
            table = self.get_table(table_name)
            key, late = self.get_keys_value(table, attributes), vars(table).setdefault("late", [])
            due = time.time() + habits.seconds(LATE_INDEXES, f"{table_name}/{next(written)}")
            late.append((max(due, late[-1][0] if late else 0), key, copy.deepcopy(table.get_item(*key))))
            return answer

        return remember

    def ask(self: Table, *args: Any, **more: Any) -> Any:
        whole, index_name = self.items, args[7]
        if index_name in {index.name for index in self.global_indexes}:
            self.items = _as_indexes_are(self)  # one request at a time uses a table
        try:
            return query(self, *args, **more)
        finally:
            self.items = whole

    for name in ("put_item", "update_item", "delete_item"):
        setattr(DynamoDBBackend, name, remembering(getattr(DynamoDBBackend, name)))
    Table.query = ask  # type: ignore[method-assign]


def _as_indexes_are(table: Table) -> Any:
    """Return the items of the global indexes, which take over now what is due."""
    items, late = vars(table).setdefault("in_indexes", defaultdict(dict)), vars(table).get("late", [])
    while late and late[0][0] <= time.time():
        _, (first, second), item = late.pop(0)
        place, name = (items[first], second) if table.has_range_key else (items, first)
        place.pop(name, None)
        if item is not None:
            place[name] = item
    return items
