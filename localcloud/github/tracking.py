"""What the releaser tells people: issues with comments, deployments with their statuses."""

from typing import Any

from fastapi import APIRouter, Request

from localcloud.github import shapes
from localcloud.github.errors import GitHubApiError, found, invalid
from localcloud.github.pages import JsonBody, page
from localcloud.github.people import require_edit_right, require_label_right, writer
from localcloud.github.store import OWNER, REPOSITORY, GitHubStore

_STATES = frozenset({"error", "failure", "inactive", "in_progress", "queued", "pending", "success"})
_LONGEST_BODY = 65_536
_DEPLOYMENT = {"task": "deploy", "environment": "production", "description": None}
_STATUS = {"description": "", "log_url": "", "environment_url": ""}


def issue_routes(store: GitHubStore) -> APIRouter:
    """Return the routes of issues, and of what pull requests have as issues: comments, labels, events."""
    routes = APIRouter(prefix=f"/repos/{OWNER}/{REPOSITORY}/issues")
    issues = store.collection("issues")

    @routes.post("", status_code=201)
    async def add(request: Request, wanted: JsonBody) -> dict[str, Any]:
        _check_text(wanted, "title")
        # Issues and pull requests share their numbers.
        number = max((0, *store.pulls, *(one["number"] for one in issues))) + 1
        labels = [shapes.label(name) for name in wanted.get("labels", ())]
        new = {**shapes.issue(number, writer(request, store), store), "body": None}
        return store.add("issues", {**new, **wanted, "labels": labels})

    @routes.get("")
    async def listed(request: Request) -> Any:
        wanted = request.query_params
        state, labels = wanted.get("state", "open"), set(filter(None, wanted.get("labels", "").split(",")))
        known = [*issues, *(shapes.issue_of_pull(one, store) for one in store.pulls.values())]
        return page(
            request,
            [
                one
                for one in reversed(known)
                if state in ("all", one["state"]) and labels <= {label["name"] for label in one["labels"]}
            ],
        )

    @routes.get("/{number}")
    async def read(number: int) -> dict[str, Any]:
        return shapes.issue_of_pull(store.pulls[number], store) if number in store.pulls else _one(store, number)

    @routes.patch("/{number}")
    async def change(number: int, request: Request, wanted: JsonBody) -> dict[str, Any]:
        if "labels" in wanted:
            _label(store, number, wanted.pop("labels"), writer(request, store))
        _one(store, number).update(wanted)
        return await read(number)

    routes.include_router(_comment_routes(store))
    routes.include_router(_label_routes(store))
    return routes


def _comment_routes(store: GitHubStore) -> APIRouter:
    routes = APIRouter()

    @routes.post("/{number}/comments", status_code=201)
    async def comment(number: int, request: Request, wanted: JsonBody) -> dict[str, Any]:
        _one(store, number)
        _check_text(wanted, "body")
        new = shapes.comment(number, writer(request, store), store)
        return store.add(f"issues/{number}/comments", {**new, "body": wanted["body"]})

    @routes.get("/{number}/comments")
    async def comments(number: int, request: Request) -> Any:
        _one(store, number)
        return page(request, store.collection(f"issues/{number}/comments"))

    @routes.patch("/comments/{comment_id}")
    async def change(comment_id: int, request: Request, wanted: JsonBody) -> dict[str, Any]:
        numbers = {*store.pulls, *(issue["number"] for issue in store.collection("issues"))}
        comment = _item(
            [one for number in numbers for one in store.collection(f"issues/{number}/comments")], "id", comment_id
        )
        require_edit_right(writer(request, store), comment["user"]["login"], store)
        _check_text(wanted, "body")
        comment["body"] = wanted["body"]
        return comment

    return routes


