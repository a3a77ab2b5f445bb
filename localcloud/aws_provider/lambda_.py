"""Lambda: functions with published versions, aliases, function URLs, permissions."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from localcloud.aws_provider.cloud import Call, CloudError, explained, from_aws, given, to_aws
from localcloud.aws_provider.resource_type import ResourceType, Tagging
from localcloud.aws_provider.values import UNKNOWN

_CODE: Final = frozenset({"s3Bucket", "s3Key", "s3ObjectVersion", "sourceCodeHash", "architectures"})
_CONFIGURATION: Final = frozenset(
    {"deadLetterConfig", "description", "environment", "handler", "memorySize", "role", "runtime", "timeout"}
)


# -- function


def _code(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return given(S3Bucket=inputs["s3Bucket"], S3Key=inputs["s3Key"], S3ObjectVersion=inputs.get("s3ObjectVersion"))


def _configuration(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what CreateFunction and UpdateFunctionConfiguration take; what is left out is set back, not left alone."""
    return {
        "Role": inputs["role"],
        "Handler": inputs["handler"],
        "Runtime": inputs["runtime"],
        "Description": inputs.get("description", ""),
        "Timeout": inputs["timeout"],
        "MemorySize": inputs["memorySize"],
        "Environment": {"Variables": (inputs.get("environment") or {}).get("variables") or {}},
        "DeadLetterConfig": {"TargetArn": (inputs.get("deadLetterConfig") or {}).get("targetArn", "")},
    }


def _patiently(call: Call, request: Callable[..., Any], **arguments: Any) -> None:
    """Make a request again while Lambda cannot assume the role yet, or is busy: as the real provider does."""

    def taken() -> bool:
        try:
            return bool(request(**arguments))
        except Exception as error:
            if not any(words in explained(error) for words in ("cannot be assumed by Lambda", "in progress")):
                raise
            return False

    call.wait(f"Lambda to take the function {call.inputs['name']}", taken)


def _create_function(call: Call) -> str:
    inputs, arguments = call.inputs, _configuration(call.inputs)
    if not arguments["DeadLetterConfig"]["TargetArn"]:
        del arguments["DeadLetterConfig"]
    _patiently(
        call,
        call.aws.create_function,
        FunctionName=inputs["name"],
        Code=_code(inputs),
        Architectures=inputs.get("architectures") or ["x86_64"],
        Publish=bool(inputs["publish"]),
        Tags=call.tags,
        **arguments,
    )
    call.made(inputs["name"])
    _wait_ready(call)
    return inputs["name"]


def _wait_ready(call: Call) -> None:
    name = call.inputs["name"]

    def ready() -> bool:
        function = call.aws.get_function_configuration(FunctionName=name)
        # Local stand-ins leave these fields out; then there is nothing to wait for.
        states = {function.get("State", "Active"), function.get("LastUpdateStatus", "Successful")}
        if "Failed" in states:
            reason = function.get("LastUpdateStatusReason") or function.get("StateReason") or "AWS gives no reason"
            raise CloudError(f"AWS could not make the function {name} ready: {reason}")
        return states == {"Active", "Successful"}

    call.wait(f"the function {name} to be ready", ready)


def _latest_version(call: Call) -> str:
    """Return the highest version number, or $LATEST when none is published."""
    pages = call.aws.get_paginator("list_versions_by_function").paginate(FunctionName=call.id)
    numbers = [int(item["Version"]) for page in pages for item in page["Versions"] if item["Version"].isdigit()]
    return str(max(numbers)) if numbers else "$LATEST"


def _read_function(call: Call) -> dict[str, Any]:
    answer = call.aws.get_function(FunctionName=call.id)
    function = answer["Configuration"]
    arn = function["FunctionArn"].removesuffix(":$LATEST")
    version = _latest_version(call)
    variables = function.get("Environment", {}).get("Variables") or {}
    return {
        "name": call.id,
        "arn": arn,
        "version": version,
        "qualifiedArn": f"{arn}:{version}",
        "codeSha256": function["CodeSha256"],
        "sourceCodeHash": function["CodeSha256"],
        "sourceCodeSize": function.get("CodeSize", 0),
        "lastModified": function.get("LastModified"),
        "role": function["Role"],
        "handler": function.get("Handler"),
        "runtime": function.get("Runtime"),
        "description": function.get("Description") or None,
        "timeout": function["Timeout"],
        "memorySize": function["MemorySize"],
        "packageType": function.get("PackageType", "Zip"),
        "architectures": function.get("Architectures") or ["x86_64"],
        "environment": {"variables": variables} if variables else None,
        "deadLetterConfig": from_aws(function.get("DeadLetterConfig")) or None,
        "reservedConcurrentExecutions": answer.get("Concurrency", {}).get("ReservedConcurrentExecutions", -1),
        "tagsAll": answer.get("Tags") or {},
    }


