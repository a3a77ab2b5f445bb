"""Makes updates as Dependabot makes them: lock files, commits and pull requests, as git and GitHub show them."""

import hashlib

BOT, WEB_FLOW, HUMAN = 49_699_333, 19_864_447, 4_711
REPOSITORY = "local/sentiment-pipeline"
HOST = "https://files.pythonhosted.org"


def digest(*of):
    return hashlib.sha256("/".join(map(str, of)).encode()).hexdigest()


def git_id(*of):
    return digest(*of)[:40]


def lock(packages, *, host=HOST, own="dashboard", wanted=">=1"):
    """A uv.lock with these versions by name."""
    texts = ['version = 1\nrevision = 5\nrequires-python = "==3.11.*"\n']
    for name, version in sorted({**packages, own: "0"}.items()):
        if name == own:
            depends = ", ".join(f'{{ name = "{one}" }}' for one in sorted(packages))
            requires = ", ".join(f'{{ name = "{one}", specifier = "{wanted}" }}' for one in sorted(packages))
            texts.append(
                f'[[package]]\nname = "{own}"\nversion = "0"\nsource = {{ virtual = "." }}\n'
                f"dependencies = [{depends}]\n\n[package.metadata]\nrequires-dist = [{requires}]\n"
            )
            continue
        files = [f"{name}-{version}.tar.gz", f"{name}-{version}-py3-none-any.whl"]
        sdist, wheel = (
            f'{{ url = "{host}/packages/{file}", hash = "sha256:{digest(file)}", size = 1 }}' for file in files
        )
        texts.append(
            f'[[package]]\nname = "{name}"\nversion = "{version}"\n'
            'source = { registry = "https://pypi.org/simple" }\n'
            f"sdist = {sdist}\nwheels = [{wheel}]\n"
        )
    return "\n".join(texts)


def account(number):
    return None if number is None else {"id": number, "login": f"user-{number}"}


def commit(sha, author=BOT, committer=WEB_FLOW, *, verified=True, parents=()):
    """A commit as GitHub documents it, as far as anybody here reads it."""
    return {
        "sha": sha,
        "parents": [{"sha": one} for one in parents],
        "author": account(author),
        "committer": account(committer),
        "commit": {"message": "lambdas: bump", "verification": {"verified": verified, "reason": "valid"}},
    }


def side(ref, sha, full_name=REPOSITORY, repository_id=900_000_001):
    return {"ref": ref, "sha": sha, "repo": {"id": repository_id, "full_name": full_name}}


def pull(number, head, merge, *, commits=1, files=1, user=BOT):
    """A merged pull request as GitHub documents it, as far as anybody here reads it."""
    return {
        "number": number,
        "state": "closed",
        "user": account(user),
        "merged": True,
        "merged_at": "2026-11-01T00:00:00Z",
        "merge_commit_sha": merge,
        "base": side("main", git_id("base", number)),
        "head": side(f"dependabot/uv/lambdas/dashboard/{number}", head),
        "commits": commits,
        "changed_files": files,
    }


def file(path, blob, status="modified"):
    return {"filename": path, "sha": blob, "status": status}
