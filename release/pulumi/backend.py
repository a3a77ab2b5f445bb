"""Where the state of a stack lies, which key its secrets are under, and what a person's shell needs to work on it."""

from __future__ import annotations

from components.environment import FOUNDATION, SERVICE
from components.naming import foundation_stack, service_stack, state_place
from components.settings import Settings


def backend_url(stack: str, suffix: str = "") -> str:
    """Return PULUMI_BACKEND_URL of `stack`, foundation and service apart; `suffix` is the setting `nameSuffix`."""
    bucket, folder = state_place(stack, suffix)
    return f"s3://{bucket}/{folder}"


def secrets_provider(settings: Settings) -> str:
    """The key under which Pulumi keeps the secrets of a stack, as `pulumi stack init --secrets-provider` takes it."""
    names = settings.arns.names
    alias = names.foundation_key_alias if settings.scope == "foundation" else names.state_key_alias
    return f"awskms://{alias}?region={settings.region}"


def stack_of(settings: Settings) -> str:
    """Name of the stack that the settings belong to."""
    name = foundation_stack if settings.scope == "foundation" else service_stack
    return name(settings.environment)


def shell_variables(settings: Settings) -> dict[str, str]:
    """Return the variables of a shell in which a person works on one stack with `pulumi`; none is a credential."""
    variables = {
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,  # the name that boto3 reads
        "PULUMI_STACK": stack_of(settings),
        "PULUMI_BACKEND_URL": backend_url(stack_of(settings), settings.name_suffix),
        **(FOUNDATION if settings.scope == "foundation" else SERVICE),
    }
    if settings.scope == "foundation":
        variables["GITHUB_OWNER"] = settings.github_owner
    return variables
