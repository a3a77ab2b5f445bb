"""The git database as GitHub's REST API gives it: trees, commits and branches. Objects are kept by their SHA."""

import hashlib
import json
from typing import Any

from fastapi import APIRouter

from localcloud.github.errors import found, invalid
from localcloud.github.routing import OWN, REPO, JsonBody, Store

routes = APIRouter()


@routes.post(f"{REPO}/git/trees", status_code=201)
async def _add_tree(wanted: JsonBody, store: Store) -> dict[str, Any]:
    """Add a tree. Contents are given inline, as text."""
    base = wanted.get("base_tree")
    if base is not None and base not in store.trees:
        raise invalid("base_tree is not a valid tree oid")
    files = dict(store.trees.get(base, {}))
    for entry in wanted.get("tree") or ():
        if entry.get("mode") != "100644" or entry.get("type") != "blob" or "content" not in entry:
            raise invalid("tree entries here are plain files with their content")
        files[entry["path"]] = entry["content"]
    if not files:
        raise invalid("Invalid tree info")
    return {"sha": _keep(store.trees, files, ["tree", sorted(files.items())])}


@routes.post(f"{REPO}/git/commits", status_code=201)
async def _add_commit(wanted: JsonBody, store: Store) -> dict[str, Any]:
    commits, parents = store.git_commits, wanted.get("parents") or []
    if not wanted.get("message") or wanted.get("tree") not in store.trees or not set(parents) <= set(commits):
        raise invalid("message must be there, tree and parents must exist")
    commit = {"message": wanted["message"], "tree": wanted["tree"], "parents": parents}
    return _shown(commits, _keep(commits, commit, ["commit", commit, len(commits)]))


@routes.get(f"{REPO}/git/commits/{{sha}}")
async def _read_commit(sha: str, store: Store) -> dict[str, Any]:
    return _shown(store.git_commits, sha)


@routes.get(f"{REPO}/git/ref/heads/{{branch:path}}")
async def _read_ref(branch: str, store: Store) -> dict[str, Any]:
    return _ref(branch, found(store.branches.get(branch)))


@routes.post(f"{REPO}/git/refs", status_code=201)
async def _add_ref(wanted: JsonBody, store: Store) -> dict[str, Any]:
    name = str(wanted.get("ref", ""))
    branch = name.removeprefix("refs/heads/")
    if not name.startswith("refs/heads/") or wanted.get("sha") not in store.git_commits:
        raise invalid("ref must be that of a branch, sha a commit")
    if branch in store.branches:
        raise invalid("Reference already exists")
    store.branches[branch] = wanted["sha"]
    return _ref(branch, wanted["sha"])


@routes.patch(f"{REPO}/git/refs/heads/{{branch:path}}")
async def _move_ref(branch: str, wanted: JsonBody, store: Store) -> dict[str, Any]:
    commits, branches = store.git_commits, store.branches
    if branch not in branches or wanted.get("sha") not in commits:
        raise invalid("Reference does not exist")
    if not wanted.get("force") and branches[branch] not in _ancestors(commits, wanted["sha"]):
        raise invalid("Update is not a fast forward")
    branches[branch] = wanted["sha"]
    return _ref(branch, wanted["sha"])


@routes.get(f"{OWN}/branches/{{branch}}/files")
async def _files(branch: str, store: Store) -> dict[str, str]:
    """Return the files of a branch, as a `git fetch` would bring them."""
    return store.trees[store.git_commits[found(store.branches.get(branch))]["tree"]]


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
