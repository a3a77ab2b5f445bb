"""What a function's settings may be: names, limits and the values that AWS would refuse. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from localcloud.lambdas.errors import invalid, malformed

LATEST = "$LATEST"
MAX_SYNC_PAYLOAD = 6 * 1024 * 1024
MAX_EVENT_PAYLOAD = 1024 * 1024
MAX_UNZIPPED = 262_144_000
ACCOUNT_CONCURRENCY = 1000
_MIN_UNRESERVED = 100
EVENT_AGE_SECONDS = 21_600
MAX_RETRIES = 2

# Those of Python that AWS still lets one create functions with; it refuses retired ones, and this service all others.
RUNTIMES = frozenset(f"python3.{minor}" for minor in range(10, 15))
# Set by the service in every sandbox; AWS refuses functions that try to set them.
RESERVED_VARIABLES = frozenset(
    {
        *("_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV"),
        *("AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION"),
        *("AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME"),
        *("AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
        *("AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"),
    }
)
# Request fields that make up a function's configuration. Everything else is either the code, or refused.
SETTINGS = (
    *("Runtime", "Role", "Handler", "Description", "Timeout", "MemorySize", "Environment", "DeadLetterConfig"),
    *("PackageType", "Architectures"),
)
_CREATE_ONLY = frozenset({"PackageType", "Architectures"})
_CODE_FIELDS = frozenset({"ZipFile", "S3Bucket", "S3Key", "S3ObjectVersion"})

_VARIABLE = re.compile(r"[A-Za-z]\w+", re.ASCII)
_DEAD_LETTER = re.compile(r"arn:aws[\w-]*:(sqs|sns):[\w-]+:\d{12}:\S+")
_SHAPES: Final = {
    "functionName": (r"[A-Za-z0-9_-]{1,64}", "1 to 64 letters, digits, hyphens and underscores"),
    # Only digits would be a version.
    "name": (r"(?!\d+$)[A-Za-z0-9_-]{1,128}", "1 to 128 letters, digits, hyphens and underscores, not only digits"),
    "statementId": (r"[A-Za-z0-9_-]{1,100}", "1 to 100 letters, digits, hyphens and underscores"),
    "action": (r"lambda:(\*|[A-Za-z]+)|\*", "one action of lambda, such as lambda:InvokeFunction"),
    "handler": (r"\S{1,128}", "1 to 128 characters without spaces"),
    "role": (r"arn:aws[\w-]*:iam::\d{12}:role/[\w+=,.@/-]+", "the ARN of an IAM role"),
    "description": (r"(?s:.{0,256})", "at most 256 characters"),
    "authType": (r"NONE|AWS_IAM", "NONE or AWS_IAM"),
}
"""What AWS takes in a field, and how it says so."""


def check_shape(field: str, value: object) -> None:
    """Refuse a value that AWS would not take in this field."""
    pattern, constraint = _SHAPES[field]
    if not re.fullmatch(pattern, str(value)):
        raise malformed(value, field, constraint)


def check_create_fields(request: Mapping[str, Any]) -> None:
    """Refuse request fields that the local Lambda does not know, instead of dropping them."""
    _only(request, {"FunctionName", "Code", "Publish", "Tags", *SETTINGS})
    code = request.get("Code") or {}
    _only(code, _CODE_FIELDS)
    for field in ("Role", "Runtime", "Handler"):
        if not request.get(field):
            raise invalid(f"{field} is mandatory for functions that are created with a zip.")


def check_code_fields(request: Mapping[str, Any]) -> None:
    """The same for UpdateFunctionCode."""
    _only(request, {"FunctionName", "Architectures", "Publish", "RevisionId", *_CODE_FIELDS})


def check_configuration_fields(request: Mapping[str, Any]) -> None:
    """The same for UpdateFunctionConfiguration."""
    _only(request, {"FunctionName", "RevisionId", *SETTINGS} - _CREATE_ONLY)


def _only(request: Mapping[str, Any], known: set[str] | frozenset[str]) -> None:
    for field, value in request.items():
        if field not in known and value not in (None, "", [], {}):
            raise invalid(f"{field} is not supported by the local Lambda service.")


def settled(base: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """Settings after a request: what it names replaces what stood in `base`, the rest stays.

    Raises:
        ServiceError: a value that AWS refuses.
    """
    settings = {**base, **{field: request[field] for field in SETTINGS if request.get(field) is not None}}
    if not settings["DeadLetterConfig"].get("TargetArn"):
        settings["DeadLetterConfig"] = {}  # an empty target is how an update takes the target away
    if settings.get("Runtime") not in RUNTIMES:
        raise invalid(f"Value {settings.get('Runtime')} at 'runtime' must be one of: {', '.join(sorted(RUNTIMES))}.")
    _check_range(settings["Timeout"], "timeout", 1, 900)
    _check_range(settings["MemorySize"], "memorySize", 128, 10_240)
    for field in ("Handler", "Role", "Description"):
        check_shape(field.lower(), settings[field])
    _check_environment((settings.get("Environment") or {}).get("Variables") or {})
    target = settings["DeadLetterConfig"].get("TargetArn")
    if target and not _DEAD_LETTER.fullmatch(target):
        raise invalid(f"The dead-letter target {target} is neither an SQS queue nor an SNS topic.")
    if settings["PackageType"] != "Zip":
        raise invalid("The local Lambda service runs zip packages only (PackageType Zip).")
    if settings["Architectures"] not in (["x86_64"], ["arm64"]):
        raise malformed(settings["Architectures"], "architectures", "[x86_64] or [arm64]")
    return settings


DEFAULT_SETTINGS = {
    "Description": "",
    "Timeout": 3,
    "MemorySize": 128,
    "DeadLetterConfig": {},
    "PackageType": "Zip",
    "Architectures": ["x86_64"],
}
"""What AWS fills in for a new function."""


def _check_range(value: Any, field: str, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise malformed(value, field, f"a whole number from {low} to {high}")


def _check_environment(variables: Mapping[str, Any]) -> None:
    for key, value in variables.items():
        if not _VARIABLE.fullmatch(key):
            raise malformed(key, "environment.variables", "a letter, then letters, digits and underscores")
        if not isinstance(value, str):
            raise malformed(value, f"environment.variables.{key}", "a string")
    taken = sorted(RESERVED_VARIABLES & variables.keys())
    if taken:
        raise invalid(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(taken)}"
        )
    size = len(json.dumps(variables, separators=(",", ":"), ensure_ascii=False).encode())
    if size > 4096:  # noqa: PLR2004
        raise invalid(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            f"provided exceeded the 4KB limit. The variables measure {size} bytes."
        )


def check_weights(version: str, weights: Mapping[str, Any]) -> None:
    """Refuse routing weights that AWS would refuse; that the versions exist is the store's to check."""
    if not weights:
        return
    if len(weights) > 1:
        raise invalid("An alias routes to at most one additional version.")
    ((other, weight),) = weights.items()
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1:
        raise invalid(f"The weight {weight} of version {other} must be between 0 and 1.")
    if LATEST in (version, other):
        raise invalid(f"{LATEST} is not supported for an alias pointing to more than 1 version.")
    if other == version:
        raise invalid(f"Version {other} is the alias's own version: an additional weight needs another one.")


def check_reserved(value: Any, reserved_elsewhere: int, concurrency: int) -> None:
    """Refuse a reservation that leaves other functions fewer than AWS's minimum of the account's `concurrency`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise malformed(value, "reservedConcurrentExecutions", "a whole number of at least 0")
    minimum = min(_MIN_UNRESERVED, concurrency)
    if value and concurrency - reserved_elsewhere - value < minimum:
        raise invalid(
            "Specified ReservedConcurrentExecutions for function decreases account's "
            f"UnreservedConcurrentExecution below its minimum value of [{minimum}]."
        )
