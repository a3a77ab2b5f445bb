"""What a check is, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

from components.naming import ENVIRONMENTS, foundation_stack
from components.settings import Settings
from release.doctor.place import Place, Unseen
from release.text import one_line

T = TypeVar("T")


class Verdict(StrEnum):
    """What a check came to, from the best to the worst."""

    OK = "ok"
    WARNING = "warning"
    UNKNOWN = "unknown"
    FAILED = "failed"


WORST_FIRST: Final = tuple(reversed(Verdict))


class Scope(StrEnum):
    """What a check is about, and so how often it is made."""

    MACHINE = "this machine"
    REPOSITORY = "the repository"
    ACCOUNT = "each account"
    ENVIRONMENT = "each environment"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, and what was seen that led to it."""

    verdict: Verdict
    said: str


@dataclass(frozen=True, kw_only=True)
class Check(Generic[T]):
    """One line of the checklist.

    Args:
        name: Area and word, `roles.trust`: what `--only` takes.
        asks: What is asked, and of whom.
        good: When it is `ok`.
        mend: A command, or the document to read; may hold `{stack}` and `{foundation}`.
        look: Sees; raises whatever goes wrong.
        judge: Judges what was seen. Pure.
        scope: How often it is made.
        in_account: Whether answers are worth anything only from the account of the stack.
        environments: Those that it is made for.
        not_local: Why the local cloud cannot show it; empty where it can.
    """

    name: str
    asks: str
    good: str
    mend: str
    look: Callable[[Place], T]
    judge: Callable[[Settings, T], Judgement]
    scope: Scope = Scope.ENVIRONMENT
    in_account: bool = True
    environments: Sequence[str] = ENVIRONMENTS
    not_local: str = ""

    @property
    def area(self) -> str:
        """The part of the name before the dot."""
        return self.name.partition(".")[0]

    def how_to_mend(self, environment: str) -> str:
        """`mend` for one environment."""
        return self.mend.format(stack=environment, foundation=foundation_stack(environment))


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check said about one environment (empty: about the machine or the repository)."""

    name: str
    stack: str
    verdict: Verdict
    asked: str
    said: str
    mend: str

    def as_dict(self) -> dict[str, Any]:
        """The finding as a JSON-able document."""
        return {
            "name": self.name,
            "stack": self.stack,
            "verdict": self.verdict,
            "asked": self.asked,
            "said": self.said,
            "mend": self.mend,
        }


def conclude(
    fine: str, *, problems: Iterable[str] = (), warnings: Iterable[str] = (), unseen: Iterable[str] = ()
) -> Judgement:
    """The judgement that follows from all that was found: the worst, and everything that is not fine in words."""
    bad, unclear, notable = list(problems), list(unseen), list(warnings)
    if not (bad or unclear or notable):
        return Judgement(Verdict.OK, fine)
    verdict = Verdict.FAILED if bad else Verdict.UNKNOWN if unclear else Verdict.WARNING
    return Judgement(verdict, "; ".join(one_line(word) for word in (*bad, *unclear, *notable)))


def seen(answers: Mapping[str, T | Unseen]) -> tuple[dict[str, T], list[str]]:
    """The answers that there are, and a sentence for those that could not be had: one per reason."""
    there = {name: answer for name, answer in answers.items() if not isinstance(answer, Unseen)}
    whose: dict[str, list[str]] = {}
    for name, answer in answers.items():
        if isinstance(answer, Unseen):
            whose.setdefault(answer.why, []).append(name)
    return there, [f"{', '.join(names)}: {why}" for why, names in whose.items()]
