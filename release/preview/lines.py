"""What every renderer shows of a plan, in the same words: sums, groups, and the lines of each difference. Pure.

Markdown, terminal and page each escape these texts in their own way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from release.preview.plan import GONE, SEVERITY, Alarm, Cost, PlanDocument, ResourceChange
from release.preview.remarks import counted, money
from release.preview.statements import statement_lines
from release.pulumi.changes import REPLACED, Impact
from release.text import one_line, span

SHORT_DIGEST: Final = 12

OPS: Final = {
    "create": "create",
    "create-replacement": "create anew",
    "delete": "delete",
    "delete-replaced": "delete the replaced",
    "import": "import",
    "replace": "replace",
    "update": "update",
}
CLASSES: Final = {
    Impact.DESTRUCTIVE: "destructive",
    Impact.SHARED: "takes effect at once",
    Impact.ADDITIVE: "new",
    Impact.CANDIDATE_ONLY: "only the candidate",
}
_COMPARED: Final = {
    "state": "the stack's state",
    "published": "the published copy of the stack's state",
    "base": "the program of the base",
    "empty": "nothing: no copy and no base",
}
_OPEN: Final = 30
"""More changes than these are folded: the remarks above them are what a reviewer reads."""
LONGEST_NAME: Final = 120


@dataclass(slots=True)
class Lines:
    """Lines of a diff with values of at most `longest` characters, and how many were longer."""

    longest: int | None = None
    shortened: int = 0

    def value(self, sign: str, path: str, value: str) -> str:
        """One side of a difference."""
        text = one_line(value)
        if self.longest is not None and len(text) > self.longest:
            self.shortened += 1
            text = one_line(text, self.longest)
        return f"{sign} {one_line(path)}: {text}"

    def resource(self, change: ResourceChange) -> list[str]:
        """Return the lines of the differences of a resource."""
        lines = []
        for prop in change.properties:
            lines += [] if prop.old is None else [self.value("-", prop.path, prop.old)]
            lines += [] if prop.new is None else [self.value("+", prop.path, prop.new)]
        lines += [self.value(*line) for line in statement_lines(change.statements)]
        if change.op in REPLACED and change.forced_by:
            lines.append(f"# forces replacement: {', '.join(map(one_line, change.forced_by))}")
        if change.computed:
            lines.append(f"# known after the update: {', '.join(map(one_line, change.computed))}")
        return lines

    def alarm(self, alarm: Alarm) -> list[str]:
        """Return the condition of an alarm before and after."""
        sides = (("-", alarm.before), ("+", alarm.after))
        return [self.value(sign, alarm.name, side) for sign, side in sides if side is not None]


def summary(document: PlanDocument) -> str:
    """Return the number of changes in words: nothing in it comes from the document but numbers."""
    counts = document.counts
    named = ((counts[change], CLASSES[change]) for change in SEVERITY if counts[change])
    words = [counted(number, text, text.replace("takes", "take")) for number, text in named]
    costs = [f"{money(document.monthly_usd)} USD a month"] if document.monthly_usd else []
    rest = [f"{document.unchanged} unchanged", *costs]
    return "; ".join([", ".join(words) or "No change", *rest])


def compared(document: PlanDocument) -> str:
    """Return the two sides of the comparison, as Markdown."""
    against = document.against
    head = f"Head {span(document.head.sha[:SHORT_DIGEST])} compared with {_COMPARED[against.kind]}"
    commit = f" at {span(against.sha[:SHORT_DIGEST])}" if against.sha else ""
    when = f", made {span(against.at, LONGEST_NAME)}" if against.at else ""
    return f"{head}{commit}{when}."


def groups(document: PlanDocument) -> Iterator[tuple[str, list[ResourceChange], bool]]:
    """The changes as they are read: title, changes with the most severe first, and whether a reader opens them.

    Those of a component stand together, where the first of them is.
    """
    gone = [one for one in document.changes if one.op in GONE]
    stay = [one for one in document.changes if one.op not in GONE]
    own = [one for one in stay if not one.follows]
    ahead = [one for one in own if one.change is not Impact.CANDIDATE_ONLY]
    for title, changes, folds in (
        ("Deleted or replaced", gone, False),
        ("Changed or new", ahead, len(ahead) > _OPEN),
        ("Only the candidate", [one for one in own if one.change is Impact.CANDIDATE_ONLY], True),
        ("Changes only because something that it refers to does", [one for one in stay if one.follows], True),
    ):
        if changes:
            components = [one.component for one in changes]
            yield title, sorted(changes, key=lambda one: components.index(one.component)), folds


def cost_line(one: Cost) -> str:
    """A price that changes, on one line."""
    return f"{one.what}: {one.before:g} -> {one.after:g} ({money(one.delta)} USD a month)"


def notes(change: ResourceChange) -> list[str]:
    """Return notes on a resource beside its class."""
    found = ["protected"] if change.protected else []
    return [*found, "stays in the cloud"] if change.retained and change.op == "delete" else found


def lists(document: PlanDocument) -> list[tuple[str, list[str]]]:
    """Return the lists beside the resources: title and lines, a sign or a space at the start of each line."""
    found = (
        ("Alarms", [line for alarm in document.alarms for line in Lines().alarm(alarm)]),
        ("Costs", [f"  {cost_line(one)}" for one in document.costs]),
    )
    return [(title, lines) for title, lines in found if lines]
