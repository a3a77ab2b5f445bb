"""What this clone's history holds: the newest commit that differs from now in some paths."""

import subprocess

import pytest

from tests.cloud import ROOT


def git(*words: str) -> bytes:
    return subprocess.run(["git", "-C", str(ROOT), *words], check=True, capture_output=True).stdout


def newest_with_other(what: str, paths: list[str], *than: str) -> str:
    """The newest commit whose `paths` are not those of `than`, by default of the working copy."""
    for commit in git("log", "--format=%H", "--", *paths).decode().split():
        if git("diff", "--name-only", commit, *than, "--", *paths):
            return commit
    pytest.fail(f"the history of this clone holds no other {what}: fetch it whole (git fetch --unshallow)")
