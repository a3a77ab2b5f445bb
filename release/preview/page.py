"""Plans as one page for a browser: no scripts, nothing from elsewhere, light and dark, readable on a telephone.

Jinja escapes every text of the documents; the page's policy lets a browser run and load nothing but its own style.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from release.preview import lines
from release.preview.plan import PlanDocument
from release.preview.remarks import remarks
from release.text import one_line

_FOLDER: Final = Path(__file__).parent
_SIGNS: Final = {"-": "old", "+": "new", "#": "why"}


def page(documents: Iterable[PlanDocument]) -> str:
    """One self-contained page for all the stacks."""
    template, style = ((_FOLDER / name).read_text("utf-8") for name in ("page.html.j2", "page.css"))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["line"] = one_line
    # The hash is of exactly what stands between the tags.
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.from_string(template).render(
        documents=list(documents),
        style=Markup(style),  # noqa: S704 -- a file of ours
        style_hash=digest,
        show=lines,
        remarks=remarks,
        diff=_diff,
    )


def _diff(signed: Iterable[str]) -> Markup:
    """Lines of a diff, each in a colour and with its sign: the colour alone would not be seen by everybody."""
    shown = (
        Markup('<span class="{}">{} {}</span>').format(
            _SIGNS.get(line[:1], "plain"), line[:1].strip(), escape(one_line(line[1:]))
        )
        for line in signed
    )
    return Markup("<pre>{}</pre>").format(Markup().join(shown))
