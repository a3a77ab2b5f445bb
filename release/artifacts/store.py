"""Where a release lies in the buckets, and how it gets from one to the next without a byte changing.

Preprod's bucket holds what is offered for promotion; prod copies it into its own when it takes the lease and from then
on reads only that. Every key is written once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from components.naming import names
from release.artifacts.manifest import MANIFEST_FILE, Manifest, ManifestError
from release.canonical import canonical_json, sha256
from release.console import Console
from release.errors import Refused, ReleaseError, UsageError
from release.ledger.lifecycle import Deployment, ReleaseId
from release.ledger.objects import AlreadyThereError, ObjectStore
from release.rules import RefusalRule

VALIDATION_FILE: Final = "validation.json"
PROVENANCE_FILE: Final = "provenance.sigstore.json"
RESULT_FILE: Final = "validation.sigstore.json"
"""Its name begins as the record's: who may mark a release as validated may attest it, and nobody else."""
_PROGRAM: Final = "program.tar.gz"
_HAND_OVER: Final = "release.json"
_NOT_STORED: Final = "known-after-the-approval"
"""Stands for the version of an object that is not stored yet."""


def release_id(manifest: Manifest) -> ReleaseId:
    """Identity and name of the release that a manifest describes."""
    return ReleaseId(digest=manifest.digest, sha=manifest.sha)


class PromotionStore:
    """Releases in preprod's bucket, below `promotions/`."""

    def __init__(self, objects: ObjectStore) -> None:
        self.objects = objects

    def key(self, digest: str, name: str) -> str:
        """Key of one file of a release."""
        return f"promotions/{digest}/{name}"

    def publish(self, manifest: Manifest, folder: Path, console: Console) -> dict[str, Any]:
        """Upload a build that was verified, and return what the program is handed over for it.

        Raises:
            Refused: Rule `one-build-per-commit`: this commit was published with other bytes.
        """
        name = canonical_json({"manifest": manifest.digest})
        try:
            self.objects.create(f"promotions/by-sha/{manifest.sha}.json", name)
        except AlreadyThereError:
            raise Refused(
                RefusalRule.ONE_BUILD_PER_COMMIT,
                f"commit {manifest.sha[:12]} was published before, with other packages than these",
                why="a commit has one manifest; otherwise its name would stand for two releases",
                next_step="take the packages of the first build (its workflow artifact), or make a new commit",
            ) from None
        packages = {}
        for function, entry in sorted(manifest.functions.items()):
            console.detail(f"{entry.package} ({entry.size / 1e6:.1f} MB)")
            packages[function] = (folder / entry.package).read_bytes()
        return _stored(self.objects, f"promotions/{manifest.digest}", manifest, packages)

    def attest(self, digest: str, name: str, bundle: bytes) -> bool:
        """Keep the signed statement about a release, unless one is there already; return whether it was kept."""
        try:
            self.objects.create(self.key(digest, name), bundle)
        except AlreadyThereError:  # every signature of the same statement is another one
            return False
        return True

    def digest_of(self, sha: str) -> str:
        """The manifest digest of a commit's release.

        Raises:
            Refused: Rule `never-built`: preprod has never seen that commit.
        """
        stored = self.objects.get(f"promotions/by-sha/{sha}.json")
        if stored is None:
            raise Refused(
                RefusalRule.NEVER_BUILT,
                f"commit {sha[:12]} was never deployed to preprod",
                why=f"{self.objects.bucket} holds no packages of it (a SHA has 40 digits)",
                next_step="release deploy --stack preprod --build DIR",
            )
        return str(json.loads(stored.body)["manifest"])

    def manifest(self, digest: str) -> Manifest:
        """The manifest with this digest.

        Raises:
            Refused: Rule `never-built`, or `manifest-foreign` when other bytes lie there.
        """
        stored = self.objects.get(self.key(digest, MANIFEST_FILE))
        if stored is None:
            raise Refused(
                RefusalRule.NEVER_BUILT,
                f"there is no release {digest[:12]} in {self.objects.bucket}",
                why="it was never deployed to preprod, or this role lacks s3:GetObject there",
                next_step="release history --stack preprod",
            )
        return _manifest(stored.body, digest)

    def packages(self, manifest: Manifest) -> dict[str, bytes]:
        """Every zip of a release, by function, each hashed again.

        Raises:
            Refused: Rule `package-missing` or `bytes-differ`.
        """
        return {
            function: _zip(self.objects, self.key(manifest.digest, entry.package), entry.sha256, entry.package)
            for function, entry in sorted(manifest.functions.items())
        }


