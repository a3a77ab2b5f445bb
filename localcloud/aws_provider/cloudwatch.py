"""CloudWatch: log groups, metric alarms, dashboards."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from localcloud.aws_provider.cloud import Call, as_list, as_map, capitalised, explaining, found, given
from localcloud.aws_provider.resource_type import ResourceType, Tagging
from localcloud.aws_provider.values import UNKNOWN

# -- log group


def _create_group(call: Call) -> str:
    name = call.inputs["name"]
    with explaining(
        "ResourceAlreadyExistsException",
        f"the log group {name} exists already and is not in this stack's state (Lambda makes it at the first call of a "
        f"function). Take it over with `pulumi import aws:cloudwatch/logGroup:LogGroup NAME {name}`, or delete it",
    ):
        call.aws.create_log_group(**given(logGroupName=name, tags=call.tags))
    call.made(name)
    _retain(call)
    return name


def _retain(call: Call) -> None:
    name, days = call.inputs["name"], call.inputs["retentionInDays"]
    if days:
        call.aws.put_retention_policy(logGroupName=name, retentionInDays=days)
    else:
        found(lambda: call.aws.delete_retention_policy(logGroupName=name))


def _read_group(call: Call) -> dict[str, Any] | None:
    pages = call.aws.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=call.id)
    group = next((item for page in pages for item in page["logGroups"] if item["logGroupName"] == call.id), None)
    if group is None:
        return None
    return {
        "arn": group["arn"].removesuffix(":*"),
        "name": call.id,
        "retentionInDays": group.get("retentionInDays", 0),
        "kmsKeyId": group.get("kmsKeyId"),
    }


# -- metric alarm

_SAME_NAME: Final = (
    *("actionsEnabled", "alarmActions", "alarmDescription", "comparisonOperator", "datapointsToAlarm"),
    *("evaluationPeriods", "extendedStatistic", "insufficientDataActions", "metricName", "namespace", "period"),
    *("statistic", "threshold", "treatMissingData", "unit"),
)
_ALARM: Final = {
    **{name: capitalised(name) for name in _SAME_NAME},
    "evaluateLowSampleCountPercentiles": "EvaluateLowSampleCountPercentile",
    "name": "AlarmName",
    "okActions": "OKActions",
}


def _queries_to_aws(queries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return `metricQueries` as PutMetricAlarm takes it: an expression, or a metric, each with an id."""
    found = []
    for query in queries:
        metric = query.get("metric") or {}
        named = given(
            MetricName=metric.get("metricName"),
            Namespace=metric.get("namespace"),
            Dimensions=as_list(dict(sorted((metric.get("dimensions") or {}).items())), "Name"),
        )
        stat = given(Metric=named, Period=metric.get("period"), Stat=metric.get("stat"), Unit=metric.get("unit"))
        told = given(Expression=query.get("expression"), Label=query.get("label"), MetricStat=stat)
        found.append({"Id": query["id"], **told, "ReturnData": query.get("returnData") or False})
    return found


