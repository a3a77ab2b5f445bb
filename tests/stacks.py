"""Stack files of the tests' own: those at the top of the repository belong to who deploys it (`release init`)."""

import shutil
from pathlib import Path

STACK_FILES = Path(__file__).parent / "fixtures" / "stacks"
"""A folder with the four stack files and Pulumi.yaml."""


def copy_to(folder: Path) -> Path:
    """Copy these files into `folder`, which no git knows: a clone as the commands look for one."""
    return shutil.copytree(STACK_FILES, folder, dirs_exist_ok=True)
