"""Access keys of users, for the variant without OIDC (docs/examples/access-keys). Made here, sealed, and never shown.

A user can have two keys. An interrupted run leaves one that nobody knows the secret of: the next run deletes it and
makes another.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from components.identities import Identity, identities
from release.bootstrap.step import SetupStep, Site, StepState, done, sealed_in, to_do, waits_for_the_foundation
from release.clients.aws import unless_missing

ACCESS_KEYS: Final = "access-keys"
_MOST: Final = 2
"""Keys that IAM lets a user have."""


def secret_names(environment: str) -> tuple[str, str]:
    """Names of the two secrets that hold a key in each GitHub environment of `environment`."""
    prefix = environment.upper()
    return f"{prefix}_AWS_ACCESS_KEY_ID", f"{prefix}_AWS_SECRET_ACCESS_KEY"


def steps(site: Site) -> list[SetupStep]:
    """One key for each user, in the GitHub environment of its identity."""
    return [_key(site, identity) for identity in identities(site.environment)]


def _key(site: Site, identity: Identity) -> SetupStep:
    user, environment = identity.role(site.names), identity.github_environment
    return SetupStep(
        what=f"access key of user {user} in GitHub environment {environment}",
        wanted="one key, sealed; older ones deleted",
        look=lambda: _look(site, user, environment),
        do=lambda: _replace(site, user, environment),
    )


def _look(site: Site, user: str, environment: str) -> StepState:
    sealed, keys = sealed_in(site, environment), _keys(site, user)
    if isinstance(sealed, StepState):
        return sealed
    if keys is None:
        return waits_for_the_foundation(site, "no such user yet")
    if ACCESS_KEYS in site.rotate:
        return to_do(f"{len(keys)} key(s), to be replaced")
    if len(keys) == 1 and _in_use(keys, sealed, site.environment):
        return done("one key, sealed after it was made")
    return to_do(f"{len(keys)} key(s), not only the one that is sealed" if keys else "no key")


def _replace(site: Site, user: str, environment: str) -> None:
    """Leave the user with the one key that is sealed, a new one where there is none or another is wanted."""
    iam, github = site.aws("iam"), site.github
    if github is None:  # `_look` has said so
        return
    keys = _keys(site, user) or []
    kept = _in_use(keys, github.environment_secrets(environment), site.environment)
    if kept is None or ACCESS_KEYS in site.rotate:
        if len(keys) == _MOST:
            # One of them must go first: of no use is the one that is not sealed, whose secret nobody knows.
            unknown = keys[0] if kept else keys[-1]
            iam.delete_access_key(UserName=user, AccessKeyId=unknown["AccessKeyId"])
        made = iam.create_access_key(UserName=user)["AccessKey"]
        parts = (made["AccessKeyId"], made["SecretAccessKey"])
        for name, value in zip(secret_names(site.environment), parts, strict=True):
            github.seal(environment, name, value)
        kept = made["AccessKeyId"]
    for key in _keys(site, user) or []:
        if key["AccessKeyId"] != kept:
            iam.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])


def _keys(site: Site, user: str) -> list[dict[str, Any]] | None:
    """Keys of a user, oldest first; `None` where there is no such user."""
    found = unless_missing(lambda: site.aws("iam").list_access_keys(UserName=user), "NoSuchEntity")
    return None if found is None else sorted(found["AccessKeyMetadata"], key=lambda key: key["CreateDate"])


def _in_use(keys: list[dict[str, Any]], sealed: dict[str, datetime], environment: str) -> str | None:
    """Id of the newest key if both its parts were sealed after it was made; GitHub's times are whole seconds."""
    names = secret_names(environment)
    if not keys or not all(name in sealed for name in names):
        return None
    newest = keys[-1]
    made = newest["CreateDate"].replace(microsecond=0)
    return newest["AccessKeyId"] if all(sealed[name] >= made for name in names) else None
