"""What people see while a command runs: one line per step, details below it, all on stderr.

stdout belongs to the result, so that `--json` prints exactly one document. On a terminal the running step shows its
seconds; elsewhere (a CI log) a line says that it still runs when nothing else was said for ten.

Output that cannot be written any more (`| head`, a full disk) interrupts the command once, as Ctrl-C does: a release
that has begun goes back. What is said after that is dropped, so that it gets to its end.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import IO, Final, NoReturn

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.table import Table

_STILL_EVERY_S: Final = 10.0
_PIPED_WIDTH: Final = 200


def result(*, stderr: bool = False) -> RichConsole:
    """Where tables for people go: with room for long lines where nobody can scroll a terminal sideways."""
    out = RichConsole(highlight=False, stderr=stderr)
    return out if out.is_terminal else RichConsole(highlight=False, width=_PIPED_WIDTH, stderr=stderr)


def columns(*names: str) -> Table:
    """A table without lines for people, in which only the text of the last column is broken between words."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=name != names[-1])
    return table


class _Rich(RichConsole):
    def on_broken_pipe(self) -> NoReturn:
        """Fail as for any other reason; rich would end the process without a way back."""
        raise  # noqa: PLE0704 -- rich calls this while it handles the error


def drop(stream: IO[str]) -> None:
    """Let everything that is still written to a stream go nowhere: its reader is gone, or its disk is full."""
    with contextlib.suppress(OSError, ValueError):  # it has no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class Console:
    """Progress for people."""

    def __init__(self, rich: RichConsole | None = None) -> None:
        self._rich = rich or _Rich(stderr=True, highlight=False, soft_wrap=True)
        self._lock = threading.Lock()
        self._lost = False
        self.interrupts = True
        """Whether output that is lost interrupts the command; a rollback goes on without it."""
        self._printed_at = 0.0

    @contextmanager
    def step(self, title: str) -> Generator[None]:
        """One step of a command: announced, shown while it runs, closed with how long it took (real seconds)."""
        began = time.monotonic()
        self._print(f"[bold]▸[/] {escape(title)}")
        over = threading.Event()
        teller = threading.Thread(target=self._tell, args=(title, began, over), daemon=True)
        teller.start()
        mark = "[red]✗[/]"
        try:
            yield
            mark = "[green]✓[/]"
        finally:
            over.set()
            teller.join()
            self._print(f"{mark} {escape(title)} [dim]{time.monotonic() - began:.1f} s[/]")

    def detail(self, line: str) -> None:
        """A line that belongs to the running step."""
        self._print(f"  [dim]{escape(line)}[/]")

    def line(self, line: str) -> None:
        """A line of its own."""
        self._print(escape(line))

    def warn(self, line: str) -> None:
        """A line that stands out."""
        self._print(f"[yellow]![/] {escape(line)}")

    def error(self, what: str, why: str, next_step: str) -> None:
        """What happened, why, and what to do now."""
        self._print(
            f"[red]✗ {escape(what)}[/]",
            *([f"  why:  {escape(why)}"] if why else []),
            *([f"  next: {escape(next_step)}"] if next_step else []),
        )

    def _print(self, *lines: str) -> None:
        with self._lock:
            try:
                for line in lines:
                    self._rich.print(line)
            except OSError:
                self._lost = self._rich.quiet = True
                drop(self._rich.file)
            self._printed_at = time.monotonic()
            # A thread that tells how long a step takes cannot interrupt anything: the next line of the command does.
            if self._lost and self.interrupts and threading.current_thread() is threading.main_thread():
                self._lost = False
                raise KeyboardInterrupt

    def _tell(self, title: str, began: float, over: threading.Event) -> None:
        if not self._rich.is_terminal:
            while not over.wait(1.0):
                if time.monotonic() - self._printed_at >= _STILL_EVERY_S:
                    self.detail(f"… {title}: {time.monotonic() - began:.0f} s so far")
            return
        if over.wait(1.0):
            return
        # The spinner redraws its own line below whatever is printed meanwhile.
        with self._rich.status("") as status:
            while not over.wait(0.5):
                status.update(f"[dim]{escape(title)} {time.monotonic() - began:.0f} s[/]")
