"""The settings of a stack, read from the files of the project as the engine would, without Pulumi.

The values come from the defaults in Pulumi.yaml, then from the stack's own file, then from `RELEASE_STACK_CONFIG`: a
JSON object of configuration keys that differ where the commands run. The local cloud sets it, which plays one account
and one repository whatever the files say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from components.configuration import refuse_unknown
from components.naming import ENVIRONMENTS, PROJECT, STACKS, PhysicalNameError, names
from components.settings import SettingError, Settings, parse
from release import yaml_file
from release.errors import UsageError

OVERLAY: Final = "RELEASE_STACK_CONFIG"
_SUFFIX: Final = f"{PROJECT}:nameSuffix"
_ATTESTATIONS: Final = f"{PROJECT}:attestations"


def load(stack: str, folder: Path, environment: Mapping[str, str]) -> Settings:
    """Settings of `stack`, checked as the program checks them.

    Raises:
        UsageError: There is no such stack, a file cannot be read, a value is not allowed, or `nameSuffix` differs.
    """
    values = raw(stack, folder, overlay(environment))
    name_suffix(folder, environment)
    try:
        # What the environment lays over the files is no person's writing, and costs no look at the provider's keys.
        refuse_unknown(_stack_file(stack, folder))
        return parse(values, stack)
    except SettingError as error:
        raise UsageError(
            f"the settings of stack {stack} cannot be used",
            why=str(error),
            next_step=f"change Pulumi.{stack}.yaml; Pulumi.yaml says what each key means",
        ) from None


def name_suffix(folder: Path, environment: Mapping[str, str]) -> str:
    """Return the end of the names of buckets, which each environment has to know of the other: prod reads preprod's.

    Raises:
        UsageError: A file cannot be read, no bucket can be called that, or the four files do not say the same.
    """
    overlaid = overlay(environment)
    said = {stack: raw(stack, folder, overlaid).get(_SUFFIX, "") for stack in STACKS}
    if len(set(said.values())) > 1:
        raise UsageError(
            "nameSuffix differs: " + ", ".join(f"{suffix!r} in Pulumi.{stack}.yaml" for stack, suffix in said.items()),
            why="the names of all buckets follow from it, and each environment names the other's",
            next_step=f"set {_SUFFIX} to the same value in all four stack files",
        )
    (suffix,) = set(said.values())
    try:
        return names(ENVIRONMENTS[0], suffix).suffix
    except PhysicalNameError as error:
        raise UsageError(
            f"nameSuffix {suffix!r} cannot be used",
            why=str(error),
            next_step=f"change {_SUFFIX} in all four stack files; Pulumi.yaml says what it may be",
        ) from None


def attestations(folder: Path, environment: Mapping[str, str]) -> bool:
    """Return whether production takes attested releases alone: what its stack says holds for build and tests too.

    Raises:
        UsageError: A file cannot be read, or says neither yes nor no.
    """
    stack = "prod"
    value = raw(stack, folder, overlay(environment)).get(_ATTESTATIONS, "false")
    if value not in {"true", "false"}:
        raise UsageError(
            f"attestations {value!r} cannot be used",
            why="a release would be taken for attested, or not, by mistake",
            next_step=f"set {_ATTESTATIONS} in Pulumi.{stack}.yaml to true or false",
        )
    return value == "true"


def stack_values(stack: str, folder: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what a stack's own file says by full key, without the defaults; `RELEASE_STACK_CONFIG` wins.

    Raises:
        UsageError: There is no such stack, or the file cannot be read.
    """
    return _stack_file(stack, folder) | overlay(environment)


def raw(stack: str, folder: Path, overlaid: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Every configuration value by its full key, as `pulumi.Config.get` gives it.

    Strings come as they are, everything else as JSON. `overlaid` wins over both files.

    Raises:
        UsageError: There is no such stack, or a file cannot be read.
    """
    # A declaration is an object, its default may be missing; anything else is a value itself.
    declared = {
        f"{PROJECT}:{key}": value.get("default") if isinstance(value, dict) else value
        for key, value in document(folder / "Pulumi.yaml")["config"].items()
    }
    defaults = {key: value for key, value in declared.items() if value is not None}
    values = defaults | _stack_file(stack, folder) | dict(overlaid or {})
    return {key: yaml_file.as_config_value(value) for key, value in values.items()}


def overlay(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the object in `RELEASE_STACK_CONFIG`, empty where it is not set; `UsageError` for anything else."""
    text = environment.get(OVERLAY, "")
    try:
        values = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise UsageError(f"{OVERLAY} is not JSON", why=str(error), next_step=f"unset {OVERLAY}") from None
    if not isinstance(values, dict):
        raise UsageError(f"{OVERLAY} is no JSON object of configuration values", next_step=f"unset {OVERLAY}")
    return values


def _stack_file(stack: str, folder: Path) -> dict[str, Any]:
    """The values of a stack's own file by full key: the engine puts the project's name before a key without one."""
    if stack not in STACKS:
        raise UsageError(f"there is no stack {stack!r}", next_step=f"--stack is one of {', '.join(STACKS)}")
    values: dict[str, Any] = {}
    for key, value in document(folder / f"Pulumi.{stack}.yaml")["config"].items():
        full = key if ":" in str(key) else f"{PROJECT}:{key}"
        if full in values:
            raise UsageError(
                f"Pulumi.{stack}.yaml sets {full} twice, once without `{PROJECT}:`", next_step="keep one of the lines"
            )
        values[full] = value
    return values


def document(file: Path) -> dict[str, Any]:
    """Return Pulumi.yaml or a stack's file, whose `config` is an object; `UsageError` where it is none."""
    try:
        found = yaml_file.read(file)
    except FileNotFoundError:
        raise UsageError(
            f"{file.name} is missing", why=f"looked in {file.parent}", next_step="run this in a clone of the repository"
        ) from None
    except (OSError, yaml_file.YamlError) as error:
        raise UsageError(f"{file.name} cannot be read", why=str(error), next_step="repair the file") from None
    if not isinstance(found, dict) or not isinstance(found.get("config"), dict):
        raise UsageError(f"{file.name} holds no settings", next_step="it needs a `config:` with one line per setting")
    return found
