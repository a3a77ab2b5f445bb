"""How the executed workflows ended: rows that `make soak` writes to docs/figures/executed-workflows.md."""

import os
import platform
import time
from datetime import UTC, datetime
from typing import Any

import psutil

from localcloud.rehearsal.broken_releases import head
from tests.cloud import ROOT
from tests.executed.execution import Execution

RESULT = ROOT / "docs" / "figures" / "executed-workflows.md"
_rows: list[str] = []


def add(test: str, execution: Execution, view: dict[str, Any]) -> None:
    """Keep one run; under `make soak` write all that are kept so far."""
    ended = ", ".join(f"`{job.rpartition('/')[2]}` {how}" for job, how in execution.results.items() if how != "success")
    counts = len(execution.ran("success")), len(execution.ran())
    what = test.removeprefix("test_").replace("_", " ")
    minutes, seconds = divmod(round(time.monotonic() - execution.began), 60)
    _rows.append(
        f"| {what} | `{execution.told['workflow']}` | {counts[0]} of {counts[1]} | {ended or '-'} | {view['state']} "
        f"| {minutes}:{seconds:02} |"
    )
    if "SOAK_MINUTES" in os.environ:
        _write()


def _write() -> None:
    now = datetime.now(UTC)
    machine = f"{psutil.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}"
    lines = [
        "# The bundled workflows, executed",
        "",
        f"Last result of `make soak`, {now:%Y-%m-%d %H:%M} UTC, at commit {head(ROOT)[:12]}; {machine}.",
        "",
        "Each row is a run of a workflow as it is committed, on the local cloud. What is act's and what stands in",
        "for it is told [in the reference](../reference/testing.md). A test that made no row has failed.",
        "",
        "| test | workflow | jobs in success, of those that ran | all others | production in the end | min:s |",
        "| --- | --- | --- | --- | --- | --- |",
        *_rows,
    ]
    RESULT.write_text("\n".join(lines) + "\n")
