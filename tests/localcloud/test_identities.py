"""Identities on the local cloud, over HTTP, as a job asks: whose token opens which role, and what the role may do."""

import base64
import json
import time
from dataclasses import dataclass

import boto3
import httpx
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from joserfc import jwt
from joserfc.jwk import RSAKey

from components.arns import Arns
from components.identities import IDENTITIES
from components.naming import names
from components.policies.bucket import deployment_bucket
from components.policies.documents import allow, document, to_json
from components.policies.execution import boundary
from components.policies.trust import by_github
from localcloud.iam import jobs
from localcloud.iam.switch import ISSUER_VARIABLE, VARIABLE
from tests.localcloud.lambdas_cloud import ASSUMED_BY_LAMBDA, Service, zipped
from tests.localcloud.parts import ACCOUNT, client, running_part

pytestmark = pytest.mark.slow

BY_ENVIRONMENT = {identity.github_environment: identity for identity in IDENTITIES}
LOCAL = {"owner": "local", "repository": "sentiment-pipeline", "owner_id": "", "repository_id": ""}
ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:role/administrator"


def arns(environment: str) -> Arns:
    return Arns(account_id=ACCOUNT, region="us-east-1", names=names(environment))


@dataclass(frozen=True)
class Account:
    """Both parts, and the roles of CI as the foundation makes them."""

    aws: str
    github: str

    def admin(self, service):
        return client(service, self.aws, key="administrator")

    def token(self, audience=jobs.AUDIENCE, **job):
        job = {"environment": "preprod", "workflow": "preprod.yml"} | job
        return jobs.token_of(jobs.register(self.github, **job), audience)

    def assume(self, token, role=None, **more):
        sts = boto3.client(
            "sts", endpoint_url=self.aws, region_name="us-east-1", config=Config(signature_version=UNSIGNED)
        )
        return sts.assume_role_with_web_identity(
            RoleArn=role or role_arn("preprod"), RoleSessionName="7-1", WebIdentityToken=token, **more
        )["Credentials"]

    def role(self, github_environment, **job):
        """Clients of a job that has taken the role of its environment."""
        taken = self.assume(self.token(environment=github_environment, **job), role_arn(github_environment))
        return lambda service: client(
            service, self.aws, taken["AccessKeyId"], taken["SecretAccessKey"], taken["SessionToken"]
        )

    def denials(self):
        return httpx.get(f"{self.aws}/_localcloud/identities/denials").json()["denials"]


def role_arn(github_environment):
    identity = BY_ENVIRONMENT[github_environment]
    return arns(identity.environment).of("role", identity.role(names(identity.environment)))


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    logs = tmp_path_factory.mktemp("logs")
    with (
        running_part("github", logs / "github.log") as github,
        running_part("aws", logs / "aws.log", **{ISSUER_VARIABLE: github, VARIABLE: "1"}) as aws,
    ):
        made = Account(aws, github)
        iam, s3 = made.admin("iam"), made.admin("s3")
        iam.create_open_id_connect_provider(
            Url="https://token.actions.githubusercontent.com", ClientIDList=["sts.amazonaws.com"]
        )
        for identity in IDENTITIES:
            role = role_arn(identity.github_environment).rpartition("/")[2]
            trusted = by_github(
                arns(identity.environment),
                **LOCAL,
                github_environment=identity.github_environment,
                workflows=identity.workflows,
            )
            iam.create_role(RoleName=role, AssumeRolePolicyDocument=to_json(trusted))
            iam.put_role_policy(
                RoleName=role,
                PolicyName="rights",
                PolicyDocument=to_json(identity.rights(arns(identity.environment))),
            )
        for environment in ("preprod", "prod"):
            s3.create_bucket(Bucket=names(environment).bucket)
            s3.put_bucket_policy(
                Bucket=names(environment).bucket, Policy=to_json(deployment_bucket(arns(environment), ADMINISTRATOR))
            )
        yield made


def refusal(call, *arguments, **parameters):
    """Code and sentence of AWS's refusal."""
    with pytest.raises(ClientError) as caught:
        call(*arguments, **parameters)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_the_job_of_an_environment_on_main_takes_the_role_of_that_environment(account):
    for environment in ("preprod", "prod-watch"):
        identity = account.role(environment)("sts").get_caller_identity()
        assert (
            identity["Arn"]
            == f"{role_arn(environment).replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/7-1"
        )


