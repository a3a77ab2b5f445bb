"""One call of the Pulumi CLI whose output is read when it has ended, without any terminal."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from release.errors import ReleaseError


def missing() -> ReleaseError:
    """What to say where there is no Pulumi CLI."""
    return ReleaseError(
        "there is no `pulumi` on the PATH",
        why="the Pulumi engine does this",
        next_step="install it (https://www.pulumi.com/docs/install), or use `localcloud run -- ...`",
    )


def run(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `pulumi` in a folder with a project file, with this environment and nothing else.

    Raises:
        ReleaseError: There is no Pulumi CLI.
    """
    try:
        return subprocess.run(
            ["pulumi", *words, "--non-interactive", "--color", "never"],
            cwd=folder,
            env={**environment, "PULUMI_SKIP_UPDATE_CHECK": "true"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        raise missing() from None
