"""A resource as the engine shows it, and the resources of a `pulumi preview --json`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What stands in a preview for a value that is known only after the update."""
_GOES_AWAY: Final = frozenset(
    {"delete", "delete-replaced", "discard", "discard-replaced", "read-discard", "remove-pending-replace"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Resource:
    """A resource of a provider: type token, logical name, URN of its parent, inputs (camelCase), `protect`."""

    type: str
    name: str
    parent: str
    props: Mapping[str, Any]
    protect: bool

    def __str__(self) -> str:
        return f"{self.type}::{self.name}"

    def policy(self, key: str) -> list[dict[str, Any]] | None:
        """Statements of the policy document in an input; None where there is none, or where it is not known yet."""
        text = self.props.get(key)
        if not isinstance(text, str) or text == UNKNOWN:
            return None
        statements = json.loads(text)["Statement"]
        return statements if isinstance(statements, list) else [statements]


def of_preview(document: Mapping[str, Any]) -> Iterator[Resource]:
    """The resources that a stack will have after the previewed update, components left out."""
    for step in document["steps"]:
        state = step.get("newState")
        if state is None or step["op"] in _GOES_AWAY or not state.get("custom"):
            continue
        if state["type"].startswith("pulumi:"):
            continue
        yield Resource(
            type=state["type"],
            name=state["urn"].rsplit("::", 1)[-1],
            parent=state.get("parent", ""),
            props=state.get("inputs", {}),
            protect=bool(state.get("protect")),
        )


def listed(value: str | Sequence[str] | None) -> list[str]:
    """A value of a policy document that may be one string or several."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)
