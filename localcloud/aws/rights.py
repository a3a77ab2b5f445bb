"""New rights of roles act late: a function is denied what only a young document of its role allows.

IAM is not enforced here. An action that no document allows goes through, as ever; and resources and conditions are not
looked at.
"""

import fnmatch
import json
import time
from datetime import UTC

from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import IAMBackend, Role, iam_backends

from localcloud.aws.policy import as_list
from localcloud.habits import SLOW_RIGHTS, Habits


def are_young(role: Role, habits: Habits) -> bool:
    """Whether a role was made so lately that no service can assume it yet."""
    return time.time() < role.create_date.replace(tzinfo=UTC).timestamp() + habits.seconds(SLOW_RIGHTS, role.arn)


class YoungRights:
    """What the inline policies of roles said before, until what they say acts."""

    def __init__(self, habits: Habits) -> None:
        self._habits = habits
        self._before: dict[tuple[str, str], tuple[str | None, float]] = {}

    def remember(self) -> None:
        """Note from now on what PutRolePolicy replaces."""
        put_role_policy, rights = IAMBackend.put_role_policy, self

        def put(self: IAMBackend, role_name: str, policy_name: str, policy_json: str) -> None:
            role = self.get_role(role_name)
            before = rights._acting(role).get(policy_name)
            put_role_policy(self, role_name, policy_name, policy_json)
            delay = rights._habits.seconds(SLOW_RIGHTS, f"{role.arn}/{policy_name}")
            rights._before[role.arn, policy_name] = before, time.time() + delay

        IAMBackend.put_role_policy = put  # type: ignore[method-assign]

    def deny(self, role_arn: str | None, action: str) -> bool:
        """Whether only a young document allows an action (`dynamodb:PutItem`) to the role."""
        if all(role_arn != arn for arn, _ in self._before):
            return False
        role = next((one for one in iam_backends[DEFAULT_ACCOUNT_ID]["aws"].get_roles() if one.arn == role_arn), None)
        if role is None:
            return False
        return _allow(role.policies, action) and not _allow(self._acting(role), action)

    def _acting(self, role: Role) -> dict[str, str]:
        now, documents = time.time(), dict(role.policies)
        for name, document in role.policies.items():
            before, acts_from = self._before.get((role.arn, name), (document, 0.0))
            if now < acts_from:
                documents[name] = before or "{}"
        return documents


def _allow(documents: dict[str, str], action: str) -> bool:
    statements = [one for document in documents.values() for one in as_list(json.loads(document).get("Statement"))]
    return any(
        fnmatch.fnmatchcase(action.lower(), pattern.lower())
        for statement in statements
        if statement["Effect"] == "Allow"
        for pattern in as_list(statement.get("Action"))
    )
