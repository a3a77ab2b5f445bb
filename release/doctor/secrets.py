"""Values of secrets: that they are there and real. They are never shown, and leave this module as facts alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from components.settings import Settings
from release.clients.aws import key_in, unless_missing
from release.doctor.check import Notes, check
from release.doctor.place import Place

_MISSING: Final = ("ResourceNotFoundException", "InvalidRequestException")
"""No such secret, no value in it, or marked for deletion."""
_SHORTEST: Final = 16
_PLACEHOLDER: Final = re.compile(r"example|change.?me|placeholder|your.?(?:api.?)?key|dummy|to.?do|secret$|x{4,}|test")


@dataclass(frozen=True, slots=True)
class Value:
    """Facts about a secret's value that may be told."""

    has_key: bool
    length: int = 0
    placeholder: bool = False


def _values(place: Place) -> dict[str, Value | None]:
    def look(name: str) -> Value | None:
        answer = unless_missing(lambda: place.aws("secretsmanager").get_secret_value(SecretId=name), *_MISSING)
        return None if answer is None else facts(answer.get("SecretString", ""))

    return {name: look(name) for name in (place.names.newsapi_secret, place.names.dashboard_key_secret)}


def facts(text: str) -> Value:
    """Return the facts about a value; anything but {"api_key": "..."} has no key."""
    key = key_in(text)
    return Value(has_key=bool(key), length=len(key), placeholder=_PLACEHOLDER.search(key.lower()) is not None)


@check(
    "secrets.values",
    asks="Secrets Manager for the key of the news service and for that of the dashboard",
    expected='each value is {"api_key": ...}, and no placeholder; the key that we make ourselves, of the dashboard, '
    f"has {_SHORTEST} characters or more",
    fix="release bootstrap --stack {stack}",
    look=_values,
)
def _secrets_values(settings: Settings, values: Mapping[str, Value | None]) -> Notes:
    for name, value in values.items():
        if value is None:
            yield f"{name} does not exist, or holds no value"
        elif not value.has_key:
            yield f'the value of {name} is not {{"api_key": "..."}} with something in it'
        elif value.placeholder:
            yield f"the value of {name} is a placeholder out of an example"
        elif name == settings.arns.names.dashboard_key_secret and value.length < _SHORTEST:
            yield f"the key in {name} has fewer than {_SHORTEST} characters: it can be guessed"
    return "each holds a key (not shown)"
