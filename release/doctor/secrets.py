"""Values of secrets: that they are there and real. They are never shown, and leave this module as facts alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import Final

from components.settings import Settings
from release.clients.aws import key_in, unless_missing
from release.doctor.check import Notes, check
from release.doctor.place import Place

_MISSING: Final = ("ResourceNotFoundException", "InvalidRequestException")
"""No such secret, no value in it, or marked for deletion."""
_SHORTEST: Final = 16
_check = partial(check, fix="release bootstrap --stack {stack}", missing="it does not exist, or holds no value")
_PLACEHOLDER: Final = re.compile(r"example|change.?me|placeholder|your.?(?:api.?)?key|dummy|to.?do|secret$|x{4,}|test")


@dataclass(frozen=True, slots=True)
class Value:
    """Facts about a secret's value that may be told."""

    has_key: bool
    length: int = 0
    placeholder: bool = False


def _value(place: Place, name: str) -> Value | None:
    answer = unless_missing(lambda: place.aws("secretsmanager").get_secret_value(SecretId=name), *_MISSING)
    return None if answer is None else facts(answer.get("SecretString", ""))


def facts(text: str) -> Value:
    """Return the facts about a value; anything but {"api_key": "..."} has no key."""
    key = key_in(text)
    return Value(has_key=bool(key), length=len(key), placeholder=_PLACEHOLDER.search(key.lower()) is not None)


def _judge(value: Value, shortest: int = 0) -> Notes:
    if not value.has_key:
        yield 'its value is not {"api_key": "..."} with something in it'
    elif value.placeholder:
        yield "its value is a placeholder out of an example"
    elif value.length < shortest:
        yield f"its key has fewer than {shortest} characters: it can be guessed"
    return "it holds a key (not shown)"


@_check(
    "secrets.newsapi",
    asks="Secrets Manager for the key of the news service",
    expected='its value is {"api_key": ...}, and no placeholder',
    look=lambda place: _value(place, place.names.newsapi_secret),
)
def _secrets_newsapi(_: Settings, value: Value) -> Notes:
    return _judge(value)


@_check(
    "secrets.dashboard-key",
    asks="Secrets Manager for the key of the dashboard",
    expected=f'its value is {{"api_key": ...}} of {_SHORTEST} characters or more, and no placeholder',
    look=lambda place: _value(place, place.names.dashboard_key_secret),
)
def _secrets_dashboard_key(_: Settings, value: Value) -> Notes:
    """A key that we make ourselves is long enough not to be guessed."""
    return _judge(value, _SHORTEST)
