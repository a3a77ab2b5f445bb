"""What GitHub takes as a ruleset of a repository: pure. Only rules that the program uses are known here."""

from typing import Any, Final

from localcloud.github.errors import invalid

_MOST_APPROVALS: Final = 10
_MERGE_METHODS: Final = frozenset({"merge", "squash", "rebase"})
_PLAIN: Final = frozenset({"deletion", "non_fast_forward"})
_PARAMETERS: Final = {
    "pull_request": {
        "allowed_merge_methods": list,
        "dismiss_stale_reviews_on_push": bool,
        "require_code_owner_review": bool,
        "require_last_push_approval": bool,
        "required_approving_review_count": int,
        "required_review_thread_resolution": bool,
    },
    "required_status_checks": {"required_status_checks": list, "strict_required_status_checks_policy": bool},
}
_OPTIONAL: Final = {"pull_request": {"required_reviewers"}, "required_status_checks": {"do_not_enforce_on_create"}}


def check(ruleset: dict[str, Any]) -> None:
    """Refuse what GitHub refuses.

    Raises:
        GitHubError: 422 with all that is wrong.
    """
    problems = []
    if not ruleset.get("name"):
        problems.append("name is missing")
    if ruleset.get("target") != "branch" or ruleset.get("enforcement") not in ("active", "disabled", "evaluate"):
        problems.append("target must be branch (others are not known here), enforcement active, disabled or evaluate")
    if ruleset["bypass_actors"] is None:
        problems.append("Invalid property /bypass_actors: data cannot be null")
    names = (ruleset.get("conditions") or {}).get("ref_name") or {}
    if not isinstance(names.get("include"), list) or not isinstance(names.get("exclude"), list):
        problems.append("conditions.ref_name needs include and exclude")
    for rule in ruleset["rules"]:
        problems += _problems(rule.get("type"), rule.get("parameters") or {})
    if problems:
        raise invalid(*problems)


def _problems(kind: str | None, parameters: dict[str, Any]) -> list[str]:
    if kind in _PLAIN:
        return []
    if kind not in _PARAMETERS:
        return [f"rule {kind!r} is not known here: add it to localcloud/github/rules.py"]
    declared = _PARAMETERS[kind]
    problems = [
        f"{kind}.{name} must be a {typ.__name__}"
        for name, typ in declared.items()
        if not isinstance(parameters.get(name), typ)
    ]
    problems += [f"{kind}.{name} is not a parameter" for name in parameters.keys() - declared.keys() - _OPTIONAL[kind]]
    if problems:
        return problems
    if kind == "pull_request":
        methods = parameters["allowed_merge_methods"]
        if not methods or not set(methods) <= _MERGE_METHODS:
            problems.append(f"allowed_merge_methods must be some of {', '.join(sorted(_MERGE_METHODS))}")
        if not 0 <= parameters["required_approving_review_count"] <= _MOST_APPROVALS:
            problems.append(f"required_approving_review_count must be from 0 to {_MOST_APPROVALS}")
    elif not all(one.get("context") for one in parameters["required_status_checks"]):
        problems.append("a required status check has no context")
    return problems
