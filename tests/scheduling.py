"""Hand the slow tests to the workers file by file, the longest first, and keep how long each file takes.

`make test` loads this plugin. It orders the files by `tests/durations.json`, the seconds of an earlier run by file; a
file that is not named there comes first, in the order of the command line. What this run measures is left in
`.localcloud/durations.json`: copy it over the other file when the order should follow it. The files of a folder that
shares a cloud stay in their order: what one leaves behind, the next one expects.
"""

import json
import math
from collections import Counter
from pathlib import Path, PurePath

import pytest
from xdist.scheduler import LoadFileScheduling

ROOT = Path(__file__).parents[1]
SHARE_ONE_CLOUD = ("tests/rehearsal", "tests/engine")
"""Folders whose files use one cloud per worker: the fixtures that set it up live as long as the session."""
OWN_CLOUD = {
    "test_bootstrap_real.py",
    "test_foundations_and_destroy.py",
    "test_readiness.py",
    "test_upgrade.py",
}
"""Files of these folders that start a cloud of their own, and may run anywhere."""
KNOWN = ROOT / "tests" / "durations.json"
MEASURED = ROOT / ".localcloud" / "durations.json"
_seconds: Counter[str] = Counter()


def group(file: str) -> str:
    """Return the folder of a file that shares a cloud with its neighbours, or the file itself."""
    folder = str(PurePath(file).parent)
    return folder if folder in SHARE_ONE_CLOUD and PurePath(file).name not in OWN_CLOUD else file


def rank(file: str, mine: set[str], others: set[str]) -> int:
    """Return how badly `file` suits a worker that has begun the groups `mine`, while others have begun `others`."""
    if group(file) in mine:
        return 0
    return 2 if group(file) in others else 1


class ByCloud(LoadFileScheduling):
    """A worker keeps to the folder whose cloud it has, and sets up a second one only when nothing else is left."""

    def _assign_work_unit(self, node):
        begun = {worker: {group(file) for file in work} for worker, work in self.assigned_work.items()}
        mine = begun.pop(node, set())
        others = set().union(*begun.values())
        best = min(self.workqueue, key=lambda file: rank(file, mine, others))  # the first of several
        self.workqueue.move_to_end(best, last=False)
        super()._assign_work_unit(node)


def pytest_xdist_make_scheduler(config, log):
    return ByCloud(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    known: Counter[str] = Counter()
    for file, seconds in (json.loads(KNOWN.read_text()) if KNOWN.exists() else {}).items():
        known[group(file)] += seconds
    items.sort(key=lambda item: -known.get(group(item.nodeid.partition("::")[0]), math.inf))


def pytest_runtest_logreport(report):
    _seconds[report.nodeid.partition("::")[0]] += report.duration


def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        MEASURED.parent.mkdir(exist_ok=True)
        files = {file: round(seconds, 1) for file, seconds in _seconds.most_common()}
        MEASURED.write_text(json.dumps(files, indent=1) + "\n")
