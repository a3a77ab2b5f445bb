"""Which GitHub environment's job runs which `release` command in CI (docs/explanation/flow.md), and its credentials."""

from collections.abc import Mapping, Sequence

from components.arns import Arns
from components.identities import IDENTITIES
from components.naming import names
from localcloud.environment import ACCOUNT, REGION
from localcloud.iam import jobs

AS_IN_CI = {
    ("preprod", "deploy"): ["preprod"],
    ("preprod", "validate --no-record"): ["preprod-test"],
    ("preprod", "validate"): ["preprod-validate"],
    ("preprod", "notify"): ["preprod-watch"],
    ("preprod", "reap"): ["preprod"],
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
    ("prod", "promote --path automatic"): ["production-auto"],
    ("prod", "resume"): ["production"],
    ("prod", "rollback"): ["production-rollback", "production"],
    ("prod", "reap"): ["production-rollback"],
    ("prod", "unblock"): ["production"],
}
"""Environment and command: the GitHub environments whose jobs run it."""


def command_of(words: Sequence[str]) -> str:
    """The name of a command, with the option that decides whose it is, from its words without `release`."""
    own = {"--no-record": " --no-record", "automatic": " --path automatic"}
    return words[0] + "".join(shown for word, shown in own.items() if word in words)


def github_environment(command: Sequence[str]) -> str:
    """The GitHub environment whose job runs a command; empty for a command that a person runs, or that asks no AWS."""
    words = list(command[2:] if list(command[1:3]) == ["-m", "release"] else command)
    if words[0] != "release":
        return ""
    stack = words[words.index("--stack") + 1] if "--stack" in words else "prod"
    return AS_IN_CI.get((stack, command_of(words[1:])), [""])[0]


def credentials(aws: str, github: str, environment: str, **claims: str) -> Mapping[str, str]:
    """Variables with the credentials that a job of this GitHub environment gets (`aws`, `github`: URLs)."""
    (identity,) = [one for one in IDENTITIES if one.github_environment == environment]
    arns = Arns(account_id=ACCOUNT, region=REGION, names=names(identity.environment))
    workflow = identity.workflows[0] if identity.workflows else "build-and-promote.yml"
    job = {"environment": environment, "workflow": workflow} | claims
    role = arns.of("role", identity.role(arns.names))
    return jobs.assume(aws, role, f"{environment}-1", jobs.token_of(jobs.register(github, **job)))
