"""What the statements say, as in-toto has it, and what must stand in one that production believes. Pure.

A statement is only read when its signature was verified (`release/attestation/sigstore.py`): it is compared with the
release as a whole, so nothing that it leaves out or says besides can be misread.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.github_rules import BRANCH
from release.canonical import canonical_json

SITE: Final = "https://github.com"
REF: Final = f"refs/heads/{BRANCH}"
PROVENANCE: Final = "https://slsa.dev/provenance/v1"
TEST_RESULT: Final = "https://in-toto.io/attestation/test-result/v0.1"
PROMOTION: Final = "urn:sentiment-pipeline:promotion:v1"
_STATEMENT: Final = "https://in-toto.io/Statement/v1"
_WORKFLOW_BUILD: Final = "https://actions.github.io/buildtypes/workflow/v1"
"""GitHub's name for "made by a job of a workflow"; its page says what the parameters are."""


class StatementError(Exception):
    """A statement that is not the one about this release."""


class SigningJob(BaseModel):
    """The job that signs, as GitHub's token describes it; a certificate holds the same."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    repository: str
    repository_id: str
    repository_owner_id: str
    ref: str
    sha: str = Field(pattern=r"^[0-9a-f]{40}$")
    event_name: str
    run_id: str
    run_attempt: str
    workflow_ref: str
    """The workflow that was started."""
    job_workflow_ref: str
    """The workflow that the job stands in."""
    runner_environment: str
    environment: str = ""

    @classmethod
    def of(cls, token: str) -> SigningJob:
        """Read the claims of a token. Nobody has verified it: whoever is given it for a certificate does.

        Raises:
            StatementError: It is no token, or not of a job of GitHub Actions.
        """
        try:
            part = token.split(".")[1]
            return cls.model_validate_json(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        except (IndexError, ValueError) as error:
            kind = "is not of a job of GitHub Actions" if isinstance(error, ValidationError) else "is none"
            raise StatementError(f"the job's token {kind}") from None

    @property
    def run(self) -> str:
        """Address of the run, with its attempt."""
        return f"{SITE}/{self.repository}/actions/runs/{self.run_id}/attempts/{self.run_attempt}"


def statement(kind: str, subjects: Mapping[str, str], predicate: Mapping[str, Any]) -> bytes:
    """Return an in-toto statement about files, each by its name with its SHA-256."""
    named = _named(subjects)
    return canonical_json({"_type": _STATEMENT, "subject": named, "predicateType": kind, "predicate": predicate})


def _named(subjects: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(subjects.items())]


def _source(repository: str, ref: str, sha: str) -> dict[str, Any]:
    return {"uri": f"git+{SITE}/{repository}@{ref}", "digest": {"gitCommit": sha}}


def provenance(job: SigningJob) -> dict[str, Any]:
    """Return SLSA's predicate: which workflow has built something, of which commit, in which run."""
    repository = f"{SITE}/{job.repository}"
    path, _, ref = job.workflow_ref.removeprefix(f"{job.repository}/").partition("@")
    return {
        "buildDefinition": {
            "buildType": _WORKFLOW_BUILD,
            "externalParameters": {"workflow": {"ref": ref, "repository": repository, "path": path}},
            "internalParameters": {
                "github": {
                    "event_name": job.event_name,
                    "repository_id": job.repository_id,
                    "repository_owner_id": job.repository_owner_id,
                    "runner_environment": job.runner_environment,
                }
            },
            "resolvedDependencies": [_source(job.repository, job.ref, job.sha)],
        },
        "runDetails": {
            "builder": {"id": f"{SITE}/{job.job_workflow_ref}"},
            "metadata": {"invocationId": job.run},
        },
    }


def result_of_tests(job: SigningJob, junit_sha256: str) -> dict[str, Any]:
    """Return in-toto's predicate of tests that have passed. The validation record, a subject, has the numbers."""
    source = _source(job.repository, job.ref, job.sha)
    report = {"name": "junit.xml", "digest": {"sha256": junit_sha256}}
    return {"result": "PASSED", "configuration": [source, report], "url": job.run, "failedTests": []}


def require_provenance(payload: bytes, subjects: Mapping[str, str], signer: str, repository: str, sha: str) -> None:
    """Require SLSA provenance of exactly these files: built by `signer` of commit `sha` of main.

    Raises:
        StatementError: It says anything else.
    """
    predicate = _predicate(payload, PROVENANCE, subjects)
    _same("builder", _at(predicate, "runDetails", "builder", "id"), signer)
    _same("build type", _at(predicate, "buildDefinition", "buildType"), _WORKFLOW_BUILD)
    _same("source", _at(predicate, "buildDefinition", "resolvedDependencies"), [_source(repository, REF, sha)])


def require_passed(payload: bytes, subjects: Mapping[str, str], repository: str, sha: str) -> None:
    """Require the statement that the tests of exactly this release have passed, by exactly this record.

    Raises:
        StatementError: It says anything else.
    """
    predicate = _predicate(payload, TEST_RESULT, subjects)
    _same("result", predicate.get("result"), "PASSED")
    _same("failed tests", predicate.get("failedTests"), [])
    _same("source", _at(predicate, "configuration", 0), _source(repository, REF, sha))


def _predicate(payload: bytes, kind: str, subjects: Mapping[str, str]) -> dict[str, Any]:
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("predicate"), dict):
        raise StatementError("it is no in-toto statement")
    _same("type", said.get("_type"), _STATEMENT)
    _same("kind", said.get("predicateType"), kind)
    if said.get("subject") != _named(subjects):
        raise StatementError(f"it is about other files than {', '.join(sorted(subjects))} of this release")
    return said["predicate"]


def _at(document: Any, *path: str | int) -> Any:
    """The value at a path; `None` where there is none."""
    for step in path:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def _same(what: str, said: Any, wanted: Any) -> None:
    if said != wanted:
        raise StatementError(f"its {what} is {json.dumps(said)[:200]}, not {json.dumps(wanted)}")
