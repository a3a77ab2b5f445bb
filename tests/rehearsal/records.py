"""What `release` commands asked of AWS, as it was recorded (tests/recorder), and what an identity may do of that."""

import json
from dataclasses import dataclass
from pathlib import Path

from components.arns import Arns
from components.identities import Identity
from components.naming import names
from components.policies.bucket import deployment_bucket
from localcloud.environment import ACCOUNT, REGION
from localcloud.iam.evaluator import PolicyRequest
from localcloud.iam.needs import Need, needs
from tests.ci_jobs import command_of


@dataclass(frozen=True)
class Run:
    """One recorded `release` command."""

    words: str
    lines: tuple[str, ...]

    @property
    def environment(self) -> str:
        return "preprod" if "--stack preprod" in self.words else "prod"

    @property
    def command(self) -> str:
        return command_of(self.words.split())

    @property
    def makes_roles(self) -> bool:
        """Whether it changed more than code: those runs only a reviewer lets through."""
        return any('"operation": "CreateRole"' in line for line in self.lines)

    def needs(self) -> dict[tuple[str, str, str], Need]:
        arns = arns_of(self.environment)
        found = [
            need
            for line in set(self.lines)
            for call in [json.loads(line)]
            for need in needs(call["service"], call["operation"], call["parameters"], arns)
        ]
        return {(need.action, need.resource, str(sorted(need.context.items()))): need for need in found}


def arns_of(environment: str) -> Arns:
    return Arns(account_id=ACCOUNT, region=REGION, names=names(environment))


def recorded(cloud) -> list[Run]:
    files = sorted(Path(cloud.variables["LOCALCLOUD_RECORD_CALLS"]).iterdir())
    return [Run(file.name.partition(" ")[2], tuple(file.read_text().splitlines())) for file in files]


def request(identity: Identity, need: Need) -> PolicyRequest:
    arns = arns_of(identity.environment)
    buckets = {environment: arns_of(environment).names.bucket for environment in ("preprod", "prod")}
    owner = next((one for one, bucket in buckets.items() if f":::{bucket}" in need.resource), "")
    return PolicyRequest(
        principal=arns.of("role", identity.role(arns.names)),
        action=need.action,
        resource=need.resource,
        account=ACCOUNT,
        identity=[identity.rights(arns)],
        resource_policy=deployment_bucket(arns_of(owner), "arn:aws:iam::123456789012:role/none") if owner else None,
        context=need.context,
    )
