"""The one door to git: plumbing only, bytes in and out, and nothing of the caller's that could change an answer."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Final

from release.errors import UsageError

_KEPT: Final = re.compile(r"GIT_(CONFIG_(GLOBAL|SYSTEM|NOSYSTEM)|EXEC_PATH|ASKPASS|SSH.*|SSL_.*|HTTP_.*)")
"""How to reach a remote, and where a machine says which folders are safe. Everything else of git's variables would send
us to another repository (a hook sets GIT_DIR), or change what a path, a date or a difference is."""
_OURS: Final = {
    "LC_ALL": "C",
    # A replace ref or a graft would give a commit other contents or parents than its SHA promises.
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
}
_SETTINGS: Final = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.devnull)
"""A repository's own settings may name programs to run."""


class CommitError(UsageError):
    """The commit cannot be read."""


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
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or _KEPT.fullmatch(name)}
    try:
        return subprocess.run(
            ["git", "-C", str(repo), *_SETTINGS, *arguments],
            input=stdin,
            capture_output=True,
            env=kept | _OURS,
            check=False,
        )
    except FileNotFoundError as error:
        raise CommitError(
            "git is not installed, or not on the PATH.",
            why="Packages are made from a commit, which only git can read.",
            next_step="Install git (Debian: apt-get install git) and run the command again.",
        ) from error


def git(repo: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    """Return git's output.

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
    raise CommitError(f"git {arguments[0]} failed in {repo}.", why=said, next_step="Run: git fsck")
