"""Lambda: functions with published versions, aliases, function URLs, permissions, asynchronous invocation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from localcloud.aws_provider.cloud import CloudError, code_of, found, retried, sync_tags
from localcloud.aws_provider.resource_type import ResourceType, put_again
from localcloud.aws_provider.values import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from localcloud.aws_provider.cloud import Call

_MISSING = "ResourceNotFoundException"
_CODE: Final = frozenset({"s3Bucket", "s3Key", "s3ObjectVersion", "sourceCodeHash", "architectures"})
_CONFIGURATION: Final = frozenset(
    {
        "deadLetterConfig",
        "description",
        "environment",
        "ephemeralStorage",
        "handler",
        "kmsKeyArn",
        "layers",
        "loggingConfig",
        "memorySize",
        "role",
        "runtime",
        "timeout",
        "tracingConfig",
    }
)
_NOT_READY: Final = ("cannot be assumed", "not authorized to perform", "KMS key is invalid", "execution role")


def _not_ready(code: str, message: str) -> bool:
    """A role or queue made seconds ago: Lambda does not see it, or its rights, yet."""
    return code == "InvalidParameterValueException" and any(part in message for part in _NOT_READY)


def _invoke_arn(call: Call, arn: str) -> str:
    return f"arn:aws:apigateway:{call.region}:lambda:path/2015-03-31/functions/{arn}/invocations"


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


# -- function


def _code(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return _without_none(
        {
            "S3Bucket": inputs["s3Bucket"],
            "S3Key": inputs["s3Key"],
            "S3ObjectVersion": inputs.get("s3ObjectVersion"),
        }
    )


def _logging(values: Mapping[str, Any]) -> dict[str, Any]:
    names = ("applicationLogLevel", "logFormat", "logGroup", "systemLogLevel")
    return {f"{name[0].upper()}{name[1:]}": values[name] for name in names if values.get(name)}


def _configuration(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What CreateFunction and UpdateFunctionConfiguration both take; what is left out is set back, not left alone."""
    dead_letters = inputs.get("deadLetterConfig") or {}
    arguments: dict[str, Any] = {
        "Role": inputs["role"],
        "Handler": inputs.get("handler"),
        "Runtime": inputs.get("runtime"),
        "Description": inputs.get("description", ""),
        "Timeout": inputs["timeout"],
        "MemorySize": inputs["memorySize"],
        "Environment": {"Variables": (inputs.get("environment") or {}).get("variables") or {}},
        "DeadLetterConfig": {"TargetArn": dead_letters.get("targetArn", "")},
        "Layers": inputs.get("layers") or [],
    }
    if inputs.get("ephemeralStorage"):
        arguments["EphemeralStorage"] = {"Size": inputs["ephemeralStorage"].get("size", 512)}
    if inputs.get("loggingConfig"):
        arguments["LoggingConfig"] = _logging(inputs["loggingConfig"])
    if inputs.get("tracingConfig"):
        arguments["TracingConfig"] = {"Mode": inputs["tracingConfig"]["mode"]}
    if inputs.get("kmsKeyArn"):
        arguments["KMSKeyArn"] = inputs["kmsKeyArn"]
    return _without_none(arguments)


def _create_function(call: Call, inputs: Mapping[str, Any]) -> str:
    client, name = call.client("lambda"), inputs["name"]
    arguments = _configuration(inputs)
    if not arguments["DeadLetterConfig"]["TargetArn"]:
        del arguments["DeadLetterConfig"]
    retried(
        lambda: client.create_function(
            FunctionName=name,
            Code=_code(inputs),
            PackageType=inputs["packageType"],
            Architectures=inputs.get("architectures") or ["x86_64"],
            Publish=bool(inputs["publish"]),
            Tags=call.tags(inputs),
            **arguments,
        ),
        _not_ready,
    )
    call.made(name)
    _wait_ready(call, name)
    if inputs["reservedConcurrentExecutions"] >= 0:
        _reserve(call, name, inputs)
    return name


def _wait_ready(call: Call, name: str) -> None:
    def ready() -> bool:
        function = call.client("lambda").get_function_configuration(FunctionName=name)
        if "Failed" in {function.get("State"), function.get("LastUpdateStatus")}:
            reason = function.get("LastUpdateStatusReason") or function.get("StateReason") or "AWS gives no reason"
            raise CloudError(f"AWS could not make the function {name} ready: {reason}")
        # Local stand-ins leave these fields out; then there is nothing to wait for.
        return (
            function.get("State", "Active") == "Active"
            and function.get("LastUpdateStatus", "Successful") == "Successful"
        )

    call.wait(f"the function {name} to be ready", ready)