class ReleaseStore:
    """Releases in the environment's own bucket, below `packages/` and `ledger/releases/`."""

    def __init__(self, objects: ObjectStore) -> None:
        self.objects = objects

    def store(
        self,
        manifest: Manifest,
        packages: dict[str, bytes],
        program: bytes,
        attestations: Mapping[str, bytes] | None = None,
    ) -> dict[str, Any]:
        """Keep a release with its program and attestations; return what the program is handed over for it."""
        prefix = _packages(manifest.digest)
        hand_over = _stored(self.objects, prefix, manifest, packages)
        _create(self.objects, f"{prefix}/{_PROGRAM}", program, "application/gzip")
        _create(self.objects, f"{prefix}/{_HAND_OVER}", canonical_json(hand_over))
        for name, bundle in (attestations or {}).items():
            _create(self.objects, f"{prefix}/{name}", bundle)
        return hand_over

    def expected(self, manifest: Manifest) -> dict[str, Any]:
        """What the program will be handed over for a release that is not stored yet, but for versions of objects."""
        versions = dict.fromkeys(manifest.functions, _NOT_STORED)
        return _hand_over(self.objects.bucket, _packages(manifest.digest), manifest, versions)

    def hand_over(self, release: ReleaseId) -> dict[str, Any]:
        """Return what the program is handed over for a release that was stored."""
        return json.loads(self._read(f"{_packages(release.digest)}/{_HAND_OVER}"))

    def program(self, release: ReleaseId) -> bytes:
        """The program of a release that was stored."""
        return self._read(f"{_packages(release.digest)}/{_PROGRAM}")

    def manifest(self, release: ReleaseId) -> Manifest:
        """The manifest of a release that was stored."""
        return _manifest(self._read(f"{_packages(release.digest)}/{MANIFEST_FILE}"), release.digest)

    def confirm_program(self, release: ReleaseId, program: bytes) -> str:
        """Keep the program of a release that is being confirmed; return its digest."""
        _create(self.objects, f"ledger/releases/{release.digest}/{_PROGRAM}", program, "application/gzip")
        return sha256(program)

    def confirm_checkpoint(self, release: ReleaseId, checkpoint: bytes) -> str:
        """Keep a checkpoint of a release that is being confirmed; return its digest, which is part of its name."""
        digest = sha256(checkpoint)
        _create(self.objects, _checkpoint(release, digest), checkpoint)
        return digest

    def confirmed_checkpoint(self, confirmed: Deployment) -> bytes:
        """The checkpoint of a confirmed release, checked against the digest that the ledger holds."""
        digest = confirmed.checkpoint_sha256
        return self._checked(_checkpoint(confirmed.release, digest), digest)

    def confirmed_program(self, confirmed: Deployment) -> bytes:
        """The program of a confirmed release, checked likewise."""
        return self._checked(f"ledger/releases/{confirmed.release.digest}/{_PROGRAM}", confirmed.program_sha256)

    def _checked(self, key: str, digest: str) -> bytes:
        body = self._read(key)
        if sha256(body) != digest:
            raise ReleaseError(
                f"{key} is not what was confirmed",
                why=f"its digest is {sha256(body)[:12]}, the ledger says {digest[:12]}",
                next_step="restore the right version of that object (an administrator), and read the trail",
            )
        return body

    def _read(self, key: str) -> bytes:
        stored = self.objects.get(key)
        if stored is None:
            raise ReleaseError(
                f"{key} is missing in {self.objects.bucket}",
                why="nobody but an administrator may delete it",
                next_step="restore it from the bucket's versions, and read the trail",
            )
        return stored.body


