"""Workflow runs: told by whoever stands for the runner, asked for and cancelled by the releaser."""

from typing import Any

from fastapi import APIRouter, Request

from localcloud.github import shapes
from localcloud.github.errors import GitHubApiError, invalid
from localcloud.github.routing import OWN, REPO, JsonBody, Store, page

_STATUSES = frozenset({"queued", "in_progress", "completed", "waiting", "requested", "pending"})
_RUNS = f"{REPO}/actions/runs"

routes = APIRouter()


@routes.put(f"{OWN}/runs", status_code=204)
async def _put(wanted: JsonBody, store: Store) -> None:
    """Tell of a run, or how it goes on: its `id`, and what is known besides.

    That is `run_attempt`, `status`, `conclusion`, `head_sha`, `workflow`, `event`, `path`, `head_branch`,
    `head_repository` (full name; null for a fork that is gone), `created_at`, `jobs` with their `name` and
    `conclusion`, and `approvals` with their `state`, `comment` and the `user` by login.
    """
    run: dict[str, Any] = {"run_attempt": 1, "status": "in_progress", "conclusion": None, **wanted}
    if not isinstance(run.get("id"), int) or run["status"] not in _STATUSES:
        raise invalid("id must be a number, status one of GitHub's")
    if run["status"] == "completed" and not run["conclusion"]:
        run["conclusion"] = "success"
    store.runs.setdefault(run["id"], {})[run["run_attempt"]] = run


@routes.get(_RUNS)
@routes.get(f"{REPO}/actions/workflows/{{workflow}}/runs")
async def _list(request: Request, store: Store, workflow: str = "") -> Any:
    wanted = request.query_params
    found = [store.run(run_id) for run_id in sorted(store.runs, reverse=True)]
    shown = [
        told
        for one, told in ((one, shapes.run(one)) for one in found)
        if wanted.get("status") in (None, one["status"], one["conclusion"])
        and wanted.get("head_sha") in (None, one.get("head_sha"))
        and wanted.get("event") in (None, told["event"])
        and wanted.get("branch") in (None, told["head_branch"])
        and workflow in ("", shapes.workflow_of(one))
    ]
    return page(request, shown, "workflow_runs")


@routes.get(f"{_RUNS}/{{run_id}}")
@routes.get(f"{_RUNS}/{{run_id}}/attempts/{{attempt}}")
async def _run(run_id: int, store: Store, attempt: int | None = None) -> dict[str, Any]:
    return shapes.run(store.run(run_id, attempt))


@routes.get(f"{_RUNS}/{{run_id}}/jobs")
async def _jobs(run_id: int, request: Request, store: Store) -> Any:
    found = store.run(run_id)
    shown = [shapes.job(number, one, found) for number, one in enumerate(found.get("jobs", ()))]
    return page(request, shown, "jobs")


@routes.get(f"{_RUNS}/{{run_id}}/approvals")
async def _reviews(run_id: int, request: Request, store: Store) -> Any:
    given = store.run(run_id).get("approvals", ())
    return page(request, [{**one, "user": shapes.account(one["user"], store)} for one in given])


@routes.post(f"{_RUNS}/{{run_id}}/cancel", status_code=202)
async def _cancel(run_id: int, store: Store) -> dict[str, Any]:
    found = store.run(run_id)
    if found["status"] == "completed":
        raise GitHubApiError(409, "Cannot cancel a workflow run that is completed")
    found |= {"status": "completed", "conclusion": "cancelled"}
    return {}
