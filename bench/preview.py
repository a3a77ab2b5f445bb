"""How long `release preview` takes beside a plain `pulumi preview` of the same stack: `python bench/preview.py`.

Starts a local cloud of its own, deploys preprod with small packages, and takes turns. Prints machine, versions, ratio.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.machine import described
from release.preview.copy import copy_of
from release.pulumi.stack_config import load
from tests.cloud import ROOT, Cloud
from tests.engine.conftest import STACK, Service

TURNS = 7


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cloud = Cloud.start(folder / "cloud")
        try:
            _measure(cloud, folder)
        finally:
            cloud.stop()


def _measure(cloud: Cloud, folder: Path) -> None:
    cloud.run("pulumi", "up", "--yes", "--skip-preview", "--stack", f"{STACK}-foundation")
    service = Service(cloud=cloud, scratch=folder)
    service.up(service.hand_over(service.release("first"), traffic=100, confirmed=True))
    exported = cloud.run("pulumi", "stack", "export", "--stack", STACK).stdout.encode()
    copy = folder / "copy.json"
    made = copy_of(exported, load(STACK, ROOT, cloud.variables), sha="a" * 40, manifest="b" * 64, at="now")
    copy.write_bytes(made.canonical())
    commands = {
        "pulumi preview": ("pulumi", "preview", "--stack", STACK, "--non-interactive"),
        "release preview (copy)": ("release", "preview", "--stack", STACK, "--copy", str(copy)),
        "release preview (base)": ("release", "preview", "--stack", STACK, "--base", "HEAD", "--without-copy"),
    }
    seconds: dict[str, list[float]] = {what: [] for what in commands}
    for _ in range(TURNS):
        for what, command in commands.items():
            began = time.monotonic()
            cloud.run(*command)
            seconds[what].append(time.monotonic() - began)
    print(described())
    print(f"{len(json.loads(exported)['deployment']['resources'])} resources, {TURNS} turns")
    plain = statistics.median(seconds["pulumi preview"])
    for what, times in seconds.items():
        middle = statistics.median(times)
        print(
            f"{what:<24} median {middle:5.2f} s  min {min(times):5.2f}  max {max(times):5.2f}  {middle / plain:.2f} x"
        )


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error}: {error.stderr!r}")
