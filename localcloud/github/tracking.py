"""What the releaser tells people: issues with comments and labels, deployments with their statuses."""

from typing import Any, Final

from fastapi import APIRouter, Request

from localcloud.github import shapes
from localcloud.github.accounts import require_edit_right, require_label_right
from localcloud.github.errors import GitHubApiError, found, invalid
from localcloud.github.routing import REPO, JsonBody, Store, Writer, page
from localcloud.github.store import OWNER, GitHubStore

_STATES: Final = frozenset({"error", "failure", "inactive", "in_progress", "queued", "pending", "success"})
_LONGEST_BODY: Final = 65_536
_DEPLOYMENT: Final = {"task": "deploy", "environment": "production", "description": None}
_STATUS: Final = {"description": "", "log_url": "", "environment_url": ""}
_ISSUES: Final = f"{REPO}/issues"
_ISSUE: Final = f"{_ISSUES}/{{number}}"
_DEPLOYMENTS: Final = f"{REPO}/deployments"

routes = APIRouter()

# Issues, and what pull requests have as issues: comments, labels, events


@routes.post(_ISSUES, status_code=201)
async def _add_issue(wanted: JsonBody, login: Writer, store: Store) -> dict[str, Any]:
    _check_text(wanted, "title")
    # Issues and pull requests share their numbers.
    number = max((0, *_numbers(store))) + 1
    labels = [shapes.label(name) for name in wanted.get("labels", ())]
    new = {**shapes.issue(number, login, store), "body": None}
    return store.add("issues", {**new, **wanted, "labels": labels})


@routes.get(_ISSUES)
async def _list_issues(request: Request, store: Store, state: str = "open", labels: str = "") -> Any:
    wanted = set(filter(None, labels.split(",")))
    known = [*store.collection("issues"), *(shapes.issue_of_pull(one, store) for one in store.pulls.values())]
    shown = [
        one
        for one in reversed(known)
        if state in ("all", one["state"]) and wanted <= {label["name"] for label in one["labels"]}
    ]
    return page(request, shown)


@routes.get(_ISSUE)
async def _read_issue(number: int, store: Store) -> dict[str, Any]:
    return shapes.issue_of_pull(store.pulls[number], store) if number in store.pulls else _one(store, number)


@routes.patch(_ISSUE)
async def _change_issue(number: int, wanted: JsonBody, login: Writer, store: Store) -> dict[str, Any]:
    if "labels" in wanted:
        _label(store, number, wanted.pop("labels"), login)
    _one(store, number).update(wanted)
    return await _read_issue(number, store)


@routes.post(f"{_ISSUE}/comments", status_code=201)
async def _add_comment(number: int, wanted: JsonBody, login: Writer, store: Store) -> dict[str, Any]:
    _one(store, number)
    _check_text(wanted, "body")
    return store.add(_comments_of(number), {**shapes.comment(number, login, store), "body": wanted["body"]})


@routes.get(f"{_ISSUE}/comments")
async def _list_comments(number: int, request: Request, store: Store) -> Any:
    _one(store, number)
    return page(request, store.collection(_comments_of(number)))


@routes.patch(f"{_ISSUES}/comments/{{comment_id}}")
async def _change_comment(comment_id: int, wanted: JsonBody, login: Writer, store: Store) -> dict[str, Any]:
    known = [one for number in _numbers(store) for one in store.collection(_comments_of(number))]
    comment = _item(known, "id", comment_id)
    require_edit_right(login, comment["user"]["login"], store)
    _check_text(wanted, "body")
    comment["body"] = wanted["body"]
    return comment


@routes.get(f"{_ISSUE}/labels")
async def _list_labels(number: int, request: Request, store: Store) -> Any:
    return page(request, _one(store, number)["labels"])


@routes.post(f"{_ISSUE}/labels")
async def _add_labels(number: int, wanted: JsonBody, login: Writer, store: Store) -> Any:
    return _label(store, number, [*_labels(store, number), *wanted["labels"]], login)