def _checkpoint(release: ReleaseId, digest: str) -> str:
    return f"ledger/releases/{release.digest}/checkpoint-{digest[:12]}.json"


def bucket_of(environment: str, suffix: str = "") -> str:
    """Deployment bucket of an environment; `suffix` is the setting `nameSuffix`."""
    if environment not in {"preprod", "prod"}:
        raise UsageError(f"there is no service stack {environment!r}", next_step="use --stack preprod or --stack prod")
    return names(environment, suffix).bucket


def _manifest(body: bytes, digest: str) -> Manifest:
    try:
        manifest = Manifest.load(body)
    except ManifestError as error:
        raise Refused(RefusalRule.MANIFEST_CORRUPT, error.what, why=error.why, next_step=error.next_step) from error
    if manifest.digest != digest:
        raise Refused(
            RefusalRule.MANIFEST_FOREIGN,
            f"the manifest below {digest[:12]} is that of release {manifest.digest[:12]}",
            why="somebody put it there: the place of a release is named by the digest of its manifest",
            next_step="deploy the build to preprod again under its own digest, and read the trail",
        )
    return manifest


def _zip(objects: ObjectStore, key: str, digest: str, package: str) -> bytes:
    stored = objects.get(key)
    if stored is None:
        raise Refused(
            RefusalRule.PACKAGE_MISSING,
            f"{package} is not in {objects.bucket}",
            why="a release is promoted with all its packages or not at all",
            next_step="release deploy --stack preprod --build DIR (with the artifact of that build)",
        )
    if sha256(stored.body) != digest:
        raise Refused(
            RefusalRule.BYTES_DIFFER,
            f"{package} is not the package that was tested: its bytes differ",
            why=f"SHA-256 {sha256(stored.body)[:16]}…, the manifest says {digest[:16]}…",
            next_step="find out who changed it (versions of the object, CloudTrail); then build a new commit",
        )
    return stored.body


def _create(objects: ObjectStore, key: str, body: bytes, content_type: str = "application/json") -> str:
    try:
        return objects.create(key, body, content_type)
    except AlreadyThereError:
        raise Refused(
            RefusalRule.BYTES_DIFFER,
            f"{key} exists in {objects.bucket} with other bytes",
            why="what was stored once is never written again",
            next_step="find out who put it there (versions of the object, CloudTrail)",
        ) from None


def _stored(objects: ObjectStore, prefix: str, manifest: Manifest, packages: dict[str, bytes]) -> dict[str, Any]:
    """Store packages, then their manifest, below `prefix`; return what the program is handed over for them."""
    versions = {
        function: _create(objects, f"{prefix}/{entry.package}", packages[function], "application/zip")
        for function, entry in sorted(manifest.functions.items())
    }
    _create(objects, f"{prefix}/{MANIFEST_FILE}", manifest.canonical())
    return _hand_over(objects.bucket, prefix, manifest, versions)


def _packages(digest: str) -> str:
    """Where the packages of a release lie in the environment's own bucket."""
    return f"packages/{digest}"


def _hand_over(bucket: str, prefix: str, manifest: Manifest, versions: Mapping[str, str]) -> dict[str, Any]:
    functions = {
        function: {
            "bucket": bucket,
            "key": f"{prefix}/{entry.package}",
            "version_id": versions[function],
            "code_sha256": entry.code_sha256,
            "handler": entry.handler,
        }
        for function, entry in sorted(manifest.functions.items())
    }
    return {"sha": manifest.sha, "manifest": manifest.digest, "functions": functions}
