"""The keys that the secrets of the stacks are sealed with: one for what CI deploys, one that no role of CI can use."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from botocore.exceptions import ClientError

from components.naming import PROJECT
from components.policies.comparison import difference
from components.policies.documents import Document, to_json
from components.policies.state_access import foundation_key, service_key
from release.bootstrap.step import SetupStep, Site, StepState, done, to_do
from release.clients.aws import code_of, unless_missing
from release.errors import ReleaseError

_MADE_BY: Final = "release bootstrap"
_LOOKS: Final = 60
_POLICY: Final = "default"
"""The only name that a key's policy can have."""
_UNREADABLE: Final = frozenset({"AccessDeniedException", "NotFoundException"})


def steps(site: Site) -> list[SetupStep]:
    """Each key with its alias, its policy and its yearly rotation."""
    names = site.names
    return [
        *_key(site, names.state_key_alias, service_key(site.arns), "its pipeline only decrypts with it"),
        *_key(site, names.foundation_key_alias, foundation_key(site.arns), "nothing of the pipeline may use it"),
    ]


def _key(site: Site, alias: str, policy: Document, meaning: str) -> list[SetupStep]:
    kms = site.aws("kms")

    def setting(what: str, wanted: str, problem: Callable[[str], str], make_so: Callable[[str], object]) -> SetupStep:
        def look() -> StepState:
            key = _behind(kms, alias)
            told = problem(key["KeyId"]) if key else "no key yet"
            return to_do(told) if told else done(wanted)

        def do() -> None:
            make_so(kms.describe_key(KeyId=alias)["KeyMetadata"]["KeyId"])

        return SetupStep(what=f"key {alias}: {what}", wanted=wanted, look=look, do=do)

    return [
        SetupStep(
            what=f"key {alias}",
            wanted="exists, enabled",
            look=lambda: _look(site, alias),
            do=lambda: _make(site, alias, policy),
        ),
        setting(
            "policy",
            meaning,
            lambda key: difference(policy, json.loads(kms.get_key_policy(KeyId=key, PolicyName=_POLICY)["Policy"])),
            lambda key: kms.put_key_policy(KeyId=key, PolicyName=_POLICY, Policy=to_json(policy)),
        ),
        setting(
            "rotation",
            "every year",
            lambda key: "" if kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] else "never",
            lambda key: kms.enable_key_rotation(KeyId=key),
        ),
    ]


def _look(site: Site, alias: str) -> StepState:
    key = _behind(site.aws("kms"), alias)
    if key is None:
        return to_do("made, without its alias" if _orphan(site, alias) else "missing")
    if key["KeyState"] != "Enabled":
        raise ReleaseError(
            f"the key {alias} is {key['KeyState']}",
            why="without it nobody can read the secrets of the stack",
            next_step="aws kms cancel-key-deletion and aws kms enable-key, with --key-id " + key["KeyId"],
        )
    return done("exists, enabled")


def _make(site: Site, alias: str, policy: Document) -> None:
    """Make the key, or take the one that an interrupted run has left, and give it its alias."""
    kms = site.aws("kms")
    key = _orphan(site, alias)
    if key is None:
        tags = [{"TagKey": name, "TagValue": value} for name, value in _tags(site, alias).items()]
        made = kms.create_key(
            Description=f"Secrets in the state of {PROJECT}, {site.environment}", Policy=to_json(policy), Tags=tags
        )
        key = made["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName=alias, TargetKeyId=key)
    for _ in range(_LOOKS):  # KMS says that others may see an alias a moment later
        if _behind(kms, alias) is not None:
            return
        site.clock.sleep(1)
    raise ReleaseError(f"KMS does not show the alias {alias} yet", next_step="run this command again in a minute")


def _behind(kms: Any, alias: str) -> dict[str, Any] | None:
    """The key behind an alias; `None` where there is none."""
    return unless_missing(lambda: kms.describe_key(KeyId=alias)["KeyMetadata"], "NotFoundException")


def _orphan(site: Site, alias: str) -> str | None:
    """A key that was made for an alias and never got it: a run was interrupted between the two calls."""
    kms, wanted = site.aws("kms"), _tags(site, alias)
    for page in kms.get_paginator("list_keys").paginate():
        for key in page["Keys"]:
            try:
                described = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
                if described["KeyManager"] != "CUSTOMER" or described["KeyState"] != "Enabled":
                    continue
                tags = kms.list_resource_tags(KeyId=key["KeyId"])["Tags"]
            except ClientError as error:
                if code_of(error) not in _UNREADABLE:
                    raise
                continue  # a key of somebody else's
            if wanted.items() <= {tag["TagKey"]: tag["TagValue"] for tag in tags}.items():
                return key["KeyId"]
    return None


def _tags(site: Site, alias: str) -> dict[str, str]:
    return {"Project": PROJECT, "Environment": site.environment, "ManagedBy": _MADE_BY, "Alias": alias}
