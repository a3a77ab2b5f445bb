"""Gives an artifact to the local GitHub."""

import io
import sys
import zipfile
from pathlib import Path

from run import Run


def main() -> None:
    """Pack a file, or the files of a folder; a name can be given once in a run, unless the step overwrites it."""
    name, source, missing, hidden, overwrite = sys.argv[1:]
    place = Path(source)
    root = place if place.is_dir() else place.parent
    found = sorted(file for file in ([place] if place.is_file() else place.rglob("*")) if file.is_file())
    if hidden != "true":
        found = [file for file in found if not any(part.startswith(".") for part in file.parts)]
    if not found:
        sys.stdout.write(f"{missing}: no files in {source}\n")
        sys.exit(missing == "error")
    run = Run()
    number = run.told["run"]["id"]
    if overwrite != "true" and run.ask(f"/actions/runs/{number}/artifacts", name=name)["artifacts"]:
        sys.exit(f"this run has an artifact {name} already")
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in found:
            packed.write(file, file.relative_to(root))
    address = f"{run.told['github']}/_localcloud/runs/{number}/artifacts/{name}"
    run.github.put(address, content=body.getvalue()).raise_for_status()


if __name__ == "__main__":
    main()
