"""Who there is: users, teams, the owner and the repository; whose a token is, and what somebody may do."""

from typing import Any, Final

from fastapi import APIRouter

from localcloud.github import shapes
from localcloud.github.errors import GitHubApiError, invalid, not_found
from localcloud.github.routing import API, OWN, REPO, JsonBody, Store, TextBody
from localcloud.github.store import OWNER, REPOSITORY_ID, GitHubStore

_ROLES: Final = {"none": "none", "read": "read", "triage": "read", "write": "write", "maintain": "write"}
"""What the older field `permission` says for each role; `admin` is its own."""
_MAY_LABEL: Final = frozenset({"triage", "write", "maintain", "admin"})
_MAY_EDIT: Final = frozenset({"write", "maintain", "admin"})

routes = APIRouter()


@routes.get(f"{API}/users/{{login}}")
async def _user(login: str, store: Store) -> dict[str, Any]:
    return shapes.user(store.user(login))


@routes.get(f"{API}/users/{{login}}/gpg_keys")
@routes.get(f"{API}/users/{{login}}/keys")
async def _keys(login: str, store: Store) -> list[Any]:
    store.user(login)
    return []


@routes.get(f"{API}/orgs/{{name}}")
async def _organization(name: str, store: Store) -> dict[str, Any]:
    found = store.user(name)
    if found.kind != "Organization":
        raise not_found()
    return shapes.user(found)


@routes.get(f"{API}/orgs/{OWNER}/teams/{{slug}}")
async def _team(slug: str, store: Store) -> dict[str, Any]:
    return shapes.team(store.team(slug))


@routes.get(REPO)
@routes.get(f"{API}/repositories/{REPOSITORY_ID}")
async def _repository(store: Store) -> dict[str, Any]:
    return shapes.repository(store.user(OWNER))


@routes.get(f"{REPO}/collaborators/{{login}}/permission")
async def _permission(login: str, store: Store) -> dict[str, Any]:
    one = store.user(login)
    role = store.role(one.login)
    return {"permission": _ROLES.get(role, role), "role_name": role, "user": shapes.user(one)}


@routes.post(f"{OWN}/users", status_code=201)
async def _add_user(wanted: JsonBody, store: Store) -> dict[str, Any]:
    return shapes.user(store.put_user(wanted["login"], wanted.get("id"), wanted.get("type", "User")))


@routes.post(f"{OWN}/teams", status_code=201)
async def _add_team(wanted: TextBody, store: Store) -> dict[str, Any]:
    """Add a team of the owner, who is an organization from then on."""
    return shapes.team(store.put_team(wanted["slug"]))


@routes.put(f"{OWN}/tokens", status_code=204)
async def _put_token(wanted: TextBody, store: Store) -> None:
    """Give a token to a person: every other one is that of a job, which writes as `github-actions[bot]`."""
    store.tokens[wanted["token"]] = store.user(wanted["login"]).login


@routes.put(f"{OWN}/roles", status_code=204)
async def _put_role(wanted: TextBody, store: Store) -> None:
    """Give somebody a role in the repository; everybody else may read it, as it is public."""
    if wanted["role_name"] not in {*_ROLES, "admin"}:
        raise invalid("role_name is none of GitHub's")
    store.roles[store.user(wanted["login"]).login] = wanted["role_name"]


def require_label_right(login: str, store: GitHubStore) -> None:
    """Refuse somebody who may not label: a reader, such as the author of a fork."""
    _require(login, _MAY_LABEL, store)


def require_edit_right(login: str, author: str, store: GitHubStore) -> None:
    """Refuse somebody who may edit neither this comment of their own nor those of others."""
    if login != author:
        _require(login, _MAY_EDIT, store)


def _require(login: str, roles: frozenset[str], store: GitHubStore) -> None:
    if login != store.BOT and store.role(login) not in roles:
        raise GitHubApiError(403, "Must have write access to the repository.")