def test_nobody_gets_a_token_without_the_bearer_of_a_registered_job(account):
    job = httpx.post(f"{account.github}/_localcloud/jobs", json={"workflow": "preprod.yml"}).json()
    asking = {"Authorization": f"Bearer {job['request_token']}"}
    assert httpx.get(job["request_url"]).status_code == 401
    assert httpx.get(job["request_url"], headers={"Authorization": "Bearer made-up"}).status_code == 401
    assert httpx.get(job["request_url"], headers=asking).status_code == 200
    httpx.delete(f"{account.github}/_localcloud/jobs/{job['id']}").raise_for_status()
    assert httpx.get(job["request_url"], headers=asking).status_code == 401


def test_a_token_says_what_githubs_tokens_say(account):
    token = account.token(environment="production-auto", workflow="deploy-prod.yml", run_id=7, run_attempt=2)
    keys = httpx.get(httpx.get(f"{account.github}/.well-known/openid-configuration").json()["jwks_uri"]).json()
    assert "d" not in keys["keys"][0]
    claims = jwt.decode(token, RSAKey.import_key(keys["keys"][0]), algorithms=["RS256"]).claims
    assert claims["exp"] - claims["iat"] == 300
    assert {name: claims[name] for name in ("iss", "aud", "sub", "job_workflow_ref", "run_id", "run_attempt")} == {
        "iss": "https://token.actions.githubusercontent.com",
        "aud": "sts.amazonaws.com",
        "sub": "repo:local/sentiment-pipeline:environment:production-auto",
        "job_workflow_ref": "local/sentiment-pipeline/.github/workflows/deploy-prod.yml@refs/heads/main",
        "run_id": "7",
        "run_attempt": "2",
    }


def test_the_subject_of_a_newer_repository_holds_both_ids_and_an_older_role_refuses_it(account):
    address = f"{account.github}/api/v3/repos/local/sentiment-pipeline/actions/oidc/customization/sub"
    token = {"Authorization": "Bearer local-made-up"}
    form = {"use_default": True, "use_immutable_subject": True}
    httpx.put(address, json=form, headers=token).raise_for_status()
    try:
        newer = account.token()
        assert json.loads(_payload(newer))["sub"] == (
            "repo:local@90000001/sentiment-pipeline@900000001:environment:preprod"
        )
        assert refusal(account.assume, newer)[0] == "AccessDenied"
    finally:
        httpx.put(address, json=form | {"use_immutable_subject": False}, headers=token).raise_for_status()
    assert account.assume(account.token())


NOT_TRUSTED = {
    "another repository": ("preprod", {"repository": "mallory/sentiment-pipeline"}),
    "another environment": ("preprod", {"environment": "preprod-test"}),
    "no environment": ("preprod", {"environment": ""}),
    "a branch": ("preprod", {"ref": "refs/heads/feature"}),
    "a pull request": ("preprod", {"ref": "refs/pull/7/merge", "event_name": "pull_request"}),
    "another workflow where it is pinned": (
        "production-auto",
        {"environment": "production-auto", "workflow": "build-and-promote.yml"},
    ),
    "another environment of production": ("production", {"environment": "prod-watch"}),
}


@pytest.mark.parametrize("job", NOT_TRUSTED)
def test_a_role_refuses_the_token_of(account, job):
    environment, claims = NOT_TRUSTED[job]
    assert refusal(account.assume, account.token(**claims), role_arn(environment)) == (
        "AccessDenied",
        "Not authorized to perform sts:AssumeRoleWithWebIdentity",
    )


