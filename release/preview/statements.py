"""Which statements a policy document gains and loses, whatever their order or spelling. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from release.preview.plan import StatementChange

_LISTS: Final = ("Action", "NotAction", "Resource", "NotResource")


def is_policy(value: object) -> bool:
    """Whether a parsed JSON value is a policy document of IAM."""
    return isinstance(value, Mapping) and isinstance(value.get("Statement"), list | dict)


def statement_changes(path: str, old: object, new: object) -> tuple[StatementChange, ...]:
    """The difference between two policy documents (parsed; anything else counts as one without statements)."""
    before, after = _statements(old), _statements(new)
    gone = [text for text in before if text not in after]
    come = [text for text in after if text not in before]
    return tuple(
        StatementChange(path=path, added=added, statement=text, flags=_flags(json.loads(text)))
        for added, texts in ((False, gone), (True, come))
        for text in texts
    )


def _statements(document: object) -> list[str]:
    if not isinstance(document, Mapping):
        return []
    found = document.get("Statement") or []
    statements = found if isinstance(found, list) else [found]
    return sorted({json.dumps(_normal(one), sort_keys=True) for one in statements})


def _normal(statement: Any) -> Any:
    """A statement in one spelling: `"a"` and `["a"]` mean the same, and so does another order."""
    if not isinstance(statement, Mapping):
        return statement
    normal = dict(statement)
    for key in _LISTS:
        if key in normal:
            normal[key] = _listed(normal[key])
    if isinstance(normal.get("Principal"), Mapping):
        normal["Principal"] = {kind: _listed(who) for kind, who in normal["Principal"].items()}
    return normal


def _listed(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return value[0] if len(value) == 1 else sorted(value)
    return value


def _flags(statement: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_concerns(statement))) if isinstance(statement, Mapping) else ()


def _concerns(statement: Mapping[str, Any]) -> Iterator[str]:
    if statement.get("Effect") != "Allow":
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
