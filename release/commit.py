"""Files of a git commit, read as the blobs that git stores: no working tree, no checkout filters, no user's settings.

`git archive` and `git worktree` convert line ends and apply attributes and umask by whoever runs them; blobs are the
same bytes on every machine.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from release.errors import UsageError

_REGULAR_MODES = {"100644": False, "100755": True}


class CommitError(UsageError):
    """The commit cannot be read."""


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
        for line in filter(None, listing.decode().split("\0")):
            attributes, path = line.split("\t", 1)
            mode, _, blob = attributes.split(" ")
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
        """How many paths under `folder` differ between HEAD and the working tree (0 in a bare repository)."""
        if git(self.repo, "rev-parse", "--is-bare-repository").strip() == b"true":
            return 0
        status = git(self.repo, "status", "--porcelain", "-z", "--untracked-files=all", "--", f":/{folder}")
        return len([entry for entry in status.split(b"\0") if entry])


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
    seconds = int(git(repo, "show", "--no-patch", "--format=%ct", sha))
    return Commit(repo=repo, sha=sha, committed_at=datetime.fromtimestamp(seconds, UTC))


def blobs(repo: Path, names: list[str]) -> list[bytes]:
    """Contents of blobs, in the order of `names`, by one git process."""
    if not names:
        return []
    answer = memoryview(git(repo, "cat-file", "--batch", stdin="".join(f"{name}\n" for name in names).encode()))
    contents, at = [], 0
    for _ in names:
        header_end = at + bytes(answer[at : at + 200]).index(b"\n")
        size = int(bytes(answer[at:header_end]).split(b" ")[2])
        contents.append(bytes(answer[header_end + 1 : header_end + 1 + size]))
        at = header_end + 1 + size + 1
    return contents


def try_git(repo: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run git in `repo`, with nothing of the caller's that could show it another repository or another history."""
    # Inside a hook git sets GIT_DIR and friends, which would send us to another repository than `repo`;
    # a replace ref or a graft would give a commit other contents or parents than its SHA promises.
    ours = {
        "LC_ALL": "C",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_GRAFT_FILE": os.devnull,
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
    }
    env = {key: value for key, value in os.environ.items() if key not in _GIT_LOCATION} | ours
    try:
        return subprocess.run(
            ["git", "-C", str(repo), *arguments], input=stdin, capture_output=True, env=env, check=False
        )
    except FileNotFoundError as error:
        raise CommitError(
            "git is not installed, or not on the PATH.",
            why="Packages are made from a commit, which only git can read.",
            next_step="Install git (Debian: apt-get install git) and run the command again.",
        ) from error


_GIT_LOCATION = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"})


def git(repo: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    """What git says on stdout.

    Raises:
        CommitError: git failed.
    """
    done = try_git(repo, *arguments, stdin=stdin)
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.decode(errors="replace").strip()
    if "not a git repository" in said:
        raise CommitError(
            f"{repo} is not inside a git repository.",
            why="Packages are made from a commit, never from loose files.",
            next_step="Run this inside a clone of the repository.",
        )
    if "dubious ownership" in said:
        raise CommitError(
            f"git refuses to read {repo}, because the folder belongs to another user.",
            why=said.splitlines()[0],
            next_step=f"git config --global --add safe.directory {repo.resolve()}",
        )
    raise CommitError(f"git {arguments[0]} failed in {repo}.", why=said, next_step="Run: git fsck")
