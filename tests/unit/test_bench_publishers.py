"""The benchmark of provenance counts what an index says, and stops where it says nothing."""

import json

import pytest

from bench import publishers
from release.clients.package_index import PackageIndexError
from tests.fixtures import dependabot as bot
from tests.unit.release.test_publishers import BOTO, provenance


class Index:
    def __init__(self, known):
        self.known = known

    def provenance(self, registry, project, version, file):
        if project == "urllib3":
            raise PackageIndexError("away")
        return self.known.get(file)


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """Two locks: three packages in one, of which one has provenance, and one in the other."""
    file = "boto3-1.0.0-py3-none-any.whl"
    known = json.loads(json.dumps({file: provenance(BOTO, sha256=bot.digest(file))}))
    (tmp_path / "lambdas" / "dashboard").mkdir(parents=True)
    (tmp_path / "lambdas" / "dashboard" / "uv.lock").write_text(bot.lock({"boto3": "1.0.0", "six": "1.0.0"}))
    (tmp_path / "uv.lock").write_text(bot.lock({"six": "1.0.0"}))
    monkeypatch.setattr(publishers, "ROOT", tmp_path)
    monkeypatch.setattr(publishers, "PAUSE_S", 0)
    monkeypatch.setattr(publishers, "described", lambda: "Commit 1; machine;")
    monkeypatch.setattr(publishers.PackageIndex, "from_environment", lambda: Index(known))
    return tmp_path


def test_every_lock_has_its_row(clone, capsys):
    publishers.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if "uv.lock" in line]
    assert rows == [
        "| lambdas/dashboard/uv.lock | 2 | 1 | 2 | 1 (50%) | GitHub 1 |",
        "| uv.lock | 1 | 0 | 1 | 0 (0%) | none |",
    ]


def test_a_question_without_an_answer_leaves_no_figure_of_that_lock(clone, capsys):
    (clone / "uv.lock").write_text(bot.lock({"urllib3": "1.0.0"}))
    with pytest.raises(PackageIndexError):
        publishers.main()
    assert "| uv.lock |" not in capsys.readouterr().out
