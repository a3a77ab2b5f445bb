"""Values of secrets: that they are there and real. They are never shown, and leave this module as facts alone."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from components.settings import Settings
from release.clients.aws import unless_missing
from release.doctor.check import Check, Judgement, conclude
from release.doctor.place import Place

_MISSING: Final = ("ResourceNotFoundException", "InvalidRequestException")
"""No such secret, no value in it, or marked for deletion."""
_SHORTEST: Final = 16
_PLACEHOLDER: Final = re.compile(r"example|change.?me|placeholder|your.?(?:api.?)?key|dummy|to.?do|secret$|x{4,}|test")


@dataclass(frozen=True, slots=True)
class Value:
    """What may be told of a secret's value."""

    has_key: bool
    length: int = 0
    placeholder: bool = False


def _value(place: Place, name: str) -> Value | None:
    answer = unless_missing(lambda: place.aws("secretsmanager").get_secret_value(SecretId=name), *_MISSING)
    return None if answer is None else facts(answer.get("SecretString", ""))


def facts(text: str) -> Value:
    """What may be told of a value; anything but {"api_key": "..."} has no key."""
    try:
        key = json.loads(text)["api_key"]
    except (ValueError, KeyError, TypeError):
        return Value(has_key=False)
    if not isinstance(key, str) or not key.strip():
        return Value(has_key=False)
    return Value(has_key=True, length=len(key), placeholder=_PLACEHOLDER.search(key.lower()) is not None)


def judge_value(_: Settings, value: Value | None) -> Judgement:
    """There is a key, and it is not what stands in examples."""
    if value is None:
        return conclude("", problems=["it does not exist, or holds no value"])
    if not value.has_key:
        return conclude("", problems=['its value is not {"api_key": "..."} with something in it'])
    if value.placeholder:
        return conclude("", problems=["its value is a placeholder out of an example"])
    return conclude("it holds a key (not shown)")


def judge_own_key(settings: Settings, value: Value | None) -> Judgement:
    """A key that we make ourselves is long enough not to be guessed."""
    if value is not None and value.has_key and not value.placeholder and value.length < _SHORTEST:
        return conclude("", problems=[f"its key has fewer than {_SHORTEST} characters: it can be guessed"])
    return judge_value(settings, value)


CHECKS: Final = (
    Check(
        name="secrets.newsapi",
        asks="Secrets Manager for the key of the news service",
        good='its value is {"api_key": ...}, and no placeholder',
        mend="release bootstrap --stack {stack}",
        look=lambda place: _value(place, place.names.newsapi_secret),
        judge=judge_value,
    ),
    Check(
        name="secrets.dashboard-key",
        asks="Secrets Manager for the key of the dashboard",
        good=f'its value is {{"api_key": ...}} of {_SHORTEST} characters or more, and no placeholder',
        mend="release bootstrap --stack {stack}",
        look=lambda place: _value(place, place.names.dashboard_key_secret),
        judge=judge_own_key,
    ),
)
