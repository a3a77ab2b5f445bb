"""Releases that are broken on purpose, as commits of a scratch clone.

Each passes the build and every test in preprod and fails in production only: nothing but the canary stands between it
and the users. The project's own repository is never touched.
"""

import shutil
import subprocess
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Final

from localcloud.errors import LocalCloudError


class Breakage(StrEnum):
    """How a release is broken, and what of the canary has to notice."""

    HEALTH_500 = "health-500"
    """The dashboard's health answers 500: a question in the dark shows it."""
    WRONG_DIGEST = "wrong-digest"
    """Another release's digest answers, as if nothing had been deployed: a question in the dark shows it."""
    IMPORT_ERROR = "import-error"
    """The analysis function fails at start: a question in the dark shows it."""
    SCHEDULE_FAILS_LIVE = "schedule-fails-live"
    """The ingestion works as candidate and raises as live: the run of the schedule at 100 % shows it."""
    TOPIC_FAILS_LIVE = "topic-fails-live"
    """The analysis works as candidate and raises as live: the message to its topic at 100 % shows it."""
    ERRORS_AFTER_LIVE = "errors-after-live"
    """The dashboard is healthy and fails its users once it serves any: alarms or counts at 10 % show it."""


def _in_production(when: str, *then: str) -> str:
    """Return code that runs the lines `then` in production instead of the right ones, where `when` holds."""
    lines = "\n        ".join(then)
    return f"""
import os as _os

_healthy = handle


def handle(event, context):
    if _os.environ["ENVIRONMENT"] == "prod" and {when}:
        {lines}
    return _healthy(event, context)
"""


_HEALTH: Final = 'event.get("rawPath") == "/health"'
_LIVE: Final = 'context.invoked_function_arn.endswith(":live")'
_RAISE: Final = 'raise RuntimeError("broken on purpose")'
_CODE: Final = {
    Breakage.HEALTH_500: (
        "dashboard",
        _in_production(_HEALTH, 'return {"statusCode": 500, "body": "broken on purpose"}'),
    ),
    Breakage.WRONG_DIGEST: (
        "dashboard",
        _in_production(
            _HEALTH,
            'answer, digest = _healthy(event, context), _os.environ["RELEASE_DIGEST"]',
            'return answer | {"body": answer["body"].replace(digest, digest[::-1])}',
        ),
    ),
    Breakage.IMPORT_ERROR: (
        "analysis",
        """
import os as _os

if _os.environ.get("ENVIRONMENT") == "prod":
    import no_such_module_broken_on_purpose
""",
    ),
    Breakage.SCHEDULE_FAILS_LIVE: ("ingestion", _in_production(_LIVE, _RAISE)),
    Breakage.TOPIC_FAILS_LIVE: ("analysis", _in_production(_LIVE, _RAISE)),
    Breakage.ERRORS_AFTER_LIVE: ("dashboard", _in_production(f"{_LIVE} and not {_HEALTH}", _RAISE)),
}
"""The function that is broken, and what is appended to its handler.py: it goes through the same build and tests."""


def head(repository: Path) -> str:
    """Return the commit that is checked out in `repository`; raises `LocalCloudError` when there is none."""
    if shutil.which("git") is None:
        raise LocalCloudError("git is not installed, and a release is built from a commit", next_step="install git")
    result = _git(repository, "rev-parse", "--verify", "HEAD", check=False)
    if result.returncode != 0:
        raise LocalCloudError(
            f"{repository} is not a git clone with a commit, which a release is built from: {result.stderr.strip()}",
            next_step="clone the repository with git instead of copying its files",
        )
    return result.stdout.strip()


def broken_clone(repository: Path, breakage: Breakage, target: Path) -> str:
    """Clone `repository` into the new folder `target`, break it there, commit, and return the commit."""
    return changed_clone(repository, target, *_CODE[breakage], f"Break it on purpose: {breakage.value}")


def changed_clone(repository: Path, target: Path, function: str, code: str, message: str) -> str:
    """Clone `repository` into the new folder `target`, append `code` to a function's handler, and return the commit."""
    return edited_clone(repository, target, f"lambdas/{function}/handler.py", lambda text: text + code, message)


def edited_clone(repository: Path, target: Path, file: str, edit: Callable[[str], str], message: str) -> str:
    """Clone `repository` into the new folder `target`, edit one file there, and return the commit."""
    base = head(repository)
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    _git(repository, "clone", "--quiet", "--no-hardlinks", str(repository), str(target))
    _git(target, "checkout", "--quiet", "--detach", base)
    edited = target / file
    edited.write_text(edit(edited.read_text()))
    identity = ("-c", "user.name=rehearsal", "-c", "user.email=rehearsal@localhost", "-c", "commit.gpgsign=false")
    _git(target, *identity, "commit", "--quiet", "--no-verify", "-am", message)
    return head(target)


def _git(repository: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True, text=True, check=check)
