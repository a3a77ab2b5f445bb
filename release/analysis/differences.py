"""Where two JSON answers differ, and which of their fields change on their own. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

from release.text import one_line

_EXCERPT: Final = 80
_MISSING: Final = object()
_SECRET: Final = ("key", "secret", "token", "password", "authorization", "cookie")

Differences = dict[str, tuple[Any, Any]]
"""What was found, and what was expected, by path."""


class Reference:
    """The last right answer of the stable version to one question, and how often its fields changed on their own.

    The stable version's next answer and the candidate's are both compared with it. A field that changes on its own
    differs in both alike, so it is no evidence against either of them. One that does so often is compared by its type
    alone, because it would hide all others.
    """

    def __init__(self, document: Any, may_differ: Container[str]) -> None:
        self._document, self._may_differ = _opened(document), may_differ
        self._compared = 0
        self._changed: Counter[str] = Counter()

    def differences(self, document: Any) -> Differences:
        """Return where an answer lacks or changes what the reference holds; what it adds breaks nobody."""
        often = max(2, self._compared / 100)
        found = _walk(_opened(document), self._document, self._may_differ)
        return {
            path: (one, other)
            for path, one, other in found
            if self._changed[path] <= often or type(one) is not type(other)
        }

    def learn(self, documents: Iterable[Any]) -> None:
        """Learn from further answers of the stable version; the last one is the next reference."""
        document = self._document
        for one in documents:
            document = _opened(one)
            self._changed.update({path for path, *_ in _walk(document, self._document, self._may_differ)})
            self._compared += 1
        self._document = document


def excerpt(path: str, found: Any, expected: Any) -> str:
    """Return a difference in words; what a name marks as a secret is not shown."""
    if any(word in path.lower() for word in _SECRET):
        return f"{path} is another (not shown)"
    texts = ("missing" if one is _MISSING else one_line(json.dumps(one), _EXCERPT) for one in (found, expected))
    return "{} is {}, not {}".format(path, *texts)


def _opened(document: Any) -> Any:
    """Return an answer with the JSON of its body, which a function behind a URL hands over as text."""
    if isinstance(document, dict) and isinstance(body := document.get("body"), str):
        with suppress(ValueError):
            return {**document, "body": json.loads(body)}
    return document


def _walk(found: Any, expected: Any, may_differ: Container[str], path: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(found, dict) and isinstance(expected, dict):
        for name, one in expected.items():
            if name not in may_differ:
                yield from _walk(found.get(name, _MISSING), one, may_differ, f"{path}.{name}")
    elif isinstance(found, list) and isinstance(expected, list):
        if len(found) != len(expected):
            yield f"{path}[]", len(found), len(expected)
        for one, other in zip(found, expected, strict=False):
            yield from _walk(one, other, may_differ, f"{path}[]")
    elif found != expected or isinstance(found, bool) != isinstance(expected, bool):
        yield path, found, expected
