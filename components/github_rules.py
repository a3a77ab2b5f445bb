"""What the rules of the repository name: the branch that deploys, the checks before it, the actions that may run.

Pure Python: the program makes the rules (`components/shared/repository.py`), `release doctor` compares them.
"""

from __future__ import annotations

from typing import Final

BRANCH: Final = "main"
"""The one branch that deploys."""
CHECKS: Final = ("Checks",)
"""Names of the jobs of pull-request.yml, all of which a pull request must pass."""
THIRD_PARTY_ACTIONS: Final = ("aws-actions/configure-aws-credentials", "pulumi/actions")
"""The actions that the workflows use besides GitHub's own; no other can run."""
GITHUB_ACTIONS_APP: Final = 15368
"""GitHub's id of Actions: a check of the same name by any other app does not count."""
