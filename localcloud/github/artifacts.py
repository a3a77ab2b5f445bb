"""Artifacts of runs: seeded with their bytes, listed, and fetched from another host that must not see the token."""

import secrets
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from localcloud.github.errors import GitHubApiError, found
from localcloud.github.routing import OWN, REPO, Store, page
from localcloud.github.store import REPOSITORY_ID

_BLOBS = "/_blobs"

routes = APIRouter()


@routes.put(f"{OWN}/runs/{{run_id}}/artifacts/{{name}}", status_code=201)
async def _put(
    run_id: int, name: str, request: Request, store: Store, size_in_bytes: int | None = None, *, expired: bool = False
) -> dict[str, Any]:
    """Keep the body as the archive; GitHub can be made to tell a wrong size."""
    run, body = store.run(run_id), await request.body()
    size = len(body) if size_in_bytes is None else size_in_bytes
    made = store.add(f"runs/{run_id}/artifacts", {"name": name, "size_in_bytes": size, "expired": expired})
    made["expires_at"] = made["created_at"]
    made["workflow_run"] = {"id": run_id, "repository_id": REPOSITORY_ID, "head_sha": run.get("head_sha", "0" * 40)}
    store.archives[made["id"]] = (secrets.token_urlsafe(), body)
    return made


@routes.get(f"{REPO}/actions/runs/{{run_id}}/artifacts")
async def _list(run_id: int, request: Request, store: Store, name: str = "") -> Any:
    store.run(run_id)
    known = [one for one in store.collection(f"runs/{run_id}/artifacts") if name in ("", one["name"])]
    return page(request, known[::-1], "artifacts")


@routes.get(f"{REPO}/actions/artifacts/{{artifact_id}}/zip")
async def _archive(artifact_id: int, request: Request, store: Store) -> Response:
    known = [one for run_id in store.runs for one in store.collection(f"runs/{run_id}/artifacts")]
    if found(next((one for one in known if one["id"] == artifact_id), None))["expired"]:
        raise GitHubApiError(410, "Artifact has expired")
    # Another name of this very host: a client that follows blindly takes its token along.
    signature = store.archives[artifact_id][0]
    address = request.url.replace(hostname="localhost", path=f"{_BLOBS}/{artifact_id}", query=f"sig={signature}")
    return RedirectResponse(str(address), 302)


@routes.get(f"{_BLOBS}/{{artifact_id}}")
async def _blob(artifact_id: int, request: Request, store: Store, sig: str = "") -> Response:
    """Answer as the other host, which knows signed addresses and refuses every other credential."""
    if "authorization" in request.headers:
        return Response("InvalidAuthenticationInfo", 401)
    signature, body = store.archives.get(artifact_id, ("", b""))
    if not signature or not secrets.compare_digest(sig, signature):
        return Response("AuthenticationFailed", 403)
    return Response(body, media_type="application/zip")
