"""What the rules of the repository name: the branch that deploys, the checks before it, the actions that may run.

Pure Python: the program makes the rules (`components/shared/repository.py`), `release doctor` compares them.
"""

from __future__ import annotations

from typing import Final

BRANCH: Final = "main"
"""The one branch that deploys."""
PREVIEWS: Final = "Stack previews"
"""Status that preview-comment.yml sets: every stack has a preview, and none destroys data unless an owner allows it.

The job `Preview` of stack-preview.yml is not required itself: the status fails where that job does.
"""
CHECKS: Final = ("Checks", PREVIEWS)
"""What a pull request must pass: jobs of pull-request.yml by their names, and statuses that Actions set."""
THIRD_PARTY_ACTIONS: Final = ("aws-actions/configure-aws-credentials", "pulumi/actions")
"""The actions that the workflows use besides GitHub's own; no other can run."""
GITHUB_ACTIONS_APP: Final = 15368
"""GitHub's id of Actions: a check of the same name by any other app does not count."""
