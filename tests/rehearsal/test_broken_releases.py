"""M8, M9: a release that is broken in production only never stays there."""

import boto3
import httpx
import pytest

from localcloud.rehearsal import Breakage, broken_clone
from tests.cloud import BIN

pytestmark = pytest.mark.engine

ROLLED_BACK = 4
REFUSED = 3


@pytest.fixture
def health(production):
    """What users of production get right now."""

    def ask():
        outputs = production.cloud.run("pulumi", "stack", "output", "--json", "--stack", "prod").json()
        return httpx.get(outputs["dashboard_url"].rstrip("/") + "/health", timeout=10)

    return ask


@pytest.mark.timeout(240)
@pytest.mark.parametrize("breakage", list(Breakage))
def test_a_broken_release_ends_on_the_confirmed_one(breakage, production, health, tmp_path):
    cloud = production.cloud
    source = tmp_path / "source"
    broken = cloud.to_preprod(broken_clone(BIN.parents[1], breakage, source), source, tmp_path / "build")

    ended = cloud.run(
        "release", "promote", "--stack", "prod", "--digest", broken, "--json", folder=source, expected=ROLLED_BACK
    ).json()

    report = ended["report"]
    assert report["verified"] is True
    assert (report["from"]["manifest"], report["to"]["manifest"]) == (broken, production.digest)
    answer = health()
    assert (answer.status_code, answer.json()["digest"]) == (200, production.digest)
    cloud.assert_unchanged("prod")
    status = cloud.run("release", "status", "--stack", "prod", "--json").json()
    assert status["confirmed"]["manifest"] == production.digest
    again = cloud.run(
        "release", "promote", "--stack", "prod", "--digest", broken, "--json", folder=source, expected=REFUSED
    ).json()
    assert again["rule"] == "blocked"


def test_a_tampered_package_is_refused_before_production_changes(production, tmp_path):
    cloud = production.cloud
    source = tmp_path / "source"
    digest = cloud.to_preprod(broken_clone(BIN.parents[1], Breakage.HEALTH_500, source), source, tmp_path / "build")
    client = boto3.client(
        "s3",
        endpoint_url=cloud.variables["AWS_ENDPOINT_URL"],
        aws_access_key_id="administrator",
        aws_secret_access_key="administrator",
        region_name="us-east-1",
    )
    bucket = "preprod-sentiment-lambda-deployments"
    keys = [item["Key"] for item in client.list_objects_v2(Bucket=bucket, Prefix=f"promotions/{digest}/")["Contents"]]
    package = next(key for key in keys if "dashboard" in key)
    client.delete_bucket_policy(Bucket=bucket)  # an attacker with an administrator's hands
    client.put_object(Bucket=bucket, Key=package, Body=b"something else")
    before = cloud.run("pulumi", "stack", "export", "--stack", "prod").json()

    ended = cloud.run(
        "release", "promote", "--stack", "prod", "--digest", digest, "--json", folder=source, expected=REFUSED
    ).json()

    assert ended["rule"] == "bytes-differ"
    assert cloud.run("pulumi", "stack", "export", "--stack", "prod").json() == before
    cloud.run("pulumi", "up", "--refresh", "--yes", "--stack", "preprod-foundation")
