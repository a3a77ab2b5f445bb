"""What the canary will rely on in production: the health answer and the key check, seen from outside."""

import pytest

pytestmark = pytest.mark.deployed


def test_health_names_the_release_that_was_deployed(dashboard, release_sha, release_digest):
    answer = dashboard.get("/health")
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"status", "release", "digest", "version"}
    assert body["status"] == "ok"
    assert (body["release"], body["digest"]) == (release_sha, release_digest)


def test_health_names_a_published_version(dashboard):
    assert dashboard.get("/health").json()["version"].isdigit(), "$LATEST would change under its callers"


def test_every_answer_comes_from_the_same_release(dashboard, release_digest):
    assert {dashboard.get("/health").json()["digest"] for _ in range(10)} == {release_digest}


def test_warm_health_answers_within_a_second(dashboard):
    dashboard.get("/health")
    assert sorted(dashboard.get("/health").elapsed.total_seconds() for _ in range(5))[2] < 1


def test_health_needs_no_key_and_tells_caches_to_keep_nothing(dashboard):
    answer = dashboard.get("/health")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/", "/api/items", "/api/metrics"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"X-API-Key": "wrong"},
        {"X-API-Key": ""},
    ],
    ids=["no key", "wrong bearer", "empty bearer", "wrong key", "empty key"],
)
def test_what_needs_the_key_is_closed_without_it(dashboard, path, headers):
    answer = dashboard.get(path, headers=headers)
    assert answer.status_code == 401
    assert "items" not in answer.json()


@pytest.mark.parametrize("path", ["/", "/api/items", "/api/metrics"])
def test_both_ways_to_show_the_key_open_it(dashboard, api_key, path):
    assert dashboard.get(path, headers={"Authorization": f"Bearer {api_key}"}).status_code == 200
    assert dashboard.get(path, headers={"X-API-Key": api_key}).status_code == 200


def test_unknown_paths_and_methods_are_refused(dashboard):
    assert dashboard.get("/api/secrets").status_code == 404
    assert dashboard.post("/health").status_code == 405