def _update_function(call: Call) -> None:
    name, inputs = call.id, call.inputs
    if call.changed & _CONFIGURATION:
        _patiently(call, call.aws.update_function_configuration, FunctionName=name, **_configuration(inputs))
        _wait_ready(call)
    if call.changed & _CODE:
        architectures = inputs.get("architectures") or ["x86_64"]
        call.aws.update_function_code(FunctionName=name, Architectures=architectures, **_code(inputs))
        _wait_ready(call)
    if _makes_version(inputs, call.changed):
        _patiently(call, call.aws.publish_version, FunctionName=name)
        _wait_ready(call)


def _makes_version(inputs: Mapping[str, Any], changed: frozenset[str]) -> bool:
    return bool(inputs.get("publish") and changed & (_CODE | _CONFIGURATION | {"publish"}))


def _fresh_function(inputs: Mapping[str, Any], changed: frozenset[str]) -> Sequence[str]:
    """Return what a change of code or configuration moves; with `publish` it makes a version too."""
    fresh: list[str] = []
    if changed & (_CODE | _CONFIGURATION):
        fresh.append("lastModified")
    if changed & _CODE:
        fresh += ["codeSha256", "sourceCodeSize"]
    if _makes_version(inputs, changed):
        fresh += ["version", "qualifiedArn"]
    return fresh


