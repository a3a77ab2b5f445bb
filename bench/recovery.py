"""How fast production is back after a failing verdict, and how the releaser's own work grows with its ledger.

`make recovery` (some ten minutes). One release is confirmed; then the same broken release is promoted twenty times, and
unblocked in between, on the real engine of a local cloud of its own. Measures only; nothing here passes or fails.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.machine import described  # noqa: E402
from components.naming import names  # noqa: E402
from localcloud.rehearsal.broken_releases import Breakage, broken_clone, head  # noqa: E402
from release.clients.aws import Aws  # noqa: E402
from release.clock import Clock  # noqa: E402
from release.ledger.ledger import Ledger, this_run  # noqa: E402
from release.ledger.lifecycle import Decision  # noqa: E402
from release.ledger.objects import ObjectStore  # noqa: E402
from tests.cloud import Cloud  # noqa: E402

LEDGERS = (10, 100, 1000)
CALLS = 30
ROLLED_BACK = 4


def row(name: str, values: list[float], unit: str, against: float | None = None) -> float:
    median = statistics.median(values)
    ratio = f"{median / against:.2f}" if against else ""
    print(f"| {name} | {median:.2f} {unit} | {max(values):.2f} {unit} | {len(values)} | {ratio} |", flush=True)
    return median


def recovery(cloud: Cloud, scratch: Path, runs: int) -> None:
    """Promote the same broken release again and again."""
    cloud.foundations()
    sound = cloud.to_preprod(head(ROOT), ROOT, scratch / "sound")
    cloud.run("release", "promote", "--stack", "prod", "--digest", sound)
    source = scratch / "source"
    broken = cloud.to_preprod(broken_clone(ROOT, Breakage.SCHEDULE_FAILS_LIVE, source), source, scratch / "broken")
    reports = []
    for _ in range(runs):
        promote = ("release", "promote", "--stack", "prod", "--digest", broken, "--despite-rollbacks", "benchmark")
        reports.append(cloud.run(*promote, "--json", folder=source, expected=ROLLED_BACK).json()["report"])
        cloud.run("release", "unblock", broken, "--stack", "prod", "--reason", "benchmark")
    row("failing verdict -> traffic restored (5 right answers)", [one["traffic_restored_s"] for one in reports], "s")
    row("failing verdict -> whole stack back and verified", [one["converged_s"] for one in reports], "s")


def ledgers(cloud: Cloud) -> None:
    """What each state costs the releaser, with more and more entries before it."""
    os.environ.update(cloud.variables)
    objects = ObjectStore(names("preprod").bucket, Aws().s3)
    ledger = Ledger(objects, "preprod", this_run({}), Clock())
    smallest: dict[str, float] = {}
    for entries in LEDGERS:
        while ledger.entries(1)[-1:] == [] or ledger.entries(1)[0].seq < entries:
            ledger.decide(Decision.FROZEN, reason="benchmark")
        for what, work in (("read the view", ledger.view), ("write an entry", lambda: thaw(ledger))):
            median = row(
                f"{what}, {entries} entries", [milliseconds(work) for _ in range(CALLS)], "ms", smallest.get(what)
            )
            smallest.setdefault(what, median)


def thaw(ledger: Ledger) -> None:
    ledger.decide(Decision.THAWED, reason="benchmark")


def milliseconds(work: Callable[[], Any]) -> float:
    began = time.monotonic()
    work()
    return (time.monotonic() - began) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="how often the broken release is promoted")
    runs = parser.parse_args().runs
    print(described())
    print(f"load average before: {os.getloadavg()[0]:.1f}. Real seconds; waiting runs at x60.\n")
    print("| what | median | worst | runs | ratio |\n| --- | --- | --- | --- | --- |")
    scratch = Path(tempfile.mkdtemp(prefix="bench-"))
    cloud = Cloud.start(scratch / "cloud", RELEASE_BROKEN_RATE="0.2")
    try:
        recovery(cloud, scratch, runs)
        ledgers(cloud)
    finally:
        cloud.stop()
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