def _queries_of(queries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return `metricQueries` from what DescribeAlarms answers."""
    found = []
    for query in queries:
        stat = query.get("MetricStat") or {}
        metric = stat.get("Metric") or {}
        told = given(
            metricName=metric.get("MetricName"),
            namespace=metric.get("Namespace"),
            dimensions=as_map(metric.get("Dimensions"), "Name"),
            period=stat.get("Period"),
            stat=stat.get("Stat"),
            unit=stat.get("Unit"),
        )
        named = given(expression=query.get("Expression"), label=query.get("Label"), metric=told)
        found.append({"id": query["Id"], **named, "returnData": bool(query.get("ReturnData"))})
    return found


def _put_alarm(call: Call) -> str:
    arguments = given(**{aws: call.inputs.get(name) for name, aws in _ALARM.items()})
    if call.inputs.get("metricQueries"):
        arguments["Metrics"] = _queries_to_aws(call.inputs["metricQueries"])
    if call.inputs.get("dimensions"):
        # Sorted: moto finds data only when the dimensions come in the order in which they were stored.
        arguments["Dimensions"] = as_list(dict(sorted(call.inputs["dimensions"].items())), "Name")
    # PutMetricAlarm takes over an alarm of the same name, with the real provider too: safe to repeat. It ignores the
    # tags of an alarm that exists.
    call.aws.put_metric_alarm(**arguments, Tags=call.tag_list)
    return call.inputs["name"]


def _read_alarm(call: Call) -> dict[str, Any] | None:
    answer = call.aws.describe_alarms(AlarmNames=[call.id], AlarmTypes=["MetricAlarm"])["MetricAlarms"]
    if not answer:
        return None
    alarm = answer[0]
    outputs = given(**{ours: alarm.get(aws) for ours, aws in _ALARM.items()})
    threshold = outputs.get("threshold")
    if isinstance(threshold, float) and threshold.is_integer():
        outputs["threshold"] = int(threshold)
    return {
        "actionsEnabled": True,
        "evaluateLowSampleCountPercentiles": "",
        "treatMissingData": "missing",
        **outputs,
        "arn": alarm["AlarmArn"],
        "dimensions": as_map(alarm.get("Dimensions"), "Name") or None,
        "metricQueries": _queries_of(alarm.get("Metrics") or ()) or None,
    }


def _verify_alarm(values: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    token = "aws:cloudwatch/metricAlarm:MetricAlarm"  # noqa: S105 - a type token
    queries = values.get("metricQueries")
    if (values.get("metricName") is None) == (queries is None):
        return [("metricName", f"{token} needs either `metricName` or `metricQueries`")]
    if queries is not None:
        if wrong := _verify_queries(values, queries):
            return wrong
    elif not (values.get("statistic") or values.get("extendedStatistic")):
        return [("statistic", f"{token} with `metricName` needs `statistic` or `extendedStatistic`")]
    if values.get("threshold") is None:
        return [("threshold", f"{token} needs `threshold`")]
    allowed = ("breaching", "ignore", "missing", "notBreaching", None, UNKNOWN)
    if values.get("treatMissingData") not in allowed:
        return [("treatMissingData", "must be one of breaching, ignore, missing, notBreaching")]
    return []


def _verify_queries(values: Mapping[str, Any], queries: Any) -> Sequence[tuple[str, str]]:
    beside = [name for name in ("dimensions", "namespace", "period", "statistic", "unit") if values.get(name)]
    if beside or values.get("extendedStatistic"):
        return [
            ("metricQueries", f"conflicts with {', '.join(beside) or 'extendedStatistic'}: each metric says its own")
        ]
    if queries is UNKNOWN or UNKNOWN in queries:
        return []
    for query in queries:
        if (query.get("expression") is None) == (query.get("metric") is None):
            return [("metricQueries", f"{query['id']} needs either `expression` or `metric`")]
    if [query.get("returnData") for query in queries].count(True) != 1:
        return [("metricQueries", "exactly one of them must have `returnData`")]
    return []


# -- dashboard


def _put_dashboard(call: Call) -> str:
    call.aws.put_dashboard(DashboardName=call.inputs["dashboardName"], DashboardBody=call.inputs["dashboardBody"])
    return call.inputs["dashboardName"]


def _read_dashboard(call: Call) -> dict[str, Any]:
    answer = call.aws.get_dashboard(DashboardName=call.id)
    return {
        "dashboardName": call.id,
        "dashboardArn": answer["DashboardArn"],
        "dashboardBody": answer["DashboardBody"],
    }


TYPES: Final = (
    ResourceType(
        type_name="aws:cloudwatch/logGroup:LogGroup",
        service="logs",
        identity=("name",),
        inputs=("name", "retentionInDays", "tags"),
        defaults={"retentionInDays": 0},
        tagging=Tagging(
            argument="resourceArn", tags="tags", keys="tagKeys", list="list_tags_for_resource", as_map=True
        ),
        create=_create_group,
        read=_read_group,
        update=_retain,
        delete=lambda call: call.aws.delete_log_group(logGroupName=call.id),
    ),
    ResourceType(
        type_name="aws:cloudwatch/metricAlarm:MetricAlarm",
        identity=("name",),
        inputs=(*_ALARM, "dimensions", "metricQueries", "tags"),
        refuses=("metricQueries.accountId", "metricQueries.period"),
        defaults={"actionsEnabled": True, "treatMissingData": "missing", "metricQueries.returnData": False},
        sets=("alarmActions", "insufficientDataActions", "metricQueries", "okActions"),
        verify=_verify_alarm,
        tagging=Tagging(argument="ResourceARN", list="list_tags_for_resource"),
        create=_put_alarm,
        read=_read_alarm,
        update=_put_alarm,
        delete=lambda call: call.aws.delete_alarms(AlarmNames=[call.id]),
    ),
    ResourceType(
        type_name="aws:cloudwatch/dashboard:Dashboard",
        identity=("dashboardName",),
        inputs=("dashboardBody", "dashboardName"),
        json_documents=("dashboardBody",),
        create=_put_dashboard,
        read=_read_dashboard,
        update=_put_dashboard,
        delete=lambda call: call.aws.delete_dashboards(DashboardNames=[call.id]),
    ),
)
