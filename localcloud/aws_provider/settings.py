"""The provider's own configuration (`aws:region`, `aws:allowedAccountIds`, ...): which keys it takes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from localcloud.aws_provider.values import fits, plain

_KEYS: Final = {
    "allowedAccountIds": "array",
    "maxRetries": "number",
    "region": "string",
    "s3UsePathStyle": "bool",
    "skipMetadataApiCheck": "bool",  # without effect: the local cloud has no metadata service
}
"""The settings that are put into effect, with their types."""
_ENGINES: Final = ("version", "pluginDownloadURL")


@dataclass(frozen=True, kw_only=True)
class ProviderSettings:
    """The provider configuration in use."""

    region: str
    allowed_account_ids: tuple[str, ...] = ()
    path_style: bool = False
    max_attempts: int = 8


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
        if name in _ENGINES:
            continue
        if name not in _KEYS:
            known = ", ".join(sorted(_KEYS))
            failures.append((name, f"the stand-in does not put `aws:{name}` into effect. It takes: {known}"))
        elif not fits(value, _KEYS[name]):
            failures.append((name, f"`aws:{name}` must be of type {_KEYS[name]}, not {type(value).__name__}"))
    return failures


def read_settings(raw: Mapping[str, Any], environment: Mapping[str, str]) -> ProviderSettings:
    """The settings to work with. ValueError when no region is set anywhere."""
    values = decoded(raw)
    region = values.get("region") or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    if not region:
        raise ValueError("no AWS region: set `aws:region` in the stack file, or AWS_REGION in the environment")
    return ProviderSettings(
        region=region,
        allowed_account_ids=tuple(map(str, values.get("allowedAccountIds", ()))),
        path_style=bool(values.get("s3UsePathStyle")),
        max_attempts=int(values.get("maxRetries", 7)) + 1,
    )
