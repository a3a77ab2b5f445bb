"""GitHub's issuer of tokens: a job that is registered asks for one, and anybody for the keys.

The tokens name `https://token.actions.githubusercontent.com` as their issuer: this part plays that host too.
"""

import time
import uuid
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from joserfc import jwt
from joserfc.jwk import RSAKey
from pydantic import BaseModel, ConfigDict, Field

from localcloud.github.errors import GitHubApiError, not_found
from localcloud.github.routing import OWN, Store
from localcloud.github.store import OWNER, REPOSITORY, REPOSITORY_ID, GitHubStore
from localcloud.iam.tokens import ISSUER

_TOKENS = "/_services/token"
_SECONDS = 300
_Text = Annotated[str, Field(min_length=1)]

routes = APIRouter()


class JobRequest(BaseModel):
    """What a job's runner says of it; the claims of its tokens follow from that."""

    model_config = ConfigDict(extra="forbid")

    workflow: _Text
    """File of the workflow that defines the job (of a called one, where it is called): `deploy-prod.yml`."""
    environment: str = ""
    ref: _Text = "refs/heads/main"
    sha: _Text = "0" * 40
    run_id: int = 1
    run_attempt: int = 1
    event_name: _Text = "push"
    actor: _Text = OWNER
    caller: str = ""
    """File of the workflow that was started, where that is another one."""
    repository: _Text = f"{OWNER}/{REPOSITORY}"
    runner_environment: _Text = "github-hosted"
    expires_in: int = _SECONDS
    """Seconds until its tokens expire; a test asks for others than GitHub's."""


@dataclass(frozen=True)
class RegisteredJob:
    """A registered job: who has its bearer gets its tokens."""

    id: str
    bearer: str
    asked: JobRequest


class Issuer:
    """The key that signs, and the jobs that may ask."""

    def __init__(self) -> None:
        self.jobs: dict[str, RegisteredJob] = {}

    @cached_property
    def key(self) -> RSAKey:
        """The signing key, made when it is first needed: that takes a moment."""
        return RSAKey.generate_key(2048, {"kid": uuid.uuid4().hex, "use": "sig", "alg": "RS256"})

    def token(self, job: RegisteredJob, audience: str, store: GitHubStore) -> str:
        """Return a signed token with GitHub's claims for a job."""
        return jwt.encode(
            {"typ": "JWT", "alg": "RS256", "kid": self.key.kid}, claims(job.asked, audience, store), self.key
        )


async def _signer(request: Request) -> Issuer:
    return request.app.state.issuer


Signer = Annotated[Issuer, Depends(_signer)]


def claims(job: JobRequest, audience: str, store: GitHubStore) -> dict[str, str | int]:
    """Return the claims of a job's token; ids are texts there, and a job without environment has no such claim."""
    owner, _, _ = job.repository.partition("/")
    owner_id = store.user(OWNER).id if owner == OWNER else 99_999_999
    repository_id = REPOSITORY_ID if job.repository == f"{OWNER}/{REPOSITORY}" else 999_999_999
    now = int(time.time())
    files = f"{job.repository}/.github/workflows"
    said: dict[str, str | int] = {
        "jti": str(uuid.uuid4()),
        "iss": ISSUER,
        "aud": audience,
        "sub": _subject(job, owner_id, repository_id, immutable=bool(store.oidc_subject["use_immutable_subject"])),
        "repository": job.repository,
        "repository_id": str(repository_id),
        "repository_owner": owner,
        "repository_owner_id": str(owner_id),
        "ref": job.ref,
        "ref_type": "tag" if job.ref.startswith("refs/tags/") else "branch",
        "sha": job.sha,
        "run_id": str(job.run_id),
        "run_number": str(job.run_id),
        "run_attempt": str(job.run_attempt),
        "event_name": job.event_name,
        "actor": job.actor,
        "workflow_ref": f"{files}/{job.caller or job.workflow}@{job.ref}",
        "job_workflow_ref": f"{files}/{job.workflow}@{job.ref}",
        "runner_environment": job.runner_environment,
        "iat": now,
        "nbf": now,
        "exp": now + job.expires_in,
    }
    return said | ({"environment": job.environment} if job.environment else {})


def _subject(job: JobRequest, owner_id: int, repository_id: int, *, immutable: bool) -> str:
    """Return `sub` in the form of the repository: with ids for those made since 2026-07-15."""
    owner, _, name = job.repository.partition("/")
    repository = f"{owner}@{owner_id}/{name}@{repository_id}" if immutable else job.repository
    if job.environment:
        return f"repo:{repository}:environment:{job.environment}"
    return f"repo:{repository}:pull_request" if job.event_name == "pull_request" else f"repo:{repository}:ref:{job.ref}"


@routes.post(f"{OWN}/jobs", status_code=201)
async def _register(asked: JobRequest, request: Request, issuer: Signer) -> dict[str, str]:
    job = RegisteredJob(uuid.uuid4().hex, uuid.uuid4().hex, asked)
    issuer.jobs[job.id] = job
    address = f"{str(request.base_url).rstrip('/')}{_TOKENS}/{job.id}?api-version=2.0"
    return {"id": job.id, "request_url": address, "request_token": job.bearer}


@routes.delete(f"{OWN}/jobs/{{job_id}}", status_code=204)
async def _end(job_id: str, issuer: Signer) -> None:
    """The job has ended: it gets no more tokens."""
    if issuer.jobs.pop(job_id, None) is None:
        raise not_found()


@routes.get(f"{_TOKENS}/{{job_id}}")
async def _token(job_id: str, request: Request, store: Store, issuer: Signer, audience: str = "") -> dict[str, Any]:
    job = issuer.jobs.get(job_id)
    if job is None or request.headers.get("authorization", "").partition(" ")[2] != job.bearer:
        raise GitHubApiError(401, "Requires authentication")
    # Without an audience GitHub takes the address of the repository's owner.
    return {"value": issuer.token(job, audience or f"https://github.com/{OWNER}", store)}


@routes.get("/.well-known/openid-configuration")
async def _configuration(request: Request) -> dict[str, Any]:
    return {
        "issuer": ISSUER,
        "jwks_uri": f"{str(request.base_url).rstrip('/')}/.well-known/jwks",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public", "pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }


@routes.get("/.well-known/jwks")
async def _keys(issuer: Signer) -> dict[str, Any]:
    return {"keys": [issuer.key.as_dict(private=False)]}
