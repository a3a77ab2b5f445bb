"""Values of the service's secrets. They go into Secrets Manager and GitHub, and nowhere else.

The foundation makes the containers, empty. A value that is there is never replaced unasked.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from components.github_secrets import github_secrets
from components.identities import identities
from release.bootstrap.step import SetupStep, Site, StepState, done, sealed_in, to_do, waits, waits_for_the_foundation
from release.clients.aws import key_in, unless_missing
from release.errors import ReleaseError

NEWSAPI: Final = "newsapi"
DASHBOARD: Final = "dashboard"
_KEY_BYTES: Final = 32
_HIDDEN: Final = "a key (not shown)"


class _Container(Enum):
    MISSING = "no container yet"
    EMPTY = "empty"
    FOREIGN = 'something else than {"api_key": "..."}'


@dataclass(frozen=True, slots=True)
class _ApiKey:
    """The value of a secret, which its text never shows, and since when it stands there."""

    value: str = field(repr=False)
    since: datetime


def steps(site: Site) -> list[SetupStep]:
    """The key of the news service, the key of the dashboard, and the latter sealed where tests on GitHub need it."""
    names, asked = site.names, f"Key of the news service for {site.environment} (not shown; empty = later)"
    return [
        _value(site, names.newsapi_secret, NEWSAPI, lambda: site.person.secret(asked)),
        _value(site, names.dashboard_key_secret, DASHBOARD, lambda: secrets.token_urlsafe(_KEY_BYTES)),
        *(
            _sealed(site, identity.github_environment, name)
            for identity in identities(site.environment)
            if identity.secrets
            for name in github_secrets(site.environment).of_bootstrap
        ),
    ]


def _value(site: Site, name: str, option: str, make: Callable[[], str]) -> SetupStep:
    def look() -> StepState:
        found = _read(site, name)
        if found is _Container.MISSING:
            return waits_for_the_foundation(site, found.value)
        if found is _Container.FOREIGN and option not in site.rotate:
            return waits(found.value, f"to replace it: release bootstrap --stack {site.environment} --rotate {option}")
        if found is _Container.EMPTY:
            return to_do(found.value)
        return to_do("a key, to be replaced") if option in site.rotate else done(_HIDDEN)

    def do() -> StepState | None:
        value = make()
        if not value:
            return waits("no key was given", f"get one, then again: release bootstrap --stack {site.environment}")
        site.aws("secretsmanager").put_secret_value(SecretId=name, SecretString=json.dumps({"api_key": value}))
        return None

    return SetupStep(what=f"secret {name}", wanted=_HIDDEN, look=look, do=do)


def _sealed(site: Site, environment: str, name: str) -> SetupStep:
    return SetupStep(
        what=f"secret {name} in GitHub environment {environment}",
        wanted="the key of the dashboard, sealed",
        look=lambda: _look_at_sealed(site, environment, name),
        do=lambda: _seal(site, environment, name),
    )


def _look_at_sealed(site: Site, environment: str, name: str) -> StepState:
    sealed = sealed_in(site, environment)
    if isinstance(sealed, StepState):
        return sealed
    key = _read(site, site.names.dashboard_key_secret)
    if key is _Container.MISSING:
        return waits_for_the_foundation(site, "no key yet")
    if problem := _wrong_with(site, sealed.get(name), key):
        return to_do(problem)
    return done("sealed after the key was made")


def _wrong_with(site: Site, sealed: datetime | None, key: _ApiKey | _Container) -> str:
    """Return the reason why a secret sealed at that time is not the key; empty where it is."""
    if sealed is None:
        return "not there"
    if DASHBOARD in site.rotate:
        return "of the key that is to be replaced"
    # GitHub's times are whole seconds.
    if not isinstance(key, _ApiKey) or sealed < key.since.replace(microsecond=0):
        return "older than the key"
    return ""


def _seal(site: Site, environment: str, name: str) -> StepState | None:
    key = _read(site, site.names.dashboard_key_secret)
    if not isinstance(key, _ApiKey):
        return waits("no key yet", f"release bootstrap --stack {site.environment} --rotate {DASHBOARD}")
    if site.github is not None:
        site.github.seal(environment, name, key.value)
    return None


def _read(site: Site, name: str) -> _ApiKey | _Container:
    client = site.aws("secretsmanager")
    described = unless_missing(lambda: client.describe_secret(SecretId=name), "ResourceNotFoundException")
    if described is None:
        return _Container.MISSING
    if described.get("DeletedDate"):
        raise ReleaseError(
            f"the secret {name} is being deleted", next_step=f"aws secretsmanager restore-secret --secret-id {name}"
        )
    found = unless_missing(lambda: client.get_secret_value(SecretId=name), "ResourceNotFoundException")
    if found is None:
        return _Container.EMPTY
    value = key_in(found.get("SecretString", ""))
    return _ApiKey(value, found["CreatedDate"].astimezone(UTC)) if value else _Container.FOREIGN
