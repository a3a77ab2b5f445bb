"""Statements that a policy document gains and loses, whatever their order or spelling. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from components.policies.comparison import plain
from release.preview.plan import StatementChange

_LISTS: Final = ("Action", "NotAction", "Resource", "NotResource")
_TOLD: Final = frozenset({"Sid", "Effect", "Action", "Resource", "Principal", "Condition"})
"""The parts of a statement that a sentence can tell."""


def is_policy(value: object) -> bool:
    """Whether a parsed JSON value is a policy document of IAM."""
    return isinstance(value, Mapping) and isinstance(value.get("Statement"), list | dict)


def statement_changes(path: str, old: object, new: object) -> tuple[StatementChange, ...]:
    """The difference between two policy documents (parsed; anything else counts as one without statements)."""
    before, after = _statements(old), _statements(new)
    gone = [text for text in before if text not in after]
    come = [text for text in after if text not in before]
    return tuple(
        StatementChange(path=path, added=added, statement=text, flags=tuple(dict.fromkeys(_concerns(json.loads(text)))))
        for added, texts in ((False, gone), (True, come))
        for text in texts
    )


def counterparts(found: Sequence[StatementChange]) -> dict[int, StatementChange]:
    """The statement that each one changes into, or was, by its place in `found`: of the same input and name (`Sid`)."""
    sides: dict[tuple[str, str], dict[bool, int]] = {}
    for place, one in enumerate(found):
        if name := _name(one.statement):
            sides.setdefault((one.path, name), {})[one.added] = place
    pairs = [side for side in sides.values() if len(side) == len({True, False})]
    return {side[added]: found[side[not added]] for side in pairs for added in (True, False)}


def statement_lines(found: Sequence[StatementChange]) -> list[tuple[str, str, str]]:
    """What a person reads of statement changes: sign, what it is about, and text.

    Two statements of the same name (`Sid`) are one that changes, so only its parts are shown that come and go.
    """
    lines: list[tuple[str, str, str]] = []
    others = counterparts(found)
    for place, one in enumerate(found):
        other = others.get(place)
        if other is None:
            lines.append(("+" if one.added else "-", f"{one.path}{_flagged(one)}", _sentence(one.statement)))
        elif one.added:
            head = f"{one.path}, statement {_name(one.statement)}{_flagged(one)}"
            parts = _parts(json.loads(other.statement), json.loads(one.statement))
            lines += [(sign, head, text) for sign, text in parts]
    return lines


def _name(statement: str) -> str:
    parsed = _read(statement)
    return str(parsed.get("Sid") or "") if isinstance(parsed, dict) else ""


def _read(statement: str) -> Any:
    try:
        return json.loads(statement)
    except (ValueError, RecursionError):  # whoever wrote the document may have nested it without end
        return None


def _flagged(one: StatementChange) -> str:
    return f" [{', '.join(one.flags)}]" if one.flags else ""


def _parts(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        ones, others = _words(before), _words(after)
        if key in _LISTS and len(ones) > 0 and len(others) > 0:
            yield from (("-", f"{key} {word}") for word in ones if word not in others)
            yield from (("+", f"{key} {word}") for word in others if word not in ones)
            continue
        for sign, value in (("-", before), ("+", after)):
            if value is not None:
                yield sign, f"{key} {value if isinstance(value, str) else json.dumps(value, sort_keys=True)}"


def _sentence(statement: str) -> str:
    """`Allow sns:Publish on arn:... (Topics)`; JSON where it says more than such a sentence can."""
    parsed = _read(statement)
    if not isinstance(parsed, dict) or not set(parsed) <= _TOLD:
        return statement
    actions, resources = _words(parsed.get("Action")), _words(parsed.get("Resource"))
    if not actions or not isinstance(parsed.get("Effect"), str):
        return statement
    said = f"{parsed['Effect']} {', '.join(actions)}"
    if resources:
        said += f" on {', '.join(resources)}"
    if "Principal" in parsed:
        who = parsed["Principal"]
        said += f" to {who if isinstance(who, str) else json.dumps(who, sort_keys=True)}"
    if "Condition" in parsed:
        said += f" if {json.dumps(parsed['Condition'], sort_keys=True)}"
    return f"{said} ({parsed['Sid']})" if parsed.get("Sid") else said


def _statements(document: object) -> list[str]:
    if not isinstance(document, Mapping):
        return []
    found = document.get("Statement") or []
    statements = found if isinstance(found, list) else [found]
    return sorted({json.dumps(_normal(one), sort_keys=True) for one in statements})


def _normal(statement: Any) -> Any:
    if not isinstance(statement, Mapping):
        return statement
    return {key: plain(value) if key in {*_LISTS, "Principal"} else value for key, value in statement.items()}


def _concerns(statement: Any) -> Iterator[str]:
    """Reasons for a second look at a statement."""
    if not isinstance(statement, Mapping) or statement.get("Effect") != "Allow":
        return
    actions = _words(statement.get("Action"))
    if "NotAction" in statement or any("*" in action or "?" in action for action in actions):
        yield "wildcard action"
    if "NotResource" in statement or any(word == "*" for word in _words(statement.get("Resource"))):
        yield "wildcard resource"
    if _allows("iam:passrole", statement):
        yield "PassRole"
    principal = statement.get("Principal")
    everybody = principal == "*" or (
        isinstance(principal, Mapping) and any("*" in _words(who) for who in principal.values())
    )
    if everybody or "NotPrincipal" in statement:
        yield "anybody"


def _allows(action: str, statement: Mapping[str, Any]) -> bool:
    """Whether a statement is about an action (in small letters), named or by a wildcard."""
    key = "NotAction" if "NotAction" in statement else "Action"
    matches = any(fnmatchcase(action, pattern.lower()) for pattern in _words(statement.get(key)))
    return matches is (key == "Action")


def _words(value: Any) -> list[str]:
    words = value if isinstance(value, list) else [value]
    return [word for word in words if isinstance(word, str)]
