from pathlib import Path

import pytest

from localcloud.pulumi import backend_url, overlay, parse, with_absolute_files
from localcloud.state import CloudState

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


def test_the_overlay_drops_the_real_key_and_lets_local_values_win():
    laid = overlay(TRACKED, {"encryptionsalt": "v1:local"}, {"sentiment-pipeline:accountId": "123456789012"})
    assert laid == {
        "encryptionsalt": "v1:local",
        "config": {"sentiment-pipeline:accountId": "123456789012", "aws:region": "us-east-1"},
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
    ("arguments", "words"),
    [
        (["stack", "export", "--file", "x.json"], ("stack", "export", "--file", "{folder}/x.json")),
        (["stack", "import", "--file=x.json"], ("stack", "import", "--file={folder}/x.json")),
        (["stack", "export", "--file", "/x.json"], ("stack", "export", "--file", "/x.json")),
        (["import", "--file", "x.json"], ("import", "--file", "x.json")),
    ],
)
def test_files_of_commands_that_run_elsewhere_stay_those_of_the_callers_folder(arguments, words, tmp_path):
    command = parse([*arguments, "-s", "prod", "-C", str(tmp_path)])
    assert with_absolute_files(command) == tuple(word.format(folder=tmp_path) for word in words)
