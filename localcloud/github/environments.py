"""Routes of the repository's environments: settings, branch rules, secrets, variables."""

import hmac
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from localcloud.github import shapes
from localcloud.github.errors import found
from localcloud.github.routing import API, OWN, REPO, JsonBody, Store, TextBody, page
from localcloud.github.store import REPOSITORY_ID, GitHubStore, public_key

_ALL: Final = f"{REPO}/environments"
_ONE: Final = f"{_ALL}/{{name}}"
_BY_ID: Final = f"{API}/repositories/{REPOSITORY_ID}/environments/{{name}}"
_RULES: Final = "deployment-branch-policies"
_SHOWN: Final = {
    _RULES: ("branch_policies", shapes.branch_rule),
    "secrets": ("secrets", shapes.secret),
    "variables": ("variables", shapes.variable),
}
"""What hangs on an environment: the name of its list, and how one of it is shown."""

routes = APIRouter()


@routes.get(_ALL)
async def _list(request: Request, store: Store) -> Any:
    return page(request, [shapes.environment(one) for one in store.environments.values()], "environments")


@routes.put(_ONE)
async def _put(name: str, store: Store, wanted: JsonBody | None = None) -> dict[str, Any]:
    return shapes.environment(store.put_environment(name, wanted or {}))


@routes.get(_ONE)
async def _get(name: str, store: Store) -> dict[str, Any]:
    return shapes.environment(store.environment(name))


@routes.delete(_ONE, status_code=204)
async def _delete(name: str, store: Store) -> None:
    store.delete_environment(name)


@routes.post(f"{_ONE}/{_RULES}")
async def _add_rule(name: str, wanted: JsonBody, store: Store) -> dict[str, Any]:
    environment = store.environment(name)
    rule = store.add_branch_rule(environment, wanted.get("name", ""), wanted.get("type") or "branch")
    return shapes.branch_rule(rule)


@routes.put(f"{_ONE}/{_RULES}/{{rule_id}}")
async def _change_rule(name: str, rule_id: str, wanted: JsonBody, store: Store) -> dict[str, Any]:
    rule = found(store.environment(name).branch_rules.get(rule_id))
    rule.name = wanted["name"]
    return shapes.branch_rule(rule)


@routes.get(f"{_ONE}/secrets/public-key")
@routes.get(f"{_BY_ID}/secrets/public-key")
async def _key(name: str, store: Store) -> dict[str, str]:
    return public_key(store.environment(name))


@routes.put(f"{_ONE}/secrets/{{secret}}")
@routes.put(f"{_BY_ID}/secrets/{{secret}}")
async def _put_secret(name: str, secret: str, wanted: TextBody, store: Store) -> Response:
    environment = store.environment(name)
    is_new = store.put_secret(environment, secret, wanted.get("key_id", ""), wanted.get("encrypted_value", ""))
    return Response(status_code=201 if is_new else 204)


@routes.post(f"{OWN}/secrets/check")
async def _check_secret(wanted: TextBody, store: Store) -> dict[str, bool]:
    """Tell whether a stored secret has this value, without ever giving the value out."""
    stored = store.environment(wanted["environment"]).secrets.get(wanted["name"].upper())
    return {"equal": stored is not None and hmac.compare_digest(stored.value.encode(), wanted["value"].encode())}


@routes.post(f"{_ONE}/variables", status_code=201)
async def _add_variable(name: str, wanted: TextBody, store: Store) -> dict[str, Any]:
    store.add_variable(store.environment(name), wanted["name"], wanted["value"])
    return {}


@routes.patch(f"{_ONE}/variables/{{variable}}", status_code=204)
async def _change_variable(name: str, variable: str, wanted: TextBody, store: Store) -> None:
    store.change_variable(store.environment(name), variable, wanted["value"])


# After the routes of single kinds, which come first where both fit.


@routes.get(f"{_ONE}/{{kind}}")
@routes.get(f"{_BY_ID}/{{kind}}")
async def _list_things(name: str, kind: str, request: Request, store: Store) -> Any:
    things = _things(store, name, kind)
    listed_as, shown = _SHOWN[kind]
    return page(request, [shown(one) for one in things.values()], listed_as)


@routes.get(f"{_ONE}/{{kind}}/{{key}}")
@routes.get(f"{_BY_ID}/{{kind}}/{{key}}")
async def _get_thing(name: str, kind: str, key: str, store: Store) -> dict[str, Any]:
    thing = found(_things(store, name, kind).get(key.upper()))
    return _SHOWN[kind][1](thing)


@routes.delete(f"{_ONE}/{{kind}}/{{key}}", status_code=204)
@routes.delete(f"{_BY_ID}/{{kind}}/{{key}}", status_code=204)
async def _delete_thing(name: str, kind: str, key: str, store: Store) -> None:
    found(_things(store, name, kind).pop(key.upper(), None))


def _things(store: GitHubStore, name: str, kind: str) -> dict[str, Any]:
    """Return what hangs on an environment, by key; 404 for a kind that is not known here."""
    one = store.environment(name)
    return found({_RULES: one.branch_rules, "secrets": one.secrets, "variables": one.variables}.get(kind))
