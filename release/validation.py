"""The validation record: what the integration tests said about one release, made from their own junit file.

A record exists only when tests ran and none failed. It is bound to the manifest digest; without it, or with one that is
bound to another release, nothing goes to production.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from release.console import Console
from release.errors import Refused, ReleaseError, UsageError
from release.ledger import sha256
from release.lifecycle import ReleaseId, Run

PATTERN: Final = "test_*_preprod.py"
MARKER: Final = "deployed"
STARTED_BY_US: Final = "RELEASE_VALIDATE"
"""Set for the tests: then a missing variable is a failure, never a skip."""


class ValidationRecord(BaseModel):
    """The record beside the packages. Its existence means "passed"; the numbers say of what."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal[1] = Field(default=1, alias="schema")
    manifest: str = Field(pattern=r"^[0-9a-f]{64}$")
    sha: str = Field(pattern=r"^[0-9a-f]{40}$")
    stack: Literal["preprod"] = "preprod"
    tests: int
    failed: int
    errors: int
    skipped: int
    junit_sha256: str
    at: str
    run: Run

    @classmethod
    def load(cls, body: bytes | None, release: ReleaseId) -> ValidationRecord:
        """The record of `release`, checked.

        Raises:
            Refused: Rule `not-validated`, `validation-foreign` or `validation-failed`.
        """
        command = f"release validate --stack preprod --digest {release.digest}"
        if body is None:
            raise Refused(
                "not-validated",
                f"release {release} has no validation record",
                why="its integration tests never passed against preprod (or this role may not read the record)",
                next_step=command,
            )
        try:
            record = cls.model_validate_json(body)
        except ValidationError as error:
            raise Refused(
                "validation-foreign",
                f"the validation record of release {release} cannot be read",
                why=f"{error.error_count()} of its fields are wrong",
                next_step="find out who put it there (versions of the object, CloudTrail)",
            ) from error
        if (record.manifest, record.sha) != (release.digest, release.sha):
            raise Refused(
                "validation-foreign",
                f"the validation record of release {release} is that of {record.manifest[:12]} ({record.sha[:7]})",
                why="a record counts only for the release that was tested",
                next_step=command,
            )
        if record.tests <= 0 or record.failed or record.errors or record.tests <= record.skipped:
            raise Refused(
                "validation-failed",
                f"the validation record of release {release} shows no pass: {record.counts}",
                why="a pass is: tests ran, none failed, none broke",
                next_step=command,
            )
        return record

    @property
    def counts(self) -> str:
        """The numbers, for people."""
        return f"{self.tests} tests, {self.failed} failed, {self.errors} errors, {self.skipped} skipped"

    def body(self) -> bytes:
        """The record as it is stored."""
        return self.model_dump_json(by_alias=True).encode()


@dataclass(frozen=True, slots=True)
class JunitReport:
    """What a junit file counts."""

    tests: int
    failed: int
    errors: int
    skipped: int
    complaints: tuple[str, ...]
    of: str
    """Digest of the release that the tests ran against (the name of the suite)."""
    digest: str

    @classmethod
    def parse(cls, body: bytes) -> JunitReport:
        """Count the test cases themselves; the sums that the file claims are not believed.

        Raises:
            ReleaseError: It is no junit file.
        """
        try:
            root = ET.fromstring(body)  # noqa: S314 -- written by the pytest that we have just run
        except ET.ParseError as error:
            raise ReleaseError("the tests left no readable junit file", why=str(error)) from error
        cases = list(root.iter("testcase"))
        complaints = [
            f"{case.get('classname', '')}::{case.get('name', '')}: {_first_line(bad.get('message'))}"
            for case in cases
            for bad in (*case.findall("failure"), *case.findall("error"))
        ]
        return cls(
            tests=len(cases),
            failed=sum(case.find("failure") is not None for case in cases),
            errors=sum(case.find("error") is not None for case in cases),
            skipped=sum(case.find("skipped") is not None for case in cases),
            complaints=tuple(complaints),
            of=next((suite.get("name", "") for suite in root.iter("testsuite")), ""),
            digest=sha256(body),
        )

    @classmethod
    def read(cls, file: Path) -> JunitReport:
        """The report in a file that an earlier run of the tests left."""
        try:
            return cls.parse(file.read_bytes())
        except OSError as error:
            raise UsageError(
                f"there is no junit file {file}",
                why=str(error),
                next_step="run the tests first: release validate ... --junit FILE --no-record",
            ) from error

    @property
    def counts(self) -> str:
        """The numbers, for people."""
        return f"{self.tests} tests, {self.failed} failed, {self.errors} errors, {self.skipped} skipped"

    def require_pass_of(self, release: ReleaseId) -> None:
        """Raise `Refused` unless the tests ran against `release` and none failed."""
        if self.of != release.digest:
            raise Refused(
                "tests-foreign",
                f"these tests did not run against {release}",
                why=f"their report names {self.of[:12] or 'no release'}",
                next_step=f"release validate --stack preprod --digest {release.digest}",
            )
        if self.tests <= self.skipped or self.failed or self.errors:
            raise Refused(
                "tests-failed",
                f"preprod is not validated: {self.counts}",
                why="; ".join(self.complaints[:5]) or "no test ran to its end",
                next_step="mend it in a new commit; production stays as it is",
            )


def run_tests(
    folder: Path, variables: dict[str, str], console: Console, release: ReleaseId, keep: Path | None
) -> JunitReport:
    """Run the integration tests below `folder` in a pytest of their own.

    Args:
        folder: Where `test_*_preprod.py` lie.
        variables: Environment variables for them, over those of this process.
        console: Shows each test as it ends.
        release: What they run against.
        keep: Where to leave the junit file, if anywhere (also of tests that failed).

    Raises:
        UsageError: There are none.
        Refused: Rule `tests-failed`.
    """
    files = sorted(folder.absolute().glob(PATTERN))
    if not files:
        raise UsageError(
            f"there is no {PATTERN} in {folder}",
            why="a release that nothing tested is not validated",
            next_step="run this inside the repository, or name the folder: --tests DIR",
        )
    with tempfile.TemporaryDirectory(prefix="validate-") as scratch:
        junit = Path(scratch) / "junit.xml"
        options = ["-m", MARKER, f"--junitxml={junit}", "-o", f"junit_suite_name={release.digest}", "-o", "addopts="]
        last: deque[str] = deque(maxlen=60)
        with subprocess.Popen(
            [sys.executable, "-m", "pytest", *map(str, files), *options, "-v", "--tb=short", "-p", "no:cacheprovider"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **variables, STARTED_BY_US: "1", "COLUMNS": "120"},
        ) as process:
            assert process.stdout is not None  # noqa: S101 -- for the type checker: it is a pipe
            for line in process.stdout:
                last.append(line.rstrip())
                if "::" in line and "%]" in line:
                    console.detail(" ".join(line.split()))
        code = process.returncode
        if not junit.exists():
            raise Refused("tests-failed", "the integration tests did not run", why="\n".join(list(last)[-12:]))
        body = junit.read_bytes()
    if keep:
        keep.parent.mkdir(parents=True, exist_ok=True)
        keep.write_bytes(body)
    report = JunitReport.parse(body)
    if code:
        for line in last:
            console.line(line)
    report.require_pass_of(release)
    if code:
        raise Refused(
            "tests-failed", f"preprod is not validated: pytest ended with {code}", why=last[-1] if last else ""
        )
    return report


def _first_line(message: str | None) -> str:
    return (message or "").strip().partition("\n")[0]
