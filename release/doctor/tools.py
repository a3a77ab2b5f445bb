"""The tools on this machine, against what the project pins."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from components.settings import Settings
from release.doctor.check import Notes, Scope, check
from release.doctor.place import CannotLookError, Place

_check = partial(check, scope=Scope.MACHINE, in_account=False)
_LIMIT_S: Final = 30
_ENGINE: Final = re.compile(r"github\.com/pulumi/pulumi/pkg/v3 v(\S+)")
_VERSION: Final = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as it is here, and what the project wants. `version` is empty where there is none."""

    version: str
    wanted: str
    source: str


def _python(place: Place) -> Tool:
    wanted = str(_project(place.context.repo)["project"]["requires-python"])
    return Tool(".".join(map(str, sys.version_info[:3])), wanted, "pyproject.toml")


def _uv(place: Place) -> Tool:
    (wanted,) = _project(place.context.repo)["dependency-groups"]["uv"]
    return Tool(_version_of("uv", "--version"), str(Requirement(wanted).specifier), "pyproject.toml")


def _git(_: Place) -> Tool:
    # --end-of-options, by which no name of a commit is taken for an option, came with this version.
    return Tool(_version_of("git", "--version"), ">=2.24", "release/git/plumbing.py")


def _engine(place: Place) -> Tool:
    pinned = _ENGINE.search((place.context.repo / "tools" / "engine" / "go.mod").read_text(encoding="utf-8"))
    if pinned is None:
        raise CannotLookError("tools/engine/go.mod names no version of the Pulumi CLI")
    return Tool(
        _version_of("pulumi", "version"), f">={pinned[1]},=={Version(pinned[1]).major}.*", "tools/engine/go.mod"
    )


def _judge(_: Settings, tool: Tool) -> Notes:
    """A tool outside of what the project names has failed."""
    if not tool.version:
        yield f"it is not installed; {tool.source} wants {tool.wanted}"
    elif Version(tool.version) not in SpecifierSet(tool.wanted):
        yield f"it is {tool.version}, {tool.source} wants {tool.wanted}"
    return f"{tool.version}, as {tool.source} wants ({tool.wanted})"


def _project(repo: Path) -> dict:
    return tomllib.loads((repo / "pyproject.toml").read_text(encoding="utf-8"))


def _version_of(*command: str) -> str:
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LIMIT_S)
    except FileNotFoundError:
        return ""
    except subprocess.TimeoutExpired:
        raise CannotLookError(f"`{' '.join(command)}` did not answer in {_LIMIT_S} s") from None
    found = _VERSION.search(asked.stdout)
    if asked.returncode != 0 or found is None:
        raise CannotLookError(f"`{' '.join(command)}` does not say which version it is")
    return str(Version(found[0]))


_tools_engine = _check(
    "tools.engine",
    asks="`pulumi version`, and the version that tools/engine/go.mod pins",
    expected="it is that version, or a newer one of the same major version: an older one may not read the state",
    fix="make setup, or install that version of the Pulumi CLI",
    look=_engine,
    not_local="its engine is built from the pinned module, and does not say which version it is",
)(_judge)
_tools_python = _check(
    "tools.python",
    asks="the version of Python, and what pyproject.toml requires",
    expected="the one is within the other",
    fix="make setup PYTHON=python3.11",
    look=_python,
)(_judge)
_tools_uv = _check(
    "tools.uv",
    asks="`uv --version`, and what pyproject.toml requires",
    expected="the one is within the other",
    fix="make setup",
    look=_uv,
)(_judge)
_tools_git = _check(
    "tools.git",
    asks="`git --version`",
    expected="it is 2.24 or newer",
    fix="install git 2.24 or newer",
    look=_git,
)(_judge)
