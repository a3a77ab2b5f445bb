"""Settings: what is declared, what is refused, and how."""

import re
from dataclasses import FrozenInstanceError

import pytest
import yaml
from pulumi import RunError

from components.configuration import KEYS, refuse_unknown
from components.settings import SettingError, parse
from tests.unit.program.harness import PROJECT, ROOT, STACKS, configuration, project_file, run


def _parse(stack="prod", **overrides):
    values = configuration(stack, **{key: value for key, value in overrides.items() if "__" not in key})
    values |= {key.replace("__", ":"): value for key, value in overrides.items() if "__" in key}
    return parse(values, stack)


@pytest.mark.parametrize("stack", STACKS)
def test_the_tracked_files_are_accepted(stack):
    settings = _parse(stack)
    assert stack in (settings.environment, f"{settings.environment}-foundation")
    assert settings.scope == ("foundation" if stack.endswith("-foundation") else "service")


def test_settings_are_frozen():
    with pytest.raises(FrozenInstanceError):
        _parse().region = "eu-west-1"


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("scope", "all", "foundation or service"),
        ("environment", "staging", "preprod or prod"),
        ("environment", "preprod", "what fits the stack's name"),
        ("accountId", "123", "12 digits in quotes"),
        ("accountId", "210987654321", "exactly the stack's own account"),
        ("newsEndpoint", "http://newsapi.org/v2/everything", "an https URL"),
        ("newsEndpoint", "https://key@newsapi.org/v2", "an https URL"),
        ("newsEndpoint", "https://newsapi.org/v2?apiKey=1", "an https URL"),
        ("newsEndpoint", "ftp://newsapi.org", "an https URL"),
        ("watchTags", [], "one or more search terms"),
        ("watchTags", ["a,b"], "without commas"),
        ("watchTags", [" a"], "without commas"),
        ("watchTags", ["a", "a"], "each only once"),
        ("watchTags", ["Markets", "markets"], "'Markets' and 'markets' are the same"),
        ("watchTags", ["caf\u00e9", "cafe\u0301"], "each only once"),
        ("watchTags", ["interest\u00a0rates"], "printable"),
        ("watchTags", ["a\u200bb"], "printable"),
        ("watchTags", ["a" * 101], "up to 100"),
        ("watchTags", [f"{number} {'a' * 90}" for number in range(90)], "4 KB"),
        ("watchTags", [str(number) + "\u00e4" * 90 for number in range(9)], "4 KB"),
        ("newsEndpoint", "https://newsapi.org/" + "a" * 500, "up to 500"),
        ("newsEndpoint", "https://newsapi.org/\u00e4", "ASCII"),
        ("accountId", "\u0661" * 12, "12 digits in quotes"),
        ("otherAccountId", "\u0661" * 12, "12 digits in quotes"),
        ("githubOwnerId", "\u0661", "digits in quotes"),
        ("scheduleExpression", "rate(1\u0661 minutes)", "rate(N"),
        ("functionMemoryMb", "\u0661\u0662\u0668", "from 128"),
        ("watchTags", "markets", "one or more search terms"),
        ("watchTags", {"a": "b"}, "one or more search terms"),
        ("scheduleExpression", "rate(1 minutes)", "rate(N minutes|hours|days) or cron(six fields)"),
        ("scheduleExpression", "rate(0 minutes)", "rate(N"),
        ("scheduleExpression", "cron(0 6 * * ?)", "cron(six fields)"),
        ("functionMemoryMb", 64, "from 128 to 10240 (MB)"),
        ("functionMemoryMb", "much", "from 128 to 10240 (MB)"),
        ("functionTimeoutSeconds", 901, "from 20 to 900 (seconds)"),
        ("functionTimeoutSeconds", 19, "from 20 to 900 (seconds)"),
        ("logRetentionDays", 31, "one of 1, 3, 5, 7, 14, 30"),
        ("reviewers", ["traylorre", "Traylorre"], "'traylorre' and 'Traylorre' are the same"),
        ("reviewers", ["mona_"], "a list of GitHub logins"),
        ("reviewers", ["a" * 40], "a list of GitHub logins"),
        ("onCallEmails", ["On@example.org", "on@EXAMPLE.org"], "are the same"),
        ("errorAlarmPercent", 0, "from 1"),
        ("errorAlarmPercent", 101, "to 100"),
        ("errorAlarmLeastErrors", 0, "from 1"),
        ("githubRepository", "sentiment-pipeline", "owner/name"),
        ("githubRepository", "a/b/c", "owner/name"),
        ("githubRepository", "a/*", "owner/name"),
        ("githubOwnerId", "abc", "digits in quotes"),
        ("githubOwnerId", "12", "an id, because the other"),
        ("githubRepositoryId", "12", "an id, because the other"),
        ("reviewers", [], "a list of GitHub logins; together with reviewerTeams 1 to 6"),
        (
            "reviewers",
            ["a", "b", "c", "d", "e", "f", "g"],
            "a list of GitHub logins; together with reviewerTeams 1 to 6",
        ),
        ("reviewers", ["-a"], "a list of GitHub logins; together with reviewerTeams 1 to 6"),
        ("reviewerTeams", ["On Call"], "a list of slugs of teams"),
        ("reviewerTeams", ["a", "b", "c", "d", "e", "f"], "together with reviewerTeams 1 to 6"),
        ("preventSelfReview", "yes", "auto or true or false"),
        ("preventSelfReview", "true", "who could never approve an own change"),
        ("requiredApprovals", "7", "from 0 to 6"),
        ("requiredApprovals", "some", "from 0 to 6"),
        ("requiredApprovals", "1", "auto or 0 with a single reviewer"),
        ("onCallEmails", ["nobody"], "at most 10 e-mail addresses"),
        ("onCallEmails", [f"{number}@example.org" for number in range(11)], "at most 10 e-mail addresses"),
        ("monthlyBudgetUsd", 0, "from 1 to 100000 (USD)"),
        ("otherAccountId", "123", "12 digits in quotes, or empty"),
        ("ownsShared", "yes", "true or false"),
        ("administratorRoleArn", "arn:aws:iam::999999999999:role/x", "the ARN of a role in account"),
        ("administratorRoleArn", "*", "the ARN of a role in account"),
    ],
)
def test_a_refusal_names_the_key_the_value_and_what_is_allowed(key, value, allowed):
    with pytest.raises(SettingError, match=re.escape(allowed)) as refused:
        _parse(**{key: value})
    message = str(refused.value)
    assert "setting '" in message
    assert "Pulumi.<stack>.yaml" in message
    if key != "accountId" or value == "123":
        assert key in message or refused.value.key in ("githubRepositoryId", "githubOwnerId")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("aws__region", "everywhere"),
        ("aws__region", "us-east-9"),
        ("aws__allowedAccountIds", '["111111111111", "123456789012"]'),
        ("aws__allowedAccountIds", "[]"),
    ],
)
def test_a_provider_that_would_work_elsewhere_is_refused(key, value):
    with pytest.raises(SettingError, match=key.replace("__", ":")):
        _parse(**{key: value})


