"""Patches of moto's DynamoDB: it takes half a minute of 800 requests, and its indexes are never late."""

import contextlib
import copy
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb.exceptions import MockValidationException
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table

from localcloud.habits import LATE_INDEXES, Habits

_Key = tuple[DynamoType, DynamoType | None]
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
    """Global indexes: moto reads the table itself, where DynamoDB's follow it within a second."""
    written: Counter[str] = Counter()

    def remembering(write: Callable[..., Any]) -> Callable[..., Any]:
        """Note at each write what indexes show of its key until they follow; no write overtakes an earlier one."""

        def wrapped(self: DynamoDBBackend, table_name: str, attributes: dict[str, Any], *args: Any, **more: Any) -> Any:
            table, key = self.get_table(table_name), None
            with contextlib.suppress(MockValidationException):
                key = self.get_keys_value(table, attributes)
            before = copy.deepcopy(table.get_item(*key)) if key else None
            answer = write(self, table_name, attributes, *args, **more)
            if key:
                subject = f"{table_name}/{key[0].value}"
                written[subject] += 1
                until = time.time() + habits.seconds(LATE_INDEXES, f"{subject}/{written[subject]}")
                shown = _shown_by_indexes(table).setdefault(key, [])
                shown.append((before, max([until, *(one for _, one in shown)])))
            return answer

        return wrapped

    query = Table.query

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


def _shown_by_indexes(table: Table) -> dict[_Key, list[tuple[Item | None, float]]]:
    """Return, by key, what was there before each late write, and until when indexes show that."""
    return vars(table).setdefault("shown_by_indexes", {})


def _as_indexes_are(table: Table) -> Any:
    now, items = time.time(), table.items.copy()
    late = _shown_by_indexes(table)
    for key, shown in list(late.items()):
        shown[:] = [one for one in shown if one[1] > now]
        if not shown:
            del late[key]
            continue
        (first, second), (before, _) = key, shown[0]
        if table.has_range_key:
            items[first] = {name: item for name, item in items.get(first, {}).items() if name != second}
            items[first] |= {second: before} if before else {}
        elif before:
            items[first] = before
        else:
            items.pop(first, None)
    return items
