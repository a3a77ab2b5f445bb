"""Runs the integration tests against what is deployed, in a pytest of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from pathlib import Path
from typing import Final

from release.console import Console
from release.errors import Refused, UsageError
from release.ledger.lifecycle import ReleaseId
from release.rules import RefusalRule
from release.uv_settings import for_the_engine
from release.validation.junit import JunitReport

PATTERN: Final = "test_*_preprod.py"
MARKER: Final = "deployed"
STARTED_BY_US: Final = "RELEASE_VALIDATE"
"""Set for the tests: then a missing variable is a failure, never a skip."""
_ENOUGH_FAILURES: Final = 20
"""A release that fails so many tests is broken: nobody waits until the rest has run into its time limits."""
_FOR_THE_TESTS: Final = "PREPROD_"
"""How the names of their own variables begin."""


def required(folder: Path) -> list[str]:
    """The test files (without `.py`) that must have run.

    Raises:
        UsageError: There are none.
    """
    found = sorted(path.stem for path in folder.glob(PATTERN))
    if not found:
        raise UsageError(
            f"there is no {PATTERN} in {folder}",
            why="a release that nothing tested is not validated",
            next_step="run this inside the repository, or name the folder: --tests DIR",
        )
    return found


def run_tests(
    folder: Path, variables: dict[str, str], console: Console, release: ReleaseId, keep: Path | None
) -> JunitReport:
    """Run the integration tests below `folder` and return what they reported, pass or not.

    `variables` come over those of this process; the junit file is left in `keep`, if anywhere.

    Raises:
        UsageError: There are none.
        Refused: Rule `tests-failed`: they could not even begin, or pytest failed though no test did.
    """
    files = [str(folder.absolute() / f"{name}.py") for name in required(folder)]
    # No PYTEST_ADDOPTS: it could leave tests out. No token: the tests' dependencies are others' code.
    own = {name: value for name, value in os.environ.items() if name.startswith(_FOR_THE_TESTS)}
    environment = for_the_engine(os.environ) | own
    with tempfile.TemporaryDirectory(prefix="validate-") as scratch:
        junit = Path(scratch) / "junit.xml"
        options = ["-m", MARKER, f"--junitxml={junit}", "-o", f"junit_suite_name={release.digest}", "-o", "addopts="]
        options += ["-v", "--tb=short", "-p", "no:cacheprovider", f"--maxfail={_ENOUGH_FAILURES}"]
        last: deque[str] = deque(maxlen=60)
        with subprocess.Popen(
            [sys.executable, "-m", "pytest", *files, *options],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # so that Ctrl-C reaches it once, through us, as SIGTERM does
            env={**environment, **variables, STARTED_BY_US: "1", "COLUMNS": "120"},
        ) as process:
            assert process.stdout is not None  # noqa: S101 -- for the type checker: it is a pipe
            try:
                for line in process.stdout:
                    last.append(line.rstrip())
                    if "::" in line and "%]" in line:
                        console.detail(" ".join(line.split()))
            except KeyboardInterrupt:
                # It takes away what its tests have made, and ends.
                process.send_signal(signal.SIGINT)
                process.communicate()
                raise
        if not junit.exists():
            why = "\n".join(list(last)[-12:])
            raise Refused(RefusalRule.TESTS_FAILED, "the integration tests did not run", why=why)
        body = junit.read_bytes()
    if keep:
        keep.parent.mkdir(parents=True, exist_ok=True)
        keep.write_bytes(body)
    report = JunitReport.parse(body)
    if process.returncode:
        for line in last:
            console.line(line)
        if not report.failed and not report.errors and report.tests:
            raise Refused(
                RefusalRule.TESTS_FAILED,
                f"preprod is not validated: pytest ended with {process.returncode}, though no test failed",
                why=last[-1] if last else "",
            )
    return report
