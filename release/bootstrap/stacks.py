"""The two stacks, and the lines of their files that name the key of their secrets.

`pulumi stack init` runs in a folder of its own: in the clone it would write the whole stack file anew. What it has made
is read from the state, and added to the tracked file as two lines.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any, Final

from components.naming import PROJECT, state_place
from components.settings import Settings
from release.bootstrap.step import SetupStep, Site, StepState, done, to_do
from release.clients.aws import unless_missing
from release.errors import ReleaseError
from release.pulumi import stack_config
from release.pulumi.backend import secrets_provider, stack_of

_LINES: Final = ("secretsprovider", "encryptedkey")
_MISSING: Final = frozenset({"NoSuchBucket", "NoSuchKey", "404"})
_HALF: Final = "begun, without a key"


def steps(site: Site) -> list[SetupStep]:
    """Each stack, and its file."""
    return [step for settings in (site.foundation, site.service) for step in _stack(site, settings)]


def _stack(site: Site, settings: Settings) -> list[SetupStep]:
    stack = stack_of(settings)
    made = SetupStep(
        what=f"stack {stack}",
        wanted="exists, its secrets under its key",
        look=lambda: _look(site, settings),
        do=lambda: _make(site, settings),
    )
    if site.overlaid:
        return [made]
    named = SetupStep(
        what=f"Pulumi.{stack}.yaml",
        wanted="names the key of the stack",
        look=lambda: _look_at_file(site, stack),
        do=lambda: _write(_file(site, stack), _lines(site, stack)),
    )
    return [made, named]


def _look(site: Site, settings: Settings) -> StepState:
    stack = stack_of(settings)
    checkpoint = _checkpoint(site, stack)
    if checkpoint is None:
        return to_do("missing")
    provider = (checkpoint.get("latest") or {}).get("secrets_providers")
    if provider is None:
        return to_do(_HALF)
    said = (provider.get("state") or {}).get("url", provider.get("type"))
    # Whoever overlays the settings has chosen the key as well.
    if said != secrets_provider(settings) and not site.overlaid:
        raise ReleaseError(
            f"the secrets of stack {stack} are under another key: {said}",
            why=f"its key is {secrets_provider(settings)}",
            next_step=f"pulumi stack change-secrets-provider '{secrets_provider(settings)}' --stack {stack}",
        )
    return done("exists, its secrets under its key")


def _make(site: Site, settings: Settings) -> None:
    stack = stack_of(settings)
    with tempfile.TemporaryDirectory(prefix="release-") as folder:
        scratch = Path(folder)
        (scratch / "Pulumi.yaml").write_text(f"name: {PROJECT}\nruntime: python\n", encoding="utf-8")
        file = scratch / f"Pulumi.{stack}.yaml"
        file.write_text("config: {}\n", encoding="utf-8")
        # The engine writes the key after it has made the stack; one without a key holds nothing.
        if _checkpoint(site, stack) is not None:
            site.pulumi(stack, "stack", "rm", "--yes", folder=scratch)
            file.write_text("config: {}\n", encoding="utf-8")
        site.pulumi(stack, "stack", "init", "--secrets-provider", secrets_provider(settings), folder=scratch)


def _look_at_file(site: Site, stack: str) -> StepState:
    wanted, there = _lines(site, stack), stack_config.document(_file(site, stack))
    if not wanted:
        return to_do("no stack yet")
    if all(there.get(name) == wanted[name] for name in _LINES):
        return done("names the key of the stack")
    return to_do("names the key of another state" if any(name in there for name in _LINES) else "names no key")


def _lines(site: Site, stack: str) -> dict[str, str]:
    """Return the lines that the stack file must hold, from the state; empty while there is no stack."""
    checkpoint = _checkpoint(site, stack) or {}
    state = ((checkpoint.get("latest") or {}).get("secrets_providers") or {}).get("state") or {}
    return {"secretsprovider": state["url"], "encryptedkey": state["encryptedkey"]} if state else {}


def _checkpoint(site: Site, stack: str) -> dict[str, Any] | None:
    bucket, folder = state_place(stack, site.names.suffix)
    where = {"Bucket": bucket, "Key": f"{folder}/.pulumi/stacks/{PROJECT}/{stack}.json"}
    answer = unless_missing(lambda: site.aws("s3").get_object(**where), *_MISSING)
    return json.loads(answer["Body"].read())["checkpoint"] if answer else None


def _file(site: Site, stack: str) -> Path:
    return site.folder / f"Pulumi.{stack}.yaml"


def _write(file: Path, lines: dict[str, str]) -> None:
    """Put the lines at the top of the file, in one step; every other line stays as it is."""
    kept = [
        line
        for line in file.read_text(encoding="utf-8").splitlines(keepends=True)
        if not re.match(rf"({'|'.join((*_LINES, 'encryptionsalt'))}):", line)
    ]
    head = "".join(f"{name}: {lines[name]}\n" for name in _LINES)
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    scratch.write_text(head + "".join(kept), encoding="utf-8")
    scratch.replace(file)
