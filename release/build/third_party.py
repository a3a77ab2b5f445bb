"""The table of docs/reference/shipped.md, from a build: `python -m release.build.third_party DIR` makes it anew."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any, Final

from release.build.builder import verify
from release.build.sbom import BOM_FILE

PAGE: Final = Path("docs/reference/shipped.md")
_HEADING: Final = """| package | licence | said by | licence text in the zip | function |
| --- | --- | --- | --- | --- |
"""


def renewed(text: str, folder: Path) -> str:
    """Return the page with the table of a build; what stands above the table is written by hand.

    Without versions: they are in the packages, and an update of versions alone needs no new page.
    """
    found: dict[tuple[str, ...], list[str]] = {}
    for function, entry in sorted(verify(folder).functions.items()):
        with zipfile.ZipFile(folder / entry.package) as package:
            for component in json.loads(package.read(BOM_FILE))["components"]:
                found.setdefault(_cells(component), []).append(function)
    rows = [f"| {' | '.join(cells)} | {', '.join(functions)} |\n" for cells, functions in sorted(found.items())]
    return text.partition(_HEADING)[0] + _HEADING + "".join(rows)


def _cells(component: dict[str, Any]) -> tuple[str, ...]:
    licence = component["licenses"][0]
    texts = [one["value"].rpartition("/")[2] for one in component["properties"]]
    by = "a person who read its text" if licence["acknowledgement"] == "concluded" else "its metadata"
    return component["name"], licence["expression"], by, ", ".join(texts) or "none in the wheel"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), Path(sys.argv[1])), encoding="utf-8")
