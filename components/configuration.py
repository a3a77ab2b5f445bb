"""The settings of a stack from the engine: every key is one that somebody reads, and every value is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from difflib import get_close_matches
from typing import Final

from components import naming
from components.settings import SettingError, Settings, parse

_DERIVED: Final = frozenset({"region", "githubOwner"})
"""Fields of `Settings` that are no setting of the project: one is the provider's, one a part of githubRepository."""
_NAMESPACES: Final = (naming.PROJECT, "aws", "github", "pulumi")


def _key(field: str) -> str:
    first, *rest = field.split("_")
    return first + "".join(word.capitalize() for word in rest)


KEYS: Final = frozenset(_key(field.name) for field in fields(Settings)) - _DERIVED
"""Every setting of the project."""


def load(stack: str) -> Settings:
    """Read the settings of `stack` from the engine; raises `SettingError` at the first one that is not allowed."""
    # `pulumi.Config` answers about keys that one knows. Whole maps: what the engine hands over, or what tests set.
    from pulumi.runtime.config import CONFIG, get_config_env  # noqa: PLC0415 -- the releaser starts without Pulumi

    values = {**get_config_env(), **CONFIG.get()}
    refuse_unknown(values)
    return parse(values, stack)


def refuse_unknown(keys: Iterable[str]) -> None:
    """Raise `SettingError` for the first full key (`aws:region`) that nobody reads, with the one that it resembles."""
    known = {f"{naming.PROJECT}:{key}" for key in KEYS} | {"aws:region", "aws:allowedAccountIds"}
    for key in keys:
        namespace = str(key).partition(":")[0]
        if key in known or namespace in {"github", "pulumi"}:
            continue
        if namespace == "aws":
            known |= _keys_of_the_aws_provider()
        if key not in known:
            # A name is compared with names, or the long namespace would make every two of them alike.
            name = str(key).rpartition(":")[2]
            close = {full.partition(":")[2]: full for full in sorted(known)}
            near = get_close_matches(name, close, n=1) if namespace in _NAMESPACES else ()
            spaces = get_close_matches(namespace, _NAMESPACES, n=1)
            hint = close[near[0]] if near else f"{spaces[0]}:{name}" if spaces and spaces[0] != namespace else ""
            said = f" (did you mean {hint.removeprefix(f'{naming.PROJECT}:')!r}?)" if hint else ""
            raise SettingError(str(key).removeprefix(f"{naming.PROJECT}:"), f"is unknown and would do nothing{said}")


def _keys_of_the_aws_provider() -> set[str]:
    from pulumi_aws import ProviderArgs  # noqa: PLC0415 -- takes a second, and stack files rarely hold such a key

    return {f"aws:{_key(name)}" for name in vars(ProviderArgs) if not name.startswith("_")}
