"""Routes of the repository's own rules: rulesets, what Actions may run, the workflow token, the OIDC subject."""

from typing import Any

from fastapi import APIRouter, Request

from localcloud.github import shapes
from localcloud.github.errors import GitHubApiError, found, invalid
from localcloud.github.routing import REPO, JsonBody, Store, page
from localcloud.github.store import GitHubStore

routes = APIRouter()


@routes.get(f"{REPO}/rulesets")
async def _list_rulesets(request: Request, store: Store) -> Any:
    # A list leaves out what is long, as on GitHub.
    left_out = {"bypass_actors", "conditions", "rules", "current_user_can_bypass"}
    shown = [shapes.ruleset(one) for one in store.rulesets.values()]
    return page(request, [{key: one[key] for key in one if key not in left_out} for one in shown])


@routes.post(f"{REPO}/rulesets", status_code=201)
async def _add_ruleset(wanted: JsonBody, store: Store) -> dict[str, Any]:
    return shapes.ruleset(store.put_ruleset(wanted))


@routes.get(f"{REPO}/rulesets/{{ruleset_id}}")
async def _get_ruleset(ruleset_id: int, store: Store) -> dict[str, Any]:
    return shapes.ruleset(found(store.rulesets.get(ruleset_id)))


@routes.put(f"{REPO}/rulesets/{{ruleset_id}}")
async def _change_ruleset(ruleset_id: int, wanted: JsonBody, store: Store) -> dict[str, Any]:
    return shapes.ruleset(store.put_ruleset(wanted, ruleset_id))


@routes.delete(f"{REPO}/rulesets/{{ruleset_id}}", status_code=204)
async def _delete_ruleset(ruleset_id: int, store: Store) -> None:
    found(store.rulesets.pop(ruleset_id, None))


@routes.get(f"{REPO}/actions/permissions")
async def _permissions(request: Request, store: Store) -> dict[str, Any]:
    permissions = store.permissions
    if permissions["allowed_actions"] != "selected":
        return permissions
    return {**permissions, "selected_actions_url": f"{request.url}/selected-actions"}


@routes.put(f"{REPO}/actions/permissions", status_code=204)
async def _put_permissions(wanted: JsonBody, store: Store) -> None:
    if "enabled" not in wanted or wanted.get("allowed_actions", "all") not in ("all", "local_only", "selected"):
        raise invalid("enabled is missing, or allowed_actions is none of all, local_only, selected")
    store.permissions |= wanted


@routes.get(f"{REPO}/actions/permissions/selected-actions")
async def _selected(store: Store) -> dict[str, Any]:
    _only_where_selected(store)
    return store.selected_actions


@routes.put(f"{REPO}/actions/permissions/selected-actions", status_code=204)
async def _put_selected(wanted: JsonBody, store: Store) -> None:
    _only_where_selected(store)
    store.selected_actions |= wanted


@routes.get(f"{REPO}/actions/permissions/workflow")
async def _token(store: Store) -> dict[str, Any]:
    return store.workflow_token


@routes.put(f"{REPO}/actions/permissions/workflow", status_code=204)
async def _put_token(wanted: JsonBody, store: Store) -> None:
    if wanted.get("default_workflow_permissions", "read") not in ("read", "write"):
        raise invalid("default_workflow_permissions must be read or write")
    store.workflow_token |= wanted


@routes.get(f"{REPO}/actions/oidc/customization/sub")
async def _oidc_subject(store: Store) -> dict[str, Any]:
    return store.oidc_subject


@routes.put(f"{REPO}/actions/oidc/customization/sub", status_code=201)
async def _put_oidc_subject(wanted: JsonBody, store: Store) -> dict[str, Any]:
    if not isinstance(wanted.get("use_default"), bool):
        raise invalid("use_default is missing")
    # Claims are kept only where they are used.
    kept = {"use_default": True} if wanted["use_default"] else wanted
    immutable = wanted.get("use_immutable_subject", store.oidc_subject["use_immutable_subject"])
    store.oidc_subject = kept | {"use_immutable_subject": immutable}
    return {}


# Nothing here can make one: all of ours belong to environments.


@routes.get(f"{REPO}/actions/secrets")
async def _secrets(request: Request) -> Any:
    return page(request, [], "secrets")


@routes.get(f"{REPO}/actions/variables")
async def _variables(request: Request) -> Any:
    return page(request, [], "variables")


# No files are kept here, so that a workflow of any name is there.


@routes.get(f"{REPO}/actions/workflows/{{workflow}}")
async def _workflow(workflow: str, store: Store) -> dict[str, Any]:
    state = "disabled_manually" if workflow in store.disabled_workflows else "active"
    return {"name": workflow, "path": f".github/workflows/{workflow}", "state": state}


@routes.put(f"{REPO}/actions/workflows/{{workflow}}/disable", status_code=204)
async def _disable(workflow: str, store: Store) -> None:
    store.disabled_workflows.add(workflow)


@routes.put(f"{REPO}/actions/workflows/{{workflow}}/enable", status_code=204)
async def _enable(workflow: str, store: Store) -> None:
    store.disabled_workflows.discard(workflow)


def _only_where_selected(store: GitHubStore) -> None:
    if store.permissions["allowed_actions"] != "selected":
        raise GitHubApiError(409, "Conflict: allowed_actions is not set to selected")
