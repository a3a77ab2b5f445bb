"""The table of identities: who may assume which role of CI, with which rights.

Trust documents, policies and GitHub environments are derived from it. Pure data: the program makes the roles
(`components/foundation/identities.py`), the releaser compares them with what is deployed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from components.arns import Arns
from components.naming import Names
from components.policies import deploy, proving, trust
from components.policies.documents import Document
from components.settings import Settings

PRODUCTION: Final = "production"
PRODUCTION_AUTO: Final = "production-auto"


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """One role of CI, and the GitHub environment whose jobs on main may assume it."""

    environment: str
    github_environment: str
    role: Callable[[Names], str]
    rights: Callable[[Arns], Document]
    workflows: tuple[str, ...] = ()
    """Files of the workflows whose jobs alone may assume the role; empty = any job of the environment."""
    reviewed: bool = False
    """Whether a reviewer has to approve each deployment to the environment."""
    secrets: bool = False
    """Whether the environment holds the secrets that requirement M11 names."""


IDENTITIES: Final = (
    Identity(
        environment="preprod",
        github_environment="preprod",
        role=lambda names: names.deploy_role,
        rights=deploy.deploy,
        secrets=True,
    ),
    # Dependencies of the tests run here, so it can reach nothing but what is tested.
    Identity(
        environment="preprod",
        github_environment="preprod-test",
        role=lambda names: names.test_role,
        rights=proving.test_release,
    ),
    # Runs no code of others, so that nothing that is tested can mark itself as validated.
    Identity(
        environment="preprod",
        github_environment="preprod-validate",
        role=lambda names: names.validate_role,
        rights=proving.mark_validated,
    ),
    Identity(
        environment="preprod",
        github_environment="preprod-watch",
        role=lambda names: names.watch_role,
        rights=proving.watch,
    ),
    Identity(
        environment="prod",
        github_environment=PRODUCTION,
        role=lambda names: names.deploy_role,
        rights=deploy.deploy,
        reviewed=True,
        secrets=True,
    ),
    # Nobody reviews the jobs of the next two, so the files that they come from are pinned and their rights end at code.
    Identity(
        environment="prod",
        github_environment=PRODUCTION_AUTO,
        role=lambda names: names.deploy_auto_role,
        rights=deploy.deploy_code,
        workflows=("deploy-prod.yml",),
        secrets=True,
    ),
    Identity(
        environment="prod",
        github_environment="production-rollback",
        role=lambda names: names.rollback_role,
        rights=deploy.deploy_code,
        workflows=("deploy-prod.yml", "watch.yml"),
    ),
    Identity(
        environment="prod",
        github_environment="prod-watch",
        role=lambda names: names.watch_role,
        rights=proving.watch,
    ),
)


def identities(environment: str) -> tuple[Identity, ...]:
    """The identities that belong to one environment."""
    return tuple(identity for identity in IDENTITIES if identity.environment == environment)


def github_environments(environment: str) -> tuple[str, ...]:
    """Names of the GitHub environments whose jobs work on one environment."""
    return tuple(identity.github_environment for identity in identities(environment))


def trust_of(identity: Identity, settings: Settings) -> Document:
    """The trust policy of an identity's role."""
    return trust.by_github(
        settings.arns,
        owner=settings.github_owner,
        repository=settings.github_repository,
        owner_id=settings.github_owner_id,
        repository_id=settings.github_repository_id,
        github_environment=identity.github_environment,
        workflows=identity.workflows,
    )
