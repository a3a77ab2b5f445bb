"""Lets a job into its environment as GitHub does: its branch is allowed, and a reviewer approves where one is asked."""

import os
import sys
from fnmatch import fnmatchcase
from pathlib import Path

from run import Run


def main() -> None:
    """Exit with 1 where the job is refused; no later step of it runs then."""
    run = Run()
    name = run.known["environment"]
    if not name:
        return
    why = refusal(run, name)
    if why:
        Path(os.environ["RUNNER_TEMP"]).with_name("refused").touch()
        sys.exit(f"not let into the environment {name}: {why}")
    if run.known["deployment"]:
        wanted = {"ref": os.environ["GITHUB_SHA"], "environment": name}
        run.github.post("/deployments", json=wanted).raise_for_status()


def refusal(run: Run, name: str) -> str:
    """Return why the job may not run; GitHub would make an unknown environment, here it is an error."""
    shown = run.ask(f"/environments/{name}")
    rules = {rule["type"]: rule for rule in shown["protection_rules"]}
    if (shown["deployment_branch_policy"] or {}).get("custom_branch_policies"):
        patterns = [
            one["name"] for one in run.ask(f"/environments/{name}/deployment-branch-policies")["branch_policies"]
        ]
        if not any(fnmatchcase(os.environ["GITHUB_REF_NAME"], pattern) for pattern in patterns):
            return f"the branch {os.environ['GITHUB_REF_NAME']} is none of {patterns}"
    if "required_reviewers" not in rules:
        return ""
    asked = rules["required_reviewers"]
    people = [one["reviewer"].get("login") or one["reviewer"]["slug"] for one in asked["reviewers"]]
    if asked["prevent_self_review"]:
        people = [one for one in people if one.lower() != os.environ["GITHUB_ACTOR"].lower()]
    answer = run.told["answers"].get(name, "nobody answers")
    run.note("approvals.jsonl", environment=name, reviewers=people, answer=answer)
    if not people:
        return "nobody may approve"
    return "" if answer == "approved" else f"{answer} by {people[0]}"


if __name__ == "__main__":
    main()
