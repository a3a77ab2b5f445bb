"""Where the copies of states are published: a branch of the repository that holds nothing else (decision 14).

A clone reads them without network: `git fetch`, `git clone` and the checkout of a workflow bring all branches, in the
jobs of pull requests from forks too. The job that deploys makes a copy and leaves it in the clone's folder; another
job, which has no role in AWS, publishes it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from release.clients.github import GitHub
from release.errors import UsageError
from release.git.plumbing import try_git
from release.ledger.lifecycle import ReleaseId
from release.preview.copy import BRANCH, StateCopy, copy_of, read_copy
from release.pulumi import stack_config
from release.reports import PublishReport

_REFS: Final = (f"refs/remotes/origin/{BRANCH}", f"refs/heads/{BRANCH}")


def read(clone: Path, stack: str, file: Path | None = None) -> StateCopy | None:
    """The published copy of a stack's state as this clone knows it, or one in a file; `None` where there is none.

    Raises:
        ReleaseError: What lies there is no copy that this releaser understands.
    """
    if file is not None:
        return read_copy(file.read_bytes(), stack)
    for ref in _REFS:
        found = try_git(clone, "cat-file", "blob", f"{ref}:{stack}.json")
        if found.returncode == 0:
            return read_copy(found.stdout, stack)
    return None


def place(clone: Path, stack: str) -> Path:
    """Return the file in which the command that deploys leaves the copy."""
    return clone / ".release" / "previews" / f"{stack}.json"


def keep(stack: str, clone: Path, release: ReleaseId, checkpoint: bytes, at: str) -> None:
    """Make the copy of the checkpoint that a release has left, and leave it where `publish` looks for it.

    Raises:
        ReleaseError: The settings cannot be read, which say what the repository already says.
    """
    settings = stack_config.load(stack, clone, os.environ)
    copy = copy_of(checkpoint, settings, sha=release.sha, manifest=release.digest, at=at)
    file = place(clone, stack)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(copy.canonical())


def publish(github: GitHub, stack: str, file: Path) -> PublishReport:
    """Put a copy on the branch, where it replaces the one before.

    Raises:
        ReleaseError: There is no copy, or GitHub did not take it.
    """
    try:
        copy = read_copy(file.read_bytes(), stack)
    except OSError as error:
        raise UsageError(
            f"there is no copy of the state of {stack}",
            why=str(error),
            next_step=f"`release deploy` and `release confirm` make it: release confirm --stack {stack}",
        ) from None
    message = f"{stack}: release {copy.sha[:12]}, {copy.at}"
    commit = github.put_file(BRANCH, f"{stack}.json", copy.canonical(), message)
    return PublishReport(stack=stack, sha=copy.sha, manifest=copy.manifest, branch=BRANCH, commit=commit)
