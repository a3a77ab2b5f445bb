"""The HTTP edge of the local GitHub: routes under /api/v3, and /_localcloud for health and for tests."""

import hmac
import logging
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from localcloud.github import shapes
from localcloud.github.artifacts import artifact_routes, artifact_seeds, blob_routes
from localcloud.github.environments import environment_routes
from localcloud.github.errors import GitHubApiError, not_found
from localcloud.github.git_data import branch_routes, git_seeds, object_routes
from localcloud.github.pages import API, JsonBody, TextBody, base, page
from localcloud.github.people import people_routes, people_seeds
from localcloud.github.pulls import pull_routes, pull_seeds
from localcloud.github.repository import actions_routes, ruleset_routes, token_routes, workflow_routes
from localcloud.github.runs import run_routes, run_seeds
from localcloud.github.statuses import commit_status_routes
from localcloud.github.store import OWNER, REPOSITORY, GitHubStore
from localcloud.github.tracking import deployment_routes, issue_routes

_OWN = "/_localcloud"
_REPOSITORY = f"/repos/{OWNER}/{REPOSITORY}"
_log = logging.getLogger("uvicorn.error")


def make_app(store: GitHubStore | None = None) -> FastAPI:
    """Return the application around a store of its own (or the given one)."""
    store = store or GitHubStore()
    app = FastAPI(title="GitHub of the local cloud", openapi_url=None)

    @app.middleware("http")
    async def ask_for_a_token(request: Request, call_next: Any) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if request.url.path.startswith(API) and not (scheme.lower() in ("bearer", "token", "basic") and token.strip()):
            return JSONResponse(GitHubApiError(401, "Requires authentication").body(), 401)
        laid_down = store.documents.get(request.url.path.removeprefix(API)) if request.method == "GET" else None
        if laid_down is not None:
            return page(request, laid_down) if isinstance(laid_down, list) else JSONResponse(laid_down)
        return await call_next(request)

    @app.exception_handler(GitHubApiError)
    async def refuse(_: Request, error: GitHubApiError) -> Response:
        return JSONResponse(error.body(), error.status)

    @app.exception_handler(HTTPException)
    async def refuse_unknown_route(request: Request, error: HTTPException) -> Response:
        _log.warning("unknown route: %s %s", request.method, request.url.path)
        return JSONResponse(GitHubApiError(error.status_code, "Not Found").body(), error.status_code)

    @app.exception_handler(RequestValidationError)
    async def refuse_body(_: Request, error: RequestValidationError) -> Response:
        problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        return JSONResponse(GitHubApiError(422, "Invalid request.", problems).body(), 422)

    app.include_router(_own_routes(store))
    app.include_router(blob_routes(store))
    app.include_router(_account_routes(store), prefix=API)
    app.include_router(_organization_routes(store), prefix=API)
    app.include_router(environment_routes(store), prefix=API)
    for seeds in (run_seeds, pull_seeds, artifact_seeds, people_seeds, git_seeds):
        app.include_router(seeds(store), prefix=_OWN)
    for made in (
        run_routes,
        artifact_routes,
        commit_status_routes,
        people_routes,
        pull_routes,
        issue_routes,
        deployment_routes,
        ruleset_routes,
        actions_routes,
        token_routes,
        workflow_routes,
        object_routes,
        branch_routes,
    ):
        app.include_router(made(store), prefix=API)
    return app


def _own_routes(store: GitHubStore) -> APIRouter:
    routes = APIRouter(prefix=_OWN)

    @routes.get("/health")
    async def health() -> dict[str, bool]:
        return {"ok": True}

    @routes.post("/users", status_code=201)
    async def add_user(request: Request, wanted: JsonBody) -> dict[str, Any]:
        made = store.put_user(wanted["login"], wanted.get("id"), wanted.get("type", "User"))
        return shapes.user(made, base(request))

    @routes.post("/teams", status_code=201)
    async def add_team(request: Request, wanted: TextBody) -> dict[str, Any]:
        """Add a team of the owner, who is an organization from then on."""
        return shapes.team(store.put_team(wanted["slug"]), base(request))

    @routes.put("/documents", status_code=204)
    async def put_document(wanted: JsonBody) -> None:
        """What GitHub shall answer at a path, whatever it knows: wrong answers above all."""
        store.documents[wanted["path"]] = wanted["body"]

    @routes.post("/secrets/check")
    async def check_secret(wanted: TextBody) -> dict[str, bool]:
        """Tell whether a stored secret has this value, without ever giving the value out."""
        stored = store.environment(wanted["environment"]).secrets.get(wanted["name"].upper())
        return {"equal": stored is not None and hmac.compare_digest(stored.value.encode(), wanted["value"].encode())}

    return routes


def _account_routes(store: GitHubStore) -> APIRouter:
    routes = APIRouter()

    @routes.get("/meta")
    async def meta() -> dict[str, Any]:
        return {"verifiable_password_authentication": False, "installed_version": "3.18.0"}

    @routes.get("/rate_limit")
    async def rate_limit() -> dict[str, Any]:
        core = {"limit": 5000, "remaining": 5000, "used": 0, "reset": 4_102_444_800}
        return {"resources": {"core": core}, "rate": core}

    @routes.get("/user")
    async def current_user(request: Request) -> dict[str, Any]:
        return shapes.user(store.user(OWNER), base(request))

    @routes.get("/user/{user_id}")
    async def user_by_id(user_id: int, request: Request) -> dict[str, Any]:
        return shapes.user(store.user_by_id(user_id), base(request))

    @routes.get("/users/{login}")
    async def user(login: str, request: Request) -> dict[str, Any]:
        return shapes.user(store.user(login), base(request))

    @routes.get("/users/{login}/gpg_keys")
    @routes.get("/users/{login}/keys")
    async def keys(login: str) -> list[Any]:
        store.user(login)
        return []

    @routes.get(_REPOSITORY)
    @routes.get("/repositories/900000001")
    async def repository(request: Request) -> dict[str, Any]:
        return shapes.repository(store.user(OWNER), base(request))

    return routes


def _organization_routes(store: GitHubStore) -> APIRouter:
    routes = APIRouter()

    @routes.get("/orgs/{name}")
    async def organization(name: str, request: Request) -> dict[str, Any]:
        found = store.user(name)
        if found.kind != "Organization":
            raise not_found()
        return shapes.organization(found, base(request))

    @routes.get(f"/orgs/{OWNER}/teams/{{slug}}")
    async def team(slug: str, request: Request) -> dict[str, Any]:
        return shapes.team(store.team(slug), base(request))

    return routes
