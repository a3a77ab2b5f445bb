"""What the stand-ins share: the run that they are part of, their job, and the local GitHub."""

import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx


class Run:
    """The run of the workflow, as tests/executed/execution.py has described it in a file, seen from one job."""

    def __init__(self) -> None:
        self.folder = Path(os.environ["EXECUTED_RUN"])
        self.told: dict[str, Any] = json.loads((self.folder / "run.json").read_text())
        self.job = f"{os.environ['GITHUB_WORKFLOW']}/{os.environ['GITHUB_JOB']}"

    @property
    def known(self) -> dict[str, Any]:
        """What the workflow says of the job: its file, its environment, ..."""
        return self.told["jobs"][self.job]

    @cached_property
    def github(self) -> httpx.Client:
        """The local GitHub's API, below the repository."""
        return httpx.Client(base_url=self.told["api"], headers={"Authorization": "Bearer of-the-runner"}, timeout=60)

    def ask(self, path: str, **parameters: str) -> Any:
        """Return what GitHub answers; anything but success is an error."""
        return self.github.get(path, params=parameters).raise_for_status().json()

    def note(self, file: str, **what: Any) -> None:
        """Add a line to what the test can read when the run has ended."""
        with (self.folder / file).open("a") as stream:
            stream.write(json.dumps({"job": self.job, **what}) + "\n")


def tell(variable: str, lines: list[str]) -> None:
    """Add lines to one of the files by which a step tells the runner something."""
    with Path(os.environ[variable]).open("a") as stream:
        stream.writelines(f"{line}\n" for line in lines)
