"""All four stacks by hand: from nothing, again without a change, and down, where that is allowed."""

import json
import re
import shlex
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components.naming import names
from tests.cloud import BIN, ROOT, SERVICE_STACKS, Cloud
from tests.engine.conftest import FUNCTIONS, STACK, Service

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    """A cloud of this module: what is destroyed here is missed by nobody."""
    running = Cloud.start(tmp_path_factory.mktemp("cloud"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def stacks(cloud):
    """All four, made from nothing, both environments at a time."""

    def make(environment):
        for stack in (f"{environment}-foundation", environment):
            cloud.run("pulumi", "up", "--yes", "--skip-preview", "--stack", stack)

    in_both_environments(make)
    return cloud


@pytest.fixture(scope="module")
def service(stacks, tmp_path_factory):
    """The service of preprod, with a release that is handed over by `deploy`."""
    return Service(cloud=stacks, scratch=tmp_path_factory.mktemp("service"))


def deploy(service):
    service.up(service.hand_over(service.release("first"), traffic=100, confirmed=True))
    # Without the version: Lambda never gives a number twice, also not to a function that is made again.
    return {name: text.split()[:-1] for name, text in service.serving().items()}


def in_both_environments(work):
    with ThreadPoolExecutor() as both:
        list(both.map(work, SERVICE_STACKS))


def documented():
    """The commands of docs/destroy.md that name production, in their order."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "destroy.md").read_text(), re.DOTALL)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    return [line for line in lines if any(word.startswith("prod") for word in line)]


def follow(cloud, line):
    """Run one documented command; the tests have no AWS CLI, so its one call is made by hand."""
    if line[0] == "aws":
        assert line[1:4] + line[5:] == ["dynamodb", "update-table", "--table-name", "--no-deletion-protection-enabled"]
        cloud.client("dynamodb").update_table(TableName=line[4], DeletionProtectionEnabled=False)
    else:
        cloud.run(*line)


def resources(cloud, stack):
    """What stands in the state, by URN."""
    deployment = cloud.run("pulumi", "stack", "export", "--stack", stack).json()["deployment"]
    return {resource["urn"]: resource for resource in deployment.get("resources", [])}


def inventory(cloud):
    """What there is in the cloud, looked at past the engine."""
    return {
        "tables": cloud.client("dynamodb").list_tables()["TableNames"],
        "roles": sorted(role["RoleName"] for role in cloud.client("iam").list_roles()["Roles"]),
        "queues": cloud.client("sqs").list_queues()["QueueUrls"],
        "topics": cloud.client("sns").list_topics()["Topics"],
        "logs": [group["logGroupName"] for group in cloud.client("logs").describe_log_groups()["logGroups"]],
        "buckets": [bucket["Name"] for bucket in cloud.client("s3").list_buckets()["Buckets"]],
        "secrets": sorted(secret["ARN"] for secret in cloud.client("secretsmanager").list_secrets()["SecretList"]),
    }


def test_nothing_changes_the_second_time(stacks):
    def again(environment):
        for stack in (f"{environment}-foundation", environment):
            stacks.run(
                *("pulumi", "up", "--yes", "--skip-preview", "--refresh", "--expect-no-changes"), "--stack", stack
            )

    in_both_environments(again)
    stacks.run("pulumi", "refresh", "--yes", "--expect-no-changes", "--stack", "prod")
    stacks.run("pulumi", "preview", "--expect-no-changes", "--stack", "preprod-foundation")


def test_preprod_goes_down_with_a_live_release_and_comes_up_again(stacks, service):
    served = deploy(service)
    assert set(served) == set(FUNCTIONS)
    stacks.run("pulumi", "destroy", "--yes", "--stack", STACK)
    assert resources(stacks, STACK) == {}
    with pytest.raises(stacks.client("lambda").exceptions.ResourceNotFoundException):
        service.serving()
    assert stacks.client("dynamodb").list_tables()["TableNames"] == [names("prod").items_table]
    assert deploy(service) == served


@pytest.mark.parametrize(
    ("stack", "named"),
    [
        ("prod", ["aws:dynamodb/table:Table::items"]),
        ("prod-foundation", ["aws:s3/bucket:Bucket::deployments", "aws:secretsmanager/secret:Secret::newsapi"]),
    ],
)
def test_production_is_not_destroyed_by_one_command(stack, named, stacks):
    before = (resources(stacks, stack), inventory(stacks))
    refused = stacks.run("pulumi", "destroy", "--yes", "--stack", stack, expected=None)
    assert refused.exit_code != 0
    assert "because it is protected" in refused.stdout
    assert all(name in refused.stdout for name in named)
    assert (resources(stacks, stack), inventory(stacks)) == before


def test_production_goes_down_the_documented_way(stacks):
    def protections():
        table = stacks.client("dynamodb").describe_table(TableName=names("prod").items_table)["Table"]
        [in_state] = [found for urn, found in resources(stacks, "prod").items() if urn.endswith("Table::items")]
        return (table["DeletionProtectionEnabled"], in_state.get("protect", False))

    way = documented()
    assert [line[0] for line in way] == ["pulumi", "aws", "pulumi", "pulumi", "pulumi"]
    assert protections() == (True, True)
    for line in way[:2]:
        follow(stacks, line)
    assert protections() == (False, False)
    stacks.run("pulumi", "up", "--yes", "--skip-preview", "--refresh", "--stack", "prod")
    assert protections() == (True, True), "whoever changes their mind is protected again"

    for line in way:
        follow(stacks, line)
    assert resources(stacks, "prod") == resources(stacks, "prod-foundation") == {}
    left = inventory(stacks)
    assert not [name for name in (*left["tables"], *left["roles"], *left["logs"]) if name.startswith("prod-")]
    assert [name for name in left["buckets"] if name.startswith("prod-")] == ["prod-sentiment-pulumi-state"]


def test_a_chosen_aws_plugin_is_used_instead_of_the_stand_in(cloud, tmp_path):
    stand_in = ROOT / ".localcloud" / "engine" / "aws-plugin" / "pulumi-resource-aws"
    chosen = tmp_path / "plugin" / "pulumi-resource-aws"
    chosen.parent.mkdir()
    shutil.copy(stand_in, chosen)
    chosen.write_text(stand_in.read_text().replace("exec ", f"echo started >> {tmp_path / 'used'}\nexec "))
    base = cloud.variables | {"LOCALCLOUD_AWS_PLUGIN": str(chosen.parent)}
    subprocess.run([BIN / "localcloud", "setup"], env=base, check=True, capture_output=True)
    answer = subprocess.run(
        [BIN / "localcloud", "env", "--json"], env=base, check=True, capture_output=True, text=True
    ).stdout
    home = Path(json.loads(answer)["PULUMI_HOME"])
    assert home != Path(cloud.variables["PULUMI_HOME"])
    try:
        previewed = cloud.run(
            *("pulumi", "preview", "--stack", "preprod"),
            PULUMI_HOME=str(home),
            LOCALCLOUD_AWS_PLUGIN=str(chosen.parent),
        )
        assert "error" not in previewed.stdout
        assert (tmp_path / "used").exists()
    finally:
        shutil.rmtree(home)
