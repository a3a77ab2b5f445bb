"""The history between two commits, read from the clone.

From git and not from GitHub's comparison of two commits: that one stops at 250 commits and 300 files, and its answer is
what somebody says. Objects in the clone are named by their own digests. A clone that does not hold all of the history
is refused, so that nothing can be left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from release.git.commit import find_commit
from release.git.plumbing import CommitError, blobs, git, try_git

_FILE: Final = "100644"


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryStep:
    """One commit of a history."""

    sha: str
    parents: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitLine:
    """One commit as its author has titled it: text that nobody has checked."""

    sha: str
    author: str
    subject: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PathChange:
    """One path that differs between two commits."""

    path: str
    blob: str
    """Digest of the new content as git names it; zeros for a path that is gone."""
    edited: bool
    """Whether a plain file is still one, with other content: not added, removed, made executable or a link."""
    old: bytes = b""
    new: bytes = b""
    """Contents, of paths that were asked for and are `edited`."""


def contains(repo: Path, newer: str, older: str) -> bool | None:
    """Return whether commit `newer` builds on `older`; `None` where the clone does not hold both."""
    return {0: True, 1: False}.get(try_git(repo, "merge-base", "--is-ancestor", older, newer).returncode)


def steps_between(repo: Path, old: str, new: str, limit: int) -> list[HistoryStep]:
    """Every commit that `new` contains and `old` does not, on all branches that were merged, oldest first.

    Raises:
        CommitError: The clone is shallow, does not hold both commits, `old` is not contained in `new`, or there are
            more commits than `limit`.
    """
    for sha in (old, new):
        if find_commit(repo, sha).sha != sha:
            raise CommitError(f"{sha!r} is not the full name of a commit.")
    if git(repo, "rev-parse", "--is-shallow-repository").strip() != b"false":
        raise CommitError(
            "This clone is shallow: a part of the history is missing.", next_step="git fetch --unshallow origin"
        )
    if not contains(repo, new, old):
        raise CommitError(f"Commit {new[:12]} does not build on {old[:12]}.")
    listed = git(repo, "rev-list", "--topo-order", "--parents", f"--max-count={limit + 1}", new, f"^{old}")
    found = [line.split() for line in listed.decode().splitlines()]
    if len(found) > limit:
        raise CommitError(f"There are more than {limit} commits between {old[:12]} and {new[:12]}.")
    return [HistoryStep(sha=sha, parents=tuple(parents)) for sha, *parents in reversed(found)]


def commits_between(repo: Path, old: str | None, new: str, limit: int) -> list[CommitLine]:
    """The newest commits, at most `limit`, that `new` contains and `old` does not (`None`: all of its history).

    Raises:
        CommitError: The clone does not hold both commits.
    """
    wanted = ["--no-commit-header", "--format=%H%x00%an%x00%s", f"--max-count={limit}"]
    shas = [find_commit(repo, sha).sha for sha in (new, old) if sha]
    listed = git(repo, "rev-list", *wanted, shas[0], *(f"^{sha}" for sha in shas[1:]))
    lines = [line.split("\0", 2) for line in listed.decode(errors="replace").splitlines()]
    return [CommitLine(sha=sha, author=author, subject=subject) for sha, author, subject in lines]


def changes_between(repo: Path, old: str, new: str, wanted: re.Pattern[str]) -> list[PathChange]:
    """Every path that differs between two commits, renames as a path gone and a path added.

    Contents are read of the paths that match `wanted`.
    """
    listed = git(repo, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", old, new)
    fields = listed.decode(errors="backslashreplace").split("\0")  # a name that is not UTF-8 matches nothing wanted
    found = []
    for attributes, path in zip(fields[::2], fields[1::2], strict=False):
        mode_before, mode_after, before, after, status = attributes.removeprefix(":").split(" ")
        edited = status == "M" and mode_before == mode_after == _FILE
        contents = blobs(repo, [before, after]) if edited and wanted.fullmatch(path) else [b"", b""]
        found.append(PathChange(path=path, blob=after, edited=edited, old=contents[0], new=contents[1]))
    return found
