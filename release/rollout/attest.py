"""Signing for what a job has done: a build, the result of the tests, the end of a promotion."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

from release.artifacts.manifest import MANIFEST_FILE, Manifest
from release.artifacts.store import PROVENANCE_FILE, RESULT_FILE
from release.attestation.sigstore import may_sign, sign
from release.attestation.statements import (
    PROMOTION,
    PROVENANCE,
    TEST_RESULT,
    SigningJob,
    provenance,
    result_of_tests,
    statement,
)
from release.canonical import sha256
from release.clients.github import GitHub
from release.clients.rest import GitHubError
from release.console import Console
from release.context import Context
from release.errors import Refused, ReleaseError, RollbackIncomplete, RolledBack
from release.gates.attested import subjects_of_build, subjects_of_tests
from release.ledger.ledger import entry_key
from release.ledger.lifecycle import ReleaseId
from release.ledger.objects import AlreadyThereError
from release.rules import RefusalRule
from release.validation.record import ValidationRecord

T = TypeVar("T")


def attest_build(manifest: Manifest, folder: Path, console: Console) -> None:
    """Sign for a build that lies in `folder`, and put the signed statement beside the manifest.

    GitHub gets it too where there is a token, so that `gh attestation verify` finds it by the digest of a package.

    Raises:
        ReleaseError: It could not be signed, or the job runs for another commit.
    """

    def content(job: SigningJob) -> bytes:
        if job.sha != manifest.sha:
            raise ReleaseError(
                f"this run is for commit {job.sha[:12]}, the build is of {manifest.sha[:12]}",
                why="production takes a build only from the run of its own commit",
                next_step="build the commit of the run",
            )
        return statement(PROVENANCE, subjects_of_build(manifest), provenance(job))

    with console.step(f"signing for the build {manifest.digest[:12]}"):
        bundle = sign(content, os.environ)
        (folder / PROVENANCE_FILE).write_bytes(bundle)
    if (github := GitHub.from_environment(os.environ)) is None:
        return
    try:
        with closing(github):
            github.attest(json.loads(bundle))
    except GitHubError as error:  # production reads the file, not GitHub's list
        console.warn(f"GitHub did not take the attestation: {error} {error.why}".rstrip())


def read_provenance(manifest: Manifest, folder: Path) -> bytes:
    """Return the signed statement beside a build.

    Raises:
        Refused: Rule `not-attested`: there is none.
    """
    try:
        return (folder / PROVENANCE_FILE).read_bytes()
    except FileNotFoundError:
        raise Refused(
            RefusalRule.NOT_ATTESTED,
            f"the build of {manifest.sha[:12]} is not attested",
            why=f"{folder} holds no {PROVENANCE_FILE}, and production would refuse the release",
            next_step="let build-and-promote.yml build it; or set `attestations` to false in Pulumi.prod.yaml",
        ) from None


def attest_result(context: Context, release: ReleaseId, record: bytes) -> None:
    """Sign for the validation record of a release; a statement that is there already stays.

    Raises:
        ReleaseError: It could not be signed.
    """
    junit = ValidationRecord.load(record, release).junit_sha256
    with context.console.step(f"signing for the test result of {release}"):
        bundle = sign(
            lambda job: statement(TEST_RESULT, subjects_of_tests(release.digest, record), result_of_tests(job, junit)),
            os.environ,
        )
        if not context.promotions.attest(release.digest, RESULT_FILE, bundle):
            context.console.detail("it was signed for before; that statement stays")


def attested(context: Context, digest: str, work: Callable[[], T]) -> T:
    """Do the work of a promotion, and sign for how it ended: confirmed, or rolled back. A refusal is no end of one.

    That nothing could be signed is told, and changes nothing: the ledger counts.
    """
    try:
        done = work()
    except (RolledBack, RollbackIncomplete):
        _attest_end(context, digest)
        raise
    _attest_end(context, digest)
    return done


def _attest_end(context: Context, digest: str) -> None:
    """Sign for the newest entry of the ledger that names the release; each names the digest of the one before it."""
    if not context.attestations or not may_sign(os.environ):
        return
    try:
        entry = next(one for one in context.ledger.newest_first(20) if one.release and one.release.digest == digest)
        key = f"ledger/releases/{digest}/entry-{entry.seq:08d}.sigstore.json"
        ledger = {"sha256": _digest_of_entry(context, entry.seq)}
        said = {"stack": context.stack, "state": entry.state, "entry": entry.seq, "ledger": ledger}
        with context.console.step(f"signing that release {digest[:12]} is {entry.state} in {context.stack}"):
            bundle = sign(
                lambda job: statement(PROMOTION, {MANIFEST_FILE: digest}, {**said, "run": job.run}), os.environ
            )
            with suppress(AlreadyThereError):  # another job of the run has done so
                context.objects.create(key, bundle)
    except Exception as error:  # the release has ended as it has
        context.console.warn(f"nothing was signed for the end of the promotion: {type(error).__name__}: {error}")


def _digest_of_entry(context: Context, seq: int) -> str:
    written = context.objects.get(entry_key(seq))
    if written is None:
        raise ReleaseError(f"entry {seq} of the ledger cannot be read")
    return sha256(written.body)
