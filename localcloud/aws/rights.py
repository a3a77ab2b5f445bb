"""New rights of roles act late: a function is denied what its role's inline policies allow only since lately.

IAM is not enforced here: what they do not allow goes through, as ever. Resources and conditions are not looked at.
"""

import fnmatch
import json
import time
from collections import defaultdict
from collections.abc import Mapping

from moto.iam.models import IAMBackend, Role

from localcloud.aws.policy import as_list
from localcloud.habits import SLOW_RIGHTS, Habits


class YoungRights:
    """What each role had the right to before, until what it has now acts."""

    def __init__(self, habits: Habits) -> None:
        put_role_policy = IAMBackend.put_role_policy
        self._before = before = defaultdict[str, list[tuple[float, dict[str, str], Role]]](list)

        def put(self: IAMBackend, role_name: str, policy_name: str, policy_json: str) -> None:
            role = self.get_role(role_name)
            until = time.time() + habits.seconds(SLOW_RIGHTS, f"{role.arn}/{policy_name}")
            before[role.arn].append((until, dict(role.policies), role))
            put_role_policy(self, role_name, policy_name, policy_json)

        IAMBackend.put_role_policy = put  # type: ignore[method-assign]

    def deny(self, role_arn: str | None, action: str) -> bool:
        """Whether the role has got the right to an action (`dynamodb:PutItem`) only since lately."""
        young = [one for one in self._before.get(role_arn or "", ()) if time.time() < one[0]]
        return any(_allow(role.policies, action) and not _allow(before, action) for _, before, role in young)


def _allow(documents: Mapping[str, str], action: str) -> bool:
    statements = [one for document in documents.values() for one in as_list(json.loads(document)["Statement"])]
    allowed = [pattern for one in statements if one["Effect"] == "Allow" for pattern in as_list(one.get("Action"))]
    return any(fnmatch.fnmatchcase(action.lower(), pattern.lower()) for pattern in allowed)
