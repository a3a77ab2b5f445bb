"""Two releases at work side by side, as in every promotion: each function may meet what the other release has written.

While traffic moves, and after a rollback, this release's items and messages are read by the confirmed release's
functions and the other way round. Here the real packages of both stand behind the aliases, in every mixture.
The other release is the newest commit with other functions than this one; `COMPATIBLE_WITH=COMMIT` names another.
"""

import os
from itertools import product

import pytest

from components.service.functions import KEYS
from tests.history import git, newest_with_other
from tests.preprod import Preprod, until

pytestmark = pytest.mark.engine

MIXTURES = [mixture for mixture in product(("this", "other"), repeat=len(KEYS)) if len(set(mixture)) > 1]
SHOWN = {"source_id", "timestamp", "status", "tag", "title", "url", "sentiment", "score"}


def other() -> str:
    """The commit of the other release."""
    if chosen := os.environ.get("COMPATIBLE_WITH"):
        return git("rev-parse", chosen).decode().strip()
    return newest_with_other("functions", ["lambdas"], "HEAD")


@pytest.fixture(scope="module")
def packages(production, preprod, tmp_path_factory):
    """Of both releases, by function."""
    folder = tmp_path_factory.mktemp("other") / "build"
    production.cloud.run("release", "build", "--sha", other(), "--out", str(folder))
    return {
        "this": {function: preprod.package(function) for function in KEYS},
        "other": {function: Preprod(production.cloud, folder).package(function) for function in KEYS},
    }


@pytest.fixture(scope="module")
def read(preprod):
    return preprod.reader()


@pytest.mark.parametrize("mixture", MIXTURES, ids="-".join)
def test_news_reach_the_api_through_functions_of_both_releases(mixture, packages, preprod, read):
    of = dict(zip(KEYS, mixture, strict=True))
    preprod.empty()
    dead = preprod.dead_letters()
    with preprod.serving({function: packages[release][function] for function, release in of.items()}):
        run = preprod.invoke("ingestion", {})
        assert run["stored"] + run["known"] > 0  # the schedule may have been faster
        metrics = _once_analyzed(read)
        items = read("/api/items", limit=100)["items"]
        stored = [item for item in preprod.table().scan()["Items"] if item["source_id"].startswith("news#")]
    assert metrics["total"] == sum(metrics["by_sentiment"].values()) == len(items) == len(stored)
    assert all(set(item) >= SHOWN for item in items)
    assert len({item["source_id"] for item in items}) == len(items)
    assert preprod.dead_letters() == dead


def test_what_one_release_left_is_read_and_run_over_by_the_other(packages, preprod, read):
    preprod.empty()
    with preprod.serving(packages["other"]):
        preprod.invoke("ingestion", {})
        before = _once_analyzed(read)
    with preprod.serving(packages["this"]):
        assert preprod.invoke("ingestion", {})["known"] > 0
        assert _once_analyzed(read)["by_sentiment"] == before["by_sentiment"]
    with preprod.serving(packages["other"]):  # a rollback
        assert preprod.invoke("ingestion", {})["known"] > 0
        assert _once_analyzed(read)["by_sentiment"] == before["by_sentiment"]


def _once_analyzed(read) -> dict:
    """The counts, once nothing waits for its analysis."""

    def all_analyzed():
        metrics = read("/api/metrics")
        return metrics["total"] and not metrics["pending"]

    until("no item waits for its analysis", all_analyzed)
    # Read anew: what waited when the sentiments were counted may have been analyzed when the waiting were.
    return read("/api/metrics")
