"""Checks the run's commit out, from the clone that plays the repository on GitHub."""

import os
import subprocess
import sys

from run import Run


def git(*words: str) -> None:
    subprocess.run(["git", *words], check=True)


def main() -> None:
    """Fetch into the empty work folder, as deep as the step says."""
    depth, persists = sys.argv[1:]
    if persists != "false":
        sys.exit("the job's token would stay in the clone: persist-credentials is not false")
    run = Run()
    sha = os.environ["GITHUB_SHA"]
    git("init", "--quiet", "--initial-branch", "runner", ".")
    git("remote", "add", "origin", f"file://{run.told['origin']}")
    if depth == "0":
        git("fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*")
    git("fetch", "--quiet", *(() if depth == "0" else ("--depth", depth)), "origin", sha)
    git("checkout", "--quiet", "--detach", sha)


if __name__ == "__main__":
    main()
