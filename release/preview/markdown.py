"""A plan as Markdown: the comment on a pull request, within GitHub's limit, and all of it for the artifact. Pure.

The document may come from somebody who wants to write the comment: its text stands in code only (`release.text`),
and whatever does not fit is left out whole and counted, never cut silently.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from release.preview.lines import (
    CLASSES,
    LONGEST_NAME,
    OPS,
    SHORT_DIGEST,
    Lines,
    compared,
    cost_line,
    groups,
    notes,
    summary,
)
from release.preview.plan import PlanDocument, ResourceChange
from release.preview.remarks import Level, Remark, Subject, counted, remarks
from release.text import block, link, span

LIMIT: Final = 65_536
"""Characters of a comment on GitHub."""
ARTIFACT: Final = "previews"
"""The artifact of the run that holds everything."""
_RESERVE: Final = 1_000
"""For the line that counts what is not shown."""
_VALUE: Final = 300
_SUBJECTS: Final = 8
_ALERTS: Final = {Level.DANGER: "CAUTION", Level.WARNING: "WARNING", Level.NOTE: "NOTE"}


@dataclass(slots=True)
class _Piece:
    """Something that is shown in one of its forms, longest first, or not at all."""

    forms: tuple[str, ...]
    kind: str
    """The noun of what is counted when it is not shown."""
    under: str = ""
    """Heading that it shares with its neighbours."""
    shortened: int = 0
    """The number of values that the longest form shows without their end."""
    shown: int | None = None
    """The form that is shown; `None` for not at all."""


@dataclass(slots=True)
class _Section:
    """Pieces under one heading, which goes away with the last of them."""

    head: str
    pieces: list[_Piece] = field(default_factory=list)
    tail: str = ""

    @property
    def text(self) -> str:
        shown = [piece for piece in self.pieces if piece.shown is not None]
        inner = "".join(
            heading + "".join(piece.forms[piece.shown or 0] for piece in group)
            for heading, group in groupby(shown, key=lambda piece: piece.under)
        )
        return f"{self.head}{inner}{self.tail}" if inner else ""


def comment(document: PlanDocument, *, run_url: str, approval: str = "") -> str:
    """One comment for a pull request, at most `LIMIT` characters long; the artifact of the run holds all of the plan.

    `approval` says what is asked of whom, in Markdown of ours.
    """
    top, end = _top(document, approval), _end(document)
    sections = _sections(document, longest=_VALUE, subjects=_SUBJECTS)
    _fit(sections, LIMIT - _RESERVE - len(top) - len(end) - len(run_url))
    return f"{top}{''.join(section.text for section in sections)}{_left_out(sections, run_url)}{end}"


def full(document: PlanDocument) -> str:
    """All of a plan, however long."""
    sections = _sections(document, longest=None, subjects=None)
    for section in sections:
        for piece in section.pieces:
            piece.shown = 0
    return f"{_top(document, '')}{''.join(section.text for section in sections)}{_end(document)}"


def marker(stack: str) -> str:
    """The hidden line by which the comment of a stack is found again."""
    return f"<!-- sentiment-pipeline stack-preview/{stack} -->"


# -- what fits


def _fit(sections: Iterable[_Section], room: int) -> None:
    """Give every piece its shortest form and then its longest, as far as there is room, the first ones first."""
    pieces = [(section, piece) for section in sections for piece in section.pieces]
    opened: set[object] = set()
    for section, piece in pieces:
        frames = {id(section): len(section.head) + len(section.tail), (id(section), piece.under): len(piece.under)}
        needed = len(piece.forms[-1]) + sum(size for key, size in frames.items() if key not in opened)
        if needed <= room:
            room -= needed
            opened.update(frames)
            piece.shown = len(piece.forms) - 1
    for _, piece in pieces:
        needed = len(piece.forms[0]) - len(piece.forms[-1])
        if piece.shown is not None and needed <= room:
            room -= needed
            piece.shown = 0


def _left_out(sections: Iterable[_Section], run_url: str) -> str:
    pieces = [piece for section in sections for piece in section.pieces]
    gone = Counter(piece.kind for piece in pieces if piece.shown is None)
    folded = Counter(piece.kind for piece in pieces if piece.shown)
    shortened = sum(piece.shortened for piece in pieces if piece.shown == 0)
    words = [counted(number, kind) for kind, number in gone.items()]
    words += [f"the details of {counted(number, kind)}" for kind, number in folded.items()]
    words += [f"parts of {counted(shortened, 'long text')}"] if shortened else []
    if not words:
        return ""
    return f"Not shown here: {', '.join(words)}. The artifact `{ARTIFACT}` of {link(run_url)} holds all.\n\n"


# -- the sections


def _top(document: PlanDocument, approval: str) -> str:
    lines = [marker(document.stack), f"### Stack preview: {document.stack}", ""]
    lines += [f"**{summary(document)}.**" if not document.nothing else f"{summary(document)}.", ""]
    lines += [compared(document), ""]
    return "\n".join([*lines, *([approval.strip(), ""] if approval.strip() else []), ""])


def _end(document: PlanDocument) -> str:
    return f"Digest of the plan: {span(document.digest[:SHORT_DIGEST])}\n"


def _sections(document: PlanDocument, *, longest: int | None, subjects: int | None) -> list[_Section]:
    """Every section, the most important ones first: so they are read, and get room."""
    found = [*_alerts(remarks(document), subjects)]
    found += [_group(title, changes, longest, folds=folds) for title, changes, folds in groups(document)]
    alarms = [Lines(longest).alarm(one) for one in document.alarms]
    costs = [[cost_line(one)] for one in document.costs]
    for title, language, things, kind in (("Alarms", "diff", alarms, "alarm"), ("Costs", "text", costs, "cost")):
        blocks = (f"{block(lines, language)}\n\n" for lines in things)
        found.append(_Section(f"#### {title}\n\n", [_Piece(forms=(one,), kind=kind) for one in blocks]))
    return found


def _alerts(found: Iterable[Remark], subjects: int | None) -> Iterator[_Section]:
    for level, group in groupby(found, key=lambda remark: remark.level):
        pieces = []
        for remark in group:
            listed = [f"> - {_subject(one, subjects)}" for one in remark.subjects[:subjects]]
            more = len(remark.subjects) - len(listed)
            listed += [f"> - and {more} more"] if more else []
            forms = ("\n".join([f"> {remark.text}", *listed, ">", ""]), f"> {remark.text}\n>\n")
            pieces.append(_Piece(forms=forms if listed else forms[1:], kind="remark"))
        yield _Section(head=f"> [!{_ALERTS[level]}]\n", pieces=pieces, tail="\n")


def _subject(subject: Subject, most: int | None) -> str:
    """A thing that a remark is about; `most` values, or all of them and as long as they are."""
    longest = None if most is None else LONGEST_NAME
    values = ", ".join(span(value, longest) for value in subject.values[:most])
    more = len(subject.values[most:]) if most is not None else 0
    rest = f" and {more} more" if more else ""
    return " ".join(filter(None, (span(subject.name, longest), subject.relation, values + rest)))


def _group(title: str, changes: list[ResourceChange], longest: int | None, *, folds: bool) -> _Section:
    """One section for the changes of a group."""
    if folds:
        count = counted(len(changes), "resource")
        section = _Section(head=f"<details>\n<summary>{title}: {count}</summary>\n\n", tail="</details>\n\n")
    else:
        section = _Section(head=f"#### {title}\n\n")
    for one in changes:
        name = None if longest is None else LONGEST_NAME
        lines = Lines(longest)
        line = f"- {_line(one, name)}\n"
        differences = lines.resource(one)
        fence = "\n".join(f"  {text}" for text in block(differences, "diff").splitlines())
        section.pieces.append(
            _Piece(
                forms=(f"{line}\n{fence}\n\n", f"{line}\n") if differences else (f"{line}\n",),
                kind="resource",
                under=f"**{span(one.component, name)}**\n\n" if one.component else "**outside of components**\n\n",
                shortened=lines.shortened,
            )
        )
    return section


def _line(change: ResourceChange, longest: int | None) -> str:
    """Return the line of a resource without its differences; names of at most `longest` characters."""
    op = OPS.get(change.op)
    words = (
        f"**{op}**" if op else span(change.op, longest),
        span(change.short_type, longest),
        span(change.name, longest),
        f"({', '.join([CLASSES[change.change], *notes(change)])})",
    )
    return " ".join(filter(None, words))
