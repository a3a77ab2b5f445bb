"""A step of the bootstrap: what it is about, what it finds, what it does. And the site that all of them work on."""

from __future__ import annotations

import getpass
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, Final

from components.arns import Arns
from components.naming import Names, foundation_stack
from components.settings import Settings
from release.clients.aws import Aws
from release.clients.github import GitHub
from release.clients.rest import unless_missing
from release.clock import Clock
from release.errors import ReleaseError, UsageError
from release.pulumi import engine
from release.pulumi.backend import backend_url
from release.reports import SetupStatus
from release.text import one_line

_LONGEST_WHY: Final = 500


@dataclass(frozen=True, slots=True)
class StepState:
    """The state that a step has found. `next_step` names the thing that a waiting one waits for, best as a command."""

    status: SetupStatus
    now: str
    next_step: str = ""


done = partial(StepState, SetupStatus.DONE)
"""It is as it should be."""
to_do = partial(StepState, SetupStatus.TO_DO)
"""It is not, and this command changes that."""
waits = partial(StepState, SetupStatus.WAITS)
"""It is not, and somebody has to do something else first."""


def waits_for_the_foundation(site: Site, now: str) -> StepState:
    """`pulumi up` of the foundation makes it."""
    stack = foundation_stack(site.environment)
    return waits(now, f'eval "$(release env --stack {stack})" && pulumi up')


def sealed_in(site: Site, environment: str) -> dict[str, datetime] | StepState:
    """Return the time at which each secret of a GitHub environment was sealed, or the state that waits."""
    if site.github is None:
        return waits("cannot be seen without GITHUB_TOKEN", "export GITHUB_TOKEN=$(gh auth token)")
    github = site.github
    found = unless_missing(lambda: github.environment_secrets(environment))
    return waits_for_the_foundation(site, "no such environment yet") if found is None else found


@dataclass(frozen=True, kw_only=True, slots=True)
class SetupStep:
    """One thing that must be so.

    `look` changes nothing. `do` is called when `look` says that there is something to do, and again after it was
    interrupted anywhere. A `StepState` that it answers says what kept it from being done; anything else means that it
    is.
    """

    what: str
    wanted: str
    look: Callable[[], StepState]
    do: Callable[[], object]


class Operator:
    """The person at the keyboard: asked on the terminal, or by a line on standard input where there is none."""

    @staticmethod
    def agrees(question: str) -> bool:
        """Whether the answer is yes; raises `UsageError` where nobody can be asked."""
        if not sys.stdin.isatty():
            raise UsageError(
                "nobody can be asked here whether to do it",
                why="standard input is no terminal",
                next_step="add --yes to do it, or --plan to only look",
            )
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    @staticmethod
    def secret(question: str) -> str:
        """A secret that is not shown while it is typed; empty where nobody gives one.

        Raises:
            UsageError: What was typed cannot be a key.
        """
        typed = (getpass.getpass(f"{question}: ") if sys.stdin.isatty() else sys.stdin.readline()).strip()
        if typed and not re.fullmatch(r"[!-~]{8,512}", typed):
            raise UsageError(
                "that cannot be a key",
                why="a key has 8 to 512 visible characters and no spaces",
                next_step="copy it again, and run this command again",
            )
        return typed


@dataclass(kw_only=True)
class Site:
    """One environment as an administrator works on it. Making it opens no connection.

    Args:
        foundation: Settings of the foundation stack.
        service: Settings of the service stack.
        folder: Top of the clone: its stack files get the lines that name the key.
        overlaid: Whether the settings of the files are overlaid here. Then the files are somebody else's to write.
        variables: Environment variables of the commands that are started.
        github: The repository; `None` without a token.
        person: Who is asked.
        rotate: What to replace although it is there: `newsapi`, `dashboard`, `access-keys`.
        with_access_keys: Whether jobs log in with access keys of users, and not by OIDC.
    """

    foundation: Settings
    service: Settings
    folder: Path
    overlaid: bool
    variables: Mapping[str, str]
    github: GitHub | None
    person: Operator = field(default_factory=Operator)
    rotate: frozenset[str] = frozenset()
    with_access_keys: bool = False
    clock: Clock = field(default_factory=Clock.from_environment)

    @property
    def environment(self) -> str:
        """Name of the environment."""
        return self.foundation.environment

    @property
    def arns(self) -> Arns:
        """ARNs of the environment."""
        return self.foundation.arns

    @property
    def names(self) -> Names:
        """Physical names of the environment."""
        return self.arns.names

    @cached_property
    def aws(self) -> Callable[[str], Any]:
        """Makes the boto3 client of a service, once, in the region of the settings."""
        return cache(Aws(self.foundation.region).client)

    def pulumi(self, stack: str, *words: str, folder: Path) -> None:
        """Run `pulumi` on a stack, from a folder with a project file and without any terminal.

        Raises:
            ReleaseError: It is missing, or it failed.
        """
        # What the shell says of another stack must not count.
        ours = {
            "PULUMI_BACKEND_URL": backend_url(stack, self.names.suffix),
            "PULUMI_STACK": stack,
            "AWS_REGION": self.foundation.region,
        }
        ran = engine.run([*words, "--stack", stack], folder, {**self.variables, **ours})
        if ran.returncode:
            raise ReleaseError(
                f"pulumi {' '.join(words)} of stack {stack} failed (exit code {ran.returncode})",
                why=one_line(ran.stderr or ran.stdout, _LONGEST_WHY),
                next_step="put that right, and run this command again: it goes on where it stopped",
            )
