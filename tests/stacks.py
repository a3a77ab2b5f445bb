"""Stack files of the tests' own: those at the top of the repository belong to who deploys it (`release init`)."""

import shutil
import subprocess
from pathlib import Path

STACK_FILES = Path(__file__).parent / "fixtures" / "stacks"
"""A folder with the four stack files and Pulumi.yaml."""


def copy_to(folder: Path) -> Path:
    """Copy these files into `folder`, which no git knows: a clone as the commands look for one."""
    return shutil.copytree(STACK_FILES, folder, dirs_exist_ok=True)


def repository_copy(folder: Path) -> Path:
    """Copy the tracked files of the working tree, those of who deploys this too, into a new folder."""
    root = Path(__file__).parents[1]
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, folder / name, follow_symlinks=False)
    return folder
