"""The bootstrap says first what it will do, does only what is missing, and shows or replaces no secret unasked."""

import io
import json
import re
from types import SimpleNamespace

import boto3
import botocore.session
import httpx
import pytest
import yaml
from botocore.exceptions import ClientError
from moto.iam import iam_backends
from typer.testing import CliRunner

from components.identities import identities
from components.naming import PROJECT, names
from components.policies import state_access
from localcloud.aws import s3, sts
from localcloud.aws.policy import Effect, Request, decide
from release.bootstrap.run import site_of
from release.bootstrap.step import Operator
from release.cli.main import app
from release.errors import ReleaseError, UsageError
from release.pulumi.stack_config import OVERLAY, load
from tests.localcloud.bootstrap_world import ACCOUNT, NEWS_KEY, TOKEN, Killed, Silent, account
from tests.stacks import STACK_FILES, copy_to

OWN = names("preprod")
BUCKET = OWN.state_bucket
HOME = "us-east-1"


@pytest.fixture(scope="module", autouse=True)
def moto_as_the_local_cloud_has_it():
    s3.evaluate_bucket_policies()
    sts.name_unknown_callers_root()


@pytest.fixture(autouse=True)
def shell(monkeypatch):
    """The environment variables of the person's shell."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")  # of the person's shell: the settings win
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv(OVERLAY, raising=False)


@pytest.fixture
def world(tmp_path):
    with account(tmp_path) as world:
        yield world


def found(document, what):
    (step,) = [step for step in document["steps"] if step["what"] == what]
    return step


def statuses(document):
    return {step["status"] for step in document["steps"]}


# What it does, and in which order


def test_from_nothing_to_a_foundation_that_can_be_made_and_from_there_to_the_end(world):
    first, _ = world.run()
    assert not first["complete"]
    assert {step["what"] for step in first["steps"] if step["status"] == "waits"} == {
        "secret preprod/sentiment-analyzer/newsapi",
        "secret preprod/sentiment-analyzer/dashboard-api-key",
        "secret PREPROD_DASHBOARD_API_KEY in GitHub environment preprod",
    }
    assert first["next"][1:] == [
        'eval "$(release env --stack preprod-foundation)" && pulumi up',
        "release bootstrap --stack preprod",
    ]
    assert "Pulumi.preprod-foundation.yaml" in first["next"][0], "the lines with the key have to be committed"
    world.foundation_up()
    second, _ = world.run()
    assert second["complete"]
    assert second["next"] == ["release doctor --stack preprod"]
    end = world.snapshot()
    assert end["sealed"] == [True]
    assert end["news"] == NEWS_KEY
    assert end["number of keys"] == 2


def test_production_gets_its_key_into_both_environments_that_deploy(world):
    world.run(world.site("prod"))
    world.foundation_up("prod")
    document, _ = world.run(world.site("prod"))
    assert document["complete"]
    assert world.snapshot("prod")["sealed"] == [True, True]


def test_a_plan_says_everything_and_changes_nothing(world, capsys):
    document, _ = world.run(only_plan=True, show=True)
    assert world.changes == []
    shown = capsys.readouterr().out
    for step in document["steps"]:
        assert step["now"]
        assert step["what"] in shown
    assert found(document, f"state bucket {BUCKET}")["now"] == "missing"
    assert document["next"] == ["release bootstrap --stack preprod"]


def test_a_second_run_changes_nothing(world):
    world.run()
    world.foundation_up()
    world.run()
    end, files = world.snapshot(), world.tracked("preprod")
    world.changes.clear()
    document, _ = world.run()
    assert world.changes == []
    assert statuses(document) == {"done"}
    assert (world.snapshot(), world.tracked("preprod")) == (end, files)


def test_a_run_that_is_killed_between_any_two_changes_is_finished_by_the_next(tmp_path):
    """Each run makes one change and is killed, so every state in which one can stop is gone on from."""
    with account(tmp_path / "killed") as killed:
        runs = _killed_often(killed)
        killed.foundation_up()
        runs += _killed_often(killed)
        after_kills = killed.snapshot()
    with account(tmp_path / "straight") as straight:
        straight.run()
        straight.foundation_up()
        straight.run()
        assert after_kills == straight.snapshot()
    assert runs > 20
    # What a kill can cost is a stack that is begun anew, never a second key or a value that was replaced.
    for change in ("CreateBucket", "CreateKey", "CreateAlias", "PutSecretValue"):
        assert killed.changes.count(change) == straight.changes.count(change), change


def _killed_often(world):
    """Number of runs until one has nothing left to do."""
    for runs in range(1, 100):
        # A stack that the engine has begun is begun anew: with one change a run that would go on for ever.
        begun_anew = world.changes[-1:] and world.changes[-1].startswith("pulumi stack rm")
        try:
            with world.killed_after(2 if begun_anew else 1):
                world.run()
        except Killed:
            continue
        return runs
    raise AssertionError(f"it never ends: {world.changes[-10:]}")


def test_nothing_is_done_when_the_answer_is_no(world):
    with pytest.raises(ReleaseError, match="nothing was changed"):
        world.run(world.site(person=Silent(yes=False)), agreed=False)
    assert world.changes == []


def test_where_nobody_can_be_asked_it_says_which_option_to_use(world, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(UsageError) as refused:
        world.run(world.site(person=Operator()), agreed=False)
    assert "--yes" in refused.value.next_step
    assert world.changes == []


def test_the_command_says_no_with_the_exit_code_of_a_wrong_call(tmp_path, monkeypatch):
    monkeypatch.chdir(copy_to(tmp_path))
    for arguments in (["--stack", "staging"], ["--stack", "prod", "--rotate", "everything"]):
        ran = CliRunner().invoke(app, ["bootstrap", *arguments, "--json"])
        assert ran.exit_code == 2
        assert json.loads(ran.stdout)["next_step"]


# Who may


def test_credentials_of_another_account_are_refused_before_anything_is_read(world):
    site = world.site()
    site.clients["sts"] = SimpleNamespace(
        get_caller_identity=lambda: {"Account": "999999999999", "Arn": "arn:aws:iam::999999999999:root"}
    )
    with pytest.raises(UsageError, match="999999999999") as refused:
        world.run(site)
    assert "log in" in refused.value.next_step
    assert world.changes == []


def test_whoever_the_policies_would_lock_out_is_told_which_setting_names_the_administrator(world):
    with pytest.raises(UsageError, match="user/somebody") as refused:
        world.run(_as(world, f"arn:aws:iam::{ACCOUNT}:user/somebody"))
    assert "administratorRoleArn" in refused.value.why
    assert world.changes == []


@pytest.mark.parametrize(
    ("path", "name", "may"),
    [
        ("/aws-reserved/sso.amazonaws.com/eu-central-1/", "AWSReservedSSO_AdministratorAccess_0a1b2c", True),
        ("/", "AWSReservedSSO_AdministratorAccess_0a1b2c", False),
        ("/", "preprod-sentiment-deploy", False),
    ],
)
def test_a_role_counts_with_its_path_which_nobody_else_can_make(world, path, name, may):
    site = _as(world, f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/me")
    site.clients["iam"] = SimpleNamespace(
        get_role=lambda RoleName: {"Role": {"Arn": f"arn:aws:iam::{ACCOUNT}:role{path}{RoleName}"}}  # noqa: N803
    )
    if may:
        assert world.run(site, only_plan=True)[0]["caller"].endswith(name)
    else:
        with pytest.raises(UsageError, match="not the administrator"):
            world.run(site)


def _as(world, arn):
    site = world.site()
    site.clients["sts"] = SimpleNamespace(get_caller_identity=lambda: {"Account": ACCOUNT, "Arn": arn})
    return site


# The bucket


@pytest.mark.parametrize("code", ["403", "AccessDenied"])
@pytest.mark.parametrize("taken", [BUCKET, names("preprod").bucket])
def test_a_bucket_of_somebody_else_is_seen_before_anything_is_made(world, code, taken):
    site = world.site()

    def head_bucket(**arguments):
        assert arguments["ExpectedBucketOwner"] == ACCOUNT
        raise ClientError({"Error": {"Code": code if arguments["Bucket"] == taken else "404"}}, "HeadBucket")

    site.clients["s3"] = SimpleNamespace(head_bucket=head_bucket)
    with pytest.raises(ReleaseError, match=f"{taken} is taken") as refused:
        world.run(site)
    assert "--name-suffix" in refused.value.next_step
    assert world.changes == []


@pytest.mark.parametrize("tags", [[], [{"Key": "Project", "Value": "another"}]])
def test_what_has_a_name_of_ours_and_is_not_ours_is_never_taken_over(world, tags):
    own = names("preprod")
    boto3.client("sns", HOME).create_topic(Name=own.on_call_topic, Tags=tags)
    boto3.client("cloudwatch", HOME).put_metric_alarm(
        AlarmName=own.dead_letters_alarm,
        MetricName="any",
        Namespace="any",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        Statistic="Sum",
        ComparisonOperator="GreaterThanThreshold",
        Tags=tags,
    )
    with pytest.raises(ReleaseError) as refused:
        world.run()
    assert f"topic {own.on_call_topic}, alarm {own.dead_letters_alarm}" in str(refused.value)
    assert world.changes == []


def test_our_own_alarms_and_topics_are_in_nobodys_way(world):
    boto3.client("sns", HOME).create_topic(
        Name=names("preprod").on_call_topic, Tags=[{"Key": "Project", "Value": PROJECT}]
    )
    world.run()


def test_rules_that_a_person_has_added_to_the_bucket_stay(world):
    world.s3.create_bucket(Bucket=BUCKET)
    theirs = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "x/"}, "Expiration": {"Days": 3}}
    world.s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": [theirs]})
    world.run()
    rules = world.s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert [rule["ID"] for rule in rules] == ["theirs", "replaced-versions-and-unfinished-uploads"]


def test_what_somebody_has_changed_by_hand_is_seen_and_put_right(world):
    world.run()
    world.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    world.s3.delete_bucket_policy(Bucket=BUCKET)
    key = world.kms.describe_key(KeyId=OWN.foundation_key_alias)["KeyMetadata"]["KeyId"]
    world.kms.disable_key_rotation(KeyId=key)
    world.changes.clear()
    document, _ = world.run(only_plan=True)
    assert {step["what"] for step in document["steps"] if step["status"] == "to do"} == {
        "state bucket: versions",
        "state bucket: policy",
        f"key {OWN.foundation_key_alias}: rotation",
    }
    world.run()
    assert world.changes == ["PutBucketVersioning", "PutBucketPolicy", "EnableKeyRotation"]


# The keys


def test_a_key_that_is_being_deleted_is_told_with_the_way_back(world):
    world.run()
    key = world.kms.describe_key(KeyId=OWN.state_key_alias)["KeyMetadata"]["KeyId"]
    world.kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    with pytest.raises(ReleaseError, match="PendingDeletion") as told:
        world.run()
    assert key in told.value.next_step


# The stacks


def test_a_stack_file_gets_two_lines_and_keeps_all_others(world):
    before = world.tracked("prod")
    world.run(world.site("prod"))
    provider, key, *rest = world.tracked("prod").splitlines(keepends=True)
    assert provider == "secretsprovider: awskms://alias/prod-sentiment-pulumi-state?region=us-east-1\n"
    assert yaml.safe_load(key) == {
        "encryptedkey": world.checkpoint("prod")["latest"]["secrets_providers"]["state"]["encryptedkey"]
    }
    assert "".join(rest) == before


def test_lines_that_belong_to_another_state_are_replaced(world):
    file = world.folder / "Pulumi.preprod.yaml"
    file.write_text("encryptedkey: of-somebody-else\n" + file.read_text() + "secretsprovider: awskms://alias/x\n")
    document, _ = world.run(only_plan=True)
    assert found(document, "Pulumi.preprod.yaml")["now"] == "no stack yet"
    world.run()
    assert "of-somebody-else" not in file.read_text()
    assert file.read_text().count("secretsprovider:") == 1
    load("preprod", world.folder, {})


def test_a_stack_under_another_key_is_told_and_left_alone(world):
    world.run()
    world.write_checkpoint("preprod", "awskms://alias/another")
    world.changes.clear()
    with pytest.raises(ReleaseError, match="awskms://alias/another") as told:
        world.run()
    assert "change-secrets-provider" in told.value.next_step
    assert world.changes == []


def test_where_the_settings_are_overlaid_the_files_of_the_clone_stay_as_they_are(world):
    before = {stack: world.tracked(stack) for stack in ("preprod", "preprod-foundation")}
    world.run(world.site(overlaid=True))
    assert {stack: world.tracked(stack) for stack in before} == before


def test_a_pulumi_that_fails_is_told_with_its_reason(world, tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "pulumi").write_text(
        '#!/bin/sh\necho "error: no credentials" >&2; echo "$PULUMI_BACKEND_URL" >&2; exit 3\n'
    )
    (folder / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    site = world.site(variables={"PATH": f"{folder}:/usr/bin:/bin", "PULUMI_BACKEND_URL": "s3://of-another-stack"})
    with pytest.raises(ReleaseError, match="exit code 3") as told:
        super(type(site), site).pulumi("preprod", "stack", "init", folder=tmp_path)
    assert "no credentials" in told.value.why
    assert f"s3://{BUCKET}/service" in told.value.why, "what the shell says of another stack does not count"


# The secrets


@pytest.fixture
def ready(world):
    world.run()
    world.foundation_up()
    return world


def test_no_secret_is_in_anything_that_is_said(ready, capfd):
    document, said = ready.run(show=True)
    everything = said + json.dumps(document, default=str) + "".join(capfd.readouterr())
    for secret in (NEWS_KEY, TOKEN, ready.value(OWN.dashboard_key_secret)):
        assert secret not in everything


def test_a_value_that_is_there_is_never_replaced_unasked(ready):
    for name in (OWN.newsapi_secret, OWN.dashboard_key_secret):
        ready.secrets.put_secret_value(SecretId=name, SecretString='{"api_key": "already-there"}')
    document, _ = ready.run(ready.site(person=Silent("another-key")))
    assert document["complete"]
    assert ready.value(OWN.newsapi_secret) == ready.value(OWN.dashboard_key_secret) == "already-there"
    assert ready.github.opened("preprod") == {"PREPROD_DASHBOARD_API_KEY": "already-there"}


@pytest.mark.parametrize("value", ["no json", "{}", '{"api_key": ""}', "[1]"])
def test_a_value_of_another_form_waits_for_a_person(ready, value):
    ready.secrets.put_secret_value(SecretId=OWN.newsapi_secret, SecretString=value)
    document, _ = ready.run()
    step = found(document, f"secret {OWN.newsapi_secret}")
    assert step["status"] == "waits"
    assert ready.secrets.get_secret_value(SecretId=OWN.newsapi_secret)["SecretString"] == value
    assert any("--rotate newsapi" in line for line in document["next"])
    ready.run(ready.site(rotate=frozenset({"newsapi"})))
    assert ready.value(OWN.newsapi_secret) == NEWS_KEY


def test_a_rotated_key_is_sealed_anew_and_the_other_stays(ready):
    ready.run()
    before = ready.value(OWN.dashboard_key_secret)
    document, _ = ready.run(ready.site(rotate=frozenset({"dashboard"})))
    assert document["complete"]
    now = ready.value(OWN.dashboard_key_secret)
    assert now != before
    assert ready.github.opened("preprod") == {"PREPROD_DASHBOARD_API_KEY": now}
    assert ready.value(OWN.newsapi_secret) == NEWS_KEY


def test_a_rotation_that_was_killed_before_it_was_sealed_is_finished_by_a_plain_run(ready):
    ready.run()
    _older(ready)
    with ready.killed_after(1), pytest.raises(Killed):
        ready.run(ready.site(rotate=frozenset({"dashboard"})))
    now = ready.value(OWN.dashboard_key_secret)
    assert ready.github.opened("preprod") != {"PREPROD_DASHBOARD_API_KEY": now}
    ready.run()
    assert ready.value(OWN.dashboard_key_secret) == now
    assert ready.github.opened("preprod") == {"PREPROD_DASHBOARD_API_KEY": now}


def _older(world, environment="preprod"):
    """What is sealed was sealed long ago."""
    _, sealed = world.github.environments[environment]
    for name, (body, at) in sealed.items():
        sealed[name] = (body, at.replace(year=at.year - 1))


def test_a_key_of_the_news_service_can_come_later(ready):
    document, _ = ready.run(ready.site(person=Silent("")))
    assert not document["complete"]
    assert found(document, f"secret {OWN.newsapi_secret}")["now"] == "no key was given"
    assert found(document, f"secret {OWN.dashboard_key_secret}")["status"] == "done"
    assert ready.run()[0]["complete"]


@pytest.mark.parametrize("typed", ["with spaces in it", "short", "x" * 600, "umläut-is-no-key"])
def test_what_cannot_be_a_key_is_refused_without_repeating_it(typed, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{typed}\n"))
    with pytest.raises(UsageError) as refused:
        Operator.secret("Key")
    assert typed not in json.dumps(refused.value.as_dict())


def test_a_key_is_read_as_one_line_where_there_is_no_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{NEWS_KEY}\nmore\n"))
    assert Operator.secret("Key") == NEWS_KEY


def test_without_a_token_for_github_the_rest_is_done(ready):
    document, _ = ready.run(ready.site(github=None))
    assert {step["what"] for step in document["steps"] if step["status"] == "waits"} == {
        "secret PREPROD_DASHBOARD_API_KEY in GitHub environment preprod"
    }
    assert any("GITHUB_TOKEN" in line for line in document["next"])


def test_a_github_that_is_down_is_not_taken_for_an_environment_that_is_missing(ready, monkeypatch):
    site = ready.site()
    site.github._transport = httpx.MockTransport(lambda _: httpx.Response(403, json={"message": "no"}))
    with pytest.raises(ReleaseError, match="GitHub did not answer"):
        ready.run(site)


# Access keys, in the variant without OIDC


@pytest.fixture
def users(ready):
    ready.run()
    for identity in identities("preprod"):
        ready.iam.create_user(UserName=identity.role(OWN))
    return ready


def _known(world):
    """The one key of each user, if GitHub holds both its parts."""
    for identity in identities("preprod"):
        keys = world.iam.list_access_keys(UserName=identity.role(OWN))["AccessKeyMetadata"]
        sealed = world.github.opened(identity.github_environment)
        assert [key["AccessKeyId"] for key in keys] == [sealed["PREPROD_AWS_ACCESS_KEY_ID"]]
        # moto knows the secret by which requests are signed; AWS tells it once.
        backend = iam_backends[ACCOUNT]["aws"].users[identity.role(OWN)]
        assert backend.access_keys[0].secret_access_key == sealed["PREPROD_AWS_SECRET_ACCESS_KEY"]
        yield sealed["PREPROD_AWS_SECRET_ACCESS_KEY"]


def test_each_user_gets_one_key_that_only_its_environment_knows(users, capfd):
    document, said = users.run(users.site(with_access_keys=True), show=True)
    assert document["complete"]
    known = list(_known(users))
    everything = said + json.dumps(document, default=str) + "".join(capfd.readouterr())
    assert len(set(known)) == len(identities("preprod"))
    assert not any(secret in everything for secret in known)
    users.changes.clear()
    users.run(users.site(with_access_keys=True))
    assert users.changes == []


@pytest.mark.parametrize("changes", [1, 2, 3, 4])
def test_a_run_that_is_killed_while_it_replaces_a_key_is_finished_by_the_next(users, changes):
    users.run(users.site(with_access_keys=True))
    for environment in users.github.environments:
        _older(users, environment)
    before = set(_known(users))
    with users.killed_after(changes), pytest.raises(Killed):
        users.run(users.site(with_access_keys=True, rotate=frozenset({"access-keys"})))
    users.run(users.site(with_access_keys=True, rotate=frozenset({"access-keys"})))
    assert not before & set(_known(users))


def test_without_users_the_keys_wait_for_the_foundation(ready):
    document, _ = ready.run(ready.site(with_access_keys=True))
    waiting = [step for step in document["steps"] if step["status"] == "waits"]
    assert len(waiting) == len(identities("preprod"))
    assert {step["now"] for step in waiting} == {"no such user yet"}


# What the policies mean


ARNS = load("prod-foundation", STACK_FILES, {}).arns
ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_AdministratorAccess_1"
PATTERN = f"arn:aws:iam::{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/*AWSReservedSSO_AdministratorAccess_*"


def said(policy, who, action, resource="*", **keys):
    known = {"aws:principalarn": who, "aws:securetransport": "true"} | keys
    principals = frozenset({who, f"arn:aws:iam::{ACCOUNT}:root"})
    return decide(policy, Request(action=action, resource=resource, principals=principals, keys=known))


def role(name):
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


@pytest.mark.parametrize("name", [*ARNS.names.ci_roles, "prod-sentiment-ingestion-exec", "somebody-else"])
@pytest.mark.parametrize("action", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:GetObjectVersion"])
def test_the_foundations_state_is_the_administrators_alone(name, action):
    policy, thing = state_access.state_bucket(ARNS, PATTERN), ARNS.objects(ARNS.names.state_bucket, "foundation/x.json")
    assert said(policy, role(name), action, thing) is Effect.DENY
    assert said(policy, ADMINISTRATOR, action, thing) is Effect.NONE


def test_the_pipeline_works_with_its_own_state_and_cannot_erase_its_history():
    policy, thing = state_access.state_bucket(ARNS, PATTERN), ARNS.objects(ARNS.names.state_bucket, "service/x.json")
    deploys = role(ARNS.names.deploy_role)
    for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"):
        assert said(policy, deploys, action, thing) is Effect.NONE
    assert said(policy, deploys, "s3:DeleteObjectVersion", thing) is Effect.DENY
    assert said(policy, ADMINISTRATOR, "s3:DeleteObjectVersion", thing) is Effect.NONE
    assert said(policy, deploys, "s3:GetObject", thing, **{"aws:securetransport": "false"}) is Effect.DENY
    assert said(policy, role(OWN.deploy_role), "s3:GetObject", thing) is Effect.DENY, "preprod has no business in prod"


@pytest.mark.parametrize("action", ["kms:ScheduleKeyDeletion", "kms:DisableKey", "kms:PutKeyPolicy", "kms:CreateGrant"])
def test_no_role_of_the_pipeline_can_lose_or_give_away_a_key(action):
    for policy in (state_access.service_key(ARNS), state_access.foundation_key(ARNS)):
        for name in (*ARNS.names.ci_roles, *OWN.ci_roles, "prod-sentiment-x-exec"):
            assert said(policy, role(name), action) is Effect.DENY
        assert said(policy, ADMINISTRATOR, action) is Effect.ALLOW, "IAM decides"


def test_of_the_two_keys_the_pipeline_can_use_one_and_only_to_decrypt():
    deploys = role(ARNS.names.deploy_role)
    assert said(state_access.service_key(ARNS), deploys, "kms:Decrypt") is Effect.ALLOW
    assert said(state_access.service_key(ARNS), role(OWN.deploy_role), "kms:Decrypt") is Effect.DENY
    assert said(state_access.service_key(ARNS), deploys, "kms:Encrypt") is Effect.DENY
    assert said(state_access.foundation_key(ARNS), deploys, "kms:Decrypt") is Effect.DENY
    operations = botocore.session.get_session().get_service_model("kms").operation_names
    # Decapsulate is for another kind of key.
    harmless = re.compile(r"Decrypt|Decapsulate|(Describe|Get|List).*|.*CustomKeyStore")
    for operation in (name for name in operations if not harmless.fullmatch(name)):
        # ReEncrypt is two actions, its source and its target.
        action = f"kms:{operation.replace('ReEncrypt', 'ReEncryptFrom')}"
        assert said(state_access.service_key(ARNS), deploys, action) is Effect.DENY, action
    user = f"arn:aws:iam::{ACCOUNT}:user/{ARNS.names.deploy_role}"
    assert said(state_access.foundation_key(ARNS), user, "kms:Decrypt") is Effect.DENY


def test_every_statement_of_a_key_says_its_actions_because_one_that_does_not_has_no_effect_there():
    for policy in (state_access.service_key(ARNS), state_access.foundation_key(ARNS)):
        assert all({"Action", "Resource", "Principal"} <= statement.keys() for statement in policy["Statement"])


def test_the_settings_of_both_stacks_must_agree_on_the_account(world, monkeypatch):
    file = world.folder / "Pulumi.preprod.yaml"
    file.write_text(file.read_text().replace(ACCOUNT, "210987654321"))
    with pytest.raises(UsageError, match="account_id differs"):
        site_of("preprod", world.folder)


def test_only_secrets_of_the_service_can_be_rotated(world):
    with pytest.raises(UsageError) as refused:
        site_of("preprod-foundation", world.folder, ["everything"])
    assert refused.value.next_step == "--rotate newsapi or dashboard or access-keys"


def test_no_client_works_in_the_region_of_the_shell(world):
    assert world.site().aws("kms").meta.region_name == "us-east-1"
    assert boto3.client("kms").meta.region_name == "eu-central-1"
