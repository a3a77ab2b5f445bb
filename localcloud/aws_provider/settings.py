"""The provider's own configuration (`aws:region`, `aws:defaultTags`, ...): which keys exist and what they mean."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from localcloud.aws_provider.values import UNKNOWN, fits, plain

# Every key of the real provider 7.51.1, with its type. Those in _NO_EFFECT make no difference to a local cloud.
_KEYS: Final = {
    "accessKey": "string",
    "allowedAccountIds": "array",
    "defaultTags": "object",
    "endpoints": "array",
    "forbiddenAccountIds": "array",
    "maxRetries": "number",
    "profile": "string",
    "region": "string",
    "retryMode": "string",
    "s3UsePathStyle": "bool",
    "secretKey": "string",
    "skipCredentialsValidation": "bool",
    "skipRequestingAccountId": "bool",
    "token": "string",
    # Without effect here: what they switch off or tune is not part of the local cloud.
    "ec2MetadataServiceEndpoint": "string",
    "ec2MetadataServiceEndpointMode": "string",
    "noProxy": "string",
    "s3UsEast1RegionalEndpoint": "string",
    "skipMetadataApiCheck": "bool",
    "skipRegionValidation": "bool",
    "stsRegion": "string",
    "tokenBucketRateLimiterCapacity": "number",
    "useDualstackEndpoint": "bool",
    "useFipsEndpoint": "bool",
    "userAgents": "array",
}
_NOT_HERE: Final = (
    "assumeRoleWithWebIdentity",
    "assumeRoles",
    "customCaBundle",
    "httpProxy",
    "httpsProxy",
    "ignoreTags",
    "insecure",
    "sharedConfigFiles",
    "sharedCredentialsFiles",
    "tagPolicyCompliance",
)
_ENGINES: Final = ("version", "pluginDownloadURL")


@dataclass(frozen=True, kw_only=True)
class ProviderSettings:
    """The provider configuration in use."""

    region: str
    access_key: str | None = None
    secret_key: str | None = None
    token: str | None = None
    profile: str | None = None
    allowed_account_ids: tuple[str, ...] = ()
    forbidden_account_ids: tuple[str, ...] = ()
    default_tags: Mapping[str, str] = field(default_factory=dict)
    endpoints: Mapping[str, str] = field(default_factory=dict)
    path_style: bool = False
    max_attempts: int = 8
    retry_mode: str = "standard"
    skip_credentials_validation: bool = False
    skip_account_id: bool = False


def decoded(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Configuration values as Python: the engine sends what is not a string as JSON text."""
    values = {}
    for name, value in plain(dict(raw)).items():
        if isinstance(value, str) and _KEYS.get(name, "string") != "string":
            try:
                values[name] = json.loads(value)
            except ValueError:
                values[name] = value
        elif value is not None:
            values[name] = value
    return values


def check_settings(raw: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with a provider configuration: pairs of key and reason."""
    failures = []
    for name, value in decoded(raw).items():
        if name in _ENGINES or value is UNKNOWN:
            continue
        if name in _NOT_HERE:
            failures.append((name, f"the stand-in does not put `aws:{name}` into effect: leave it out of local values"))
        elif name not in _KEYS:
            failures.append((name, f"the AWS provider has no setting `aws:{name}`. It has: {', '.join(sorted(_KEYS))}"))
        elif not fits(value, _KEYS[name]):
            failures.append((name, f"`aws:{name}` must be of type {_KEYS[name]}, not {type(value).__name__}"))
    return failures


def read_settings(raw: Mapping[str, Any], environment: Mapping[str, str]) -> ProviderSettings:
    """The settings to work with. ValueError when no region is set anywhere."""
    values = {name: value for name, value in decoded(raw).items() if value is not UNKNOWN}
    region = values.get("region") or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    if not region:
        raise ValueError("no AWS region: set `aws:region` in the stack file, or AWS_REGION in the environment")
    default_tags = values.get("defaultTags", {}).get("tags", {})
    return ProviderSettings(
        region=region,
        access_key=values.get("accessKey"),
        secret_key=values.get("secretKey"),
        token=values.get("token"),
        profile=values.get("profile"),
        allowed_account_ids=tuple(map(str, values.get("allowedAccountIds", ()))),
        forbidden_account_ids=tuple(map(str, values.get("forbiddenAccountIds", ()))),
        default_tags={key: value for key, value in default_tags.items() if value is not UNKNOWN},
        endpoints={name: url for entry in values.get("endpoints", ()) for name, url in entry.items()},
        path_style=bool(values.get("s3UsePathStyle")),
        max_attempts=int(values.get("maxRetries", 7)) + 1,
        retry_mode=values.get("retryMode", "standard"),
        skip_credentials_validation=bool(values.get("skipCredentialsValidation")),
        skip_account_id=bool(values.get("skipRequestingAccountId")),
    )
