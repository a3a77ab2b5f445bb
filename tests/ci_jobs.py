"""Which GitHub environment's job runs which `release` command in CI (docs/explanation/flow.md), and its credentials."""

from collections.abc import Mapping, Sequence

import boto3
import httpx
from botocore import UNSIGNED
from botocore.config import Config

from components.arns import Arns
from components.identities import IDENTITIES
from components.naming import names
from localcloud.environment import ACCOUNT, REGION

AS_IN_CI = {
    ("preprod", "deploy"): ["preprod"],
    ("preprod", "validate --no-record"): ["preprod-test"],
    ("preprod", "validate"): ["preprod-validate"],
    ("preprod", "notify"): ["preprod-watch"],
    ("preprod", "status"): ["preprod-watch"],
    ("preprod", "watch"): ["preprod-watch"],
    ("prod", "check"): ["prod-watch"],
    ("prod", "explain"): ["prod-watch"],
    ("prod", "history"): ["prod-watch"],
    ("prod", "notify"): ["prod-watch"],
    ("prod", "plan"): ["prod-watch"],
    ("prod", "route"): ["prod-watch"],
    ("prod", "status"): ["prod-watch"],
    ("prod", "watch"): ["prod-watch"],
    ("prod", "confirm"): ["production"],
    ("prod", "keep"): ["production"],
    ("prod", "promote"): ["production"],
    ("prod", "resume"): ["production"],
    ("prod", "rollback"): ["production", "production-rollback"],
    ("prod", "reap"): ["production-rollback"],
    ("prod", "unblock"): ["production"],
}
"""Environment and command: the GitHub environments whose jobs run it."""


def github_environment(command: Sequence[str]) -> str:
    """The GitHub environment whose job runs a command; empty for a command that a person runs, or that asks no AWS."""
    if command[0] != "release":
        return ""
    stack = command[command.index("--stack") + 1] if "--stack" in command else "prod"
    name = f"{command[1]} --no-record" if "--no-record" in command else command[1]
    return AS_IN_CI.get((stack, name), [""])[0]


def credentials(aws: str, github: str, environment: str, **claims: str) -> Mapping[str, str]:
    """Variables with the credentials that a job of this GitHub environment gets (`aws`, `github`: URLs)."""
    (identity,) = [one for one in IDENTITIES if one.github_environment == environment]
    arns = Arns(account_id=ACCOUNT, region=REGION, names=names(identity.environment))
    workflow = identity.workflows[0] if identity.workflows else "build-and-promote.yml"
    job = {"environment": environment, "workflow": workflow} | claims
    registered = httpx.post(f"{github}/_localcloud/jobs", json=job).raise_for_status().json()
    token = httpx.get(
        f"{registered['request_url']}&audience=sts.amazonaws.com",
        headers={"Authorization": f"Bearer {registered['request_token']}"},
    ).raise_for_status()
    sts = boto3.client("sts", endpoint_url=aws, region_name=REGION, config=Config(signature_version=UNSIGNED))
    taken = sts.assume_role_with_web_identity(
        RoleArn=arns.of("role", identity.role(arns.names)),
        RoleSessionName=f"{environment}-1",
        WebIdentityToken=token.json()["value"],
    )["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": taken["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": taken["SecretAccessKey"],
        "AWS_SESSION_TOKEN": taken["SessionToken"],
    }
