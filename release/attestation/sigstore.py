"""Signing as the job that runs, and verifying that it was such a job: with Sigstore, of the public good instance.

A signature is made with a key that lives for one statement. A certificate says which job of which workflow had it, by
the token that GitHub gives the job, and a public log holds both. A rehearsal names a Sigstore of its own on loopback
(`RELEASE_SIGSTORE`), to which the same code goes; only a rehearsal believes it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

import httpx
from tenacity import Retrying, retry_if_not_exception_type, stop_after_attempt, wait_random_exponential

from components.arns import GITHUB_ISSUER
from release.attestation.statements import REF, SITE, SigningJob, StatementError
from release.clients.rest import LOOPBACK, is_safe
from release.errors import ReleaseError, UsageError
from release.text import one_line

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.models import ClientTrustConfig
    from sigstore.verify.policy import VerificationPolicy

REHEARSED: Final = "RELEASE_SIGSTORE"
"""Variable with the address of a rehearsal's Sigstore."""
ADDRESS, BEARER = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
"""Variables by which a job with `id-token: write` asks GitHub for its token."""
_AUDIENCE: Final = "sigstore"
_ISSUER: Final = f"https://{GITHUB_ISSUER}"
_HOSTED: Final = "github-hosted"
_PAYLOAD: Final = "application/vnd.in-toto+json"
_DEPLOYMENT_ENVIRONMENT: Final = "1.3.6.1.4.1.57264.1.23"
"""Fulcio's extension with the GitHub environment of the job."""
_LIMIT: Final = httpx.Timeout(15.0, connect=5.0)
_LONGEST_S: Final = 90.0
"""Sigstore's client sets no limit of its own to what it waits for (real)."""
T = TypeVar("T")


class AttestationError(ReleaseError):
    """A statement could not be signed, or not be verified."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Signer:
    """The job that must have signed: in which file of which repository it stands, and in which environment it runs."""

    repository: str
    workflow: str
    """File of the workflow that the job stands in."""
    started: str
    """File of the workflow that was started."""
    sha: str
    environment: str = ""

    def address(self, workflow: str) -> str:
        """Return a workflow of main as a certificate names it."""
        return f"{SITE}/{self.repository}/.github/workflows/{workflow}@{REF}"

    @property
    def identity(self) -> str:
        """The workflow that the job stands in, as a certificate names it."""
        return self.address(self.workflow)


def may_sign(environment: Mapping[str, str]) -> bool:
    """Whether this is a job that GitHub gives a token."""
    return bool(environment.get(ADDRESS) and environment.get(BEARER))


def sign(make: Callable[[SigningJob], bytes], environment: Mapping[str, str]) -> bytes:
    """Sign a statement as the job that runs; return Sigstore's bundle of it.

    Raises:
        AttestationError: There is no such job, or GitHub or Sigstore does not answer as it should.
    """
    token = _token(environment)
    try:
        content = make(SigningJob.of(token))
    except StatementError as error:
        raise AttestationError("GitHub's token cannot be used", why=str(error)) from None

    def work() -> bytes:
        from sigstore._internal.rekor.client import RekorClient
        from sigstore.dsse import Statement
        from sigstore.oidc import IdentityToken
        from sigstore.sign import SigningContext

        context = SigningContext.from_trust_config(_trust(environment, rehearsed=True))
        with context.signer(IdentityToken(token)) as signer:
            bundle = signer.sign_dsse(Statement(content)).to_json().encode()
        if isinstance(context._rekor, RekorClient):
            context._rekor._session.close()
        return bundle

    try:
        return _within(_LONGEST_S, lambda: _tried(work))
    except (AttestationError, UsageError):
        raise
    except Exception as error:  # of three libraries, and none of them lists what it raises
        raise AttestationError(
            "the statement could not be signed",
            why=f"{type(error).__name__}: {one_line(error, 300)}",
            next_step="run the job again; https://status.sigstore.dev says how Sigstore is",
        ) from None


def verified(bundle: bytes, signer: Signer, environment: Mapping[str, str], *, rehearsed: bool) -> bytes:
    """Return the statement in a bundle, whose signature is that of the signer.

    Raises:
        AttestationError: It is not, or that could not be found out.
    """

    def work() -> bytes:
        from sigstore.models import Bundle
        from sigstore.verify import Verifier

        verifier = Verifier(trusted_root=_trust(environment, rehearsed=rehearsed).trusted_root)
        kind, payload = verifier.verify_dsse(Bundle.from_json(bundle), policy_of(signer))
        if kind != _PAYLOAD:
            raise ValueError(f"what is signed is {kind!r}")
        return payload

    try:
        return _within(_LONGEST_S, work)
    except (AttestationError, UsageError):
        raise
    except Exception as error:  # whatever it is: what could not be verified does not count
        raise AttestationError(
            "the signature could not be verified", why=f"{type(error).__name__}: {one_line(error, 300)}"
        ) from None


def policy_of(signer: Signer) -> VerificationPolicy:
    """Return what the certificate of a signer must say, every part of it."""
    from sigstore.verify import policy

    wanted: list[VerificationPolicy] = [
        policy.Identity(identity=signer.identity),
        policy.OIDCIssuerV2(_ISSUER),
        policy.OIDCBuildConfigURI(signer.address(signer.started)),
        policy.OIDCSourceRepositoryURI(f"{SITE}/{signer.repository}"),
        policy.OIDCSourceRepositoryRef(REF),
        policy.OIDCSourceRepositoryDigest(signer.sha),
        policy.OIDCRunnerEnvironment(_HOSTED),
    ]
    if signer.environment:
        wanted.append(_DeploymentEnvironment(signer.environment))
    return policy.AllOf(wanted)


class _DeploymentEnvironment:
    """The part of a policy for which Sigstore's client has no class yet."""

    def __init__(self, environment: str) -> None:
        self._wanted = environment

    def verify(self, cert: Certificate) -> None:
        """Raise unless the certificate is of a job in that environment."""
        from cryptography.x509 import ExtensionNotFound, ObjectIdentifier, UnrecognizedExtension

        try:
            found = cert.extensions.get_extension_for_oid(ObjectIdentifier(_DEPLOYMENT_ENVIRONMENT)).value
        except ExtensionNotFound:
            raise ValueError("the certificate names no environment of a job") from None
        text = self._wanted.encode()
        # A text in DER: its tag, its length, itself. Names of environments are short.
        if not isinstance(found, UnrecognizedExtension) or found.value != bytes([12, len(text)]) + text:
            raise ValueError(f"the certificate is not of a job in the environment {self._wanted}")


