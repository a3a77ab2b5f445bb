"""CloudWatch: log groups, metric alarms, dashboards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from localcloud.aws_provider.cloud import CloudError, as_list, as_map, code_of, found, sync_tags
from localcloud.aws_provider.resource_type import ResourceType, put_again
from localcloud.aws_provider.values import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from localcloud.aws_provider.cloud import Call

_MISSING = "ResourceNotFoundException"

# -- log group


def _create_group(call: Call, inputs: Mapping[str, Any]) -> str:
    arguments: dict[str, Any] = {"logGroupName": inputs["name"], "tags": call.tags(inputs)}
    if not arguments["tags"]:
        del arguments["tags"]
    if inputs.get("kmsKeyId"):
        arguments["kmsKeyId"] = inputs["kmsKeyId"]
    if inputs.get("logGroupClass"):
        arguments["logGroupClass"] = inputs["logGroupClass"]
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        call.client("logs").create_log_group(**arguments)
    except ClientError as error:
        if code_of(error) != "ResourceAlreadyExistsException":
            raise
        raise CloudError(
            f"the log group {inputs['name']} exists already and is not in this stack's state (Lambda makes it at the "
            f"first call of a function). Take it over with `pulumi import aws:cloudwatch/logGroup:LogGroup NAME "
            f"{inputs['name']}`, or delete it"
        ) from error
    call.made(inputs["name"])
    _retain(call, inputs)
    return inputs["name"]


def _retain(call: Call, inputs: Mapping[str, Any]) -> None:
    logs, days = call.client("logs"), inputs["retentionInDays"]
    if days:
        logs.put_retention_policy(logGroupName=inputs["name"], retentionInDays=days)
    else:
        found(lambda: logs.delete_retention_policy(logGroupName=inputs["name"]), _MISSING)


def _read_group(call: Call, name: str, state: Mapping[str, Any]) -> dict[str, Any] | None:  # noqa: ARG001
    logs = call.client("logs")
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=name)
    group = next((item for page in pages for item in page["logGroups"] if item["logGroupName"] == name), None)
    if group is None:
        return None
    arn = group["arn"].removesuffix(":*")
    tags = found(lambda: logs.list_tags_for_resource(resourceArn=arn), _MISSING)
    return {
        "arn": arn,
        "name": name,
        "retentionInDays": group.get("retentionInDays", 0),
        "kmsKeyId": group.get("kmsKeyId"),
        "logGroupClass": group.get("logGroupClass", "STANDARD"),
        "tagsAll": (tags or {}).get("tags", {}),
    }


def _update_group(
    call: Call, name: str, state: Mapping[str, Any], inputs: Mapping[str, Any], changed: frozenset[str]
) -> None:
    logs = call.client("logs")
    if "retentionInDays" in changed:
        _retain(call, inputs)
    if "kmsKeyId" in changed and inputs.get("kmsKeyId"):
        logs.associate_kms_key(logGroupName=name, kmsKeyId=inputs["kmsKeyId"])
    elif "kmsKeyId" in changed:
        logs.disassociate_kms_key(logGroupName=name)
    if changed & {"tags", "tagsAll"}:
        arn = state["arn"]
        sync_tags(
            state.get("tagsAll", {}),
            call.tags(inputs),
            lambda tags: logs.tag_resource(resourceArn=arn, tags=tags),
            lambda keys: logs.untag_resource(resourceArn=arn, tagKeys=keys),
        )


def _delete_group(call: Call, name: str, state: Mapping[str, Any]) -> None:
    if not state.get("skipDestroy"):
        found(lambda: call.client("logs").delete_log_group(logGroupName=name), _MISSING)


# -- metric alarm

_ALARM: Final = {
    "actionsEnabled": "ActionsEnabled",
    "alarmActions": "AlarmActions",
    "alarmDescription": "AlarmDescription",
    "comparisonOperator": "ComparisonOperator",
    "datapointsToAlarm": "DatapointsToAlarm",
    "evaluateLowSampleCountPercentiles": "EvaluateLowSampleCountPercentile",
    "evaluationPeriods": "EvaluationPeriods",
    "extendedStatistic": "ExtendedStatistic",
    "insufficientDataActions": "InsufficientDataActions",
    "metricName": "MetricName",
    "name": "AlarmName",
    "namespace": "Namespace",
    "okActions": "OKActions",
    "period": "Period",
    "statistic": "Statistic",
    "threshold": "Threshold",
    "thresholdMetricId": "ThresholdMetricId",
    "treatMissingData": "TreatMissingData",
    "unit": "Unit",
}


def _dimensions(values: Mapping[str, str] | None) -> list[dict[str, str]]:
    # Sorted: moto finds data only when the dimensions come in the order in which they were stored.
    return as_list(dict(sorted((values or {}).items())), "Name")


def _query(query: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"Id": query["id"], "ReturnData": bool(query.get("returnData"))}
    for name, aws in (("expression", "Expression"), ("label", "Label"), ("period", "Period")):
        if query.get(name):
            made[aws] = query[name]
    metric = query.get("metric")
    if metric:
        made["MetricStat"] = {
            "Metric": {
                "Namespace": metric.get("namespace", ""),
                "MetricName": metric["metricName"],
                "Dimensions": _dimensions(metric.get("dimensions")),
            },
            "Period": metric["period"],
            "Stat": metric["stat"],
        }
        if metric.get("unit"):
            made["MetricStat"]["Unit"] = metric["unit"]
    return made


def _query_outputs(query: Mapping[str, Any]) -> dict[str, Any]:
    outputs: dict[str, Any] = {
        "id": query["Id"],
        "returnData": bool(query.get("ReturnData")),
        "expression": query.get("Expression"),
        "label": query.get("Label"),
        "period": query.get("Period"),
    }
    stat = query.get("MetricStat")
    if stat:
        outputs["metric"] = {
            "namespace": stat["Metric"].get("Namespace"),
            "metricName": stat["Metric"]["MetricName"],
            "dimensions": as_map(stat["Metric"].get("Dimensions"), "Name"),
            "period": stat["Period"],
            "stat": stat["Stat"],
        }
        if stat.get("Unit"):
            outputs["metric"]["unit"] = stat["Unit"]
    return {name: value for name, value in outputs.items() if value not in (None, "")}


def _put_alarm(call: Call, inputs: Mapping[str, Any]) -> str:
    arguments = {aws: inputs[name] for name, aws in _ALARM.items() if inputs.get(name) not in (None, "")}
    if inputs.get("metricQueries"):
        arguments["Metrics"] = [_query(query) for query in inputs["metricQueries"]]
        arguments.pop("Period", None)
    elif inputs.get("dimensions"):
        arguments["Dimensions"] = _dimensions(inputs["dimensions"])
    if not inputs.get("thresholdMetricId"):
        arguments.setdefault("Threshold", 0)
    # PutMetricAlarm takes over an alarm of the same name, with the real provider too: safe to repeat.
    call.client("cloudwatch").put_metric_alarm(**arguments, Tags=as_list(call.tags(inputs)))
    return inputs["name"]


def _read_alarm(call: Call, name: str, state: Mapping[str, Any]) -> dict[str, Any] | None:  # noqa: ARG001
    cloudwatch = call.client("cloudwatch")
    answer = cloudwatch.describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm"])["MetricAlarms"]
    if not answer:
        return None
    alarm = answer[0]
    outputs = {ours: alarm[aws] for ours, aws in _ALARM.items() if alarm.get(aws) not in (None, "", [])}
    threshold = outputs.get("threshold")
    if isinstance(threshold, float) and threshold.is_integer():
        outputs["threshold"] = int(threshold)
    arn = alarm["AlarmArn"]
    return {
        **outputs,
        "actionsEnabled": alarm.get("ActionsEnabled", True),
        "arn": arn,
        "dimensions": as_map(alarm.get("Dimensions"), "Name") or None,
        "metricQueries": [_query_outputs(query) for query in alarm.get("Metrics") or ()] or None,
        "treatMissingData": alarm.get("TreatMissingData") or "missing",
        "evaluateLowSampleCountPercentiles": alarm.get("EvaluateLowSampleCountPercentile") or "",
        "tagsAll": as_map(cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"]),
    }


def _update_alarm(
    call: Call,
    name: str,  # noqa: ARG001
    state: Mapping[str, Any],
    inputs: Mapping[str, Any],
    changed: frozenset[str],
) -> None:
    cloudwatch = call.client("cloudwatch")
    if changed - {"tags", "tagsAll"}:
        _put_alarm(call, inputs)
    if changed & {"tags", "tagsAll"}:  # PutMetricAlarm ignores tags of an alarm that exists
        arn = state["arn"]
        sync_tags(
            state.get("tagsAll", {}),
            call.tags(inputs),
            lambda tags: cloudwatch.tag_resource(ResourceARN=arn, Tags=as_list(tags)),
            lambda keys: cloudwatch.untag_resource(ResourceARN=arn, TagKeys=keys),
        )


def _delete_alarm(call: Call, name: str, state: Mapping[str, Any]) -> None:  # noqa: ARG001
    found(lambda: call.client("cloudwatch").delete_alarms(AlarmNames=[name]), "ResourceNotFound", _MISSING)


def _verify_alarm(values: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    token = "aws:cloudwatch/metricAlarm:MetricAlarm"  # noqa: S105 - a type token
    one = values.get("metricName") is not None
    if one == bool(values.get("metricQueries")):
        return [("metricName", f"{token} needs either `metricName` or `metricQueries`")]
    if one and not (values.get("statistic") or values.get("extendedStatistic")):
        return [("statistic", f"{token} with `metricName` needs `statistic` or `extendedStatistic`")]
    if values.get("threshold") is None and values.get("thresholdMetricId") is None:
        return [("threshold", f"{token} needs `threshold` or `thresholdMetricId`")]
    allowed = ("breaching", "ignore", "missing", "notBreaching", None, UNKNOWN)
    if values.get("treatMissingData") not in allowed:
        return [("treatMissingData", "must be one of breaching, ignore, missing, notBreaching")]
    return []


# -- dashboard


def _put_dashboard(call: Call, inputs: Mapping[str, Any]) -> str:
    call.client("cloudwatch").put_dashboard(
        DashboardName=inputs["dashboardName"], DashboardBody=inputs["dashboardBody"]
    )
    return inputs["dashboardName"]


def _read_dashboard(call: Call, name: str, state: Mapping[str, Any]) -> dict[str, Any] | None:  # noqa: ARG001
    answer = found(
        lambda: call.client("cloudwatch").get_dashboard(DashboardName=name),
        "ResourceNotFound",
        _MISSING,
        "DashboardNotFoundError",
    )
    if answer is None:
        return None
    return {
        "dashboardName": name,
        "dashboardArn": answer["DashboardArn"],
        "dashboardBody": answer["DashboardBody"],
    }


def _delete_dashboard(call: Call, name: str, state: Mapping[str, Any]) -> None:  # noqa: ARG001
    found(
        lambda: call.client("cloudwatch").delete_dashboards(DashboardNames=[name]),
        "ResourceNotFound",
        _MISSING,
        "DashboardNotFoundError",
    )


TYPES: Final = (
    ResourceType(
        type_name="aws:cloudwatch/logGroup:LogGroup",
        identity=("name",),
        inputs=("kmsKeyId", "logGroupClass", "name", "retentionInDays", "skipDestroy", "tags"),
        defaults={"retentionInDays": 0, "skipDestroy": False},
        kept=("skipDestroy",),  # steers the provider, AWS never sees it
        autoname="name",
        create=_create_group,
        read=_read_group,
        update=_update_group,
        delete=_delete_group,
    ),
    ResourceType(
        type_name="aws:cloudwatch/metricAlarm:MetricAlarm",
        identity=("name",),
        inputs=(*_ALARM, "dimensions", "metricQueries", "tags"),
        refuses=("metricQueries.accountId",),
        defaults={"actionsEnabled": True, "treatMissingData": "missing"},
        sets=("alarmActions", "insufficientDataActions", "metricQueries", "okActions"),
        autoname="name",
        verify=_verify_alarm,
        create=_put_alarm,
        read=_read_alarm,
        update=_update_alarm,
        delete=_delete_alarm,
    ),
    ResourceType(
        type_name="aws:cloudwatch/dashboard:Dashboard",
        identity=("dashboardName",),
        inputs=("dashboardBody", "dashboardName"),
        json_documents=("dashboardBody",),
        create=_put_dashboard,
        read=_read_dashboard,
        update=put_again(_put_dashboard),
        delete=_delete_dashboard,
    ),
)
