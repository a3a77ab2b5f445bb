"""Errors that people read: what happened, why, and what to do next. Each carries the exit code of `release`."""

from __future__ import annotations

from typing import Any, Protocol

from release.rules import RefusalRule


class ReadableError(Exception):
    """An error that a person reads.

    Args:
        what: One sentence that says what happened.
        why: The cause, as far as it is known.
        next_step: What to do now, best a command.
    """

    exit_code = 1

    def __init__(self, what: str, *, why: str = "", next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.next_step = next_step

    def as_dict(self) -> dict[str, Any]:
        """The error as a JSON-able document, for `--json`."""
        return {"exit_code": self.exit_code, "what": self.what, "why": self.why, "next_step": self.next_step}


def with_why(error: Exception) -> str:
    """What happened, and in brackets why, where that is known: for a sentence that has no line of its own for it."""
    why = getattr(error, "why", "")
    return f"{error} ({why})" if why else str(error)


class ReleaseError(ReadableError):
    """Something went wrong that a person can act on."""


class LeaseLost(ReadableError):  # noqa: N818 -- what happened, in the words of the ledger
    """Another run owns the environment by now: this one touches nothing any more, not even to go back (exit code 6).

    No `ReleaseError`: a step that failed is mended or taken back, and this run may do neither.
    """

    exit_code = 6


class UsageError(ReleaseError):
    """The command was called in a way that cannot work (exit code 2)."""

    exit_code = 2


class Refused(ReleaseError):  # noqa: N818 -- a refusal is an outcome of the lifecycle, and this is its name
    """A named rule forbids the release; nothing was changed (exit code 3).

    `report` is what was seen, for the summary of the workflow, where that is more than the reason.
    """

    exit_code = 3
    report: Reported | None = None

    def __init__(self, rule: RefusalRule, what: str, *, why: str = "", next_step: str = "") -> None:
        super().__init__(what, why=why, next_step=next_step)
        self.rule = rule.label

    def as_dict(self) -> dict[str, Any]:
        """The refusal with the name of its rule."""
        return {**super().as_dict(), "rule": self.rule}


class Reported(Protocol):
    """A report of `release.reports`, which lies above this module."""

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-able data."""
        ...


class _EndedError(ReleaseError):
    """A release that failed; `report` holds the numbers of the rollback."""

    def __init__(self, what: str, *, why: str = "", next_step: str = "", report: Reported | None = None) -> None:
        super().__init__(what, why=why, next_step=next_step)
        self.report = report

    def as_dict(self) -> dict[str, Any]:
        """The error with the report of the rollback."""
        return {**super().as_dict(), "report": self.report.as_dict() if self.report else {}}


class RolledBack(_EndedError):  # noqa: N818 -- the name of the state
    """The release failed and production is back, verified, on the confirmed one (exit code 4)."""

    exit_code = 4


class RollbackIncomplete(_EndedError):  # noqa: N818 -- an outcome, like the other two
    """The release failed and the way back did not complete: a person is needed (exit code 5)."""

    exit_code = 5
