"""What the report of the integration tests says, and whether it is a pass of one release.

The report may come from another job, where the tests' own dependencies ran: what can be counted is counted here.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from release.canonical import sha256
from release.errors import Refused, ReleaseError, UsageError
from release.ledger.lifecycle import ReleaseId
from release.rules import RefusalRule

TOOL: Final = "tool:"
"""Properties of the suite whose names begin so hold the version of a tool (tests/integration/conftest.py)."""
_LARGEST_BYTES: Final = 10_000_000
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class JunitReport:
    """What a junit file counts."""

    tests: int
    failed: int
    errors: int
    complaints: tuple[str, ...]
    """The failed and broken tests, each with the first line of why."""
    skipped: tuple[str, ...]
    """The skipped tests, each with the reason."""
    modules: frozenset[str]
    """Test files of which at least one test ran to its end."""
    of: str
    """Digest of the release that the tests ran against (the name of the suite)."""
    began: datetime | None
    duration_s: float
    tools: dict[str, str]
    digest: str
    contradictions: tuple[str, ...] = ()
    """Where the sums that the file claims, or errors outside of any test, differ from its test cases."""

    @classmethod
    def parse(cls, body: bytes) -> JunitReport:
        """Count the test cases themselves; the sums that the file claims have to agree with them.

        Raises:
            ReleaseError: It is no junit file.
        """
        if len(body) > _LARGEST_BYTES:
            raise ReleaseError("the tests left no readable junit file", why=f"it has {len(body)} bytes")
        try:
            root = ET.fromstring(body)  # noqa: S314 -- Python's expat stops documents that blow themselves up
            suites = list(root.iter("testsuite"))
            began = [datetime.fromisoformat(suite.get("timestamp", "")) for suite in suites if suite.get("timestamp")]
            duration = sum(_seconds(suite.get("time", "0")) for suite in suites)
            contradictions = (*_wrong_sums(root), *_errors_of_no_case(root))
        except (ET.ParseError, ValueError, LookupError) as error:  # LookupError: an encoding that nobody knows
            raise ReleaseError("the tests left no readable junit file", why=str(error)) from error
        cases = list(root.iter("testcase"))
        bad = [(case, found) for case in cases for found in (*case.findall("failure"), *case.findall("error"))]
        skipped = [(case, found) for case in cases for found in case.findall("skipped")]
        not_run = {id(case) for case, _ in skipped}
        properties = {one.get("name", ""): one.get("value", "") for suite in suites for one in suite.iter("property")}
        return cls(
            tests=len(cases),
            failed=sum(case.find("failure") is not None for case in cases),
            errors=sum(case.find("error") is not None for case in cases),
            complaints=tuple(_said(case, found) for case, found in bad),
            skipped=tuple(_said(case, found) for case, found in skipped),
            modules=frozenset(_module(case) for case in cases if id(case) not in not_run),
            of=next((suite.get("name", "") for suite in suites), ""),
            # A time without a zone cannot be compared with the deployment's.
            began=min((moment for moment in began if moment.tzinfo), default=None),
            duration_s=round(duration, 3),
            tools={name.removeprefix(TOOL): value for name, value in properties.items() if name.startswith(TOOL)},
            digest=sha256(body),
            contradictions=contradictions,
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
        return counted(self.tests, self.failed, self.errors, len(self.skipped))

    def require_pass_of(self, release: ReleaseId, deployed_at: datetime, required: Collection[str]) -> None:
        """Raise `Refused` unless every test ran against `release` after its deployment, and none failed.

        Args:
            release: What preprod served.
            deployed_at: When preprod began to serve it.
            required: Test files (without `.py`) of each of which a test must have run.

        Raises:
            Refused: Rule `tests-foreign`, `tests-stale`, `tests-failed`, `tests-contradictory` or `tests-incomplete`.
        """
        again = f"release validate --stack preprod --digest {release.digest}"
        if self.of != release.digest:
            raise Refused(
                RefusalRule.TESTS_FOREIGN,
                f"these tests did not run against {release}",
                why=f"their report names {self.of[:12] or 'no release'}",
                next_step=again,
            )
        if self.began is None or self.began < deployed_at:
            raise Refused(
                RefusalRule.TESTS_STALE,
                f"these tests ran before {release} was deployed",
                why=f"they began at {self.began or 'an unknown time'}, it was deployed at {deployed_at}",
                next_step=again,
            )
        if self.failed or self.errors or not self.modules:
            raise Refused(
                RefusalRule.TESTS_FAILED,
                f"preprod is not validated: {self.counts}",
                why=_some(self.complaints) or "no test ran to its end",
                next_step="mend it in a new commit; production stays as it is",
            )
        if self.contradictions:
            raise Refused(
                RefusalRule.TESTS_CONTRADICTORY,
                f"preprod is not validated: the report of the tests contradicts itself ({self.counts})",
                why=_some(self.contradictions),
                next_step="a report that was cut or merged proves nothing: " + again,
            )
        missing = sorted(set(required) - self.modules)
        if self.skipped or missing or not self.tools:
            none_of = (f"no test of {name} ran" for name in missing)
            raise Refused(
                RefusalRule.TESTS_INCOMPLETE,
                f"preprod is not validated: not every test ran ({self.counts})",
                why=_some((*self.skipped, *none_of)) or "the report does not say what the tests ran with",
                next_step="a test that did not run proves nothing: mend what kept it from running, then " + again,
            )


def counted(tests: int, failed: int, errors: int, skipped: int) -> str:
    """The numbers of a report or of a record, for people."""
    return f"{tests} tests, {failed} failed, {errors} errors, {skipped} skipped"


def _seconds(text: str) -> float:
    seconds = float(text)
    if not math.isfinite(seconds):
        raise ValueError(f"a suite took {text!r} seconds")
    return seconds


def _wrong_sums(root: ET.Element) -> Iterator[str]:
    for group in (one for one in root.iter() if one.tag in {"testsuites", "testsuite"}):
        cases = list(group.iter("testcase"))
        errors = sum(case.find("error") is not None for case in cases)
        counted = {
            "failures": {sum(case.find("failure") is not None for case in cases)},
            "errors": {errors},
            "skipped": {sum(case.find("skipped") is not None for case in cases)},
            # pytest writes a test that fails, and whose teardown fails too, as two cases and counts it once.
            "tests": set(range(len(cases) - errors, len(cases) + 1)),
        }
        for name, possible in counted.items():
            claimed = group.get(name)
            if claimed is not None and int(claimed) not in possible:
                yield f"{group.tag} claims {claimed} {name}, its test cases are {max(possible)}"


def _errors_of_no_case(root: ET.Element) -> Iterator[str]:
    for parent in (one for one in root.iter() if one.tag != "testcase"):
        for found in (*parent.findall("error"), *parent.findall("failure")):
            yield f"{parent.tag} holds a {found.tag} outside of any test: {_message(found)}"


def _said(case: ET.Element, found: ET.Element) -> str:
    return f"{case.get('classname', '')}::{case.get('name', '')}: {_message(found)}"


def _message(found: ET.Element) -> str:
    return (found.get("message") or found.text or "").strip().partition("\n")[0]


def _module(case: ET.Element) -> str:
    """The test file of a case: pytest writes the path with dots, and a class behind it."""
    return next((part for part in case.get("classname", "").split(".") if part.startswith("test_")), "")


def _some(lines: Collection[str]) -> str:
    shown = list(lines)[:_SHOWN]
    return "; ".join([*shown, f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else shown)
