"""One local cloud for all rehearsals: production begins with a confirmed release, and each test leaves it there."""

from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from localcloud.rehearsal.broken_releases import head
from tests.cloud import ROOT, Cloud
from tests.dying import sound_clone
from tests.preprod import Preprod


@dataclass(frozen=True)
class Production:
    """Production with a confirmed release."""

    cloud: Cloud
    sha: str
    digest: str
    dashboard_url: str
    build: Path
    news_requests: int
    """How often the news service was asked from the deployment to preprod to the confirmation."""
    denials: tuple[str, ...]
    """What the roles of CI were denied from the first deployment to the confirmation: AWS's sentences."""


@pytest.fixture(scope="session")
def cloud(tmp_path_factory):
    # Fewer requests than production's 800 in the dark and 120 at 10 %: these releases are sound or wholly broken.
    running = Cloud.start(
        tmp_path_factory.mktemp("cloud"),
        RELEASE_BROKEN_RATE="0.2",
        RELEASE_WORKERS="6",
        RELEASE_WEIGHTED_REQUESTS="60",
        PYTHONPATH=str(ROOT / "tests" / "recorder"),
        LOCALCLOUD_RECORD_CALLS=str(tmp_path_factory.mktemp("calls")),
        LOCALCLOUD_ENFORCE_IDENTITIES="1",
    )
    yield running
    running.stop()


@pytest.fixture(scope="session")
def production(cloud, tmp_path_factory):
    cloud.foundations()
    sha, build = head(ROOT), tmp_path_factory.mktemp("builds") / "sound"
    asked = news_requests(cloud)
    digest = cloud.to_preprod(sha, ROOT, build)
    approved = cloud.approved(digest, ROOT, build.with_name("approved.json"))
    report = cloud.run("release", "promote", "--stack", "prod", "--digest", digest, *approved, "--json").json()
    assert report["state"] == "CONFIRMED"
    cloud.assert_unchanged("prod")
    return Production(
        cloud=cloud,
        sha=sha,
        digest=digest,
        dashboard_url=report["dashboard_url"],
        build=build,
        news_requests=news_requests(cloud) - asked,
        denials=tuple(one["message"] for one in cloud.denials()),
    )


@pytest.fixture(scope="session")
def another(production, tmp_path_factory):
    """Another sound release that preprod has validated: its digest and its clone."""
    folder = tmp_path_factory.mktemp("another")
    sha = sound_clone(ROOT, folder / "source")
    return production.cloud.to_preprod(sha, folder / "source", folder / "build"), folder / "source"


def news_requests(cloud: Cloud) -> int:
    """How often the news service of a cloud was asked so far."""
    address = cloud.run("localcloud", "status", "--json").json()["parts"]["news"]
    return httpx.get(f"{address}/_localcloud/requests").raise_for_status().json()["requests"]


@pytest.fixture(scope="module")
def preprod(production):
    """Preprod with the release that production has."""
    status = production.cloud.run("release", "status", "--stack", "preprod", "--json").json()
    if status["serves"]["manifest"] != production.digest:
        production.cloud.run("release", "deploy", "--stack", "preprod", "--build", str(production.build))
    return Preprod(production.cloud, production.build)
