"""What a check is, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from components.naming import ENVIRONMENTS, foundation_stack
from components.policies.comparison import difference
from components.settings import Settings
from release.doctor.place import Place, Unseen
from release.text import one_line

T = TypeVar("T")


class Readiness(StrEnum):
    """What a check came to, from the best to the worst."""

    OK = "ok"
    WARNING = "warning"
    UNKNOWN = "unknown"
    FAILED = "failed"


WORST_FIRST: Final = tuple(reversed(Readiness))


class Scope(StrEnum):
    """What a check is about, and so how often it is made."""

    MACHINE = "this machine"
    REPOSITORY = "the repository"
    ACCOUNT = "each account"
    ENVIRONMENT = "each environment"


class Warned(NamedTuple):
    """A note about something that works, and that somebody should know."""

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
                case Unseen(why):
                    told[Readiness.UNKNOWN].append(why)
                case problem:
                    told[Readiness.FAILED].append(problem)
        worst = next(verdict for verdict in WORST_FIRST if told[verdict])
        return Judgement(worst, "; ".join(one_line(text) for texts in told.values() for text in texts))


class Finding(BaseModel):
    """What a check said about one environment (empty: about the machine or the repository)."""

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


def seen(answers: Mapping[str, T | Unseen | None], missing: str = "") -> Generator[Unseen, None, dict[str, T]]:
    """Return the answers that there are, and note those that could not be had: one note per reason.

    Args:
        answers: What was seen of each thing, by its name; `None` where there is no such thing.
        missing: Why a thing that is missing cannot be judged.
    """
    whose: dict[str, list[str]] = {}
    for name, answer in answers.items():
        if isinstance(answer, Unseen):
            whose.setdefault(answer.why, []).append(name)
    for why, names in whose.items():
        yield Unseen(f"{', '.join(names)}: {why}")
    if missing:
        yield from (Unseen(f"{name} {missing}") for name, answer in answers.items() if answer is None)
    return {name: answer for name, answer in answers.items() if answer is not None and not isinstance(answer, Unseen)}


def differs(expected: Mapping[str, Any], deployed: Mapping[str, Any], of: str = "") -> Iterator[str]:
    """Note how a policy document that is deployed differs from the computed one."""
    if told := difference(expected, deployed):
        yield f"{of}: {told}" if of else told
