"""Tables of AWS in the program are those of botocore and of the provider's SDK."""

import re

import botocore.session
import pulumi_aws
import pytest

from components.aws_tables import LOG_RETENTION_DAYS, OTHER_PARTITIONS, REGIONS


@pytest.fixture(scope="module")
def partitions():
    loader = botocore.session.get_session().get_component("data_loader")
    return {one["partition"]: set(one["regions"]) for one in loader.load_data("endpoints")["partitions"]}


def test_the_regions_are_all_of_the_partition_and_the_sdk_knows_them(partitions):
    assert set(REGIONS) == partitions["aws"]
    assert set(REGIONS) <= {region.value for region in pulumi_aws.Region}


def test_each_region_of_another_partition_is_told_apart_by_its_beginning(partitions):
    for partition, regions in partitions.items():
        for region in regions:
            found = {name for prefix, name in OTHER_PARTITIONS.items() if region.startswith(prefix)}
            assert found == ({partition} - {"aws"}), region


def test_logs_can_be_kept_as_long_as_cloudwatch_offers():
    service = botocore.session.get_session().get_service_model("logs")
    told = service.shape_for("PutRetentionPolicyRequest").members["retentionInDays"].documentation
    values = re.search(r"Possible values are: ([0-9, and]+)", told)[1]
    assert tuple(map(int, re.findall("[0-9]+", values))) == LOG_RETENTION_DAYS
