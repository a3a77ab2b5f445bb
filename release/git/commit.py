"""Files of a git commit, read as the blobs that git stores: no working tree, no checkout filters, no user's settings.

`git archive` and `git worktree` convert line ends and apply attributes and umask by whoever runs them; blobs are the
same bytes on every machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from release.git.plumbing import CommitError, blobs, git, try_git

_EARLIEST = int(datetime(1980, 1, 1, tzinfo=UTC).timestamp())
"""A zip knows no earlier time."""
_LATEST = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())
_REGULAR_MODES = {"100644": False, "100755": True}


@dataclass(frozen=True, kw_only=True, slots=True)
class CommittedFile:
    """One file at a commit."""

    path: str
    """Path inside the repository, with `/`."""
    executable: bool
    content: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """One commit of a repository."""

    repo: Path
    sha: str
    """40 hex digits."""
    committed_at: datetime
    """Time of the commit, UTC, whole seconds."""

    def files(self, folder: str) -> list[CommittedFile]:
        """Every file under `folder` (a path inside the repository), sorted by path; empty when there is no such folder.

        Raises:
            CommitError: the folder holds a symbolic link or a submodule, which no package could carry.
        """
        listing = git(self.repo, "ls-tree", "-r", "-z", "--full-tree", self.sha, "--", f"{folder}/")
        entries: list[tuple[str, bool, str]] = []
        for line in filter(None, listing.split(b"\0")):
            attributes, name = line.split(b"\t", 1)
            path = _path(name, self.sha)
            mode, _, blob = attributes.decode().split(" ")
            if mode not in _REGULAR_MODES:
                raise CommitError(
                    f"{path} at {self.sha[:12]} is a {'symbolic link' if mode == '120000' else 'submodule'}.",
                    why="A package holds plain files only: a link would point somewhere else on every machine.",
                    next_step=f"Replace {path} by the file itself, commit, and build that commit.",
                )
            entries.append((path, _REGULAR_MODES[mode], blob))
        contents = blobs(self.repo, [blob for _, _, blob in entries])
        files = [
            CommittedFile(path=path, executable=executable, content=content)
            for (path, executable, _), content in zip(entries, contents, strict=True)
        ]
        return sorted(files, key=lambda file: file.path)

    def uncommitted(self, folder: str) -> int:
        """Return the number of changed paths under `folder` in the working tree (0 in a bare repository)."""
        status = try_git(self.repo, "status", "--porcelain", "-z", "--untracked-files=all", "--", f":/{folder}")
        return len([entry for entry in status.stdout.split(b"\0") if entry])


def find_commit(repo: Path, revision: str) -> Commit:
    """The commit that `revision` (best its full SHA) names in the repository at `repo`.

    Raises:
        CommitError: git is missing, `repo` is no repository, or it does not hold the commit.
    """
    if not repo.is_dir():
        raise CommitError(f"There is no folder {repo}.", next_step="Run this inside a clone of the repository.")
    git(repo, "rev-parse", "--git-dir")
    found = try_git(repo, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if found.returncode != 0:
        raise CommitError(
            f"Commit {revision!r} is not in this repository.",
            why="It was never fetched (a shallow clone holds only the newest commits), or the SHA is mistyped.",
            next_step=f"git fetch origin {revision}   (or look it up with: git log --oneline)",
        )
    sha = found.stdout.decode().strip()
    return Commit(repo=repo, sha=sha, committed_at=_time(git(repo, "cat-file", "commit", sha), sha))


def _time(content: bytes, sha: str) -> datetime:
    """Return the time at which the commit was made, as its own object says."""
    line = re.search(rb"^committer .*> (-?[0-9]+) [-+][0-9]+$", content.partition(b"\n\n")[0], re.MULTILINE)
    seconds = int(line[1]) if line else 0
    if not _EARLIEST <= seconds < _LATEST:
        raise CommitError(
            f"Commit {sha[:12]} says that it was made {_said(seconds) if line else 'at a time that is no number'}.",
            why="The time goes into every package and decides which of two releases is the older one.",
            next_step="Set the clock right, make the commit anew (git commit --amend --no-edit), and build that one.",
        )
    return datetime.fromtimestamp(seconds, UTC)


def _said(seconds: int) -> str:
    return f"{abs(seconds)} seconds {'after' if seconds >= 0 else 'before'} 1970"


def _path(name: bytes, sha: str) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise CommitError(
            f"A file at {sha[:12]} has a name that is not UTF-8: {name!r}",
            why="A zip would name it differently on every machine.",
            next_step="Rename it (git mv), commit, and build that commit.",
        ) from None
