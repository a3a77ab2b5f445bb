"""What people see of a rehearsal: a live table of its steps on a terminal, elsewhere a line for each step that ends.

A command tells of its progress by lines that begin with a mark (`▸` began, `✓` done, `✗` failed, `!` a warning), as
`release` writes them, or by the result of one test. Everything else that it says is in its log only.
"""

import re
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

_PROGRESS = re.compile(r"(?P<mark>[▸✓✗!]) (?P<text>.*?)(?: (?P<seconds>\d+\.\d) s)?$")
_TEST = re.compile(r"\s*(?P<file>\S+)\.py::.* (?P<result>PASSED|FAILED|ERROR|SKIPPED)\b")
_MADE = re.compile(r"\s*\+\s+\S+ \S+ created\b")
_SHORT_SECONDS: Final = 0.5
"""A part of a step that took less is not worth a line."""
_FRAMES_PER_SECOND: Final = 4
_OTHER_COLUMNS: Final = 19
"""Of the table, beside the title."""
_OTHER_LINES: Final = 3
"""Of the screen, above and below the table."""
_WIDTH: Final = 100
"""Columns where there is no terminal."""


class Mark(StrEnum):
    """The state of a step, as it is shown."""

    WAITING = "·"
    RUNNING = "▸"
    DONE = "✓"
    FAILED = "✗"


_STYLES: Final = {Mark.WAITING: "dim", Mark.RUNNING: "bold", Mark.DONE: "green", Mark.FAILED: "red"}


@dataclass(kw_only=True, eq=False)
class Step:
    """One step: where it happens, what it is, and how far it has got."""

    number: int
    place: str
    title: str
    mark: Mark = Mark.WAITING
    began: float = 0.0
    seconds: float = 0.0
    doing: str = ""
    """The part of it that runs."""
    result: str = ""
    tests: Counter[str] = field(default_factory=Counter)
    """Tests that passed, by file."""
    made: int = 0
    """Resources that `pulumi up` has made."""

    @property
    def slug(self) -> str:
        """A name for files: number, place and the first word of the title."""
        return f"{self.number:02}-{self.place}-{re.split(r'[^a-z0-9]', self.title)[0]}"

    @property
    def counted(self) -> str:
        """How many tests passed, and in which files."""
        files = (f"{file.removeprefix('test_').removesuffix('_preprod')} {n}" for file, n in self.tests.items())
        return f"{self.tests.total()} passed: {', '.join(files)}"


class Screen:
    """Shows the steps. Safe to share between threads.

    Args:
        console: Where to; whether it is a terminal decides on the form.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.RLock()
        self._began = time.monotonic()
        self._steps: list[Step] = []
        self._over = False

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    @contextmanager
    def shown(self) -> Generator[None]:
        """Keep the table up to date on a terminal, for the time of a `with` block; at its end the whole is left."""
        if not self._console.is_terminal:
            yield
            return
        with Live(get_renderable=self._table, console=self._console, refresh_per_second=_FRAMES_PER_SECOND):
            try:
                yield
            finally:
                self._over = True

    def step(self, place: str, title: str) -> Step:
        """Add a step that waits."""
        with self._lock:
            step = Step(number=len(self._steps) + 1, place=place, title=title)
            self._steps.append(step)
        return step

    def begin(self, step: Step) -> None:
        """Tell that a step begins."""
        with self._lock:
            step.mark, step.began = Mark.RUNNING, time.monotonic()

    def tell(self, step: Step, line: str) -> None:
        """Take a line that the step's command wrote."""
        with self._lock:
            if test := _TEST.match(line):
                if test["result"] == "PASSED":
                    step.tests[test["file"]] += 1
                step.doing = f"{step.tests.total()} tests passed"
            elif _MADE.match(line):
                step.made += 1
                step.doing = f"{step.made} resources made"
            elif progress := _PROGRESS.match(line):
                self._part(step, progress["mark"], progress["text"], progress["seconds"])

    def end(self, step: Step, *, failed: bool = False, result: str = "") -> None:
        """Tell that a step has ended, and how."""
        with self._lock:
            step.mark, step.seconds = Mark.FAILED if failed else Mark.DONE, time.monotonic() - step.began
            step.result, step.doing = result, ""
            self._line(step.mark, step.place, step.title, f"{step.seconds:.1f} s")
            if result:
                self._line(" ", "", result)

    def _part(self, step: Step, mark: str, text: str, seconds: str | None) -> None:
        """Take the beginning or the end of a part of a step."""
        step.doing = text if mark == "▸" else step.doing
        if mark in "✗!" or (seconds and float(seconds) >= _SHORT_SECONDS):
            self._line(" ", step.place, f"{mark} {text}", f"{seconds} s" if seconds else "")

    def _line(self, mark: str, place: str, text: str, seconds: str = "") -> None:
        """Print a line where there is no table."""
        if not self._console.is_terminal:
            taken = f"  ({seconds})" if seconds else ""
            line = f"{self.seconds:6.1f} s {mark} {place:<8} {text}{taken}"
            self._console.print(line, markup=False, soft_wrap=True)

    def _table(self) -> RenderableType:
        """Return the steps as they stand: as many as have room, the latest of them; all of them in the end."""
        width, room = self._console.width - _OTHER_COLUMNS, self._console.height - _OTHER_LINES
        with self._lock:
            begun = [step for step in self._steps if step.mark is not Mark.WAITING]
            rows = [_row(step, width) for step in begun]
            waiting = len(self._steps) - len(begun)
        hidden = 0
        while not self._over and sum(len(lines) for _, lines, _ in rows) > room and len(rows) > 1:
            rows.pop(0)
            hidden += 1
        table = Table.grid(padding=(0, 1))
        for column in (1, 7, width):
            table.add_column(width=column, no_wrap=True)
        table.add_column(width=7, justify="right")
        for step, (title, *below), seconds in rows:
            cell = Text(title, style="bold" if step.mark is Mark.RUNNING else "")
            cell.append("".join(f"\n{line}" for line in below), style="dim")
            table.add_row(Text(step.mark, style=_STYLES[step.mark]), Text(step.place, style="cyan"), cell, seconds)
        above = [Text(f"… {hidden} earlier steps", style="dim")] if hidden else []
        below = f"{waiting} more to come, {self.seconds:.0f} s so far" if waiting else f"{self.seconds:.0f} s"
        return Group(*above, table, Text(below, style="dim"))


def _row(step: Step, width: int) -> tuple[Step, list[str], str]:
    """Return a step with its lines, of `width` at most, and its seconds."""
    seconds = time.monotonic() - step.began if step.mark is Mark.RUNNING else step.seconds
    cut = [textwrap.shorten(line, width, placeholder="…") for line in (step.title, step.doing) if line]
    return step, [*cut, *textwrap.wrap(step.result, width)], f"{seconds:.1f} s"


def console() -> Console:
    """Return the console of a rehearsal: stderr, which no pipe of results takes."""
    return Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else _WIDTH)