def _reserve(call: Call, name: str, inputs: Mapping[str, Any]) -> None:
    reserved = inputs["reservedConcurrentExecutions"]
    if reserved >= 0:
        call.client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)
    else:
        call.client("lambda").delete_function_concurrency(FunctionName=name)


def _latest_version(call: Call, name: str) -> str:
    """The highest version number, or $LATEST when none is published."""
    pages = call.client("lambda").get_paginator("list_versions_by_function").paginate(FunctionName=name)
    numbers = [int(item["Version"]) for page in pages for item in page["Versions"] if item["Version"].isdigit()]
    return str(max(numbers)) if numbers else "$LATEST"


def _read_function(call: Call, name: str, state: Mapping[str, Any]) -> dict[str, Any] | None:  # noqa: ARG001
    answer = found(lambda: call.client("lambda").get_function(FunctionName=name), _MISSING)
    if answer is None:
        return None
    function = answer["Configuration"]
    arn = function["FunctionArn"].removesuffix(":$LATEST")
    version = _latest_version(call, name)
    qualified = f"{arn}:{version}"
    variables = function.get("Environment", {}).get("Variables") or {}
    dead_letters = (function.get("DeadLetterConfig") or {}).get("TargetArn")
    logging = function.get("LoggingConfig") or {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"}
    return {
        "name": name,
        "arn": arn,
        "invokeArn": _invoke_arn(call, arn),
        "version": version,
        "qualifiedArn": qualified,
        "qualifiedInvokeArn": _invoke_arn(call, qualified),
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
        "deadLetterConfig": {"targetArn": dead_letters} if dead_letters else None,
        "ephemeralStorage": {"size": function.get("EphemeralStorage", {}).get("Size", 512)},
        "loggingConfig": {f"{key[0].lower()}{key[1:]}": value for key, value in logging.items()},
        "tracingConfig": {"mode": function.get("TracingConfig", {}).get("Mode", "PassThrough")},
        "layers": [layer["Arn"] for layer in function.get("Layers") or ()],
        "kmsKeyArn": function.get("KMSKeyArn") or None,
        "reservedConcurrentExecutions": answer.get("Concurrency", {}).get("ReservedConcurrentExecutions", -1),
        "signingJobArn": "",
        "signingProfileVersionArn": "",
        "tagsAll": answer.get("Tags") or {},
    }


def _update_function(
    call: Call, name: str, state: Mapping[str, Any], inputs: Mapping[str, Any], changed: frozenset[str]
) -> None:
    client = call.client("lambda")
    if changed & {"tags", "tagsAll"}:
        arn = state["arn"]
        sync_tags(
            state.get("tagsAll", {}),
            call.tags(inputs),
            lambda tags: client.tag_resource(Resource=arn, Tags=tags),
            lambda keys: client.untag_resource(Resource=arn, TagKeys=keys),
        )
    if changed & _CONFIGURATION:
        arguments = _configuration(inputs)
        retried(lambda: client.update_function_configuration(FunctionName=name, **arguments), _not_ready)
        _wait_ready(call, name)
    if changed & _CODE:
        client.update_function_code(
            FunctionName=name, Architectures=inputs.get("architectures") or ["x86_64"], **_code(inputs)
        )
        _wait_ready(call, name)
    if "reservedConcurrentExecutions" in changed:
        _reserve(call, name, inputs)
    if inputs["publish"] and changed & (_CODE | _CONFIGURATION | {"publish"}):
        client.publish_version(FunctionName=name)
        _wait_ready(call, name)


def _delete_function(call: Call, name: str, state: Mapping[str, Any]) -> None:
    if state.get("skipDestroy"):
        return
    found(lambda: call.client("lambda").delete_function(FunctionName=name), _MISSING)


def _fresh_function(inputs: Mapping[str, Any], changed: frozenset[str]) -> Sequence[str]:
    """Any change of code or configuration moves these; with `publish` it makes a version too."""
    fresh: list[str] = []
    if changed & (_CODE | _CONFIGURATION):
        fresh.append("lastModified")
    if changed & _CODE:
        fresh += ["codeSha256", "sourceCodeSize"]
    if inputs.get("publish") and changed & (_CODE | _CONFIGURATION | {"publish"}):
        fresh += ["version", "qualifiedArn", "qualifiedInvokeArn"]
    return fresh


def _verify_function(values: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    token = "aws:lambda/function:Function"  # noqa: S105 - a type token
    needed = ("s3Bucket", "s3Key", "handler", "runtime")
    wrong = [(name, f"{token} needs `{name}` (code is a zip in S3)") for name in needed if not values.get(name)]
    memory, seconds = values.get("memorySize", 128), values.get("timeout", 3)
    if memory is not UNKNOWN and not 128 <= memory <= 10240:  # noqa: PLR2004
        wrong.append(("memorySize", f"must be between 128 and 10240 MB, not {memory}"))
    if seconds is not UNKNOWN and not 1 <= seconds <= 900:  # noqa: PLR2004
        wrong.append(("timeout", f"must be between 1 and 900 seconds, not {seconds}"))
    if values.get("packageType", "Zip") not in ("Zip", UNKNOWN):
        wrong.append(("packageType", "the stand-in runs zips only"))
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


def _create_alias(call: Call, inputs: Mapping[str, Any]) -> str:
    return call.client("lambda").create_alias(**_alias_arguments(inputs))["AliasArn"]


def _alias_address(arn: str) -> dict[str, str]:
    function, _, name = arn.rpartition(":")
    return {"FunctionName": function, "Name": name}


def _read_alias(call: Call, arn: str, state: Mapping[str, Any]) -> dict[str, Any] | None:
    answer = found(lambda: call.client("lambda").get_alias(**_alias_address(arn)), _MISSING)
    if answer is None:
        return None
    weights = (answer.get("RoutingConfig") or {}).get("AdditionalVersionWeights")
    function = arn.split(":")[6]
    known = state.get("functionName", "")
    return {
        "arn": answer["AliasArn"],
        "name": answer["Name"],
        "functionName": known if known.split(":")[-1] == function else function,
        "functionVersion": answer["FunctionVersion"],
        "description": answer.get("Description") or None,
        "invokeArn": _invoke_arn(call, answer["AliasArn"]),
        "routingConfig": {"additionalVersionWeights": weights} if weights else None,
    }


def _update_alias(
    call: Call,
    arn: str,  # noqa: ARG001
    state: Mapping[str, Any],  # noqa: ARG001
    inputs: Mapping[str, Any],
    changed: frozenset[str],  # noqa: ARG001
) -> None:
    call.client("lambda").update_alias(**_alias_arguments(inputs))


def _delete_alias(call: Call, arn: str, state: Mapping[str, Any]) -> None:  # noqa: ARG001
    found(lambda: call.client("lambda").delete_alias(**_alias_address(arn)), _MISSING)


# -- function URL


def _qualified(inputs: Mapping[str, Any], function: str = "functionName") -> dict[str, Any]:
    return _without_none({"FunctionName": inputs[function], "Qualifier": inputs.get("qualifier") or None})


def _url_arguments(inputs: Mapping[str, Any]) -> dict[str, Any]:
    cors = inputs.get("cors") or {}
    return {
        **_qualified(inputs),
        "AuthType": inputs["authorizationType"],
        "InvokeMode": inputs["invokeMode"],
        "Cors": {f"{name[0].upper()}{name[1:]}": value for name, value in cors.items()},
    }


def _create_url(call: Call, inputs: Mapping[str, Any]) -> str:
    arguments = _url_arguments(inputs)
    if not arguments["Cors"]:
        del arguments["Cors"]
    call.client("lambda").create_function_url_config(**arguments)
    qualifier = inputs.get("qualifier")
    made = f"{inputs['functionName']}/{qualifier}" if qualifier else inputs["functionName"]
    call.made(made)
    if inputs["authorizationType"] == "NONE":
        # The real provider opens a public URL by itself; the program's own permission stands beside it.
        _once(
            lambda: call.client("lambda").add_permission(
                **_qualified(inputs),
                StatementId="FunctionURLAllowPublicAccess",
                Action="lambda:InvokeFunctionUrl",
                Principal="*",
                FunctionUrlAuthType="NONE",
            )
        )
    return made


def _once(call: Any) -> None:
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        call()
    except ClientError as error:
        if code_of(error) != "ResourceConflictException":
            raise


def _url_address(resource_id: str) -> dict[str, Any]:
    function, _, qualifier = resource_id.partition("/")
    return _without_none({"FunctionName": function, "Qualifier": qualifier or None})


def _read_url(call: Call, resource_id: str, state: Mapping[str, Any]) -> dict[str, Any] | None:  # noqa: ARG001
    address = _url_address(resource_id)
    answer = found(lambda: call.client("lambda").get_function_url_config(**address), _MISSING)
    if answer is None:
        return None
    cors = {f"{name[0].lower()}{name[1:]}": value for name, value in (answer.get("Cors") or {}).items() if value}
    url = urlsplit(answer["FunctionUrl"])
    in_host = ".lambda-url." in url.netloc
    return {
        "functionName": address["FunctionName"],
        "qualifier": address.get("Qualifier"),
        "authorizationType": answer["AuthType"],
        "invokeMode": answer.get("InvokeMode", "BUFFERED").upper(),
        "cors": cors or None,
        "functionArn": answer["FunctionArn"],
        "functionUrl": answer["FunctionUrl"],
        # In AWS the id is the first part of the host name; the local Lambda service has it as the last of the path.
        "urlId": url.netloc.partition(".")[0] if in_host else url.path.rstrip("/").rpartition("/")[2],
    }


def _update_url(
    call: Call,
    resource_id: str,  # noqa: ARG001
    state: Mapping[str, Any],  # noqa: ARG001
    inputs: Mapping[str, Any],
    changed: frozenset[str],  # noqa: ARG001
) -> None:
    call.client("lambda").update_function_url_config(**_url_arguments(inputs))


def _delete_url(call: Call, resource_id: str, state: Mapping[str, Any]) -> None:  # noqa: ARG001
    found(lambda: call.client("lambda").delete_function_url_config(**_url_address(resource_id)), _MISSING)


# -- permission


def _create_permission(call: Call, inputs: Mapping[str, Any]) -> str:
    arguments = _without_none(
        {
            **_qualified(inputs, "function"),
            "StatementId": inputs["statementId"],
            "Action": inputs["action"],
            "Principal": inputs["principal"],
            "SourceArn": inputs.get("sourceArn"),
            "SourceAccount": inputs.get("sourceAccount"),
            "EventSourceToken": inputs.get("eventSourceToken"),
            "FunctionUrlAuthType": inputs.get("functionUrlAuthType"),
            "InvokedViaFunctionUrl": inputs.get("invokedViaFunctionUrl"),
            "PrincipalOrgID": inputs.get("principalOrgId"),
        }
    )
    call.client("lambda").add_permission(**arguments)
    return inputs["statementId"]


def _condition(statement: Mapping[str, Any], key: str) -> Any:
    for values in (statement.get("Condition") or {}).values():
        for name, value in values.items():
            if name.lower() == key.lower():
                return value
    return None


def _principal(statement: Mapping[str, Any], known: str) -> str:
    """The principal in the words of the program: a service, an account (AWS answers its root ARN), an ARN or `*`."""
    principal = statement.get("Principal")
    if isinstance(principal, dict):
        principal = principal.get("Service") or principal.get("AWS") or principal.get("CanonicalUser")
    text = str(principal)
    return known if known and text == f"arn:aws:iam::{known}:root" else text


def _read_permission(call: Call, statement_id: str, state: Mapping[str, Any]) -> dict[str, Any] | None:
    answer = found(lambda: call.client("lambda").get_policy(**_qualified(state, "function")), _MISSING)
    statements = json.loads(answer["Policy"])["Statement"] if answer else []
    statement = next((item for item in statements if item.get("Sid") == statement_id), None)
    if statement is None:
        return None
    via_url = _condition(statement, "lambda:InvokedViaFunctionUrl")
    return {
        "function": state["function"],
        "qualifier": state.get("qualifier"),
        "statementId": statement_id,
        "action": statement["Action"],
        "principal": _principal(statement, state.get("principal", "")),
        "sourceArn": _condition(statement, "AWS:SourceArn"),
        "sourceAccount": _condition(statement, "AWS:SourceAccount"),
        "eventSourceToken": _condition(statement, "lambda:EventSourceToken"),
        "functionUrlAuthType": _condition(statement, "lambda:FunctionUrlAuthType"),
        "principalOrgId": _condition(statement, "aws:PrincipalOrgID"),
        # moto drops it; where the Lambda service answers it, its answer counts
        "invokedViaFunctionUrl": state.get("invokedViaFunctionUrl") if via_url is None else str(via_url) == "true",
    }


def _delete_permission(call: Call, statement_id: str, state: Mapping[str, Any]) -> None:
    found(
        lambda: call.client("lambda").remove_permission(**_qualified(state, "function"), StatementId=statement_id),
        _MISSING,
    )


# -- asynchronous invocation


def _put_event_config(call: Call, inputs: Mapping[str, Any]) -> str:
    destinations = inputs.get("destinationConfig") or {}
    arguments: dict[str, Any] = {
        **_qualified(inputs),
        "MaximumRetryAttempts": inputs["maximumRetryAttempts"],
        "DestinationConfig": {
            f"{name[0].upper()}{name[1:]}": {"Destination": value["destination"]}
            for name, value in destinations.items()
            if value
        },
    }
    if inputs.get("maximumEventAgeInSeconds"):
        arguments["MaximumEventAgeInSeconds"] = inputs["maximumEventAgeInSeconds"]
    retried(lambda: call.client("lambda").put_function_event_invoke_config(**arguments), _not_ready)
    qualifier = inputs.get("qualifier")
    return f"{inputs['functionName']}:{qualifier}" if qualifier else inputs["functionName"]


def _read_event_config(call: Call, resource_id: str, state: Mapping[str, Any]) -> dict[str, Any] | None:
    address = _event_address(resource_id, state)
    answer = found(lambda: call.client("lambda").get_function_event_invoke_config(**_qualified(address)), _MISSING)
    if answer is None:
        return None
    destinations = {
        f"{name[0].lower()}{name[1:]}": {"destination": value["Destination"]}
        for name, value in (answer.get("DestinationConfig") or {}).items()
        if value and value.get("Destination")
    }
    return {
        **address,
        "destinationConfig": destinations or None,
        "maximumEventAgeInSeconds": answer.get("MaximumEventAgeInSeconds"),
        "maximumRetryAttempts": answer.get("MaximumRetryAttempts", 2),
    }


def _event_address(resource_id: str, state: Mapping[str, Any]) -> dict[str, Any]:
    if "functionName" in state:
        return {"functionName": state["functionName"], "qualifier": state.get("qualifier")}
    function, _, qualifier = resource_id.partition(":")
    return {"functionName": function, "qualifier": qualifier or None}


def _delete_event_config(call: Call, resource_id: str, state: Mapping[str, Any]) -> None:
    address = _qualified(_event_address(resource_id, state))
    found(lambda: call.client("lambda").delete_function_event_invoke_config(**address), _MISSING)


TYPES: Final = (
    ResourceType(
        type_name="aws:lambda/function:Function",
        identity=("name",),
        inputs=(
            "name",
            "packageType",
            "publish",
            "reservedConcurrentExecutions",
            "skipDestroy",
            "tags",
            *sorted(_CODE),
            *sorted(_CONFIGURATION),
        ),
        defaults={
            "memorySize": 128,
            "packageType": "Zip",
            "publish": False,
            "reservedConcurrentExecutions": -1,
            "skipDestroy": False,
            "timeout": 3,
        },
        chosen=("ephemeralStorage", "loggingConfig", "tracingConfig"),
        # No call answers where the code came from, nor what steers the provider. Code changed by hand shows as another
        # sourceCodeHash.
        kept=("publish", "s3Bucket", "s3Key", "s3ObjectVersion", "skipDestroy"),
        autoname="name",
        fresh_after=_fresh_function,
        verify=_verify_function,
        create=_create_function,
        read=_read_function,
        update=_update_function,
        delete=_delete_function,
    ),
    ResourceType(
        type_name="aws:lambda/alias:Alias",
        identity=("functionName", "name"),
        inputs=("description", "functionName", "functionVersion", "name", "routingConfig"),
        autoname="name",
        create=_create_alias,
        read=_read_alias,
        update=_update_alias,
        delete=_delete_alias,
    ),
    ResourceType(
        type_name="aws:lambda/functionUrl:FunctionUrl",
        identity=("functionName", "qualifier"),
        inputs=("authorizationType", "cors", "functionName", "invokeMode", "qualifier"),
        defaults={"invokeMode": "BUFFERED"},
        sets=("cors.allowHeaders", "cors.allowMethods", "cors.allowOrigins", "cors.exposeHeaders"),
        create=_create_url,
        read=_read_url,
        update=_update_url,
        delete=_delete_url,
    ),
    ResourceType(
        type_name="aws:lambda/permission:Permission",
        identity=("function", "qualifier", "statementId"),
        inputs=(
            "action",
            "eventSourceToken",
            "function",
            "functionUrlAuthType",
            "invokedViaFunctionUrl",
            "principal",
            "principalOrgId",
            "qualifier",
            "sourceAccount",
            "sourceArn",
            "statementId",
        ),
        autoname="statementId",
        create=_create_permission,
        read=_read_permission,
        delete=_delete_permission,
    ),
    ResourceType(
        type_name="aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
        identity=("functionName", "qualifier"),
        inputs=(
            "destinationConfig",
            "functionName",
            "maximumEventAgeInSeconds",
            "maximumRetryAttempts",
            "qualifier",
        ),
        defaults={"maximumRetryAttempts": 2},
        create=_put_event_config,
        read=_read_event_config,
        update=put_again(_put_event_config),
        delete=_delete_event_config,
    ),
)