def test_a_token_is_refused_for_another_audience_after_its_time_and_with_another_signature(account):
    assert refusal(account.assume, account.token(audience="sigstore")) == (
        "InvalidIdentityToken",
        "Incorrect token audience",
    )
    assert refusal(account.assume, account.token(expires_in=-1))[0] == "ExpiredTokenException"
    token = account.token()
    known = httpx.get(f"{account.github}/.well-known/jwks").json()["keys"][0]["kid"]
    forged = RSAKey.generate_key(2048, {"kid": known})
    claims = json.loads(_payload(token))
    signed = jwt.encode({"alg": "RS256", "kid": known}, claims, forged)
    assert refusal(account.assume, signed)[0] == "InvalidIdentityToken"
    unsigned = token.rpartition(".")[0] + "."
    assert refusal(account.assume, unsigned)[0] == "InvalidIdentityToken"
    foreign = jwt.encode({"alg": "RS256", "kid": known}, claims | {"iss": "https://issuer.example"}, forged)
    assert refusal(account.assume, foreign)[1].startswith("No OpenIDConnect provider found in your account")
    assert refusal(account.assume, "no token")[0] == "InvalidIdentityToken"


def _payload(token):
    part = token.split(".")[1]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_a_role_that_is_not_there_is_refused_as_one_that_does_not_trust(account):
    role = f"arn:aws:iam::{ACCOUNT}:role/nobody"
    assert refusal(account.assume, account.token(), role)[0] == "AccessDenied"


