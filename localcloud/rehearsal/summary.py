"""What a rehearsal came to, for people and for machines."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

_KEYS: Final = ("from", "to", "verified", "detected_s", "traffic_restored_s", "converged_s")
_CAUGHT: Final = {"DARK": "in the dark", "CANARY": "at 10 %", "LIVE": "at 100 %"}


@dataclass(kw_only=True)
class RehearsedFailure:
    """A broken release, and how production got rid of it."""

    name: str
    story: str
    report: dict[str, Any]
    """What `release promote` reports of the rollback."""
    requests: int
    """Requests of users while it was promoted."""
    failed_requests: int
    caught: str = ""
    """The state of the ledger in which the canary failed it."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """A whole rehearsal."""

    seconds: float
    clock: str
    confirmed: dict[str, Any]
    """The confirmed release of each stack, as `release status` tells it."""
    failures: list[RehearsedFailure]
    """The release that was caught in the dark, and the one that was caught at 10 %."""
    tests: dict[str, int]
    """Tests that the healthy release passed in preprod, by file."""
    steps: list[dict[str, Any]]


def for_machines(story: Story) -> dict[str, Any]:
    """Return the document of `.localcloud/demo.json`: `rollback` tells of the failure at 10 % of the traffic."""
    in_the_dark, canary = story.failures
    named = {"rollback": canary, "rollback_in_the_dark": in_the_dark}
    return {
        "seconds": round(story.seconds, 1),
        "clock": story.clock,
        "stacks": {stack: {"confirmed": confirmed} for stack, confirmed in story.confirmed.items()},
        **{name: {key: failure.report[key] for key in _KEYS} for name, failure in named.items()},
        "users": {
            name: {"requests": failure.requests, "failed": failure.failed_requests} for name, failure in named.items()
        },
        "tests": story.tests,
        "steps": story.steps,
    }


def for_people(story: Story) -> Iterator[RenderableType]:
    """Return the parts of the summary, to be printed one below the other."""
    confirmed = story.confirmed["prod"]
    yield Text(f"\nWhat happened ({story.seconds:.0f} s, clock {story.clock})", style="bold")
    yield Text(
        f"Commit {confirmed['sha'][:12]} was built once and passed {sum(story.tests.values())} tests in preprod; "
        "production runs the same bytes. Two broken releases passed the same tests, and the canary in production "
        "failed both. They were rolled back automatically, and verified by reading the cloud:"
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("", "caught", "detected", "traffic back", "stack back", "failed for users"):
        table.add_column(column, justify="left" if column in ("", "caught") else "right")
    for failure in story.failures:
        report = failure.report
        seconds = (f"{report[key]:.1f} s" for key in ("detected_s", "traffic_restored_s", "converged_s"))
        failed = f"{failure.failed_requests} of {failure.requests}"
        table.add_row(failure.name, _CAUGHT[failure.caught], *seconds, failed)
    yield table
    for failure in story.failures:
        yield Text(f"{failure.name} ({failure.story}): {failure.report['reason']}")
    yield Text(f"The dashboard: {confirmed['dashboard_url']}health\nLook around, or end the local cloud:")
