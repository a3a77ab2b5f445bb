"""The environment, the clone and the release that a command is about."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from release.errors import UsageError

if TYPE_CHECKING:
    from release.context import Context


def context(stack: str) -> Context:
    """The environment with that name."""
    from release.console import Console
    from release.context import Context
    from release.pulumi import stack_config
    from release.settings import ReleaseSettings

    repo, settings = clone(), ReleaseSettings.load(os.environ)
    suffix = stack_config.name_suffix(repo, os.environ)
    return Context(
        stack=stack,
        repo=repo,
        console=Console(),
        settings=settings,
        suffix=suffix,
        attestations=stack_config.attestations(repo, os.environ),
    )


def clone() -> Path:
    """Top of the clone that holds this folder; the folder itself where there is no git (whoever needs git says so)."""
    from release.git.plumbing import CommitError, try_git

    folder = Path().absolute()
    try:
        asked = try_git(folder, "rev-parse", "--show-toplevel")
    except CommitError:
        return folder
    return Path(os.fsdecode(asked.stdout.rstrip(b"\n"))) if asked.returncode == 0 else folder


def one_digest(context: Context, digest: str | None, sha: str | None) -> str:
    """The manifest digest of the one release that the options name."""
    if (digest is None) == (sha is None):
        raise UsageError(
            "name one release", why="it needs exactly one of --digest and --sha", next_step="--digest DIGEST"
        )
    return digest if digest is not None else context.promotions.digest_of(sha or "")
