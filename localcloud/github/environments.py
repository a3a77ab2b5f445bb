"""Routes of the repository's environments: settings, branch rules, secrets, variables."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from localcloud.github import shapes
from localcloud.github.errors import found
from localcloud.github.pages import JsonBody, TextBody, base, page
from localcloud.github.store import OWNER, REPOSITORY, REPOSITORY_ID, GitHubStore, public_key

_BY_NAME = f"/repos/{OWNER}/{REPOSITORY}/environments"
_BY_ID = f"/repositories/{REPOSITORY_ID}/environments"


def environment_routes(store: GitHubStore) -> APIRouter:
    """Return the routes of environments and all that hangs on them."""
    routes = APIRouter()
    routes.include_router(_settings(store), prefix=_BY_NAME)
    routes.include_router(_branch_rules(store), prefix=f"{_BY_NAME}/{{name}}/deployment-branch-policies")
    for prefix in (_BY_NAME, _BY_ID):
        routes.include_router(_secrets(store), prefix=f"{prefix}/{{name}}/secrets")
        routes.include_router(_variables(store), prefix=f"{prefix}/{{name}}/variables")
    return routes


def _settings(store: GitHubStore) -> APIRouter:
    routes = APIRouter()

    @routes.get("")
    async def listed(request: Request) -> Any:
        shown = [shapes.environment(one, base(request)) for one in store.environments.values()]
        return page(request, shown, "environments")

    @routes.put("/{name}")
    async def put(name: str, request: Request, wanted: JsonBody | None = None) -> dict[str, Any]:
        return shapes.environment(store.put_environment(name, wanted or {}), base(request))

    @routes.get("/{name}")
    async def get(name: str, request: Request) -> dict[str, Any]:
        return shapes.environment(store.environment(name), base(request))

    @routes.delete("/{name}", status_code=204)
    async def delete(name: str) -> None:
        store.delete_environment(name)

    return routes


def _list_get_delete(routes: APIRouter, things: Callable[[str], dict[str, Any]], show: Any, listed_as: str) -> None:
    """Add the routes that list, show and delete the things of an environment; `things` returns them by key."""

    @routes.get("")
    async def listed(name: str, request: Request) -> Any:
        return page(request, [show(one) for one in things(name).values()], listed_as)

    @routes.get("/{key}")
    async def get(name: str, key: str) -> dict[str, Any]:
        return show(found(things(name).get(key.upper())))

    @routes.delete("/{key}", status_code=204)
    async def delete(name: str, key: str) -> None:
        found(things(name).pop(key.upper(), None))


def _branch_rules(store: GitHubStore) -> APIRouter:
    routes = APIRouter()
    _list_get_delete(routes, lambda name: store.environment(name).branch_rules, shapes.branch_rule, "branch_policies")

    @routes.post("")
    async def add(name: str, wanted: JsonBody) -> dict[str, Any]:
        environment = store.environment(name)
        return shapes.branch_rule(
            store.add_branch_rule(environment, wanted.get("name", ""), wanted.get("type") or "branch")
        )

    @routes.put("/{rule_id}")
    async def change(name: str, rule_id: str, wanted: JsonBody) -> dict[str, Any]:
        rule = found(store.environment(name).branch_rules.get(rule_id))
        rule.name = wanted["name"]
        return shapes.branch_rule(rule)

    return routes


def _secrets(store: GitHubStore) -> APIRouter:
    routes = APIRouter()

    @routes.get("/public-key")
    async def key(name: str) -> dict[str, str]:
        return public_key(store.environment(name))

    @routes.put("/{secret_name}")
    async def put(name: str, secret_name: str, wanted: TextBody) -> Response:
        environment = store.environment(name)
        is_new = store.put_secret(environment, secret_name, wanted.get("key_id", ""), wanted.get("encrypted_value", ""))
        return Response(status_code=201 if is_new else 204)

    _list_get_delete(routes, lambda name: store.environment(name).secrets, shapes.secret, "secrets")
    return routes


def _variables(store: GitHubStore) -> APIRouter:
    routes = APIRouter()
    _list_get_delete(routes, lambda name: store.environment(name).variables, shapes.variable, "variables")

    @routes.post("", status_code=201)
    async def add(name: str, wanted: TextBody) -> dict[str, Any]:
        store.add_variable(store.environment(name), wanted["name"], wanted["value"])
        return {}

    @routes.patch("/{variable_name}", status_code=204)
    async def change(name: str, variable_name: str, wanted: TextBody) -> None:
        store.change_variable(store.environment(name), variable_name, wanted["value"])

    return routes
