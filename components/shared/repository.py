"""Rules of the whole repository: how something reaches main, what Actions may run, how tokens name a job."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_github as github

from components.github_rules import BRANCH, CHECKS, GITHUB_ACTIONS_APP, THIRD_PARTY_ACTIONS
from components.settings import Settings


@dataclass(frozen=True, kw_only=True)
class RepositoryArgs:
    """Whose repository."""

    settings: Settings


class Repository(pulumi.ComponentResource):
    """Nobody can go round these, no administrator either: there are no bypass actors."""

    def __init__(self, name: str, args: RepositoryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:shared:Repository", name, None, opts)
        repository = args.settings.github_repository
        approvals = args.settings.required_approvals
        ruleset = github.RepositoryRuleset(
            BRANCH,
            name=BRANCH,
            repository=repository,
            target="branch",
            enforcement="active",
            conditions={"ref_name": {"includes": [f"refs/heads/{BRANCH}"], "excludes": []}},
            rules={
                "pull_request": {
                    # `release route` cannot prove where the commits of a rebase merge come from: GitHub does not sign
                    # them.
                    "allowed_merge_methods": ["merge", "squash"],
                    "required_approving_review_count": approvals,
                    "require_code_owner_review": approvals > 0,
                    "require_last_push_approval": approvals > 0,
                    "dismiss_stale_reviews_on_push": True,
                },
                "required_status_checks": {
                    "strict_required_status_checks_policy": True,
                    "required_checks": [{"context": check, "integration_id": GITHUB_ACTIONS_APP} for check in CHECKS],
                },
                "non_fast_forward": True,
                "deletion": True,
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
        github.ActionsRepositoryPermissions(
            "actions",
            repository=repository,
            enabled=True,
            allowed_actions="selected",
            allowed_actions_config={
                "github_owned_allowed": True,
                "verified_allowed": False,
                "patterns_alloweds": [f"{action}@*" for action in THIRD_PARTY_ACTIONS],
            },
            sha_pinning_required=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        github.WorkflowRepositoryPermissions(
            "token",
            repository=repository,
            default_workflow_permissions="read",
            can_approve_pull_request_reviews=False,
            opts=pulumi.ResourceOptions(parent=self),
        )
        # The roles trust the exact subjects of the default form.
        github.ActionsRepositoryOidcSubjectClaimCustomizationTemplate(
            "oidc-subject",
            repository=repository,
            use_default=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"ruleset": ruleset.ruleset_id})
