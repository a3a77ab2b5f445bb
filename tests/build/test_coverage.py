"""The unit tests of the functions reach nearly every branch of them (`fail_under` in pyproject.toml)."""

import os
import subprocess
import sys

from tests.cloud import ROOT


def test_the_unit_tests_of_the_functions_reach_nearly_every_branch(tmp_path):
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env["COVERAGE_FILE"] = str(tmp_path / "data")

    def coverage(*words):
        return subprocess.run(
            [sys.executable, "-m", "coverage", *words], cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )

    ran = coverage("run", "-m", "pytest", "tests/unit/lambdas", "-n", "0", "-q", "-p", "no:cacheprovider")
    assert ran.returncode == 0, ran.stdout
    report = coverage("report")
    assert report.returncode == 0, report.stdout + report.stderr