def _token(environment: Mapping[str, str]) -> str:
    """Ask GitHub for the job's token for Sigstore."""
    address = environment.get(ADDRESS, "")
    if not may_sign(environment) or not is_safe(address):
        raise AttestationError(
            "nothing can be signed here",
            why=f"only a job of GitHub Actions with `id-token: write` can ({ADDRESS} and {BEARER} are not set)",
            next_step="let the workflow do it; or set `attestations` to false in Pulumi.prod.yaml",
        )
    headers = {"Authorization": f"Bearer {environment[BEARER]}"}
    try:
        with httpx.Client(headers=headers, timeout=_LIMIT) as client:
            return str(client.get(f"{address}&audience={_AUDIENCE}").raise_for_status().json()["value"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise AttestationError(
            "GitHub gave the job no token",
            why=type(error).__name__,  # its text could hold what was sent
            next_step="look at the `permissions` of the job; run it again",
        ) from None


def _trust(environment: Mapping[str, str], *, rehearsed: bool) -> ClientTrustConfig:
    """Return whom to ask and whose keys to believe: Sigstore's public instance, or that of a rehearsal."""
    from sigstore.models import ClientTrustConfig

    address = environment.get(REHEARSED, "")
    if not address:
        return _tried(ClientTrustConfig.production)
    parts = urlsplit(address)
    if not rehearsed or parts.scheme != "http" or parts.hostname not in LOOPBACK:
        raise UsageError(
            f"{REHEARSED} names the Sigstore of a rehearsal, on this machine",
            why="whoever can make its signatures is nobody that production trusts",
            next_step=f"unset {REHEARSED}",
        )
    with httpx.Client(timeout=_LIMIT) as client:
        return ClientTrustConfig.from_json(_tried(lambda: client.get(address).raise_for_status().text))


def _tried(work: Callable[[], T]) -> T:
    """Return what `work` returns, tried three times: a service may be away for a moment."""
    wait = wait_random_exponential(multiplier=0.3, max=3)
    again = retry_if_not_exception_type(UsageError)
    return Retrying(retry=again, stop=stop_after_attempt(3), wait=wait, reraise=True)(work)


def _within(seconds: float, work: Callable[[], T]) -> T:
    """Return what `work` returns, or raise what it raises, within a time.

    Raises:
        AttestationError: It took longer. Its thread is left behind: it holds nothing up.
    """
    done: list[T] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            done.append(work())
        except Exception as error:  # raised again below, in the thread that asked
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise AttestationError(f"Sigstore has not answered within {seconds:.0f} s", next_step="run the job again")
    return done[0]
