"""Whether the workflows of this repository have signed for a release: for its build, and for its test result."""

from __future__ import annotations

import os
from typing import Final

from release.artifacts.manifest import MANIFEST_FILE, Manifest
from release.artifacts.store import PROVENANCE_FILE, RESULT_FILE, VALIDATION_FILE
from release.attestation.sigstore import AttestationError, Signer, verified
from release.attestation.statements import StatementError, require_passed, require_provenance
from release.canonical import sha256
from release.context import Context
from release.errors import Refused, with_why
from release.rules import RefusalRule

STARTED: Final = "build-and-promote.yml"
TESTED_IN: Final = ("preprod.yml", "preprod-validate")
"""Workflow and environment of the job that reads the report of the tests, and runs none of their code."""


def subjects_of_build(manifest: Manifest) -> dict[str, str]:
    """Return every file of a build with its SHA-256."""
    return {MANIFEST_FILE: manifest.digest, **{one.package: one.sha256 for one in manifest.functions.values()}}


def subjects_of_tests(digest: str, record: bytes) -> dict[str, str]:
    """Return what a test result is about: the release by its manifest, and the validation record."""
    return {MANIFEST_FILE: digest, VALIDATION_FILE: sha256(record)}


def refuse_unattested(context: Context, manifest: Manifest, record: bytes) -> dict[str, bytes]:
    """Return the signed statements about a release, each verified; none where the setting is off.

    Raises:
        Refused: Rule `not-attested`.
    """
    if not context.attestations:
        return {}
    repository = os.environ.get("GITHUB_REPOSITORY", "")
    if not repository:
        raise _refused(manifest, "the repository is unknown whose workflows must have signed", "set GITHUB_REPOSITORY")
    builder = Signer(repository=repository, workflow=STARTED, started=STARTED, sha=manifest.sha)
    workflow, environment = TESTED_IN
    tester = Signer(
        repository=repository, workflow=workflow, started=STARTED, sha=manifest.sha, environment=environment
    )
    bundles = {name: _bundle(context, manifest, name) for name in (PROVENANCE_FILE, RESULT_FILE)}
    try:
        built = verified(bundles[PROVENANCE_FILE], builder, os.environ, rehearsed=context.rehearsed)
        require_provenance(built, subjects_of_build(manifest), builder.identity, repository, manifest.sha)
    except (AttestationError, StatementError) as error:
        raise _refused(manifest, f"its provenance: {with_why(error)}") from None
    try:
        tested = verified(bundles[RESULT_FILE], tester, os.environ, rehearsed=context.rehearsed)
        require_passed(tested, subjects_of_tests(manifest.digest, record), repository, manifest.sha)
    except (AttestationError, StatementError) as error:
        raise _refused(manifest, f"its test result: {with_why(error)}") from None
    context.console.detail(f"attested by {builder.identity} and {tester.identity}")
    return bundles


def _bundle(context: Context, manifest: Manifest, name: str) -> bytes:
    stored = context.promotions.objects.get(context.promotions.key(manifest.digest, name))
    if stored is None:
        raise _refused(manifest, f"{name} is not among its files (or this role may not read it)")
    return stored.body


def _refused(manifest: Manifest, why: str, next_step: str = "") -> Refused:
    return Refused(
        RefusalRule.NOT_ATTESTED,
        f"commit {manifest.sha[:12]} is not attested",
        why=why,
        next_step=next_step
        or "run all jobs of build-and-promote.yml again, or merge a new commit (docs/how-to/attestations.md)",
    )