@pytest.mark.parametrize(
    ("key", "allowed"),
    [("scope", "foundation or service"), ("environment", "preprod or prod"), ("accountId", "12 digits")],
)
def test_a_setting_that_a_stack_file_forgot_is_named_with_what_is_allowed(key, allowed):
    values = configuration("prod")
    values[f"{PROJECT}:{key}"] = project_file()["config"][key]["default"]  # what the engine hands on then
    with pytest.raises(SettingError, match=f"{key}.*{allowed}.*Pulumi.<stack>.yaml"):
        parse(values, "prod")


def test_every_setting_has_a_default_so_that_the_program_itself_says_what_is_allowed():
    assert [key for key, declared in project_file()["config"].items() if "default" not in declared] == []


def test_a_missing_region_is_named():
    values = {key: value for key, value in configuration("prod").items() if not key.startswith("aws:")}
    with pytest.raises(SettingError, match=r"aws:.*missing"):
        parse(values, "prod")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("newsEndpoint", "http://127.0.0.1:8080/v2/everything"),
        ("scheduleExpression", "rate(1 minute)"),
        ("scheduleExpression", "cron(0 6 * * ? *)"),
        ("watchTags", ["interest rates"]),
        ("reviewers", ["a", "b-c"]),
        ("reviewers", ["mona_octo"]),
        ("logRetentionDays", 3653),
        ("aws__region", "ap-southeast-7"),
        ("reviewerTeams", ["on-call", "sre_1"]),
        ("preventSelfReview", "false"),
        ("requiredApprovals", "0"),
        ("onCallEmails", ["on-call@example.org"]),
        ("monthlyBudgetUsd", 25),
        ("otherAccountId", "210987654321"),
        ("administratorRoleArn", "arn:aws:iam::123456789012:role/admin"),
    ],
)
def test_what_is_allowed_is_accepted(key, value):
    assert _parse(**{key: value})


