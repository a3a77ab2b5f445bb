"""The AWS provider stand-in as a plugin: its process, its settings, versions, secrets, and what half succeeds."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2

from localcloud.aws_provider.values import UNKNOWN, Secret, struct_from_wire
from release.preview.answers import AnswerServer
from tests.localcloud.aws_plugin import changed, environment, partial_state, running_plugin
from tests.localcloud.parts import ROOT, client, free_port, running_part
from tests.localcloud.test_aws_provider_types import ACCOUNT, TRUST, account  # noqa: F401 - the last one is a fixture

FUNCTION = "aws:lambda/function:Function"
TOPIC = "aws:sns/topic:Topic"
SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"
BUCKET = "aws:s3/bucket:Bucket"
TABLE = "aws:dynamodb/table:Table"


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    with running_part("aws", tmp_path_factory.mktemp("moto") / "log") as url:
        yield url


@pytest.fixture(scope="module")
def plugin(moto):
    with running_plugin(environment(moto)) as running:
        running.configure(region="us-east-1", s3UsePathStyle="true")
        yield running


def refused(call) -> str:
    with pytest.raises(grpc.RpcError) as error:
        call()
    return error.value.details()


def test_it_prints_its_port_and_nothing_else_and_ends_quietly_on_sigterm(moto):
    command = [sys.executable, "-m", "localcloud.aws_provider", "-tracing", "x"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(moto), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline().strip().isdigit()
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=10) == ("", "")
    assert process.returncode == 0


def test_it_ends_when_the_engine_that_started_it_is_gone(moto):
    engine = (
        "import subprocess, sys\n"
        "words = [sys.executable, '-m', 'localcloud.aws_provider']\n"
        "plugin = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)\n"
        "plugin.stdout.readline()\n"
        "print(plugin.pid, flush=True)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", engine], cwd=ROOT, env=environment(moto), capture_output=True, text=True, check=True
    )
    plugin = int(answer.stdout)
    for _ in range(100):
        try:
            state = Path(f"/proc/{plugin}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        time.sleep(0.1)
    os.kill(plugin, signal.SIGKILL)
    pytest.fail("the plugin outlived its engine by ten seconds")


def test_a_signal_waits_for_the_plugin_to_ask_so_that_none_is_lost_before_it_waits(moto):
    """A handler that runs just before a wait wakes nobody: one plugin in seventy stayed, on a busy machine."""
    with running_plugin(environment(moto)) as running:
        # The first thread takes the mask off while it waits; all others have it from the start.
        pid = running.process.pid
        others = [one for one in Path(f"/proc/{pid}/task").iterdir() if one.name != str(pid)]
        masks = [re.search(r"^SigBlk:\s*(\w+)$", (one / "status").read_text(), re.MULTILINE)[1] for one in others]
    assert masks
    blocked = [int(mask, 16) for mask in masks]
    assert all(mask & 1 << number - 1 for mask in blocked for number in (signal.SIGINT, signal.SIGTERM))


def test_the_credentials_of_another_account_are_refused(moto):
    with running_plugin(environment(moto)) as running:
        text = refused(lambda: running.configure(allowedAccountIds='["999999999999"]'))
    assert ACCOUNT in text
    assert "999999999999" in text


def test_a_setting_that_does_not_exist_is_refused_by_name(moto):
    with running_plugin(environment(moto)) as running:
        assert "aws:colour" in refused(lambda: running.configure(colour="red"))


def test_a_setting_that_would_not_ask_whose_credentials_these_are_is_refused_by_name(moto):
    with running_plugin(environment(moto)) as running:
        said = refused(lambda: running.configure(skipRequestingAccountId="true"))
    assert "aws:skipRequestingAccountId" in said


def test_a_provider_whose_sts_does_not_answer_does_not_start_even_where_any_account_is_allowed():
    with running_plugin(environment(f"http://127.0.0.1:{free_port()}")) as running:
        assert "localcloud run" in refused(lambda: running.configure(maxRetries="0"))


def test_a_preview_needs_an_sts_that_names_the_account_and_nothing_else_of_aws():
    with AnswerServer(ACCOUNT).running() as answers, running_plugin(environment(answers.url)) as running:
        running.configure(allowedAccountIds=f'["{ACCOUNT}"]')
        _, outputs = running.create(TOPIC, {"name": "t"}, preview=True)
        assert outputs["arn"] is UNKNOWN
        assert answers.denied == []
        assert "a preview asks AWS nothing" in refused(lambda: running.create(TOPIC, {"name": "t"}))
        assert answers.denied == ["POST /"]


def test_unknown_types_and_functions_are_refused_by_name(plugin):
    assert "aws:ec2/instance:Instance" in refused(lambda: plugin.check("aws:ec2/instance:Instance", {}))
    request = provider_pb2.InvokeRequest(tok="aws:ec2/getAmi:getAmi")
    assert "aws:ec2/getAmi:getAmi" in refused(lambda: plugin.stub.Invoke(request))


def test_many_resources_are_made_at_once(plugin):
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda number: plugin.create(TOPIC, {"name": f"many-{number}"})[0], range(32)))
    assert len(set(made)) == 32


def test_a_change_of_code_or_settings_publishes_a_version_and_the_preview_says_so(plugin, account):  # noqa: F811
    inputs = {
        "name": "versions",
        "role": account["role"],
        "handler": "handler.handle",
        "runtime": "python3.11",
        "publish": True,
        **account["packages"]["one"],
    }
    made, state = plugin.create(FUNCTION, inputs)
    assert state["version"] == "1"
    assert state["codeSha256"] == state["sourceCodeHash"] == account["packages"]["one"]["sourceCodeHash"]
    assert state["qualifiedArn"] == f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:versions:1"

    new_code = {**inputs, **account["packages"]["two"]}
    preview = plugin.update(FUNCTION, made, state, new_code, preview=True)
    assert [preview[name] for name in ("version", "qualifiedArn", "codeSha256")] == [UNKNOWN] * 3
    assert preview["arn"] == state["arn"]
    state = plugin.update(FUNCTION, made, state, new_code)
    assert (state["version"], state["codeSha256"]) == ("2", account["packages"]["two"]["sourceCodeHash"])

    more = {**new_code, "memorySize": 256, "timeout": 10}
    assert plugin.update(FUNCTION, made, state, more, preview=True)["version"] is UNKNOWN
    state = plugin.update(FUNCTION, made, state, more)
    assert state["version"] == "3"

    tagged = {**more, "tags": {"a": "b"}}
    assert plugin.update(FUNCTION, made, state, tagged, preview=True)["version"] == "3"
    state = plugin.update(FUNCTION, made, state, tagged)
    assert (state["version"], state["tagsAll"]) == ("3", {"a": "b"})
    plugin.delete(FUNCTION, made, state)


def test_code_that_was_changed_by_hand_is_found_by_a_refresh(plugin, account, moto):  # noqa: F811
    inputs = {
        "name": "drift",
        "role": account["role"],
        "handler": "handler.handle",
        "runtime": "python3.11",
        "publish": True,
        **account["packages"]["one"],
    }
    made, state = plugin.create(FUNCTION, inputs)
    client("lambda", moto).update_function_code(FunctionName="drift", S3Bucket="packages", S3Key="two.zip")
    _, refreshed, derived = plugin.read(FUNCTION, made, state, inputs)
    assert derived["sourceCodeHash"] == account["packages"]["two"]["sourceCodeHash"]
    assert changed(plugin.diff(FUNCTION, made, refreshed, inputs)) == ["sourceCodeHash"]
    assert (
        plugin.update(FUNCTION, made, refreshed, inputs)["codeSha256"] == account["packages"]["one"]["sourceCodeHash"]
    )


def test_a_secret_stays_secret_in_outputs_and_after_a_refresh(plugin, account):  # noqa: F811
    inputs = {
        "name": "secretive",
        "role": account["role"],
        "handler": "handler.handle",
        "runtime": "python3.11",
        "environment": {"variables": {"KEY": Secret("hidden")}},
        **account["packages"]["one"],
    }
    expected = {"variables": {"KEY": Secret("hidden")}}
    assert plugin.create(FUNCTION, inputs, preview=True)[1]["environment"] == expected
    made, state = plugin.create(FUNCTION, inputs)
    assert state["environment"] == expected
    _, refreshed, derived = plugin.read(FUNCTION, made, state, inputs)
    assert refreshed["environment"] == derived["environment"] == expected


def test_what_exists_is_adopted_only_where_aws_itself_does_so(plugin):
    topic, _ = plugin.create(TOPIC, {"name": "twice"})
    assert plugin.create(TOPIC, {"name": "twice"})[0] == topic
    role = {"name": "twice", "assumeRolePolicy": TRUST}
    plugin.create("aws:iam/role:Role", role)
    assert "EntityAlreadyExists" in refused(lambda: plugin.create("aws:iam/role:Role", role))
    plugin.create(BUCKET, {"bucket": "twice"})
    assert "pulumi import" in refused(lambda: plugin.create(BUCKET, {"bucket": "twice"}))
    plugin.create("aws:cloudwatch/logGroup:LogGroup", {"name": "twice"})
    assert "pulumi import" in refused(lambda: plugin.create("aws:cloudwatch/logGroup:LogGroup", {"name": "twice"}))


def test_a_half_made_resource_is_kept_in_the_state_and_finished_by_the_next_update(plugin, moto):
    inputs = {"bucket": "half-made", "tags": {"aws:reserved": "AWS refuses this"}}
    with pytest.raises(grpc.RpcError) as error:
        plugin.create(BUCKET, inputs)
    detail = partial_state(error.value)
    assert detail.id == "half-made"
    assert "PutBucketTagging" in detail.reasons[0]
    state = struct_from_wire(detail.properties)
    assert state["arn"] == "arn:aws:s3:::half-made"
    good = {"bucket": "half-made", "tags": {"a": "b"}}
    assert changed(plugin.diff(BUCKET, "half-made", state, good)) == ["tags"]
    plugin.update(BUCKET, "half-made", state, good)
    tags = client("s3", moto).get_bucket_tagging(Bucket="half-made")["TagSet"]
    assert tags == [{"Key": "a", "Value": "b"}]


def test_an_update_that_fails_half_way_leaves_the_state_as_aws_is(plugin, account):  # noqa: F811
    inputs = {
        "name": "half-updated",
        "role": account["role"],
        "handler": "handler.handle",
        "runtime": "python3.11",
        **account["packages"]["one"],
    }
    made, state = plugin.create(FUNCTION, inputs)
    with pytest.raises(grpc.RpcError) as error:
        plugin.update(FUNCTION, made, state, {**inputs, "memorySize": 512, "s3Bucket": "does-not-exist"})
    detail = partial_state(error.value)
    left = struct_from_wire(detail.properties)
    assert left["memorySize"] == 512
    assert left["s3Bucket"] == "packages", "the code was not changed, so the next update has to do it"
    assert changed(plugin.diff(FUNCTION, made, left, struct_from_wire(detail.inputs))) == ["s3Bucket"]


def test_a_bucket_is_never_deleted_with_what_is_in_it(plugin, moto):
    s3 = client("s3", moto)
    made, state = plugin.create(BUCKET, {"bucket": "full-one"})
    s3.put_bucket_versioning(Bucket=made, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=made, Key="a", Body=b"1")
    s3.put_object(Bucket=made, Key="a", Body=b"2")
    s3.delete_object(Bucket=made, Key="a")
    assert "Empty it first" in refused(lambda: plugin.delete(BUCKET, made, state))
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=made):
        for entry in (*page["Versions"], *page["DeleteMarkers"]):
            s3.delete_object(Bucket=made, Key=entry["Key"], VersionId=entry["VersionId"])
    plugin.delete(BUCKET, made, state)
    assert plugin.read(BUCKET, made, state)[0] == ""


def test_a_protected_table_is_not_deleted_and_indexes_change_in_place(plugin):
    def index(name):
        return {"name": name, "hashKey": "tag", "projectionType": "ALL"}

    inputs = {
        "name": "guarded",
        "hashKey": "id",
        "billingMode": "PAY_PER_REQUEST",
        "attributes": [{"name": "id", "type": "S"}, {"name": "tag", "type": "S"}],
        "globalSecondaryIndexes": [index("one")],
        "deletionProtectionEnabled": True,
    }
    made, state = plugin.create(TABLE, inputs)
    assert "DeletionProtectionEnabled" in refused(lambda: plugin.delete(TABLE, made, state))
    wanted = {**inputs, "globalSecondaryIndexes": [index("two")], "deletionProtectionEnabled": False}
    assert not plugin.diff(TABLE, made, state, wanted).replaces
    state = plugin.update(TABLE, made, state, wanted)
    assert [item["name"] for item in state["globalSecondaryIndexes"]] == ["two"]
    assert plugin.diff(TABLE, made, state, {**wanted, "hashKey": "tag"}).replaces == ["hashKey"]
    plugin.delete(TABLE, made, state)


def test_an_import_needs_nothing_but_the_id(plugin):
    inputs = {"name": "imported", "assumeRolePolicy": TRUST, "description": "by hand"}
    made, _ = plugin.create("aws:iam/role:Role", inputs)
    _, state, derived = plugin.read("aws:iam/role:Role", made)
    assert derived["description"] == "by hand"
    assert json.loads(derived["assumeRolePolicy"]) == json.loads(TRUST)
    assert changed(plugin.diff("aws:iam/role:Role", made, state, {**inputs, **derived})) == []


def test_a_subscription_by_mail_is_made_and_removed_without_waiting_for_its_owner(plugin, moto):
    sns = client("sns", moto)
    topic = sns.create_topic(Name="mailed")["TopicArn"]
    inputs = {"topic": topic, "protocol": "email", "endpoint": "me@example.com"}
    checked, _ = plugin.check(SUBSCRIPTION, inputs)
    made, state = plugin.create(SUBSCRIPTION, checked)
    assert made.startswith(f"{topic}:")
    assert (state["arn"], state["pendingConfirmation"]) == (made, True)

    plugin.delete(SUBSCRIPTION, made, state)
    assert plugin.read(SUBSCRIPTION, made, state, checked)[0] == made, "SNS keeps what nobody has confirmed"

    sns.confirm_subscription(TopicArn=topic, Token=made.rpartition(":")[2])
    _, refreshed, derived = plugin.read(SUBSCRIPTION, made, state, checked)
    assert (refreshed["pendingConfirmation"], derived) == (False, checked)
    assert changed(plugin.diff(SUBSCRIPTION, made, refreshed, checked)) == [], "a confirmation is no change of ours"
    plugin.delete(SUBSCRIPTION, made, state)  # the state may still say that it waits
    assert plugin.read(SUBSCRIPTION, made, state, checked)[0] == ""
