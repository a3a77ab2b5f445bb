"""The local Sigstore within a test: jobs that sign with it, as the workflows' jobs do."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import uvicorn

from localcloud.environment import REPOSITORY, TRUST
from localcloud.github.app import make_app
from localcloud.iam.jobs import BEARER, URL
from release.artifacts.store import PROVENANCE_FILE, RESULT_FILE
from release.attestation.sigstore import REHEARSED, sign
from release.attestation.statements import PROVENANCE, TEST_RESULT, provenance, result_of_tests, statement
from release.gates.attested import subjects_of_build, subjects_of_tests
from tests.unit.release.release_world import record

BUILD = {"workflow": "build-and-promote.yml"}
TESTS = {"workflow": "preprod.yml", "caller": "build-and-promote.yml", "environment": "preprod-validate"}


@dataclass(frozen=True)
class LocalSigstore:
    """The part of the local cloud that plays GitHub and Sigstore, in this process."""

    url: str

    @property
    def trusted(self) -> dict[str, str]:
        """Variables of whoever verifies."""
        return {REHEARSED: f"{self.url}{TRUST}", "GITHUB_REPOSITORY": REPOSITORY}

    def job(self, **claims) -> dict[str, str]:
        """Variables of a job."""
        asked = httpx.post(f"{self.url}/_localcloud/jobs", json=claims).raise_for_status().json()
        return {**self.trusted, URL: asked["request_url"], BEARER: asked["request_token"]}

    def attestations(self, digest: str) -> list:
        """The bundles that GitHub lists for a file with this digest."""
        address = f"{self.url}/api/v3/repos/{REPOSITORY}/attestations/sha256:{digest}"
        with httpx.Client(headers={"Authorization": "Bearer t"}) as client:
            return [one["bundle"] for one in client.get(address).raise_for_status().json()["attestations"]]

    def bundle(self, make: Callable, **claims) -> bytes:
        """Sign a statement as a job."""
        return sign(make, self.job(**claims))

    def build(self, manifest, subjects: Mapping[str, str] | None = None, **claims) -> bytes:
        """What the job that builds signs; `claims` are what is said of it otherwise."""
        about = subjects_of_build(manifest) if subjects is None else subjects
        return self.bundle(
            lambda job: statement(PROVENANCE, about, provenance(job)), **BUILD | {"sha": manifest.sha} | claims
        )

    def tests(self, manifest, subjects: Mapping[str, str] | None = None, **claims) -> bytes:
        """What the job that marks a release as validated signs."""
        body = record(manifest).body()
        about = subjects_of_tests(manifest.digest, body) if subjects is None else subjects
        return self.bundle(
            lambda job: statement(TEST_RESULT, about, result_of_tests(job, "0" * 64)),
            **TESTS | {"sha": manifest.sha} | claims,
        )

    def files(self, manifest) -> dict[str, bytes]:
        """Both statements by the names of their files."""
        return {PROVENANCE_FILE: self.build(manifest), RESULT_FILE: self.tests(manifest)}


@contextmanager
def local_sigstore() -> Iterator[LocalSigstore]:
    """Serve it on a port of its own."""
    server = uvicorn.Server(uvicorn.Config(make_app(), host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
        assert thread.is_alive(), "it did not start"
    (socket,) = server.servers[0].sockets
    try:
        yield LocalSigstore(f"http://127.0.0.1:{socket.getsockname()[1]}")
    finally:
        server.should_exit = True
        thread.join(10)
