"""State of the stacks: its bucket, its files, its locks, and the key that its secrets are sealed with."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from components.naming import PROJECT, foundation_stack, service_stack, state_place
from components.policies import state_access
from components.settings import Settings
from release.clients.aws import unless_missing
from release.doctor.buckets import NO_BUCKET, Bucket, look_at_bucket, weak_points
from release.doctor.check import Notes, Warned, check, differs
from release.doctor.place import Place
from release.pulumi import stack_config
from release.pulumi.backend import secrets_provider

_check = partial(check, fix="release bootstrap --stack {stack}")
_STALE: Final = timedelta(hours=1)
"""No update takes that long: jobs end before."""


def _stacks_of(environment: str) -> tuple[str, str]:
    return service_stack(environment), foundation_stack(environment)


@_check(
    "state.bucket",
    asks="S3 for the state bucket: versioning, encryption, public access, policy",
    expected="versioned, encrypted, closed to the public; its policy is the computed one",
    look=lambda place: look_at_bucket(place, place.names.state_bucket),
    missing=NO_BUCKET,
)
def _state_bucket(settings: Settings, bucket: Bucket) -> Notes:
    yield from weak_points(bucket, state_access.state_bucket(settings.arns, settings.administrator_role_arn))
    return "versioned, encrypted, private; its policy is the computed one"


def _stacks(place: Place) -> dict[str, bool]:
    def exists(stack: str) -> bool:
        bucket, folder = state_place(stack, place.names.suffix)
        file = f"{folder}/.pulumi/stacks/{PROJECT}/{stack}.json"
        return any(key in {file, f"{file}.gz"} for key, _ in _objects(place, bucket, file))

    return {stack: exists(stack) for stack in _stacks_of(place.settings.environment)}


@_check(
    "state.stacks",
    asks="S3 for the state files of both stacks, each in its own folder",
    expected="both exist",
    look=_stacks,
)
def _state_stacks(_: Settings, stacks: Mapping[str, bool]) -> Notes:
    yield from (f"stack {name} does not exist" for name, exists in stacks.items() if not exists)
    return " and ".join(stacks)


def _locks(place: Place) -> tuple[dict[str, datetime], datetime]:
    """Since when each lock lies there, by its key; and the time now."""
    since = {}
    for stack in _stacks_of(place.settings.environment):
        bucket, folder = state_place(stack, place.names.suffix)
        since |= dict(_objects(place, bucket, f"{folder}/.pulumi/locks/organization/{PROJECT}/{stack}/"))
    return since, place.context.clock.now()


@_check(
    "state.locks",
    asks="S3 for locks of both stacks",
    expected="there is none (one younger than an hour is a warning)",
    fix="see that no update runs, then: pulumi cancel --stack STACK; docs/how-to/runbook.md",
    look=_locks,
)
def _state_locks(_: Settings, locks: tuple[Mapping[str, datetime], datetime]) -> Notes:
    """A lock that is older than any update belongs to one that died."""
    there, now = locks
    for key, since in sorted(there.items()):
        is_old = now - since > _STALE
        told = f"{key} lies there since {since:%Y-%m-%d %H:%M} UTC"
        yield told if is_old else Warned(f"an update may be under way: {key}")
    return "no lock"


def _objects(place: Place, bucket: str, prefix: str) -> Iterator[tuple[str, datetime]]:
    pages = place.aws("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        yield from ((item["Key"], item["LastModified"].astimezone(UTC)) for item in page.get("Contents", ()))


@dataclass(frozen=True, slots=True)
class StateKey:
    """A key of KMS."""

    state: str
    rotates: bool
    policy: Mapping[str, Any]


def _look_at_key(place: Place, alias: str) -> StateKey | None:
    kms = place.aws("kms")
    found = unless_missing(lambda: kms.describe_key(KeyId=alias), "NotFoundException")
    if found is None:
        return None
    key = found["KeyMetadata"]
    return StateKey(
        state=key["KeyState"],
        rotates=kms.get_key_rotation_status(KeyId=key["KeyId"])["KeyRotationEnabled"],
        policy=json.loads(kms.get_key_policy(KeyId=key["KeyId"], PolicyName="default")["Policy"]),
    )


@_check(
    "state.keys",
    asks="KMS for the keys that seal the state's secrets, their rotation and policies",
    expected="each exists, is enabled, rotates, and has the computed policy",
    look=lambda place: {
        alias: _look_at_key(place, alias) for alias in (place.names.state_key_alias, place.names.foundation_key_alias)
    },
)
def _state_keys(settings: Settings, keys: Mapping[str, StateKey | None]) -> Notes:
    own = settings.arns.names
    expected = {
        own.state_key_alias: state_access.service_key(settings.arns),
        own.foundation_key_alias: state_access.foundation_key(settings.arns),
    }
    for alias, key in keys.items():
        if key is None:
            yield f"{alias} does not exist"
            continue
        if key.state != "Enabled":
            yield f"{alias} is {key.state}: nobody can read the state"
            continue
        if not key.rotates:
            yield f"{alias} is not rotated"
        yield from differs(expected[alias], key.policy, alias)
    return f"{', '.join(keys)}: enabled, rotated, with the computed policy"


def _providers(place: Place) -> dict[str, tuple[str, str]]:
    """Return the key that the file of each stack names, and the key that its settings lead to."""
    repo = place.context.repo
    return {
        stack: (
            str(stack_config.document(repo / f"Pulumi.{stack}.yaml").get("secretsprovider", "")),
            secrets_provider(stack_config.load(stack, repo, os.environ)),
        )
        for stack in _stacks_of(place.settings.environment)
    }


@_check(
    "state.provider",
    asks="the stack files for `secretsprovider`",
    expected="each names the key of its stack",
    fix="release bootstrap --stack {stack}, and commit the stack files",
    look=_providers,
    in_account=False,
    not_local="its stacks are sealed with a passphrase of this clone, and the tracked stack files stay as they are",
)
def _state_provider(_: Settings, providers: Mapping[str, tuple[str, str]]) -> Notes:
    """Without a key the engine would ask for a passphrase."""
    for stack, (named, expected) in providers.items():
        if named != expected:
            yield f"Pulumi.{stack}.yaml names {named or 'no key'}, not {expected}"
    return ", ".join(named for named, _ in providers.values())
