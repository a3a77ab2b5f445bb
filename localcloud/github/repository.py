"""Routes of the repository's own rules: rulesets, what Actions may run, the workflow token, the OIDC subject."""

from typing import Any

from fastapi import APIRouter, Request

from localcloud.github import shapes
from localcloud.github.errors import GitHubApiError, found, invalid
from localcloud.github.pages import JsonBody, page
from localcloud.github.store import OWNER, REPOSITORY, GitHubStore

_REPOSITORY = f"/repos/{OWNER}/{REPOSITORY}"


def ruleset_routes(store: GitHubStore) -> APIRouter:
    """Return the routes of rulesets."""
    routes = APIRouter(prefix=f"{_REPOSITORY}/rulesets")

    @routes.get("")
    async def listed(request: Request) -> Any:
        # A list leaves out what is long, as on GitHub.
        left_out = {"bypass_actors", "conditions", "rules", "current_user_can_bypass"}
        shown = [shapes.ruleset(one) for one in store.rulesets.values()]
        return page(request, [{key: one[key] for key in one if key not in left_out} for one in shown])

    @routes.post("", status_code=201)
    async def add(wanted: JsonBody) -> dict[str, Any]:
        return shapes.ruleset(store.put_ruleset(wanted))

    @routes.get("/{ruleset_id}")
    async def get(ruleset_id: int) -> dict[str, Any]:
        return shapes.ruleset(found(store.rulesets.get(ruleset_id)))

    @routes.put("/{ruleset_id}")
    async def change(ruleset_id: int, wanted: JsonBody) -> dict[str, Any]:
        return shapes.ruleset(store.put_ruleset(wanted, ruleset_id))

    @routes.delete("/{ruleset_id}", status_code=204)
    async def delete(ruleset_id: int) -> None:
        found(store.rulesets.pop(ruleset_id, None))

    return routes


def actions_routes(store: GitHubStore) -> APIRouter:
    """Return the routes of which actions may run, and of secrets and variables outside of environments."""
    routes = APIRouter(prefix=f"{_REPOSITORY}/actions")
    settings = store.actions

    @routes.get("/permissions")
    async def permissions(request: Request) -> dict[str, Any]:
        if settings.permissions["allowed_actions"] != "selected":
            return settings.permissions
        return {**settings.permissions, "selected_actions_url": f"{request.url}/selected-actions"}

    @routes.put("/permissions", status_code=204)
    async def put_permissions(wanted: JsonBody) -> None:
        if "enabled" not in wanted or wanted.get("allowed_actions", "all") not in ("all", "local_only", "selected"):
            raise invalid("enabled is missing, or allowed_actions is none of all, local_only, selected")
        settings.permissions |= wanted

    @routes.get("/permissions/selected-actions")
    async def selected() -> dict[str, Any]:
        _only_where_selected(store)
        return settings.selected

    @routes.put("/permissions/selected-actions", status_code=204)
    async def put_selected(wanted: JsonBody) -> None:
        _only_where_selected(store)
        settings.selected |= wanted

    # Nothing here can make one: all of ours belong to environments.
    @routes.get("/secrets")
    async def secrets(request: Request) -> Any:
        return page(request, [], "secrets")

    @routes.get("/variables")
    async def variables(request: Request) -> Any:
        return page(request, [], "variables")

    return routes


def workflow_routes(store: GitHubStore) -> APIRouter:
    """Return the routes of whether a workflow may run."""
    routes = APIRouter(prefix=f"{_REPOSITORY}/actions")
    settings = store.actions

    # No files are kept here, so that a workflow of any name is there.
    @routes.get("/workflows/{workflow}")
    async def workflow(workflow: str) -> dict[str, Any]:
        state = "disabled_manually" if workflow in settings.disabled_workflows else "active"
        return {"name": workflow, "path": f".github/workflows/{workflow}", "state": state}

    @routes.put("/workflows/{workflow}/disable", status_code=204)
    async def disable(workflow: str) -> None:
        settings.disabled_workflows.add(workflow)

    @routes.put("/workflows/{workflow}/enable", status_code=204)
    async def enable(workflow: str) -> None:
        settings.disabled_workflows.discard(workflow)

    return routes


def token_routes(store: GitHubStore) -> APIRouter:
    """Return the routes of what a workflow's token may do, and how an OIDC token names its job."""
    routes = APIRouter(prefix=f"{_REPOSITORY}/actions")
    settings = store.actions

    @routes.get("/permissions/workflow")
    async def token() -> dict[str, Any]:
        return settings.token

    @routes.put("/permissions/workflow", status_code=204)
    async def put_token(wanted: JsonBody) -> None:
        if wanted.get("default_workflow_permissions", "read") not in ("read", "write"):
            raise invalid("default_workflow_permissions must be read or write")
        settings.token |= wanted

    @routes.get("/oidc/customization/sub")
    async def oidc_subject() -> dict[str, Any]:
        return settings.oidc_subject

    @routes.put("/oidc/customization/sub", status_code=201)
    async def put_oidc_subject(wanted: JsonBody) -> dict[str, Any]:
        if not isinstance(wanted.get("use_default"), bool):
            raise invalid("use_default is missing")
        # Claims are kept only where they are used.
        kept = {"use_default": True} if wanted["use_default"] else wanted
        immutable = wanted.get("use_immutable_subject", settings.oidc_subject["use_immutable_subject"])
        settings.oidc_subject = kept | {"use_immutable_subject": immutable}
        return {}

    return routes


def _only_where_selected(store: GitHubStore) -> None:
    if store.actions.permissions["allowed_actions"] != "selected":
        raise GitHubApiError(409, "Conflict: allowed_actions is not set to selected")
