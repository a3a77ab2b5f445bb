"""Diff: what an update would change, property by property, and whether it replaces."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from localcloud.aws_provider.facts import Property
from localcloud.aws_provider.resource_type import ResourceType
from localcloud.aws_provider.state import blank, same_json
from localcloud.aws_provider.values import UNKNOWN, holds_unknown


@dataclasses.dataclass(frozen=True, kw_only=True)
class PropertyDiff:
    """One change: path with positions (`rules[0].status`), kind, and whether it replaces the resource."""

    path: str
    kind: Literal["add", "delete", "update"]
    replaces: bool

    @property
    def top(self) -> str:
        """The top-level property that it is in."""
        return self.path.partition(".")[0].partition("[")[0]


def changes(
    resource_type: ResourceType,
    state: Mapping[str, Any],
    inputs: Mapping[str, Any],
    *,
    region: str,
) -> list[PropertyDiff]:
    """The changes from the state to what the inputs ask for. Both are plain; inputs may hold `UNKNOWN`."""
    found = []
    for name, declared in resource_type.properties.items():
        if name == "region" and state.get("region", region) != region:
            found.append(PropertyDiff(path="region", kind="update", replaces=True))
        elif name in resource_type.inputs:
            found += _compare(resource_type, declared, state.get(name), inputs.get(name), (name, name))
    if resource_type.update is None:
        found = [dataclasses.replace(change, replaces=True) for change in found]
    return found


def must_delete_first(resource_type: ResourceType, state: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    """Whether a replacement would stand at the same address, so that the old one has to go first."""
    return all(inputs.get(name, state.get(name)) == state.get(name) for name in resource_type.identity)


def _compare(
    resource_type: ResourceType, declared: Property, old: Any, new: Any, where: tuple[str, str]
) -> Iterator[PropertyDiff]:
    shown, path = where
    if new is None:
        if (declared.computed or path in resource_type.chosen) and path not in resource_type.defaults:
            return  # AWS chose it, or an earlier program did: leaving it out keeps it
        new = resource_type.defaults.get(path)
    if new is UNKNOWN:
        yield PropertyDiff(path=shown, kind="update" if not blank(old) else "add", replaces=declared.replaces)
    elif blank(old) and blank(new) and blank(resource_type.defaults.get(path)):
        return
    elif isinstance(new, dict) and isinstance(old, dict) and declared.holds_objects:
        yield from _objects(resource_type, declared, old, new, where)
    elif isinstance(new, list) and isinstance(old, list) and declared.holds_objects:
        yield from _arrays(resource_type, declared, old, new, where)
    elif not _equal(resource_type, path, old, new):
        kind = "add" if old is None else "delete" if new is None else "update"
        yield PropertyDiff(path=shown, kind=kind, replaces=declared.replaces or _replaces_inside(declared, old, new))


def _replaces_inside(declared: Property, old: Any, new: Any) -> bool:
    """Whether a block that appears or goes has a property in it whose change replaces."""
    value = new if isinstance(new, dict) else old
    return isinstance(value, dict) and any(
        item.replaces and not blank(value.get(name)) for name, item in declared.properties.items()
    )


def _equal(resource_type: ResourceType, path: str, old: Any, new: Any) -> bool:
    if path in resource_type.json_documents or path in resource_type.policies:
        return same_json(old, new, policy=path in resource_type.policies)
    if path in resource_type.sets and isinstance(old, list) and isinstance(new, list) and not holds_unknown(new):
        return sorted(map(str, old)) == sorted(map(str, new))
    return old == new


def _objects(
    resource_type: ResourceType, declared: Property, old: Any, new: Any, where: tuple[str, str]
) -> Iterator[PropertyDiff]:
    shown, path = where
    for name, item in declared.properties.items():
        if item.settable:
            yield from _compare(
                resource_type, item, old.get(name), new.get(name), (f"{shown}.{name}", f"{path}.{name}")
            )


def _arrays(
    resource_type: ResourceType, declared: Property, old: list[Any], new: list[Any], where: tuple[str, str]
) -> Iterator[PropertyDiff]:
    shown, path = where
    wanted, had = list(enumerate(new)), list(enumerate(old))
    if path in resource_type.sets:
        wanted, had = _unpaired(resource_type, declared, old, new, path)
    for (position, item), (_, before) in zip(wanted, had, strict=False):
        here = f"{shown}[{position}]"
        if item is UNKNOWN or not isinstance(item, dict):
            yield PropertyDiff(path=here, kind="update", replaces=declared.replaces)
        else:
            yield from _objects(resource_type, declared, before, item, (here, path))
    for position, _ in wanted[len(had) :]:
        yield PropertyDiff(path=f"{shown}[{position}]", kind="add", replaces=declared.replaces)
    for position, _ in had[len(wanted) :]:
        yield PropertyDiff(path=f"{shown}[{position}]", kind="delete", replaces=declared.replaces)


_Placed = list[tuple[int, Any]]


def _unpaired(
    resource_type: ResourceType, declared: Property, old: list[Any], new: list[Any], path: str
) -> tuple[_Placed, _Placed]:
    """The entries, with their positions, that only the new or only the old list has, whatever the order."""
    left, added = list(enumerate(old)), []
    for position, item in enumerate(new):
        same = next(
            (
                entry
                for entry in left
                if isinstance(item, dict) and not any(_objects(resource_type, declared, entry[1], item, (path, path)))
            ),
            None,
        )
        if same is None:
            added.append((position, item))
        else:
            left.remove(same)
    return added, left
