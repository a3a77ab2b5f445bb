"""The validation record: that the integration tests passed against one release, made from their own junit report.

A record exists only when all tests ran and none failed. It is bound to the manifest digest; without it, or with one
that is bound to another release, nothing goes to production.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from release.errors import Refused
from release.ledger.lifecycle import ReleaseId, Run
from release.rules import RefusalRule
from release.validation.junit import counted


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
    duration_s: float | None = None
    """How long the tests took, in seconds. (Records of releases before November 2026 do not say, nor the tools.)"""
    tools: dict[str, str] = Field(default_factory=dict)
    """Versions of what the tests ran with: python, pytest and the clients that asked."""
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
                RefusalRule.NOT_VALIDATED,
                f"release {release} has no validation record",
                why="its integration tests never passed against preprod (or this role may not read the record)",
                next_step=command,
            )
        try:
            record = cls.model_validate_json(body)
        except ValidationError as error:
            raise Refused(
                RefusalRule.VALIDATION_FOREIGN,
                f"the validation record of release {release} cannot be read",
                why=f"{error.error_count()} of its fields are wrong",
                next_step="find out who put it there (versions of the object, CloudTrail)",
            ) from error
        if (record.manifest, record.sha) != (release.digest, release.sha):
            raise Refused(
                RefusalRule.VALIDATION_FOREIGN,
                f"the validation record of release {release} is that of {record.manifest[:12]} ({record.sha[:7]})",
                why="a record counts only for the release that was tested",
                next_step=command,
            )
        if record.tests <= 0 or record.failed or record.errors or record.tests <= record.skipped:
            raise Refused(
                RefusalRule.VALIDATION_FAILED,
                f"the validation record of release {release} shows no pass: {record.counts}",
                why="a pass is: tests ran, none failed, none broke",
                next_step=command,
            )
        return record

    @property
    def counts(self) -> str:
        """The numbers, for people."""
        return counted(self.tests, self.failed, self.errors, self.skipped)

    def body(self) -> bytes:
        """The record as it is stored."""
        return self.model_dump_json(by_alias=True).encode()
