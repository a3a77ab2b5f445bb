"""Commands that must succeed."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from localcloud.errors import LocalCloudError


def output_of(command: Sequence[str | Path], failure: str, *, next_step: str, **options: Any) -> str:
    """Run a command and return what it prints.

    Raises `LocalCloudError` with the `failure`, what the command says of it, and the `next_step`.
    """
    result = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if result.returncode != 0:
        raise LocalCloudError(f"{failure}: {result.stderr.strip()}", next_step=next_step)
    return result.stdout.strip()
