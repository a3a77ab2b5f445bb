"""docs/reference/shipped.md, from the bills of materials in a build: `python -m release.build.third_party DIR`."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

from release.build.builder import verify
from release.build.licenses import ALLOWED
from release.build.sbom import BOM_FILE, LICENSE_FIELD, LICENSE_TEXT, components


def document(folder: Path) -> str:
    """The page: what each function ships besides its own files, under which licence.

    Without versions: they are in the packages, and an update of versions alone needs no new page.

    Args:
        folder: What `release build` made.
    """
    found: dict[tuple[str, ...], list[str]] = {}
    for function, entry in sorted(verify(folder).functions.items()):
        with zipfile.ZipFile(folder / entry.package) as package:
            for component in components(package.read(BOM_FILE)):
                found.setdefault(_cells(component), []).append(function)
    rows = [f"| {' | '.join(cells)} | {', '.join(functions)} |" for cells, functions in sorted(found.items())]
    return "\n".join(
        [
            "# What is shipped",
            "",
            "The third-party packages in each zip, with their licences. The page is made from a build; tests compare",
            "it with the locks and with a build:",
            "",
            "```sh",
            "release build --sha HEAD --out dist/packages",
            "python -m release.build.third_party dist/packages > docs/reference/shipped.md",
            "unzip -p dist/packages/ingestion-*.zip bom.cdx.json    # the same for machines, with versions and digests",
            "```",
            "",
            f"Allowed are {', '.join(sorted(ALLOWED))}",
            "([the list](../../release/build/licenses.py)). The build refuses a package by name if its licence is not",
            "among them or cannot be determined. Code of others inside a package is not listed.",
            "",
            "| package | licence | said by | licence text in the zip | function |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )


def _cells(component: dict[str, Any]) -> tuple[str, ...]:
    licence = component["licenses"][0]
    said: dict[str, list[str]] = {}
    for one in component["properties"]:
        said.setdefault(one["name"], []).append(one["value"])
    texts = [text.rpartition("/")[2] for text in said.get(LICENSE_TEXT, [])]
    by = "a person who read its text" if licence["acknowledgement"] == "concluded" else said[LICENSE_FIELD][0]
    return component["name"], licence["expression"], by, ", ".join(texts) or "none in the wheel"


if __name__ == "__main__":
    sys.stdout.write(document(Path(sys.argv[1])))
