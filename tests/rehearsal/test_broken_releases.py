"""M8, M9: a release that is broken in production only never stays there."""

import json
import os
import threading
import time
from contextlib import contextmanager

import httpx
import pytest

from components.naming import names
from localcloud.rehearsal.broken_releases import Breakage, broken_clone
from tests.cloud import ROOT, get

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]  # production may be made for it

# One broken release after the other: the rule that three in a row need a person is tested elsewhere.
PROMOTE = ("release", "promote", "--stack", "prod", "--despite-rollbacks", "a rehearsal", "--digest")
ROLLED_BACK = 4
REFUSED = 3
# `make demo` rehearses a health that answers 500; to production it is the same as the first of these.
SEEN_BY = {
    Breakage.WRONG_DIGEST: "dashboard: health",
    Breakage.IMPORT_ERROR: "analysis: scores an item",
    Breakage.SCHEDULE_FAILS_LIVE: ("a run of each schedule", "alarms"),
    # Lambda repeats the failed event: the counts of the function show it, or its alarm.
    Breakage.TOPIC_FAILS_LIVE: ("calls of prod-sentiment-analysis", "alarms"),
    # Its users meet the errors at 10 %: whichever of the two is looked at next.
    Breakage.ERRORS_AFTER_LIVE: ("alarms", "calls of prod-sentiment-dashboard version "),
}
# The dark test refuses the first two in the matrix too, in memory, and `make demo` does on the engine; the run of the
# schedule is as in the matrix.
IN_SOAK = {Breakage.WRONG_DIGEST, Breakage.IMPORT_ERROR, Breakage.SCHEDULE_FAILS_LIVE}


def health_of(production) -> httpx.Response:
    """What users of production get right now."""
    return get(production.dashboard_url.rstrip("/") + "/health")


def news(production) -> list[dict]:
    """The newest items of the API, once none waits for its analysis."""
    secrets = production.cloud.client("secretsmanager")
    secret = secrets.get_secret_value(SecretId=names("prod").dashboard_key_secret)["SecretString"]
    key = json.loads(secret)["api_key"]
    deadline = time.monotonic() + 120
    while True:
        found = {
            path: get(production.dashboard_url.rstrip("/") + path, headers={"X-API-Key": key}).raise_for_status().json()
            for path in ("/api/metrics", "/api/items?limit=100")
        }
        if found["/api/metrics"]["total"] and not found["/api/metrics"]["pending"]:
            return found["/api/items?limit=100"]["items"]
        assert time.monotonic() < deadline, f"the schedule has brought no news within two of its rounds: {found}"
        time.sleep(0.3)


@contextmanager
def users(production):
    """People who look at the dashboard all the time, without a key of their own."""
    left = threading.Event()

    def look() -> None:
        while not left.wait(0.3):
            try:
                httpx.get(production.dashboard_url, timeout=10)
            except httpx.HTTPError:
                continue

    person = threading.Thread(target=look)
    person.start()
    try:
        yield
    finally:
        left.set()
        person.join()


@pytest.mark.parametrize("breakage", [one for one in SEEN_BY if one not in IN_SOAK or "SOAK_MINUTES" in os.environ])
def test_a_broken_release_ends_on_the_confirmed_one(breakage, production, tmp_path):
    cloud = production.cloud
    source = tmp_path / "source"
    broken = cloud.to_preprod(broken_clone(ROOT, breakage, source), source, tmp_path / "build")

    before = news(production)
    with users(production):
        approved = cloud.approved(broken, source, tmp_path / "approved.json")
        ended = cloud.run(*PROMOTE, broken, *approved, "--json", folder=source, expected=ROLLED_BACK).json()

    report = ended["report"]
    assert report["verified"] is True
    assert (report["from"]["manifest"], report["to"]["manifest"]) == (broken, production.digest)
    failed = [verdict["subject"] for verdict in report["verdicts"] if verdict["outcome"] == "fail"]
    assert failed, (report["reason"], report["verdicts"])
    assert all(subject.startswith(SEEN_BY[breakage]) for subject in failed), failed
    answer = health_of(production)
    assert (answer.status_code, answer.json()["digest"]) == (200, production.digest)
    shown = news(production)
    assert [item for item in before if item not in shown] == [], "a rollback loses no item"
    cloud.assert_unchanged("prod")
    status = cloud.run("release", "status", "--stack", "prod", "--json").json()
    assert status["confirmed"]["manifest"] == production.digest
    again = cloud.run(*PROMOTE, broken, "--json", folder=source, expected=REFUSED).json()
    assert again["rule"] == "blocked"


@contextmanager
def without_policy(client, bucket):
    """A bucket as an attacker with an administrator's hands makes it, who then covers the tracks."""
    policy = client.get_bucket_policy(Bucket=bucket)["Policy"]
    client.delete_bucket_policy(Bucket=bucket)
    try:
        yield
    finally:
        client.put_bucket_policy(Bucket=bucket, Policy=policy)


def test_a_tampered_package_is_refused_before_production_changes(production, another):
    cloud, (digest, source) = production.cloud, another
    client = cloud.client("s3")
    bucket = names("preprod").bucket
    keys = [item["Key"] for item in client.list_objects_v2(Bucket=bucket, Prefix=f"promotions/{digest}/")["Contents"]]
    package = next(key for key in keys if "dashboard" in key)
    genuine = client.get_object(Bucket=bucket, Key=package)["Body"].read()
    with without_policy(client, bucket):
        client.put_object(Bucket=bucket, Key=package, Body=b"something else")
    before = cloud.run("pulumi", "stack", "export", "--stack", "prod").json()

    try:
        ended = cloud.run(*PROMOTE, digest, "--json", folder=source, expected=REFUSED).json()
    finally:
        with without_policy(client, bucket):
            client.put_object(Bucket=bucket, Key=package, Body=genuine)  # other tests promote it

    assert ended["rule"] == "bytes-differ"
    assert cloud.run("pulumi", "stack", "export", "--stack", "prod").json() == before
