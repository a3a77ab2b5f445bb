"""Where the copies of states are published, and how a clone reads them: a branch of the repository, without network.

`git fetch`, a clone and the checkout of a workflow bring all branches, those of pull requests from forks too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from release.errors import UsageError
from release.git import try_git
from release.preview.copy import BRANCH, StateCopy, read_copy

_REFS: Final = (f"refs/remotes/origin/{BRANCH}", f"refs/heads/{BRANCH}")


def read(clone: Path, stack: str, file: Path | None = None) -> StateCopy | None:
    """The published copy of a stack's state as this clone knows it, or one in a file; `None` where there is none.

    Raises:
        ReleaseError: What lies there is no copy that this releaser understands.
    """
    if file is not None:
        try:
            return read_copy(file.read_bytes(), stack)
        except OSError as error:
            raise UsageError(f"{file} cannot be read", why=str(error), next_step="--copy FILE") from None
    for ref in _REFS:
        found = try_git(clone, "cat-file", "blob", f"{ref}:{stack}.json")
        if found.returncode == 0:
            return read_copy(found.stdout, stack)
    return None
