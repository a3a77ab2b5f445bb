"""A check of the readiness checklist, and its finding."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from components.naming import ENVIRONMENTS, foundation_stack
from components.policies.comparison import difference
from components.settings import Settings
from release.doctor.place import Place
from release.reports import WORST_FIRST, Finding, Readiness
from release.text import one_line

T = TypeVar("T")


class Scope(StrEnum):
    """Subjects of checks: each is checked once."""

    MACHINE = "this machine"
    REPOSITORY = "the repository"
    ACCOUNT = "each account"
    ENVIRONMENT = "each environment"


class Note(NamedTuple):
    """Something to tell that is no problem, and the verdict that it leads to."""

    verdict: Readiness
    text: str


Warned = partial(Note, Readiness.WARNING)
"""A note about something that works, and that somebody should know."""
Unseen = partial(Note, Readiness.UNKNOWN)
"""A note about something that was not seen, or that proves nothing."""

Notes = Generator[str | Note, None, str]
"""What is not as expected: problems (plain text), warnings, and what could not be seen. Returns the evidence that all
is well, which counts where there is no note."""


@dataclass(frozen=True, kw_only=True)
class Check(Generic[T]):
    """One line of the checklist.

    Args:
        name: Area and word, `roles.trust`: what `--only` takes.
        asks: What is asked, and of whom.
        expected: When it is `ok`.
        look: Sees; raises whatever goes wrong.
        notes: Judges what was seen. Pure.
        fix: A command, or the document to read; may hold `{stack}` and `{foundation}`.
        scope: How often it is made.
        in_account: Whether answers are worth anything only from the account of the stack.
        environments: Those that it is made for.
        not_local: Why the local cloud cannot show it; empty where it can.
        missing: The problem where `look` has found nothing (`None`), which `notes` then need not judge.
    """

    name: str
    asks: str
    expected: str
    look: Callable[[Place], T | None]
    notes: Callable[[Settings, T], Notes]
    fix: str = "pulumi up --refresh --stack {foundation}"
    scope: Scope = Scope.ENVIRONMENT
    in_account: bool = True
    environments: Sequence[str] = ENVIRONMENTS
    not_local: str = ""
    missing: str = ""

    @property
    def area(self) -> str:
        """The part of the name before the dot."""
        return self.name.partition(".")[0]

    def finding(self, settings: Settings, verdict: Readiness, evidence: str) -> Finding:
        """Return a finding about the environment of the settings."""
        stack = settings.environment
        return Finding(
            name=self.name,
            stack=stack if self.scope in {Scope.ENVIRONMENT, Scope.ACCOUNT} else "",
            verdict=verdict,
            asked=self.asks,
            evidence=evidence,
            fix="" if verdict is Readiness.OK else self.fix.format(stack=stack, foundation=foundation_stack(stack)),
        )

    def judge(self, settings: Settings, answer: Any) -> Finding:
        """Return the finding that follows from all notes: the worst, and everything that is not as expected."""
        if answer is None and self.missing:
            return self.finding(settings, Readiness.FAILED, self.missing)
        fine: list[Note] = []

        def judged() -> Iterator[str | Note]:
            fine.append(Note(Readiness.OK, (yield from self.notes(settings, answer))))

        found = [Note(Readiness.FAILED, note) if isinstance(note, str) else note for note in judged()] or fine
        found.sort(key=lambda note: WORST_FIRST.index(note.verdict))
        return self.finding(settings, found[0].verdict, "; ".join(one_line(note.text) for note in found))


def check(
    name: str, *, look: Callable[[Place], T | None], **of: Any
) -> Callable[[Callable[[Settings, T], Notes]], Check[T]]:
    """Make the function below the check `name`; `of` are the other fields of `Check`."""
    return lambda notes: Check(name=name, look=look, notes=notes, **of)


def differs(expected: Mapping[str, Any], deployed: Mapping[str, Any], of: str = "") -> Iterator[str]:
    """Note how a policy document that is deployed differs from the computed one."""
    if told := difference(expected, deployed):
        yield f"{of}: {told}" if of else told
