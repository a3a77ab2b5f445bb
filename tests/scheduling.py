"""Hand the slow tests to the workers file by file, the longest first, and keep how long each file takes.

`make test` loads this plugin. It orders the files by `tests/durations.json`, the seconds of an earlier run by file; a
file that is not named there comes first, in the order of the command line. What this run measures is left in
`.localcloud/durations.json`: copy it over the other file when the order should follow it.
"""

import json
from collections import Counter
from pathlib import Path, PurePath

import pytest
from xdist.scheduler import LoadFileScheduling

ROOT = Path(__file__).parents[1]
SHARE_ONE_CLOUD = ("tests/rehearsal", "tests/engine")
"""Folders whose files use one cloud per worker: the fixtures that set it up live as long as the session."""
KNOWN = ROOT / "tests" / "durations.json"
MEASURED = ROOT / ".localcloud" / "durations.json"
_seconds: Counter[str] = Counter()


def rank(file: str, mine: set[str], others: set[str]) -> int:
    """Return how well `file` suits a worker that has clouds of the folders `mine`; the lowest suits best."""
    folder = str(PurePath(file).parent)
    if folder not in SHARE_ONE_CLOUD:
        return 1
    if folder in mine:
        return 0
    return 2 if folder in others else 1


class ByCloud(LoadFileScheduling):
    """A worker keeps to the folder whose cloud it has, and sets up a second one only when nothing else is left."""

    def _assign_work_unit(self, node):
        folders = {worker: {str(PurePath(file).parent) for file in work} for worker, work in self.assigned_work.items()}
        mine = folders.pop(node, set())
        others = set().union(*folders.values())
        best = min(self.workqueue, key=lambda file: rank(file, mine, others))  # the first of several
        self.workqueue.move_to_end(best, last=False)
        super()._assign_work_unit(node)


def pytest_xdist_make_scheduler(config, log):
    return ByCloud(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    known = json.loads(KNOWN.read_text()) if KNOWN.exists() else {}
    items.sort(key=lambda item: -known.get(item.nodeid.partition("::")[0], float("inf")))


def pytest_runtest_logreport(report):
    _seconds[report.nodeid.partition("::")[0]] += report.duration


def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        MEASURED.parent.mkdir(exist_ok=True)
        files = {file: round(seconds, 1) for file, seconds in _seconds.most_common()}
        MEASURED.write_text(json.dumps(files, indent=1) + "\n")
