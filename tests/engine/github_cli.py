"""`gh` for the commands of docs/how-to/bootstrap.md, on the local GitHub and on a bare repository.

`$GUIDE_WORLD` is the folder of the test. What the guide does not say is no command here.
"""

import os
import subprocess
import sys
from pathlib import Path

import httpx

WORLD = Path(os.environ["GUIDE_WORLD"])
HOME = WORLD / "github"


def git(*words, folder="."):
    subprocess.run(["git", "-C", folder, *words], check=True, stdout=subprocess.DEVNULL)


def api(method, path, body=None):
    token = {"Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}"}
    answer = httpx.request(method, f"{os.environ['GITHUB_API_URL']}/{path}", headers=token, json=body)
    return answer.raise_for_status().json() if answer.content else {}


def create():
    if subprocess.run(["git", "remote", "get-url", "origin"], capture_output=True, check=False).returncode == 0:
        sys.exit('X Unable to add remote "origin"')
    git("init", "--bare", "--initial-branch", "main", HOME)
    git("remote", "add", "origin", HOME)


def merge():
    git("clone", HOME, WORLD / "merged")
    git("merge", "--squash", "origin/stacks", folder=WORLD / "merged")
    git("commit", "--message", "Our keys (#1)", folder=WORLD / "merged")
    git("push", "origin", "main", folder=WORLD / "merged")


def run():
    """What the run of a merge does, until preprod serves it; tests/rehearsal goes on to production."""
    runner = WORLD / "runner"
    git("clone", HOME, runner)

    def step(*command):
        # Another machine: what `release env` has told the reader's shell is not known there.
        known = {key: value for key, value in os.environ.items() if key not in {"PULUMI_STACK", "PULUMI_BACKEND_URL"}}
        return subprocess.run(command, cwd=runner, env=known, check=True, stdout=subprocess.PIPE, text=True).stdout

    sha = step("git", "rev-parse", "HEAD").strip()
    step("release", "build", "--sha", sha, "--out", WORLD / "build")
    step("release", "deploy", "--stack", "preprod", "--build", WORLD / "build")


match sys.argv[1:]:
    case ["repo", "create", _, "--public", "--source", ".", "--remote", "origin"]:
        create()
    case ["api", "--method", "PUT", path, "-F", "enabled=false"]:
        api("PUT", path, {"enabled": False})
    case ["api", path, "--jq", ".owner.id, .id"]:
        found = api("GET", path)
        print(found["owner"]["id"], found["id"], sep="\n")  # noqa: T201
    case ["auth", "token"]:
        print(os.environ["GITHUB_TOKEN"])  # noqa: T201
    case ["pr", "create", "--fill"]:
        git("rev-parse", "--verify", "refs/heads/stacks", folder=HOME)
    case ["pr", "checks", "--watch"]:
        pass  # a pull request has no runs here
    case ["pr", "merge", "--squash"]:
        merge()
    case ["run", "watch"]:
        run()
    case words:
        sys.exit(f"no stand-in for: gh {' '.join(words)}")
