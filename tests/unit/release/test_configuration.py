"""The releaser reads the settings of a stack from the files, as the engine would hand them to the program."""

import json
from pathlib import Path

import pytest

from components.settings import Settings
from release.errors import UsageError
from release.pulumi.stack_config import OVERLAY, STACKS, load, raw
from tests.stacks import STACK_FILES, copy_to

ROOT = Path(__file__).parents[3]
PROJECT_FILE = """
name: sentiment-pipeline
config:
  text: {type: string, default: a word}
  list: {type: array, default: [one, two]}
  flag: {type: boolean, default: false}
  none: {type: string}
  plain: value
"""


@pytest.mark.stack_files
@pytest.mark.parametrize("folder", [ROOT, STACK_FILES], ids=["the tracked ones", "those of the tests"])
@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_has_settings_that_the_program_takes(stack, folder):
    settings = load(stack, folder, {})
    assert isinstance(settings, Settings)
    assert (
        stack == {"service": settings.environment, "foundation": f"{settings.environment}-foundation"}[settings.scope]
    )


def test_strings_come_as_they_are_and_everything_else_as_json(tmp_path):
    (tmp_path / "Pulumi.yaml").write_text(PROJECT_FILE)
    (tmp_path / "Pulumi.prod.yaml").write_text(
        'config: {aws:region: us-east-1, number: 7, "quoted": "007", flag: true}'
    )
    assert raw("prod", tmp_path) == {
        "sentiment-pipeline:text": "a word",
        "sentiment-pipeline:list": '["one", "two"]',
        "sentiment-pipeline:flag": "true",
        "sentiment-pipeline:plain": "value",
        "aws:region": "us-east-1",
        "sentiment-pipeline:number": "7",
        "sentiment-pipeline:quoted": "007",
    }


def test_what_the_environment_lays_over_the_files_wins():
    account = "999999999999"
    laid = {"sentiment-pipeline:accountId": account, "aws:allowedAccountIds": [account]}
    assert load("prod", STACK_FILES, {OVERLAY: json.dumps(laid)}).account_id == account
    assert load("prod", STACK_FILES, {OVERLAY: ""}).account_id != account


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "not JSON"), ("[]", "no JSON object"), ('{"sentiment-pipeline:accountId": "1"}', "cannot be used")],
)
def test_an_overlay_that_cannot_be_used_is_refused(text, says):
    with pytest.raises(UsageError, match=says) as refused:
        load("prod", STACK_FILES, {OVERLAY: text})
    assert refused.value.next_step


def test_a_stack_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(UsageError) as refused:
        load("staging", STACK_FILES, {})
    assert "preprod-foundation" in refused.value.next_step


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "is missing"),
        ("config: [", "cannot be read"),
        ("", "holds no settings"),
        ("config: [1]", "holds no settings"),
        ("- config", "holds no settings"),
        ("config: {number: 1, sentiment-pipeline:number: 2}", "sets sentiment-pipeline:number twice"),
        ("config: {aws:region: a, aws:region: b}", "cannot be read"),
    ],
)
def test_a_stack_file_that_cannot_be_used_is_refused(tmp_path, content, says):
    (tmp_path / "Pulumi.yaml").write_text(PROJECT_FILE)
    if content is not None:
        (tmp_path / "Pulumi.prod.yaml").write_text(content)
    with pytest.raises(UsageError, match=says) as refused:
        load("prod", tmp_path, {})
    assert refused.value.next_step


def test_a_mistyped_setting_of_a_stack_file_is_refused_with_the_near_name(tmp_path):
    copy_to(tmp_path)
    load("prod", tmp_path, {})
    with (tmp_path / "Pulumi.prod.yaml").open("a", encoding="utf-8") as file:
        file.write("  functionMemroyMb: 512\n")
    with pytest.raises(UsageError) as refused:
        load("prod", tmp_path, {})
    assert "did you mean 'functionMemoryMb'" in refused.value.why
