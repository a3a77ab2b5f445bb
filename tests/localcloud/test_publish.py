"""Publishing the copy of a state over the local GitHub, and what a run that meets another one does."""

import httpx
import pytest

from release.clients.github import GitHub
from release.errors import ReleaseError
from release.preview.copy import BRANCH, StateCopy
from release.preview.published import publish
from tests.localcloud.parts import running_part


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with running_part("github", tmp_path_factory.mktemp("github") / "log") as url:
        yield url


@pytest.fixture
def github(address):
    made = GitHub("made-up", "local/sentiment-pipeline", f"{address}/api/v3")
    yield made
    made.close()


def files(address):
    return httpx.get(f"{address}/_localcloud/branches/{BRANCH}/files").json()


def copy(stack, at, folder):
    made = StateCopy(stack=stack, sha="a1" * 20, manifest="b2" * 32, at=at, deployment={"resources": []})
    file = folder / f"{stack}-{at}.json"
    file.write_bytes(made.canonical())
    return file


def test_copies_of_both_stacks_lie_beside_each_other_and_the_newest_replaces_the_one_before(address, github, tmp_path):
    first = publish(github, "prod", copy("prod", "1", tmp_path))
    publish(github, "preprod", copy("preprod", "1", tmp_path))
    newest = copy("prod", "2", tmp_path)
    second = publish(github, "prod", newest)
    assert first.commit != second.commit
    assert sorted(files(address)) == ["preprod.json", "prod.json"]
    assert files(address)["prod.json"] == newest.read_text()
    assert publish(github, "prod", newest).commit == second.commit, "the same copy again is no commit"


def test_a_run_that_another_one_has_overtaken_keeps_what_the_other_has_written(address, github, tmp_path, monkeypatch):
    publish(github, "prod", copy("prod", "3", tmp_path))
    mine, theirs = copy("prod", "4", tmp_path), copy("preprod", "4", tmp_path)
    other = GitHub("made-up", "local/sentiment-pipeline", f"{address}/api/v3")
    call, met = github._call, []

    def overtaken(method, path, body=None, *, repeatable=False):
        if method == "PATCH" and not met:
            met.append(publish(other, "preprod", theirs))
        return call(method, path, body, repeatable=repeatable)

    monkeypatch.setattr(github, "_call", overtaken)
    publish(github, "prod", mine)
    other.close()
    assert met
    assert files(address) == {"prod.json": mine.read_text(), "preprod.json": theirs.read_text()}


def test_a_file_that_is_no_copy_is_not_published(address, github, tmp_path):
    publish(github, "prod", copy("prod", "5", tmp_path))
    before = files(address)
    state = tmp_path / "state.json"
    state.write_text('{"version": 3, "deployment": {}}')
    for file in (state, tmp_path / "missing.json", copy("preprod", "5", tmp_path)):
        with pytest.raises(ReleaseError):
            publish(github, "prod", file)
    assert files(address) == before