def _verify_function(values: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    token = "aws:lambda/function:Function"  # noqa: S105 - a type token
    needed = ("s3Bucket", "s3Key", "handler", "runtime")
    wrong = [(name, f"{token} needs `{name}` (code is a zip in S3)") for name in needed if not values.get(name)]
    for name, default, low, high in (("memorySize", 128, 128, 10240), ("timeout", 3, 1, 900)):
        value = values.get(name, default)
        if value is not UNKNOWN and not low <= value <= high:
            wrong.append((name, f"must be between {low} and {high}, not {value}"))
    return wrong


# -- alias


def _alias_arguments(inputs: Mapping[str, Any]) -> dict[str, Any]:
    weights = (inputs.get("routingConfig") or {}).get("additionalVersionWeights") or {}
    return {
        "FunctionName": inputs["functionName"],
        "Name": inputs["name"],
        "FunctionVersion": inputs["functionVersion"],
        "Description": inputs.get("description", ""),
        # Always given: AWS keeps the weights of an alias when an update says nothing about them.
        "RoutingConfig": {"AdditionalVersionWeights": weights},
    }


def _alias_address(call: Call) -> dict[str, str]:
    function, _, name = call.id.rpartition(":")
    return {"FunctionName": function, "Name": name}


def _read_alias(call: Call) -> dict[str, Any]:
    answer = call.aws.get_alias(**_alias_address(call))
    weights = (answer.get("RoutingConfig") or {}).get("AdditionalVersionWeights")
    function = call.id.split(":")[6]
    known = call.state.get("functionName", "")
    return {
        "arn": answer["AliasArn"],
        "name": answer["Name"],
        "functionName": known if known.split(":")[-1] == function else function,
        "functionVersion": answer["FunctionVersion"],
        "description": answer.get("Description") or None,
        "routingConfig": {"additionalVersionWeights": weights} if weights else None,
    }


# -- function URL


def _url_arguments(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **given(FunctionName=inputs["functionName"], Qualifier=inputs.get("qualifier")),
        "AuthType": inputs["authorizationType"],
        "InvokeMode": inputs["invokeMode"],
    }


def _create_url(call: Call) -> str:
    call.aws.create_function_url_config(**_url_arguments(call.inputs))
    # The real provider also opens a public URL on its own: here the program's own permission must do it.
    return "/".join(filter(None, (call.inputs["functionName"], call.inputs.get("qualifier"))))


def _url_address(call: Call) -> dict[str, Any]:
    function, _, qualifier = call.id.partition("/")
    return given(FunctionName=function, Qualifier=qualifier)


def _read_url(call: Call) -> dict[str, Any]:
    address = _url_address(call)
    answer = call.aws.get_function_url_config(**address)
    return {
        "functionName": address["FunctionName"],
        "qualifier": address.get("Qualifier"),
        "authorizationType": answer["AuthType"],
        "invokeMode": answer.get("InvokeMode", "BUFFERED").upper(),
        "functionUrl": answer["FunctionUrl"],
    }


# -- permission

_CONDITIONS: Final = {
    "functionUrlAuthType": "lambda:FunctionUrlAuthType",
    "sourceAccount": "AWS:SourceAccount",
    "sourceArn": "AWS:SourceArn",
}
"""The condition keys that a statement has for properties of a permission."""


def _create_permission(call: Call) -> str:
    names = ("statementId", "action", "principal", "qualifier", "invokedViaFunctionUrl", *_CONDITIONS)
    arguments = to_aws({name: call.inputs.get(name) for name in names})
    call.aws.add_permission(FunctionName=call.inputs["function"], **arguments)
    return call.inputs["statementId"]


def _condition(statement: Mapping[str, Any], key: str) -> Any:
    for values in (statement.get("Condition") or {}).values():
        for name, value in values.items():
            if name.lower() == key.lower():
                return value
    return None


def _permission_address(call: Call) -> dict[str, Any]:
    return given(FunctionName=call.state["function"], Qualifier=call.state.get("qualifier"))


def _read_permission(call: Call) -> dict[str, Any] | None:
    statements = json.loads(call.aws.get_policy(**_permission_address(call))["Policy"])["Statement"]
    statement = next((item for item in statements if item.get("Sid") == call.id), None)
    if statement is None:
        return None
    principal = statement["Principal"]
    via_url = _condition(statement, "lambda:InvokedViaFunctionUrl")
    return {
        "function": call.state["function"],
        "qualifier": call.state.get("qualifier"),
        "statementId": call.id,
        "action": statement["Action"],
        "principal": next(iter(principal.values())) if isinstance(principal, dict) else principal,
        **{name: _condition(statement, key) for name, key in _CONDITIONS.items()},
        # moto drops it; where the Lambda service answers it, its answer counts
        "invokedViaFunctionUrl": call.state.get("invokedViaFunctionUrl") if via_url is None else str(via_url) == "true",
    }


TYPES: Final = (
    ResourceType(
        type_name="aws:lambda/function:Function",
        identity=("name",),
        inputs=("name", "publish", "tags", *sorted(_CODE), *sorted(_CONFIGURATION)),
        defaults={"memorySize": 128, "publish": False, "timeout": 3},
        # No call answers where the code came from, nor what steers the provider. Code changed by hand shows as another
        # sourceCodeHash.
        kept=("publish", "s3Bucket", "s3Key", "s3ObjectVersion"),
        tagging=Tagging(argument="Resource", as_map=True),
        fresh_after=_fresh_function,
        verify=_verify_function,
        create=_create_function,
        read=_read_function,
        update=_update_function,
        delete=lambda call: call.aws.delete_function(FunctionName=call.id),
    ),
    ResourceType(
        type_name="aws:lambda/alias:Alias",
        identity=("functionName", "name"),
        inputs=("description", "functionName", "functionVersion", "name", "routingConfig"),
        create=lambda call: call.aws.create_alias(**_alias_arguments(call.inputs))["AliasArn"],
        read=_read_alias,
        update=lambda call: call.aws.update_alias(**_alias_arguments(call.inputs)),
        delete=lambda call: call.aws.delete_alias(**_alias_address(call)),
    ),
    ResourceType(
        type_name="aws:lambda/functionUrl:FunctionUrl",
        identity=("qualifier", "functionName"),
        inputs=("authorizationType", "functionName", "invokeMode", "qualifier"),
        defaults={"invokeMode": "BUFFERED"},
        create=_create_url,
        read=_read_url,
        update=lambda call: call.aws.update_function_url_config(**_url_arguments(call.inputs)),
        delete=lambda call: call.aws.delete_function_url_config(**_url_address(call)),
    ),
    ResourceType(
        type_name="aws:lambda/permission:Permission",
        identity=("function", "qualifier", "statementId"),
        inputs=("action", "function", "invokedViaFunctionUrl", "principal", "qualifier", "statementId", *_CONDITIONS),
        create=_create_permission,
        read=_read_permission,
        delete=lambda call: call.aws.remove_permission(**_permission_address(call), StatementId=call.id),
    ),
)
