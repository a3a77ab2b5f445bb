"""Measures what docs/reference/benchmarks.md states: `make bench`, some six minutes; `COLD=1` adds empty caches.

Prints a table in Markdown: machine, versions, the median and the range of every figure, and the ratio to the figure it
is compared with. Measures only; nothing here passes or fails.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.machine import described  # noqa: E402
from localcloud.rehearsal.broken_releases import head  # noqa: E402
from tests.cloud import Cloud  # noqa: E402

RUNS = 3
STACKS = ("preprod-foundation", "prod-foundation", "preprod", "prod")


def seconds(act: Callable[..., object], *arguments: Any, **options: Any) -> float:
    began = time.monotonic()
    act(*arguments, **options)
    return time.monotonic() - began


def row(name: str, values: list[float], against: float | None = None) -> float:
    median = statistics.median(values)
    spread = f"{min(values):.1f} to {max(values):.1f}" if len(values) > 1 else ""
    ratio = f"{median / against:.2f}" if against else ""
    print(f"| {name} | {median:.1f} | {spread} | {len(values)} | {ratio} |", flush=True)
    return median


def builds(scratch: Path, sha: str) -> None:
    def build(name: str, **variables: str) -> float:
        command = [ROOT / ".venv/bin/release", "build", "--sha", sha, "--out", scratch / name]
        environment = os.environ | variables
        return seconds(subprocess.run, command, cwd=ROOT, env=environment, check=True, capture_output=True)

    build("first")
    warm = row("build of the three packages, warm", [build(f"warm{n}") for n in range(RUNS)])
    row("build, cold (no package cache)", [build("cold", UV_CACHE_DIR=str(scratch / "uv"))], warm)


def stacks(scratch: Path, sha: str) -> None:
    cloud = Cloud.start(scratch / "cloud")
    try:
        preview = {}
        for stack in STACKS:
            if stack == "preprod":
                cloud.run("localcloud", "fill-secrets")
                digest = cloud.to_preprod(sha, ROOT, scratch / "build")
            if stack == "prod":
                row(
                    "promote to prod, first release",
                    [seconds(cloud.run, "release", "promote", "--stack", "prod", "--digest", digest)],
                )
            up = ("pulumi", "up", "--yes", "--skip-preview", "--stack", stack)
            if stack.endswith("foundation"):
                row(f"up of {stack}, from nothing", [seconds(cloud.run, *up)])
            preview[stack] = row(
                f"preview of {stack}, no change",
                [seconds(cloud.run, "pulumi", "preview", "--stack", stack) for _ in range(RUNS)],
            )
            row(f"up of {stack}, no change", [seconds(cloud.run, *up) for _ in range(RUNS)], preview[stack])
    finally:
        cloud.stop()


def demos(scratch: Path) -> float:
    reports, times = [], []
    for n in range(RUNS):
        home = scratch / f"demo{n}"
        environment = os.environ | {"LOCALCLOUD_HOME": str(home)}
        demo = [ROOT / ".venv/bin/python", "-m", "localcloud.rehearsal.demo"]
        times.append(seconds(subprocess.run, demo, cwd=ROOT, env=environment, check=True, capture_output=True))
        reports.append(json.loads((home / "demo.json").read_text())["rollback"])
        subprocess.run([ROOT / ".venv/bin/localcloud", "stop"], env=environment, check=True, capture_output=True)
    warm = row("`make demo`, warm", times)
    row("failing verdict -> traffic restored", [report["traffic_restored_s"] for report in reports])
    row("failing verdict -> whole stack back and proven", [report["converged_s"] for report in reports])
    return warm


def cold_demo(scratch: Path, warm: float) -> None:
    """A fresh clone, and no cache of Go, uv or pip: what somebody waits for on a new machine."""
    clone, home = scratch / "clone", scratch / "home"
    home.mkdir()
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    environment = kept | {"HOME": str(home), "GOFLAGS": "-modcacherw"}
    try:
        row(
            "`make demo`, cold (fresh clone, empty caches)",
            [seconds(subprocess.run, ["make", "demo"], cwd=clone, env=environment, check=True, capture_output=True)],
            warm,
        )
    finally:
        subprocess.run([clone / ".venv/bin/localcloud", "stop"], env=environment, check=False, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cold", action="store_true", help="also a fresh clone with empty caches (downloads all)")
    cold = parser.parse_args().cold
    sha = head(ROOT)
    print(described())
    print(f"load average before: {os.getloadavg()[0]:.1f}. Seconds; clock x60 (a watch of 300 s takes 5 s).\n")
    print("| what | median | range | runs | ratio |\n| --- | --- | --- | --- | --- |")
    scratch = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        builds(scratch, sha)
        stacks(scratch, sha)
        warm = demos(scratch)
        if cold:
            cold_demo(scratch, warm)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
