import http.server
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from localcloud.engine.pulumi import backend_url, overlay, parse, stack_exists
from localcloud.environment import configuration_values, people
from localcloud.errors import LocalCloudError
from localcloud.process.state import CloudState
from release.pulumi.stack_config import STACKS, load
from tests.stacks import copy_to

TRACKED = {
    "secretsprovider": "awskms://alias/real",
    "encryptedkey": "made-up",
    "config": {"sentiment-pipeline:accountId": "111111111111", "aws:region": "us-east-1"},
}


@pytest.mark.parametrize(
    "arguments",
    [
        ["up", "--stack", "prod", "--yes"],
        ["up", "--stack=prod", "--yes"],
        ["up", "-s", "prod", "--yes"],
        ["up", "-sprod", "--yes"],
    ],
)
def test_every_way_to_name_the_stack_is_understood(arguments):
    command = parse(arguments)
    assert command.stack == "prod"
    assert command.words == ("up", "--yes")
    assert command.name == "up"


def test_the_stack_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("PULUMI_STACK", "preprod")
    assert parse(["preview"]).stack == "preprod"


def test_what_follows_a_double_dash_is_left_alone():
    command = parse(["import", "-s", "prod", "--", "-s", "else"])
    assert command.stack == "prod"
    assert command.words == ("import", "--", "-s", "else")


def test_a_config_file_is_relative_to_the_directory_that_is_named(tmp_path):
    command = parse(["up", "-s", "prod", "-C", str(tmp_path), "--config-file", "x.yaml"])
    assert command.directory == tmp_path
    assert command.config_file == tmp_path / "x.yaml"
    assert parse(["up", "-s", "prod"]).directory == Path.cwd()


def test_the_overlay_drops_the_real_key_and_account_and_lets_local_values_win():
    local = {"sentiment-pipeline:accountId": "123456789012", "aws:region": "us-east-1"}
    tracked = TRACKED | {"config": TRACKED["config"] | {"aws:profile": "ours", "aws:region": "eu-west-1"}}
    assert overlay(tracked, {"encryptionsalt": "v1:local"}, local) == {
        "encryptionsalt": "v1:local",
        "config": local,
    }
    assert "secretsprovider" in TRACKED, "the tracked values are not changed"


def test_foundation_and_service_keep_their_state_apart():
    state = CloudState(pid=1, created=0, clock="x1", ports={"aws": 4000})
    prefixes = {
        stack: backend_url(stack, state).split("?", maxsplit=1)[0]
        for stack in ("preprod", "prod", "preprod-foundation", "prod-foundation")
    }
    assert prefixes == {
        "preprod": "s3://preprod-sentiment-pulumi-state/service",
        "prod": "s3://prod-sentiment-pulumi-state/service",
        "preprod-foundation": "s3://preprod-sentiment-pulumi-state/foundation",
        "prod-foundation": "s3://prod-sentiment-pulumi-state/foundation",
    }


@pytest.mark.parametrize(
    "before", [["--color", "never"], ["-v", "9"], ["--logtostderr", "--tracing", "file:x"], ["-v=9"]]
)
def test_the_value_of_a_flag_is_not_taken_for_the_command(before):
    assert parse([*before, "up", "-s", "prod"]).name == "up"


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (["stack", "export", "--file", "x.json"], "{folder}/x.json"),
        (["stack", "import", "--file=x.json"], "{folder}/x.json"),
        (["stack", "export", "--file", "/x.json"], "/x.json"),
    ],
)
def test_files_of_commands_that_run_elsewhere_stay_those_of_the_callers_folder(arguments, file, tmp_path):
    command = parse([*arguments, "-s", "prod", "-C", str(tmp_path)])
    assert command.words == tuple(arguments[:2])
    assert command.file == Path(file.format(folder=tmp_path))


@contextmanager
def answering(*codes):
    """An S3 that gives these answers one after the other to the wrapper, and refuses everybody else."""
    left = list(codes)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(left.pop(0) if self.headers["User-Agent"] == "app/localcloud" else 400)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield CloudState(pid=1, created=0.0, clock="x1", ports={"aws": server.server_port})
        server.shutdown()


def test_the_question_for_the_stack_is_asked_in_the_name_of_the_local_cloud_and_an_error_is_no_answer():
    with answering(200, 404, 503) as state:
        assert stack_exists("prod", state) is True
        assert stack_exists("prod", state) is False
        with pytest.raises(LocalCloudError, match="503"):
            stack_exists("prod", state)


@pytest.mark.parametrize("stack", STACKS)
def test_the_local_cloud_plays_its_own_account_whatever_an_adopters_stack_files_say(stack, tmp_path):
    file = copy_to(tmp_path) / f"Pulumi.{stack}.yaml"
    said = {
        "aws:region": "eu-central-1",
        "aws:allowedAccountIds": ["481516234299"],
        "sentiment-pipeline:accountId": "481516234299",
        "sentiment-pipeline:otherAccountId": "481516234298",
        "sentiment-pipeline:administratorRoleArn": "arn:aws:iam::481516234299:role/admin",
        "sentiment-pipeline:githubRepository": "Acme/news.pipeline",
        "sentiment-pipeline:githubOwnerId": "12",
        "sentiment-pipeline:githubRepositoryId": "34",
        "sentiment-pipeline:reviewers": ["ada"],
        "sentiment-pipeline:reviewerTeams": ["ops"],
    }
    document = yaml.safe_load(file.read_text())
    document["config"] |= said
    state = CloudState(pid=1, created=0, clock="x1", ports={"news": 4000})
    file.write_text(yaml.safe_dump(overlay(document, {}, configuration_values(state) | people())))
    own = load(stack, tmp_path, {})
    assert (own.account_id, own.other_account_id, own.region) == ("123456789012", "", "us-east-1")
    assert (own.github_owner, own.github_owner_id, own.github_repository_id) == ("local", "", "")
    assert (own.reviewers, own.reviewer_teams) == (("traylorre",), ())
    assert "123456789012" in own.administrator_role_arn