def _label_routes(store: GitHubStore) -> APIRouter:
    routes = APIRouter()

    @routes.get("/{number}/labels")
    async def labels(number: int, request: Request) -> Any:
        return page(request, _one(store, number)["labels"])

    @routes.post("/{number}/labels")
    async def add(number: int, request: Request, wanted: JsonBody) -> Any:
        names = [one["name"] for one in _one(store, number)["labels"]]
        _label(store, number, [*names, *wanted["labels"]], writer(request, store))
        return _one(store, number)["labels"]

    @routes.delete("/{number}/labels/{name}")
    async def remove(number: int, name: str, request: Request) -> Any:
        names = [one["name"] for one in _one(store, number)["labels"]]
        if name not in names:
            raise GitHubApiError(404, "Label does not exist")
        _label(store, number, [one for one in names if one != name], writer(request, store))
        return _one(store, number)["labels"]

    @routes.get("/{number}/events")
    async def events(number: int, request: Request) -> Any:
        _one(store, number)
        return page(request, store.collection(f"issues/{number}/events"))

    return routes


def _one(store: GitHubStore, number: int) -> dict[str, Any]:
    """Return what is kept of an issue or of a pull request."""
    return store.pulls[number] if number in store.pulls else _item(store.collection("issues"), "number", number)


def _label(store: GitHubStore, number: int, names: list[str], login: str) -> None:
    """Set the labels, and write down who has set or taken off which: what was there already is no event."""
    require_label_right(login, store)
    thing, wanted = _one(store, number), list(dict.fromkeys(names))
    before = [one["name"] for one in thing["labels"]]
    thing["labels"] = [shapes.label(name) for name in wanted]
    for event, changed in (
        ("unlabeled", [name for name in before if name not in wanted]),
        ("labeled", [name for name in wanted if name not in before]),
    ):
        for name in changed:
            told = {"event": event, "actor": shapes.account(login, store), "label": {"name": name, "color": "ededed"}}
            store.add(f"issues/{number}/events", told)


def deployment_routes(store: GitHubStore) -> APIRouter:
    """Return the routes of deployments and their statuses."""
    routes = APIRouter(prefix=f"/repos/{OWNER}/{REPOSITORY}/deployments")
    deployments, creator = store.collection("deployments"), shapes.account(OWNER, store)

    @routes.post("", status_code=201)
    async def add(wanted: JsonBody) -> dict[str, Any]:
        if not wanted.get("ref"):
            raise invalid("ref is missing")
        return store.add("deployments", {**_DEPLOYMENT, "creator": creator, "sha": wanted["ref"], **wanted})

    @routes.get("")
    async def listed(request: Request) -> Any:
        filters = {
            name: request.query_params[name]
            for name in ("sha", "ref", "task", "environment")
            if name in request.query_params
        }
        return page(
            request,
            [one for one in reversed(deployments) if all(one.get(key) == value for key, value in filters.items())],
        )

    @routes.get("/{deployment_id}")
    async def read(deployment_id: int) -> dict[str, Any]:
        return _item(deployments, "id", deployment_id)

    @routes.post("/{deployment_id}/statuses", status_code=201)
    async def add_status(deployment_id: int, wanted: JsonBody) -> dict[str, Any]:
        deployment = _item(deployments, "id", deployment_id)
        if wanted.get("state") not in _STATES:
            raise invalid("state is none of GitHub's")
        status = {"environment": deployment["environment"], **_STATUS, "creator": creator, **wanted}
        return store.add(f"deployments/{deployment_id}/statuses", status)

    @routes.get("/{deployment_id}/statuses")
    async def statuses(deployment_id: int, request: Request) -> Any:
        _item(deployments, "id", deployment_id)
        return page(request, list(reversed(store.collection(f"deployments/{deployment_id}/statuses"))))

    return routes


def _check_text(wanted: dict[str, Any], name: str) -> None:
    if not wanted.get(name):
        raise invalid(f"{name} is missing")
    if len(wanted.get("body") or "") > _LONGEST_BODY:
        raise invalid(f"body is too long (maximum is {_LONGEST_BODY} characters)")


def _item(items: list[dict[str, Any]], key: str, value: int) -> dict[str, Any]:
    return found(next((one for one in items if one[key] == value), None))
