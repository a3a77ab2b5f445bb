"""What a rollback runs with, kept in the environment's own bucket: no package index or plugin host has to answer then.

A fresh runner unpacks the releaser with `tools/way-back.sh` and moves traffic. The releaser unpacks the rest when it
needs it. An environment of Python only works where it was made, so the key tells the place beside the lock.
"""

from __future__ import annotations

import io
import os
import platform
import shutil
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from release.canonical import sha256
from release.console import Console
from release.errors import ReleaseError
from release.ledger.objects import AlreadyThereError, ObjectStore

RELEASER: Final = "releaser"
PROGRAM: Final = "program"
ENGINE: Final = "engine"
_PREPARE: Final = Path(".github/actions/prepare/action.yml")
"""Names the version of the engine."""


class KeptTools:
    """Archives below `way-back/` of a deployment bucket, each written once."""

    def __init__(self, objects: ObjectStore, console: Console) -> None:
        self._objects = objects
        self._console = console

    def keep(self, tool: str, place: Path, folders: Iterable[Path]) -> str:
        """Store `folders` as the tool that belongs to the lock in `place`, unless it lies there; return its key."""
        key = _key(tool, place)
        if not list(self._objects.keys(key)):
            with self._console.step(f"keeping the {tool} for the way back"):
                body = _packed(folders)
                self._console.detail(f"{len(body) / 1e6:.0f} MB in {key}")
                try:
                    self._objects.create(key, body, "application/gzip")
                except AlreadyThereError:  # another run was faster, with archives of another second
                    self._console.detail("another run has just kept it")
        return key

    def bring(self, tool: str, place: Path) -> list[Path]:
        """Unpack a tool where it was when it was kept, and return its files; none where none is kept for this place."""
        stored = self._objects.get(_key(tool, place))
        if stored is None:
            return []
        with (
            self._console.step(f"unpacking the {tool} that was kept in {self._objects.bucket}"),
            tarfile.open(fileobj=io.BytesIO(stored.body), mode="r:gz") as tar,
        ):
            tar.extractall("/", filter="tar")
            return [Path("/", member.name) for member in tar if not member.isdir()]

    def bring_engine(self, clone: Path) -> None:
        """Put a kept engine on the PATH of this process, where there is none."""
        if shutil.which("pulumi"):
            return
        for file in self.bring(ENGINE, clone):
            if file.name == "pulumi" and os.access(file, os.X_OK):
                os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), str(file.parent)])


def of_releaser() -> list[Path]:
    """Return the folders that this releaser runs from.

    Raises:
        ReleaseError: It does not run from an environment of its own.
    """
    if sys.prefix == sys.base_prefix:
        raise ReleaseError(
            "this releaser runs from no environment of its own, so it cannot be kept",
            next_step="uv sync --locked, then .venv/bin/python -m release keep ...",
        )
    ours = [Path(sys.prefix)]
    if (python := Path(sys.base_prefix)).is_relative_to(Path.home()):  # uv has installed it; the machine's own is there
        ours += {python, python.resolve()}
    return ours


def of_engine() -> list[Path]:
    """Return the folders of the engine and of its plugins.

    Raises:
        ReleaseError: There is no engine, or none of its plugins is installed.
    """
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    plugins = sorted((home / "plugins").glob("resource-aws-v*"))
    pulumi = shutil.which("pulumi")
    if pulumi is None or not plugins:
        raise ReleaseError(
            "there is no engine with a plugin for AWS to keep",
            why=f"pulumi: {pulumi or 'not on the PATH'}; plugins below {home}: {len(plugins)}",
            next_step="install the Pulumi CLI, then pulumi plugin install resource aws VERSION",
        )
    return [Path(pulumi).resolve().parent, *plugins]


def _key(tool: str, place: Path) -> str:
    """`tools/way-back.sh` computes the releaser's too."""
    place = place.resolve()
    lock = (place / "uv.lock").read_bytes()
    if tool == ENGINE:
        lock += (place / _PREPARE).read_bytes()
    named = sha256(lock + f"{tool} {place} {platform.machine()}\n".encode())
    return f"way-back/{named}/{tool}.tar.gz"


def _packed(folders: Iterable[Path]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        for folder in folders:
            tar.add(folder, filter=_without_caches)
    return packed.getvalue()


def _without_caches(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if Path(member.name).name == "__pycache__" else member
