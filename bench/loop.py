"""Measures the loop of who works on this: `bench/loop.py [FOLDER] [--only help,check]` (everything: some 20 minutes).

Prints a table in Markdown of a clone, this one unless another folder is named, whose tools are set up: wall and CPU
seconds of the commands, and the structure of the packages. To compare two commits, measure two clones one after the
other on the same quiet machine. Measures only; nothing here passes or fails.
"""

import argparse
import ast
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.machine import described  # noqa: E402
from localcloud.rehearsal.broken_releases import head  # noqa: E402

COMMANDS = {
    "help": (".venv/bin/release --help", 7),
    "check": ("make check", 1),
    "demo": ("make demo", 1),
    "test": ("make test", 1),
}
PRODUCT = ("release", "localcloud", "components")


def timed(clone: Path, command: str) -> tuple[float, float]:
    """Wall and CPU seconds of a command and all that it waited for."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command.split(), cwd=clone, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def room_of(package: str, file: Path, clone: Path) -> str:
    return file.relative_to(clone / package).with_suffix("").parts[0]


def imports(package: str, file: Path, rooms: set[str]) -> Iterator[str]:
    """The rooms (modules and packages at the top of a package) that one file imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.ImportFrom) or not node.module or node.module.split(".")[0] != package:
            continue
        inner = node.module.split(".")[1:2]
        yield from inner or (name.name for name in node.names if name.name in rooms)


def structure(clone: Path) -> None:
    print("| package | lines | modules | rooms | imports between rooms | modules of each room |")
    print("|---|---|---|---|---|---|")
    for package in PRODUCT:
        files = sorted((clone / package).rglob("*.py"))
        rooms = {room_of(package, file, clone) for file in files}
        edges = {
            (room_of(package, file, clone), other)
            for file in files
            for other in imports(package, file, rooms)
            if other != room_of(package, file, clone)
        }
        counts = {room: sum(room_of(package, file, clone) == room for file in files) for room in sorted(rooms)}
        lines = sum(len(file.read_text().splitlines()) for file in files)
        named = ", ".join(f"{room} {count}" for room, count in counts.items() if count > 1)
        print(f"| {package} | {lines:,} | {len(files)} | {len(rooms)} | {len(edges)} | {named} |")


def commands(clone: Path, wanted: list[str]) -> None:
    print("\n| command | wall, s | CPU, s | runs |\n|---|---|---|---|")
    for name in wanted:
        command, runs = COMMANDS[name]
        measured = [timed(clone, command) for _ in range(runs)]
        wall, cpu = (statistics.median(part) for part in zip(*measured, strict=True))
        digits = 2 if wall < 10 else 0
        print(f"| `{command}` | {wall:.{digits}f} | {cpu:.{digits}f} | {runs} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT)
    parser.add_argument("--only", default=",".join(COMMANDS), help="commands to time, with commas; empty for none")
    options = parser.parse_args()
    clone = options.folder.resolve()
    print(f"Clone at {head(clone)[:12]}, load {os.getloadavg()[0]:.1f} before. Measured by:")
    print(f"{described()}\n")
    structure(clone)
    commands(clone, [name for name in options.only.split(",") if name])


if __name__ == "__main__":
    main()
