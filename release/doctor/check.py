"""A check of the readiness checklist, and its finding."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from components.naming import ENVIRONMENTS, foundation_stack
from components.policies.comparison import difference
from components.settings import Settings
from release.doctor.place import Place
from release.text import one_line

T = TypeVar("T")


class Readiness(StrEnum):
    """Verdicts of a check, from the best to the worst."""

    OK = "ok"
    WARNING = "warning"
    UNKNOWN = "unknown"
    FAILED = "failed"


WORST_FIRST: Final = tuple(reversed(Readiness))


class Scope(StrEnum):
    """Subjects of checks: each is checked once."""

    MACHINE = "this machine"
    REPOSITORY = "the repository"
    ACCOUNT = "each account"
    ENVIRONMENT = "each environment"


class Warned(NamedTuple):
    """A note about something that works, and that somebody should know."""

    text: str


class Unseen(NamedTuple):
    """A note about something that was not seen, or that proves nothing."""

    text: str


Notes = Generator[str | Warned | Unseen, None, str]
"""What is not as expected: problems (plain text), warnings, and what could not be seen. Returns the evidence that all
is well, which counts where there is no note."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, and what was seen that led to it."""

    verdict: Readiness
    evidence: str


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

    def fix_for(self, environment: str) -> str:
        """Return `fix` for one environment."""
        return self.fix.format(stack=environment, foundation=foundation_stack(environment))

    def judge(self, settings: Settings, answer: Any) -> Judgement:
        """Return the judgement that follows from all notes: the worst, and everything that is not as expected."""
        if answer is None and self.missing:
            return Judgement(Readiness.FAILED, self.missing)
        notes = self.notes(settings, answer)
        told: dict[Readiness, list[str]] = {verdict: [] for verdict in WORST_FIRST}
        while True:
            try:
                note = next(notes)
            except StopIteration as end:
                told[Readiness.OK] = [] if any(told.values()) else [end.value]
                break
            match note:
                case Warned(text):
                    told[Readiness.WARNING].append(text)
                case Unseen(text):
                    told[Readiness.UNKNOWN].append(text)
                case problem:
                    told[Readiness.FAILED].append(problem)
        worst = next(verdict for verdict in WORST_FIRST if told[verdict])
        return Judgement(worst, "; ".join(one_line(text) for texts in told.values() for text in texts))


class Finding(BaseModel):
    """The result of a check for one environment (empty: for the machine or the repository)."""

    model_config = ConfigDict(frozen=True)

    name: str
    stack: str
    verdict: Readiness
    asked: str
    evidence: str = Field(serialization_alias="said")
    fix: str = Field(serialization_alias="mend")


def check(
    name: str, *, look: Callable[[Place], T | None], **of: Any
) -> Callable[[Callable[[Settings, T], Notes]], Check[T]]:
    """Make the function below the check `name`; `of` are the other fields of `Check`."""
    return lambda notes: Check(name=name, look=look, notes=notes, **of)


def differs(expected: Mapping[str, Any], deployed: Mapping[str, Any], of: str = "") -> Iterator[str]:
    """Note how a policy document that is deployed differs from the computed one."""
    if told := difference(expected, deployed):
        yield f"{of}: {told}" if of else told
