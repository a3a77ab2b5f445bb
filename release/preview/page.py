"""Plans as one page for a browser: no scripts, nothing from elsewhere, light and dark, readable on a telephone.

Jinja escapes every text of the documents; the page's policy lets a browser run and load nothing but its own style.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from release.preview.markdown import CLASSES, OPS, Lines, by_component, code_line, compared, cost_line, groups, summary
from release.preview.plan import PlanDocument, ResourceChange
from release.preview.remarks import Remark, counted, remarks
from release.text import one_line

_FOLDER: Final = Path(__file__).parent
_SIGNS: Final = {"-": "old", "+": "new", "#": "why"}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Group:
    title: str
    open: bool
    size: str
    components: Sequence[tuple[str, Sequence[tuple[ResourceChange, list[str]]]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """What the page shows of one document."""

    document: PlanDocument
    summary: str
    compared: str
    remarks: tuple[Remark, ...]
    groups: tuple[_Group, ...]
    lists: tuple[tuple[str, list[str]], ...]


def page(documents: Iterable[PlanDocument]) -> str:
    """One self-contained page for all the stacks."""
    template, style = _files()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["line"] = one_line
    # The hash is of exactly what stands between the tags.
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.from_string(template).render(
        plans=[_plan(document) for document in documents],
        style=Markup(style),  # noqa: S704 -- a file of ours
        style_hash=digest,
        ops=OPS,
        classes=CLASSES,
        diff=_diff,
    )


@cache
def _files() -> tuple[str, str]:
    return (_FOLDER / "page.html.j2").read_text("utf-8"), (_FOLDER / "page.css").read_text("utf-8")


def _plan(document: PlanDocument) -> _Plan:
    lines = Lines()
    lists = (
        ("Alarms", [line for alarm in document.alarms for line in lines.alarm(alarm)]),
        ("Costs", [f"  {cost_line(one)}" for one in document.costs]),
        ("Code", [f"  {code_line(one)}" for one in document.code]),
        ("The engine says", [f"  {warning}" for warning in document.warnings]),
    )
    return _Plan(
        document=document,
        summary=f"{summary(document)}.",
        compared=compared(document).replace("`", ""),
        remarks=remarks(document),
        groups=tuple(
            _Group(
                title=title,
                open=not folds,
                size=counted(len(changes), "resource", "resources"),
                components=[
                    (component, [(change, Lines().resource(change)) for change in inner])
                    for component, inner in by_component(changes)
                ],
            )
            for title, changes, folds in groups(document)
        ),
        lists=tuple((title, listed) for title, listed in lists if listed),
    )


def _diff(lines: Iterable[str]) -> Markup:
    """Lines of a diff, each in a colour and with its sign: the colour alone would not be seen by everybody."""
    shown = (
        Markup('<span class="{}">{} {}</span>').format(
            _SIGNS.get(line[:1], "plain"), line[:1].strip(), escape(one_line(line[1:]))
        )
        for line in lines
    )
    return Markup("<pre>{}</pre>").format(Markup().join(shown))