@routes.delete(f"{_ISSUE}/labels/{{name}}")
async def _remove_label(number: int, name: str, login: Writer, store: Store) -> Any:
    names = _labels(store, number)
    if name not in names:
        raise GitHubApiError(404, "Label does not exist")
    return _label(store, number, [one for one in names if one != name], login)


@routes.get(f"{_ISSUE}/events")
async def _list_events(number: int, request: Request, store: Store) -> Any:
    _one(store, number)
    return page(request, store.collection(f"issues/{number}/events"))


def _numbers(store: GitHubStore) -> set[int]:
    return {*store.pulls, *(one["number"] for one in store.collection("issues"))}


def _comments_of(number: int) -> str:
    return f"issues/{number}/comments"


def _one(store: GitHubStore, number: int) -> dict[str, Any]:
    """Return what is kept of an issue or of a pull request."""
    return store.pulls[number] if number in store.pulls else _item(store.collection("issues"), "number", number)


def _labels(store: GitHubStore, number: int) -> list[str]:
    return [one["name"] for one in _one(store, number)["labels"]]


def _label(store: GitHubStore, number: int, names: list[str], login: str) -> list[dict[str, Any]]:
    """Set the labels and return them; write down who set or took off which: what was there already is no event."""
    require_label_right(login, store)
    before, wanted = _labels(store, number), list(dict.fromkeys(names))
    shown = _one(store, number)["labels"] = [shapes.label(name) for name in wanted]
    for event, changed in (
        ("unlabeled", [name for name in before if name not in wanted]),
        ("labeled", [name for name in wanted if name not in before]),
    ):
        for name in changed:
            told = {"event": event, "actor": shapes.account(login, store), "label": {"name": name, "color": "ededed"}}
            store.add(f"issues/{number}/events", told)
    return shown


# Deployments


@routes.post(_DEPLOYMENTS, status_code=201)
async def _add_deployment(wanted: JsonBody, store: Store) -> dict[str, Any]:
    if not wanted.get("ref"):
        raise invalid("ref is missing")
    creator = shapes.account(OWNER, store)
    return store.add("deployments", {**_DEPLOYMENT, "creator": creator, "sha": wanted["ref"], **wanted})


@routes.get(_DEPLOYMENTS)
async def _list_deployments(request: Request, store: Store) -> Any:
    asked = request.query_params
    filters = {name: asked[name] for name in ("sha", "ref", "task", "environment") if name in asked}
    known = reversed(store.collection("deployments"))
    return page(request, [one for one in known if all(one.get(key) == value for key, value in filters.items())])


@routes.post(f"{_DEPLOYMENTS}/{{deployment_id}}/statuses", status_code=201)
async def _add_status(deployment_id: int, wanted: JsonBody, store: Store) -> dict[str, Any]:
    deployment = _item(store.collection("deployments"), "id", deployment_id)
    if wanted.get("state") not in _STATES:
        raise invalid("state is none of GitHub's")
    creator = shapes.account(OWNER, store)
    status = {"environment": deployment["environment"], **_STATUS, "creator": creator, **wanted}
    return store.add(f"deployments/{deployment_id}/statuses", status)


@routes.get(f"{_DEPLOYMENTS}/{{deployment_id}}/statuses")
async def _list_statuses(deployment_id: int, request: Request, store: Store) -> Any:
    _item(store.collection("deployments"), "id", deployment_id)
    return page(request, store.collection(f"deployments/{deployment_id}/statuses")[::-1])


def _check_text(wanted: dict[str, Any], name: str) -> None:
    if not wanted.get(name):
        raise invalid(f"{name} is missing")
    if len(wanted.get("body") or "") > _LONGEST_BODY:
        raise invalid(f"body is too long (maximum is {_LONGEST_BODY} characters)")


def _item(items: list[dict[str, Any]], key: str, value: int) -> dict[str, Any]:
    return found(next((one for one in items if one[key] == value), None))
