"""Routes of the repository's environments: settings, branch rules, secrets, variables."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response

from localcloud.github import shapes
from localcloud.github.errors import not_found
from localcloud.github.store import OWNER, REPOSITORY, REPOSITORY_ID, Environment, Store, public_key

_BY_NAME = f"/repos/{OWNER}/{REPOSITORY}/environments"
_BY_ID = f"/repositories/{REPOSITORY_ID}/environments"

JsonBody = Annotated[dict[str, Any], Body()]
TextBody = Annotated[dict[str, str], Body()]


def environment_routes(store: Store) -> APIRouter:
    """Return the routes of environments and all that hangs on them."""
    routes = APIRouter()
    routes.include_router(_settings(store), prefix=_BY_NAME)
    routes.include_router(_branch_rules(store), prefix=f"{_BY_NAME}/{{name}}/deployment-branch-policies")
    for prefix in (_BY_NAME, _BY_ID):
        routes.include_router(_secrets(store), prefix=f"{prefix}/{{name}}/secrets")
        routes.include_router(_variables(store), prefix=f"{prefix}/{{name}}/variables")
    return routes


def _settings(store: Store) -> APIRouter:
    routes = APIRouter()

    @routes.get("")
    async def listed(request: Request) -> dict[str, Any]:
        found = [shapes.environment(one, _base(request)) for one in store.environments.values()]
        return {"total_count": len(found), "environments": found}

    @routes.put("/{name}")
    async def put(name: str, request: Request, wanted: JsonBody | None = None) -> dict[str, Any]:
        return shapes.environment(store.put_environment(name, wanted or {}), _base(request))

    @routes.get("/{name}")
    async def get(name: str, request: Request) -> dict[str, Any]:
        return shapes.environment(store.environment(name), _base(request))

    @routes.delete("/{name}", status_code=204)
    async def delete(name: str) -> None:
        store.delete_environment(name)

    return routes


def _branch_rules(store: Store) -> APIRouter:
    routes = APIRouter()

    @routes.get("")
    async def listed(name: str) -> dict[str, Any]:
        found = [shapes.branch_rule(one) for one in store.environment(name).branch_rules.values()]
        return {"total_count": len(found), "branch_policies": found}

    @routes.post("")
    async def add(name: str, wanted: JsonBody) -> dict[str, Any]:
        environment = store.environment(name)
        return shapes.branch_rule(
            store.add_branch_rule(environment, wanted.get("name", ""), wanted.get("type") or "branch")
        )

    @routes.get("/{rule_id}")
    async def get(name: str, rule_id: int) -> dict[str, Any]:
        return shapes.branch_rule(_one(store.environment(name).branch_rules, rule_id))

    @routes.put("/{rule_id}")
    async def change(name: str, rule_id: int, wanted: JsonBody) -> dict[str, Any]:
        rule = _one(store.environment(name).branch_rules, rule_id)
        rule.name = wanted["name"]
        return shapes.branch_rule(rule)

    @routes.delete("/{rule_id}", status_code=204)
    async def delete(name: str, rule_id: int) -> None:
        rules = store.environment(name).branch_rules
        _one(rules, rule_id)
        del rules[rule_id]

    return routes


def _secrets(store: Store) -> APIRouter:
    routes = APIRouter()

    @routes.get("")
    async def listed(name: str) -> dict[str, Any]:
        found = [shapes.secret(key, one) for key, one in store.environment(name).secrets.items()]
        return {"total_count": len(found), "secrets": found}

    @routes.get("/public-key")
    async def key(name: str) -> dict[str, str]:
        return public_key(store.environment(name))

    @routes.get("/{secret_name}")
    async def get(name: str, secret_name: str) -> dict[str, str]:
        return shapes.secret(secret_name.upper(), _one(store.environment(name).secrets, secret_name.upper()))

    @routes.put("/{secret_name}")
    async def put(name: str, secret_name: str, wanted: TextBody) -> Response:
        environment = store.environment(name)
        is_new = store.put_secret(environment, secret_name, wanted.get("key_id", ""), wanted.get("encrypted_value", ""))
        return Response(status_code=201 if is_new else 204)

    @routes.delete("/{secret_name}", status_code=204)
    async def delete(name: str, secret_name: str) -> None:
        environment: Environment = store.environment(name)
        _one(environment.secrets, secret_name.upper())
        del environment.secrets[secret_name.upper()]

    return routes


def _variables(store: Store) -> APIRouter:
    routes = APIRouter()

    @routes.get("")
    async def listed(name: str) -> dict[str, Any]:
        found = [shapes.variable(one) for one in store.environment(name).variables.values()]
        return {"total_count": len(found), "variables": found}

    @routes.post("", status_code=201)
    async def add(name: str, wanted: TextBody) -> dict[str, Any]:
        store.add_variable(store.environment(name), wanted["name"], wanted["value"])
        return {}

    @routes.get("/{variable_name}")
    async def get(name: str, variable_name: str) -> dict[str, str]:
        return shapes.variable(_one(store.environment(name).variables, variable_name.upper()))

    @routes.patch("/{variable_name}", status_code=204)
    async def change(name: str, variable_name: str, wanted: TextBody) -> None:
        store.change_variable(store.environment(name), variable_name, wanted["value"])

    @routes.delete("/{variable_name}", status_code=204)
    async def delete(name: str, variable_name: str) -> None:
        variables = store.environment(name).variables
        _one(variables, variable_name.upper())
        del variables[variable_name.upper()]

    return routes


def _one(things: dict[Any, Any], key: Any) -> Any:
    if key not in things:
        raise not_found()
    return things[key]


def _base(request: Request) -> str:
    return f"{str(request.base_url).rstrip('/')}/api/v3"
