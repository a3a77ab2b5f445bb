"""Watching a release take traffic: look again and again until the window ends. Fails fast.

Each kind of look knows on its own what it has seen (a verdict), whether its last look could be taken, when too many in
a row could not, and whether it has seen enough (`done`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final

from release.analysis.verdict import Outcome, Verdict, worst
from release.clock import Clock
from release.console import Console
from release.settings import ReleaseSettings

_SAY_EVERY_S: Final = 10.0


class Watcher(ABC):
    """One kind of look at a release, taken again and again.

    `silent_limit` looks in a row that could not be taken are too many.
    """

    silent = 0
    """Looks in a row, until now, that could not be taken."""

    def __init__(self, silent_limit: int) -> None:
        self.silent_limit = silent_limit

    @abstractmethod
    def take(self) -> None:
        """Look once."""

    @abstractmethod
    def verdict(self) -> Verdict:
        """Return what all looks so far say."""

    @property
    def done(self) -> bool:
        """Whether the window may end, as far as this look knows: the last could be taken, and it has seen enough."""
        return self.silent == 0

    @property
    def given_up(self) -> bool:
        """Whether too many looks in a row could not be taken."""
        return self.silent >= self.silent_limit


def watch(
    looks: Sequence[Watcher],
    settings: ReleaseSettings,
    clock: Clock,
    console: Console,
    *,
    patient: bool = False,
    between: Callable[[], None] = lambda: None,
) -> list[Verdict]:
    """Look until every look has seen enough; the verdict of each. `between` is called before all looks.

    A `fail` ends it at once. So does a look that could not be taken too often in a row (its verdict is then the first),
    unless the watch is `patient`: then the others are looked at to the end.
    """
    began = spoke = clock.monotonic()
    while True:
        between()
        for look in looks:
            look.take()
        given_up = [look for look in looks if look.given_up]
        verdicts = [look.verdict() for look in sorted(looks, key=lambda look: not look.given_up)]
        failed = worst(verdict.outcome for verdict in verdicts) is Outcome.FAIL
        over = all(look.done or look.given_up for look in looks)
        if failed or over or (given_up and not patient):
            return verdicts
        if clock.monotonic() - spoke > _SAY_EVERY_S / max(1.0, clock.scale / 4):
            spoke = clock.monotonic()
            told = "; ".join(f"{verdict.subject}: {verdict.why}" for verdict in verdicts)
            console.detail(f"after {clock.elapsed(began):.0f} of about {settings.watch_s:.0f} s: {told}")
        clock.sleep(settings.watch_poll_s)