def test_what_the_policies_allow_is_carried_out_and_what_none_allows_is_refused_with_awss_sentence(account):
    deploy, watch = account.role("preprod"), account.role("preprod-watch")
    table = {
        "TableName": "preprod-sentiment-items",
        "AttributeDefinitions": [{"AttributeName": "source_id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "source_id", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    arn = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/preprod-sentiment-items"
    user = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role_arn('preprod-watch').rpartition('/')[2]}/7-1"
    sentence = (
        f"User: {user} is not authorized to perform: dynamodb:CreateTable on resource: {arn} "
        "because no identity-based policy allows the dynamodb:CreateTable action"
    )
    assert refusal(watch("dynamodb").create_table, **table) == ("AccessDeniedException", sentence)
    assert account.admin("dynamodb").list_tables()["TableNames"] == []
    deploy("dynamodb").create_table(**table)
    assert watch("dynamodb").describe_table(TableName=table["TableName"])
    assert account.denials()[-1] == {
        "user": user,
        "action": "dynamodb:CreateTable",
        "resource": arn,
        "message": sentence,
    }


def test_an_explicit_deny_of_the_role_and_of_the_bucket_wins_over_what_is_allowed(account):
    s3 = account.role("production")("s3")
    mine, theirs = names("prod").bucket, names("preprod").bucket
    code, sentence = refusal(s3.put_object, Bucket=mine, Key="packages/a.zip", Body=b"a")
    assert code == "AccessDenied"
    assert sentence.endswith("with an explicit deny in a resource-based policy")
    s3.put_object(Bucket=mine, Key="packages/a.zip", Body=b"a", IfNoneMatch="*")
    _, sentence = refusal(s3.put_object, Bucket=theirs, Key="promotions/x", Body=b"a", IfNoneMatch="*")
    assert sentence.endswith("with an explicit deny in an identity-based policy")
    _, sentence = refusal(s3.delete_object, Bucket=mine, Key="packages/a.zip")
    assert "s3:DeleteObject" in sentence
    assert s3.get_object(Bucket=mine, Key="packages/a.zip")["Body"].read() == b"a"


def test_listing_the_state_is_decided_by_its_prefix(account):
    account.admin("s3").create_bucket(Bucket=names("preprod").state_bucket)
    s3 = account.role("preprod")("s3")
    s3.list_objects_v2(Bucket=names("preprod").state_bucket, Prefix="service/.pulumi/")
    assert refusal(s3.list_objects_v2, Bucket=names("preprod").state_bucket, Prefix="foundation/")[0] == "AccessDenied"


def test_a_role_is_made_only_inside_the_boundary_and_passed_on_only_to_its_service(account):
    iam = account.role("preprod")("iam")
    wanted = {
        "RoleName": "preprod-sentiment-x-exec",
        "AssumeRolePolicyDocument": '{"Version":"2012-10-17","Statement":[]}',
    }
    assert "iam:CreateRole" in refusal(iam.create_role, **wanted)[1]
    fence = account.admin("iam").create_policy(
        PolicyName=names("preprod").boundary,
        PolicyDocument=to_json(boundary(arns("preprod"))),
    )["Policy"]["Arn"]
    iam.create_role(**wanted, PermissionsBoundary=fence)
    iam.put_role_policy(
        RoleName=wanted["RoleName"], PolicyName="own", PolicyDocument=to_json(boundary(arns("preprod")))
    )
    account.admin("iam").create_role(**wanted | {"RoleName": "preprod-sentiment-y-exec"})
    unfenced = {"RoleName": "preprod-sentiment-y-exec", "PolicyName": "own", "PolicyDocument": "{}"}
    assert "iam:PutRolePolicy" in refusal(iam.put_role_policy, **unfenced)[1]
    schedule = {
        "Name": "preprod-sentiment-ingestion",
        "ScheduleExpression": "rate(1 hour)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {
            "Arn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:preprod-sentiment-ingestion:live",
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/preprod-sentiment-x-exec",
        },
    }
    code, sentence = refusal(account.role("preprod")("scheduler").create_schedule, **schedule)
    assert code == "AccessDeniedException"
    assert "iam:PassRole" in sentence


def test_a_call_that_is_in_no_table_is_refused_by_its_name(account):
    for service, call, parameters in (
        ("iam", "get_policy", {"PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/x"}),
        ("kms", "list_keys", {}),
        ("s3", "list_buckets", {}),
        ("stepfunctions", "list_state_machines", {}),
        ("ec2", "describe_instances", {}),
    ):
        code, sentence = refusal(getattr(account.role("production")(service), call), **parameters)
        assert code in {"AccessDenied", "AccessDeniedException"}, (service, code, sentence)
        assert "the local cloud cannot" in sentence, sentence


def test_a_policy_with_a_condition_that_is_not_filled_in_decides_nothing(account):
    role = role_arn("preprod-test").rpartition("/")[2]
    statement = {
        "Effect": "Deny",
        "Action": "sns:*",
        "Resource": "*",
        "Condition": {"Bool": {"aws:ViaAWSService": "true"}},
    }
    iam = account.admin("iam")
    iam.put_role_policy(
        RoleName=role, PolicyName="more", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    topic = account.admin("sns").create_topic(Name=names("preprod").new_items_topic)["TopicArn"]
    sns = account.role("preprod-test")("sns")
    assert "aws:ViaAWSService" in refusal(sns.publish, TopicArn=topic, Message="{}")[1]
    iam.delete_role_policy(RoleName=role, PolicyName="more")
    sns.publish(TopicArn=topic, Message="{}")


def test_a_right_that_is_taken_away_is_gone_at_the_next_call(account):
    role = role_arn("preprod-validate").rpartition("/")[2]
    s3, bucket = account.role("preprod-validate")("s3"), names("preprod").bucket
    s3.list_objects_v2(Bucket=bucket)
    iam = account.admin("iam")
    before = iam.get_role_policy(RoleName=role, PolicyName="rights")["PolicyDocument"]
    kept = [one for one in before["Statement"] if one.get("Sid") != "ListReleases"]
    iam.put_role_policy(RoleName=role, PolicyName="rights", PolicyDocument=json.dumps(before | {"Statement": kept}))
    assert "s3:ListBucket" in refusal(s3.list_objects_v2, Bucket=bucket)[1]
    iam.put_role_policy(RoleName=role, PolicyName="rights", PolicyDocument=json.dumps(before))
    s3.list_objects_v2(Bucket=bucket)


def test_credentials_that_nobody_handed_out_are_refused_and_so_is_half_of_those_that_somebody_did(account):
    made_up = client("dynamodb", account.aws, key="ASIA" + "MADEUP0000000000", token="made-up")
    assert refusal(made_up.describe_table, TableName="x")[0] == "UnrecognizedClientException"
    assert refusal(client("s3", account.aws, key="AKIAMADEUP").list_buckets)[0] == "InvalidAccessKeyId"
    taken = account.assume(account.token())
    without_token = client("sns", account.aws, taken["AccessKeyId"], taken["SecretAccessKey"])
    assert refusal(without_token.list_topics)[0] == "InvalidClientTokenId"


def test_credentials_end_after_the_time_that_was_asked_for(account):
    taken = account.assume(account.token(), DurationSeconds=900)
    assert 890 < (taken["Expiration"].timestamp() - time.time()) <= 900
    code, _ = refusal(account.assume, account.token(), DurationSeconds=7200)
    assert code == "ValidationError"


ASKS = """
import json, os, urllib.error, urllib.request
def handle(event, context):
    signed = f"AWS4-HMAC-SHA256 Credential={os.environ['AWS_ACCESS_KEY_ID']}/20260101/us-east-1/dynamodb/aws4_request"
    body = json.dumps({"TableName": event["table"]}).encode()
    request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"], body, {
        "Authorization": signed + ", SignedHeaders=host, Signature=0",
        "X-Amz-Security-Token": os.environ["AWS_SESSION_TOKEN"],
        "X-Amz-Target": "DynamoDB_20120810.DescribeTable",
        "Content-Type": "application/x-amz-json-1.0",
    })
    try:
        return sorted(json.load(urllib.request.urlopen(request)))
    except urllib.error.HTTPError as error:
        return json.load(error)["__type"]
"""
"""Without boto3, which no package of a test has; the local cloud checks no signatures."""


@pytest.fixture(scope="module")
def functions(account):
    """The Lambda service beside the AWS part; its address."""
    service = Service(account.aws, **{VARIABLE: "1"})
    yield service.url
    service.stop()


def of_role(account, functions, github_environment):
    taken = account.assume(account.token(environment=github_environment), role_arn(github_environment))
    return client("lambda", functions, taken["AccessKeyId"], taken["SecretAccessKey"], taken["SessionToken"])


def test_the_lambda_service_carries_out_only_what_the_role_of_a_call_is_allowed(account, functions):
    name = "preprod-sentiment-dashboard"
    wanted = {
        "FunctionName": name,
        "Runtime": "python3.11",
        "Role": f"arn:aws:iam::{ACCOUNT}:role/{name}-exec",
        "Handler": "handler.handle",
        "Code": {"ZipFile": zipped("def handle(event, context):\n    return event\n")},
    }
    account.admin("iam").create_role(RoleName=f"{name}-exec", AssumeRolePolicyDocument=json.dumps(ASSUMED_BY_LAMBDA))
    code, sentence = refusal(of_role(account, functions, "preprod-test").create_function, **wanted)
    assert code == "AccessDeniedException"
    assert "lambda:CreateFunction" in sentence
    admin = client("lambda", functions, key="administrator")
    assert admin.list_functions()["Functions"] == []
    of_role(account, functions, "preprod").create_function(**wanted)
    called = of_role(account, functions, "preprod-test").invoke(FunctionName=name, Payload='{"a": 1}')
    assert json.loads(called["Payload"].read()) == {"a": 1}
    assert "lambda:InvokeFunction" in refusal(of_role(account, functions, "prod-watch").invoke, FunctionName=name)[1]
    made_up = client("lambda", functions, key="ASIA" + "MADEUP0000000000", token="made-up")
    assert refusal(made_up.list_functions)[0] == "UnrecognizedClientException"


def test_a_function_asks_with_the_rights_of_its_role(account, functions):
    iam, admin = account.admin("iam"), client("lambda", functions, key="administrator")
    role = iam.create_role(RoleName="asks", AssumeRolePolicyDocument=json.dumps(ASSUMED_BY_LAMBDA))["Role"]["Arn"]
    for table in ("mine", "theirs"):
        account.admin("dynamodb").create_table(
            TableName=table,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
    mine = allow("Mine", ["dynamodb:DescribeTable"], [f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/mine"])
    iam.put_role_policy(RoleName="asks", PolicyName="mine", PolicyDocument=to_json(document(mine)))
    admin.create_function(
        FunctionName="asks",
        Runtime="python3.11",
        Role=role,
        Handler="handler.handle",
        Code={"ZipFile": zipped(ASKS)},
        Timeout=60,
    )
    answers = {
        table: json.loads(admin.invoke(FunctionName="asks", Payload=json.dumps({"table": table}))["Payload"].read())
        for table in ("mine", "theirs")
    }
    assert answers == {"mine": ["Table"], "theirs": "AccessDeniedException"}
