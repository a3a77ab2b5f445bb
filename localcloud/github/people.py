"""Who speaks: the owners of tokens, and what they may do in the repository."""

from typing import Any, Final

from fastapi import APIRouter, Request

from localcloud.github import shapes
from localcloud.github.errors import GitHubApiError, invalid
from localcloud.github.pages import TextBody
from localcloud.github.store import OWNER, REPOSITORY, GitHubStore

_ROLES: Final = {"none": "none", "read": "read", "triage": "read", "write": "write", "maintain": "write"}
"""What the older field `permission` says for each role; `admin` is its own."""
_MAY_LABEL: Final = frozenset({"triage", "write", "maintain", "admin"})
_MAY_EDIT: Final = frozenset({"write", "maintain", "admin"})


def people_seeds(store: GitHubStore) -> APIRouter:
    """Return the routes by which a test says whose a token is, and which role somebody has."""
    routes = APIRouter()

    @routes.put("/tokens", status_code=204)
    async def put_token(wanted: TextBody) -> None:
        """Give a token to a person: every other one is that of a job, which writes as `github-actions[bot]`."""
        store.tokens[wanted["token"]] = store.user(wanted["login"]).login

    @routes.put("/roles", status_code=204)
    async def put_role(wanted: TextBody) -> None:
        """Give somebody a role in the repository; everybody else may read it, as it is public."""
        if wanted["role_name"] not in {*_ROLES, "admin"}:
            raise invalid("role_name is none of GitHub's")
        store.roles[store.user(wanted["login"]).login] = wanted["role_name"]

    return routes


def people_routes(store: GitHubStore) -> APIRouter:
    """Return the route that tells somebody's role."""
    routes = APIRouter(prefix=f"/repos/{OWNER}/{REPOSITORY}/collaborators")

    @routes.get("/{login}/permission")
    async def permission(login: str) -> dict[str, Any]:
        one = store.user(login)
        role = store.role(one.login)
        return {
            "permission": _ROLES.get(role, role),
            "role_name": role,
            "user": shapes.account(one.login, store),
        }

    return routes


def writer(request: Request, store: GitHubStore) -> str:
    """Return the login of the owner of the request's token."""
    token = request.headers.get("authorization", "").partition(" ")[2].strip()
    return store.tokens.get(token, store.BOT)


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
