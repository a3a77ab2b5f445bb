"""Where two JSON answers differ, and which of their fields change on their own. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from release.text import one_line

_EXCERPT: Final = 80
_MISSING: Final = object()
_BY_CHANCE: Final = 2
_SECRET: Final = ("key", "secret", "token", "password", "authorization", "cookie")

Differences = dict[str, tuple[Any, Any]]
"""What was found, and what was expected, by path."""


class Reference:
    """The last right answer of the stable version to one question, and how often a field of it changed by chance.

    All answers of a block are compared with it. What all of them have changed is no fault of one of them; a fault is
    what a single answer has changed. A field that stable answers changed alone more than twice is compared by its type
    alone from then on, because it would hide all others.
    """

    def __init__(self, document: Any, may_differ: Container[str]) -> None:
        self._document, self._may_differ = _opened(document), may_differ
        self._changed: Counter[str] = Counter()

    def alone(self, documents: Sequence[Any]) -> list[Differences]:
        """Return, for each answer, where it alone lacks or changes what the reference holds; additions are none."""
        found = [dict(_walk(_opened(one), self._document, self._may_differ)) for one in documents]
        common = Counter(path for one in found for path in one)
        return [
            {path: pair for path, pair in one.items() if common[path] == 1 and self._changed[path] <= _BY_CHANCE}
            for one in found
        ]

    def learn(self, document: Any, changed: Iterable[str]) -> None:
        """Take another answer of the stable version as the reference, and learn what its answers changed alone."""
        self._document = _opened(document)
        self._changed.update(changed)


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


def _walk(
    found: Any, expected: Any, may_differ: Container[str], path: str = ""
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Yield the path of each difference with both values; another type has a path of its own."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for name, one in expected.items():
            if name not in may_differ:
                yield from _walk(found.get(name, _MISSING), one, may_differ, f"{path}.{name}")
    elif isinstance(found, list) and isinstance(expected, list):
        if len(found) != len(expected):
            yield f"{path}[]", (len(found), len(expected))
        for one, other in zip(found, expected, strict=False):
            yield from _walk(one, other, may_differ, f"{path}[]")
    elif _kind(found) != _kind(expected):
        yield f"{path} ({_kind(found)})", (found, expected)
    elif found != expected:
        yield path, (found, expected)


def _kind(value: Any) -> str:
    if value is _MISSING:
        return "missing"
    return "number" if type(value) in {int, float} else type(value).__name__
