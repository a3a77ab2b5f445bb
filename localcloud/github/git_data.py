"""The git database as GitHub's REST API gives it: trees, commits and branches. Objects are kept by their SHA."""

import hashlib
import json
from typing import Any

from fastapi import APIRouter

from localcloud.github.errors import found, invalid
from localcloud.github.pages import JsonBody
from localcloud.github.store import OWNER, REPOSITORY, GitHubStore

_PREFIX = f"/repos/{OWNER}/{REPOSITORY}/git"


def object_routes(store: GitHubStore) -> APIRouter:
    """Return the routes of trees and commits. Contents are given inline, as text."""
    routes = APIRouter(prefix=_PREFIX)
    trees, commits = store.trees, store.git_commits

    @routes.post("/trees", status_code=201)
    async def add_tree(wanted: JsonBody) -> dict[str, Any]:
        base = wanted.get("base_tree")
        if base is not None and base not in trees:
            raise invalid("base_tree is not a valid tree oid")
        files = dict(trees.get(base, {}))
        for entry in wanted.get("tree") or ():
            if entry.get("mode") != "100644" or entry.get("type") != "blob" or "content" not in entry:
                raise invalid("tree entries here are plain files with their content")
            files[entry["path"]] = entry["content"]
        if not files:
            raise invalid("Invalid tree info")
        return {"sha": _keep(trees, files, ["tree", sorted(files.items())])}

    @routes.post("/commits", status_code=201)
    async def add_commit(wanted: JsonBody) -> dict[str, Any]:
        parents = wanted.get("parents") or []
        if not wanted.get("message") or wanted.get("tree") not in trees or not set(parents) <= set(commits):
            raise invalid("message must be there, tree and parents must exist")
        commit = {"message": wanted["message"], "tree": wanted["tree"], "parents": parents}
        return _shown(commits, _keep(commits, commit, ["commit", commit, len(commits)]))

    @routes.get("/commits/{sha}")
    async def read_commit(sha: str) -> dict[str, Any]:
        return _shown(commits, sha)

    return routes


def branch_routes(store: GitHubStore) -> APIRouter:
    """Return the routes of branches."""
    routes = APIRouter(prefix=_PREFIX)
    commits, branches = store.git_commits, store.branches

    @routes.get("/ref/heads/{branch:path}")
    async def read_ref(branch: str) -> dict[str, Any]:
        return _ref(branch, found(branches.get(branch)))

    @routes.post("/refs", status_code=201)
    async def add_ref(wanted: JsonBody) -> dict[str, Any]:
        name = str(wanted.get("ref", ""))
        branch = name.removeprefix("refs/heads/")
        if not name.startswith("refs/heads/") or wanted.get("sha") not in commits:
            raise invalid("ref must be that of a branch, sha a commit")
        if branch in branches:
            raise invalid("Reference already exists")
        branches[branch] = wanted["sha"]
        return _ref(branch, wanted["sha"])

    @routes.patch("/refs/heads/{branch:path}")
    async def move_ref(branch: str, wanted: JsonBody) -> dict[str, Any]:
        if branch not in branches or wanted.get("sha") not in commits:
            raise invalid("Reference does not exist")
        if not wanted.get("force") and branches[branch] not in _ancestors(commits, wanted["sha"]):
            raise invalid("Update is not a fast forward")
        branches[branch] = wanted["sha"]
        return _ref(branch, wanted["sha"])

    return routes


def git_seeds(store: GitHubStore) -> APIRouter:
    """Return the route by which a test reads a file of a branch, as a `git fetch` would bring it."""
    routes = APIRouter()

    @routes.get("/branches/{branch}/files")
    async def files(branch: str) -> dict[str, str]:
        return store.trees[store.git_commits[found(store.branches.get(branch))]["tree"]]

    return routes


def _keep(objects: dict[str, Any], content: Any, identity: Any) -> str:
    sha = hashlib.sha1(json.dumps(identity, sort_keys=True).encode(), usedforsecurity=False).hexdigest()
    objects[sha] = content
    return sha


def _shown(commits: dict[str, dict[str, Any]], sha: str) -> dict[str, Any]:
    commit = found(commits.get(sha))
    parents = [{"sha": parent} for parent in commit["parents"]]
    return {"sha": sha, "message": commit["message"], "tree": {"sha": commit["tree"]}, "parents": parents}


def _ref(branch: str, sha: str) -> dict[str, Any]:
    return {"ref": f"refs/heads/{branch}", "object": {"type": "commit", "sha": sha}}


def _ancestors(commits: dict[str, dict[str, Any]], sha: str) -> set[str]:
    seen: set[str] = set()
    waiting = [sha]
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            waiting += commits[one]["parents"]
    return seen