@pytest.mark.parametrize(
    ("reviewers", "teams", "self_review_prevented", "approvals"),
    [
        (["anna"], [], False, 0),
        (["anna", "berta"], [], True, 1),
        (["anna"], ["on-call"], True, 1),
        ([], ["on-call"], True, 1),
    ],
)
def test_what_one_person_alone_could_never_do_is_asked_of_several_only(
    reviewers, teams, self_review_prevented, approvals
):
    settings = _parse("prod-foundation", reviewers=reviewers, reviewerTeams=teams)
    assert (settings.prevent_self_review, settings.required_approvals) == (self_review_prevented, approvals)
    chosen = _parse("prod-foundation", reviewers=["a", "b"], preventSelfReview="false", requiredApprovals="3")
    assert (chosen.prevent_self_review, chosen.required_approvals) == (False, 3)


def test_every_declared_key_has_a_type_and_a_description_and_is_used():
    source = (ROOT / "components" / "settings.py").read_text()
    for key, declared in project_file()["config"].items():
        assert declared["type"] in {"string", "integer", "boolean", "array"}, key
        assert len(declared["description"]) > 20, key
        assert f'"{key}"' in source, f"{key} is declared and never read"
        assert declared["type"] != "array" or declared["items"] == {"type": "string"}


def test_every_key_that_the_program_reads_is_declared():
    source = (ROOT / "components" / "settings.py").read_text()
    read = set(re.findall(r"read\.(?:text|one_of|matching|number|flag|words)\(\s*\"(\w+)\"", source))
    assert read - {"allowedAccountIds", "region"} <= set(project_file()["config"])


@pytest.mark.stack_files
@pytest.mark.parametrize("stack", STACKS)
def test_stack_files_hold_declared_keys_only_and_no_secret_and_no_release(stack):
    declared = set(project_file()["config"])
    tracked = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())
    for key, value in tracked["config"].items():
        namespace, name = key.split(":")
        assert namespace in {PROJECT, "aws"}
        assert namespace == "aws" or name in declared
        assert name != "release"
        assert not (isinstance(value, dict) and "secure" in value)
    # The other two lines are those of the bootstrap, which name the key of the state.
    assert {"config"} <= set(tracked) <= {"config", "secretsprovider", "encryptedkey"}


def test_exactly_one_stack_owns_what_is_shared():
    assert [stack for stack in STACKS if _parse(stack).owns_shared] == ["prod-foundation"]


def test_there_is_a_file_for_each_stack_and_no_other():
    assert {path.stem.removeprefix("Pulumi.") for path in ROOT.glob("Pulumi.*.yaml")} == set(STACKS)


def test_the_settings_that_the_program_knows_are_those_that_are_declared():
    assert set(project_file()["config"]) == KEYS


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("sentiment-pipeline:functionMemroyMb", "did you mean 'functionMemoryMb'"),
        ("sentiment-pipelin:functionMemoryMb", "did you mean 'functionMemoryMb'"),
        ("aws:allowedAccountId", "did you mean 'aws:allowedAccountIds'"),
        ("aws:regoin", "did you mean 'aws:region'"),
        ("sentiment-pipeline:xyz", "'xyz' is unknown"),
        ("other:thing", "'other:thing' is unknown"),
    ],
)
def test_a_setting_that_nobody_reads_is_refused_with_the_one_that_it_resembles(key, says):
    with pytest.raises(SettingError, match=re.escape(says)):
        refuse_unknown([key])


def test_settings_of_the_providers_and_of_the_engine_are_not_refused():
    refuse_unknown(["aws:profile", "aws:defaultTags", "github:writeDelayMs", "pulumi:tags"])


@pytest.mark.parametrize("stack", ["preprod", "prod-foundation"])
def test_the_program_itself_refuses_an_unknown_setting(stack):
    with pytest.raises(RunError, match="did you mean 'functionMemoryMb'"):
        run(stack, functionMemroyMb=512)


@pytest.mark.parametrize(
    ("region", "says"),
    [
        ("us-east1", "did you mean us-east-1?"),
        ("cn-north-1", "partition aws-cn is not supported"),
        ("us-gov-west-1", "partition aws-us-gov is not supported"),
        ("eusc-de-east-1", "partition aws-eusc is not supported"),
    ],
)
def test_a_region_that_cannot_be_is_refused_with_the_reason(region, says):
    with pytest.raises(SettingError, match=re.escape(says)):
        _parse(aws__region=region)
