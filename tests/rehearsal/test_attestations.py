"""A release that the jobs have signed for goes to production, on the real engine; any other one does not.

The jobs are those of the workflows, as the local GitHub knows them: each command signs with the token of its job.
"""

import json
import os

import httpx
import pytest

from localcloud.iam.jobs import BEARER, URL
from release.artifacts.store import PROVENANCE_FILE, RESULT_FILE
from tests.cloud import ROOT
from tests.dying import sound_clone
from tests.rehearsal.test_broken_releases import PROMOTE, REFUSED
from tests.signing import BUILD, TESTS

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

PROD = "prod-sentiment-lambda-deployments"


@pytest.fixture
def attesting(production):
    """Runs commands where production takes attested releases alone; `job` is whose command it is."""
    cloud = production.cloud
    github = cloud.variables["GITHUB_API_URL"].removesuffix("/api/v3")
    values = json.loads(cloud.variables["RELEASE_STACK_CONFIG"]) | {"sentiment-pipeline:attestations": True}

    def run(*command, folder, job=None, **more):
        variables = {"RELEASE_STACK_CONFIG": json.dumps(values)}
        if job is not None:
            asked = httpx.post(f"{github}/_localcloud/jobs", json=job).raise_for_status().json()
            variables |= {URL: asked["request_url"], BEARER: asked["request_token"]}
        return cloud.run(*command, folder=folder, **more, **variables)

    return run


def test_a_release_that_nobody_has_signed_for_is_refused_and_production_stays_as_it_is(production, another, attesting):
    digest, source = another
    ended = attesting(*PROMOTE, digest, "--json", folder=source, expected=REFUSED)
    assert ended.json()["rule"] == "not-attested"
    assert PROVENANCE_FILE in ended.json()["why"]
    production.cloud.assert_unchanged("prod")


@pytest.fixture
def back(production):
    """Production goes back to where the next rehearsal begins."""
    yield
    reason = ("--reason", "the next rehearsal begins there")
    production.cloud.run("release", "rollback", "--stack", "prod", "--to", production.digest, *reason)
    production.cloud.assert_unchanged("prod")


@pytest.mark.usefixtures("back")
@pytest.mark.skipif("SOAK_MINUTES" not in os.environ, reason="`make soak` runs it: a whole release takes a minute")
def test_a_release_that_the_jobs_have_signed_for_is_confirmed_and_its_end_is_signed_for(
    production, attesting, tmp_path
):
    source, build = tmp_path / "source", tmp_path / "build"
    sha = sound_clone(ROOT, source)
    builds, tests = BUILD | {"sha": sha}, TESTS | {"sha": sha}
    refused = attesting("release", "build", "--sha", sha, "--out", str(tmp_path / "x"), folder=source, expected=1)
    assert "nothing can be signed here" in refused.stderr
    attesting("release", "build", "--sha", sha, "--out", str(build), folder=source, job=builds)
    deploy = ("release", "deploy", "--stack", "preprod", "--build", str(build), "--json")
    digest = attesting(*deploy, folder=source).json()["manifest"]
    validate = ("release", "validate", "--stack", "preprod", "--digest", digest, "--junit", f"{build}.xml")
    attesting(*validate, "--no-record", folder=source)
    attesting(*validate, folder=source, job=tests)

    check = ("release", "check", "--stack", "prod", "--digest", digest, "--json")
    assert attesting(*check, folder=source).json()["state"] == "VALIDATED"
    promotes = {"workflow": "deploy-prod.yml", "environment": "production", "sha": sha}
    report = attesting(*PROMOTE, digest, "--json", folder=source, job=promotes).json()
    assert report["state"] == "CONFIRMED"

    s3 = production.cloud.client("s3")
    kept = {one["Key"] for one in s3.list_objects_v2(Bucket=PROD, Prefix=f"packages/{digest}/")["Contents"]}
    assert {f"packages/{digest}/{name}" for name in (PROVENANCE_FILE, RESULT_FILE)} <= kept
    ended = s3.list_objects_v2(Bucket=PROD, Prefix=f"ledger/releases/{digest}/entry-")["Contents"]
    assert len(ended) == 1
