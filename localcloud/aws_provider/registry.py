"""All resource types that the stand-in knows, by token."""

from importlib import import_module
from typing import Final

from localcloud.aws_provider.resource_type import ResourceType

_MODULES: Final = (
    *("budgets", "cloudtrail", "cloudwatch", "dynamodb", "iam", "lambda_"),
    *("s3", "scheduler", "secretsmanager", "sfn", "sns", "sqs"),
)
RESOURCE_TYPES: Final[dict[str, ResourceType]] = {
    one.type_name: one for name in _MODULES for one in import_module(f"{__package__}.{name}").TYPES
}


class UnknownTypeError(LookupError):
    """The program uses a type that the stand-in does not know."""


def resource_type_of(token: str) -> ResourceType:
    """Return the declaration of a type; UnknownTypeError says how to add one that is missing."""
    try:
        return RESOURCE_TYPES[token]
    except KeyError:
        service = token.removeprefix("aws:").partition("/")[0]
        raise UnknownTypeError(
            f"the stand-in for the AWS provider does not know {token}. Declare it as a ResourceType, with its create, "
            f"read, update and delete calls, in localcloud/aws_provider/{service}.py and add it to TYPES there; what "
            "the real provider takes must stand in aws-facts.json. Types it knows: " + ", ".join(sorted(RESOURCE_TYPES))
        ) from None
