"""Policy documents compared by what they mean, not by how they are spelled. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

_MOST_SHOWN: Final = 3
_LONGEST_SHOWN: Final = 120


def difference(expected: Mapping[str, Any], deployed: Mapping[str, Any]) -> str:
    """How `deployed` differs from `expected`, shortly; empty where both mean the same.

    Order, and whether a single value stands in a list, mean nothing: AWS's services change both.
    """
    wanted, there = _statements(expected), _statements(deployed)
    told = [f"statement {sid} is missing" for sid in wanted if sid not in there]
    told += [f"statement {sid} should not be there" for sid in there if sid not in wanted]
    for sid in wanted.keys() & there.keys():
        told += [f"statement {sid}: {line}" for line in _fields(wanted[sid], there[sid])]
    told = sorted(told)
    if len(told) > _MOST_SHOWN:
        told = [*told[:_MOST_SHOWN], f"and {len(told) - _MOST_SHOWN} more"]
    return ", ".join(told)


def _statements(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Statements by their id; those without one, or with one that is there twice, by their place among these."""
    found: dict[str, dict[str, Any]] = {}
    for statement in _as_list(document.get("Statement")):
        sid = str(statement.get("Sid", "(no id)"))
        name, number = sid, 1
        while name in found:
            number += 1
            name = f"{sid} no. {number}"
        found[name] = {key: plain(value) for key, value in statement.items() if key != "Sid"}
    return found


def _fields(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    keys = sorted(wanted.keys() | there.keys())
    return [_field(key, wanted.get(key), there.get(key)) for key in keys if wanted.get(key) != there.get(key)]


def _field(key: str, wanted: Any, there: Any) -> str:
    if not isinstance(wanted, str | list) or not isinstance(there, str | list):
        return f"{key} is {_shown(there)}, not {_shown(wanted)}"
    more = [one for one in _as_list(there) if one not in _as_list(wanted)]
    less = [one for one in _as_list(wanted) if one not in _as_list(there)]
    return f"{key} " + " and ".join(
        f"{word} {_shown(ones)}" for word, ones in (("has besides", more), ("lacks", less)) if ones
    )


def plain(value: Any) -> Any:
    """A part of a statement in one spelling: `"a"` and `["a"]` mean the same, and so does another order."""
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list):
        parts = sorted((plain(part) for part in value), key=str)
        return parts[0] if len(parts) == 1 else parts
    return str(value).lower() if isinstance(value, bool) else value


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def _shown(value: Any) -> str:
    if value is None:
        return "absent"
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
