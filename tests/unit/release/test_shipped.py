"""The page of what is shipped against the locks. (A build, which knows the licences, is compared in tests/build.)"""

import re
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from uv import find_uv_bin

ROOT = Path(__file__).parents[3]
EXPORT = ["export", "-q", "--locked", "--offline", "--no-emit-project", "--no-header", "--no-annotate", "--no-hashes"]


@pytest.mark.slow
def test_the_page_of_what_is_shipped_names_the_packages_of_the_locks():
    locked, written = set(), set()
    for project in ROOT.glob("lambdas/*/pyproject.toml"):
        command = [find_uv_bin(), *EXPORT]
        pins = subprocess.run(command, cwd=project.parent, check=True, capture_output=True, text=True).stdout
        for pin in map(Requirement, pins.splitlines()):
            if pin.marker is None or pin.marker.evaluate():
                locked.add((project.parent.name, pin.name))
    rows = re.findall(r"(?m)^\| ([a-z0-9-]+) \|.*\| ([a-z, ]+) \|$", (ROOT / "docs/reference/shipped.md").read_text())
    for package, functions in rows:
        if package != "package":
            written |= {(function, package) for function in functions.split(", ")}
    assert locked == written, "release build --sha HEAD --out DIR && python -m release.build.third_party DIR"
