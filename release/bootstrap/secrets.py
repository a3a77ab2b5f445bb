"""Values of the service's secrets. They go into Secrets Manager and GitHub, and nowhere else.

The foundation makes the containers, empty. A value that is there is never replaced unasked.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from botocore.exceptions import ClientError

from components.github_secrets import github_secrets
from components.identities import identities
from components.naming import foundation_stack
from release.bootstrap.step import Found, Site, Step, done, to_do, waits
from release.errors import ReleaseError
from release.github import GitHubError

NEWSAPI: Final = "newsapi"
DASHBOARD: Final = "dashboard"
ROTATABLE: Final = (NEWSAPI, DASHBOARD)
_KEY_BYTES: Final = 32
_NOT_FOUND: Final = 404
_HIDDEN: Final = "a key (not shown)"


class _Container(Enum):
    MISSING = "no container yet"
    EMPTY = "empty"
    FOREIGN = 'something else than {"api_key": "..."}'


@dataclass(frozen=True, slots=True)
class _Key:
    """The value of a secret; its text never shows it."""

    value: str
    since: datetime

    def __repr__(self) -> str:
        return "_Key(...)"


def steps(site: Site) -> list[Step]:
    """The key of the news service, the key of the dashboard, and the latter sealed where tests on GitHub need it."""
    names = site.names
    return [
        _value(site, names.newsapi_secret, NEWSAPI, lambda: _given(site)),
        _value(site, names.dashboard_key_secret, DASHBOARD, lambda: secrets.token_urlsafe(_KEY_BYTES)),
        *(
            _sealed(site, identity.github_environment, name)
            for identity in identities(site.environment)
            if identity.secrets
            for name in github_secrets(site.environment).of_bootstrap
        ),
    ]


def _value(site: Site, name: str, option: str, make: Callable[[], str]) -> Step:
    replaced = False

    def look() -> Found:
        found = _read(site, name)
        if found is _Container.MISSING:
            return _waits_for_the_foundation(site, found.value)
        if found is _Container.FOREIGN and option not in site.rotate:
            return waits(found.value, f"to replace it: release bootstrap --stack {site.environment} --rotate {option}")
        if found is _Container.EMPTY:
            return to_do(found.value)
        return to_do("a key, to be replaced") if option in site.rotate and not replaced else done(_HIDDEN)

    def do() -> Found | None:
        nonlocal replaced
        value = make()
        if not value:
            return waits("no key was given", f"get one, then again: release bootstrap --stack {site.environment}")
        site.aws("secretsmanager").put_secret_value(SecretId=name, SecretString=json.dumps({"api_key": value}))
        replaced = True
        return None

    return Step(what=f"secret {name}", wanted=_HIDDEN, look=look, do=do)


def _given(site: Site) -> str:
    return site.person.secret(f"Key of the news service for {site.environment} (not shown; empty = later)")


def _sealed(site: Site, environment: str, name: str) -> Step:
    return Step(
        what=f"secret {name} in GitHub environment {environment}",
        wanted="the key of the dashboard, sealed",
        look=lambda: _look_at_sealed(site, environment, name),
        do=lambda: _seal(site, environment, name),
    )


def _look_at_sealed(site: Site, environment: str, name: str) -> Found:
    if site.github is None:
        return waits("cannot be seen without GITHUB_TOKEN", "export GITHUB_TOKEN=$(gh auth token)")
    try:
        sealed = site.github.environment_secrets(environment)
    except GitHubError as error:
        if error.status != _NOT_FOUND:
            raise
        return _waits_for_the_foundation(site, "no such environment yet")
    key = _read(site, site.names.dashboard_key_secret)
    if key is _Container.MISSING:
        return _waits_for_the_foundation(site, "no key yet")
    if name not in sealed:
        return to_do("not there")
    # GitHub's times are whole seconds.
    if not isinstance(key, _Key) or sealed[name] < key.since.replace(microsecond=0):
        return to_do("older than the key")
    return done("sealed after the key was made")


def _seal(site: Site, environment: str, name: str) -> Found | None:
    key = _read(site, site.names.dashboard_key_secret)
    if not isinstance(key, _Key):
        return waits("no key yet", f"release bootstrap --stack {site.environment} --rotate {DASHBOARD}")
    if site.github is not None:
        site.github.seal(environment, name, key.value)
    return None


def _waits_for_the_foundation(site: Site, now: str) -> Found:
    stack = foundation_stack(site.environment)
    return waits(now, f'eval "$(release env --stack {stack})" && pulumi up')


def _read(site: Site, name: str) -> _Key | _Container:
    client = site.aws("secretsmanager")
    try:
        described = client.describe_secret(SecretId=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return _Container.MISSING
    if described.get("DeletedDate"):
        raise ReleaseError(
            f"the secret {name} is being deleted", next_step=f"aws secretsmanager restore-secret --secret-id {name}"
        )
    try:
        found = client.get_secret_value(SecretId=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return _Container.EMPTY
    try:
        value = json.loads(found["SecretString"])["api_key"]
    except (ValueError, KeyError, TypeError):
        return _Container.FOREIGN
    if not isinstance(value, str) or not value:
        return _Container.FOREIGN
    return _Key(value, found["CreatedDate"].astimezone(UTC))
