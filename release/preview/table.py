"""A plan for the terminal: what to look at, what changes, and how. It reads at 80 columns, with or without colours.

Text of the document is added as plain text, never as markup, and folds where it is too long: nothing is cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from release.preview.lines import CLASSES, OPS, SHORT_DIGEST, Lines, compared, lists, notes, summary
from release.preview.plan import GONE, PlanDocument, ResourceChange
from release.preview.remarks import Level, Remark, Subject, named, remarks
from release.pulumi.changes import Impact
from release.text import one_line

_LEVELS: Final = {Level.DANGER: "bold red", Level.WARNING: "yellow", Level.NOTE: "dim"}
_CLASSES: Final = {
    Impact.DESTRUCTIVE: "red",
    Impact.SHARED: "yellow",
    Impact.ADDITIVE: "green",
    Impact.CANDIDATE_ONLY: "dim",
}
_SIGNS: Final = {"-": "red", "+": "green", "#": "dim"}


def picture(document: PlanDocument) -> RenderableType:
    """All of a plan, for `rich.console.Console.print`."""
    parts: list[RenderableType] = [
        Text(f"Stack preview: {document.stack}", style="bold"),
        Text(f"{summary(document)}."),
        _plain(compared(document).replace("`", "")),
    ]
    for remark in remarks(document):
        parts += ["", *_remark(remark)]
    if document.changes:
        parts += ["", _changes(document), *_differences(document)]
    for title, listed in lists(document):
        parts += ["", Text(title, style="bold"), _diff(listed)]
    parts += ["", _plain(f"Digest of the plan: {document.digest[:SHORT_DIGEST]}")]
    return Group(*parts)


def _remark(remark: Remark) -> list[RenderableType]:
    style = _LEVELS[remark.level]
    first = Text.assemble((f"{remark.level.value}: ", style), remark.text)
    return [first, *(Padding(_plain(_subject(one)), (0, 0, 0, 2)) for one in remark.subjects)]


def _subject(subject: Subject) -> str:
    words = (subject.name, subject.relation, ", ".join(subject.values))
    return " ".join(filter(None, map(one_line, words)))


def _changes(document: PlanDocument) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("What", overflow="fold", min_width=7)
    table.add_column("Resource", overflow="fold")
    table.add_column("How", overflow="fold", min_width=10)
    for change in document.changes:
        table.add_row(
            _plain(OPS.get(change.op, change.op)),
            _plain(named(change)),
            Text(_how(change), style=_CLASSES[change.change]),
        )
    return table


def _how(change: ResourceChange) -> str:
    lost = ["data is lost"] if change.loses_data else []
    follows = ["follows"] if change.follows and change.op not in GONE else []
    return ", ".join([CLASSES[change.change], *lost, *notes(change), *follows])


def _differences(document: PlanDocument) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for change in document.changes:
        lines = Lines().resource(change)
        if lines:
            where = f" in {change.component}" if change.component else ""
            heading = Text(one_line(f"{named(change)}{where}"), style="bold", overflow="fold")
            parts += ["", heading, _diff(lines)]
    return parts


def _diff(lines: Iterable[str]) -> RenderableType:
    """Lines of a diff; what does not fit goes on below, further in."""
    rows = Table.grid(padding=(0, 1, 0, 0))
    rows.add_column(width=1)
    rows.add_column(overflow="fold")
    for line in lines:
        sign, text = line[:1], one_line(line[1:])
        rows.add_row(Text(sign.strip(), style=_SIGNS.get(sign, "")), Text(text, overflow="fold"))
    return Padding(rows, (0, 0, 0, 2))


def _plain(text: str) -> Text:
    return Text(one_line(text), overflow="fold")
