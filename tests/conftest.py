"""How `pytest -n` hands out the tests: those that share a cloud go to the same worker."""

from pathlib import PurePath

from xdist.scheduler import LoadFileScheduling

SHARE_ONE_CLOUD = ("tests/rehearsal", "tests/engine")


class ByCloud(LoadFileScheduling):
    """One worker per file, or per folder where the whole folder shares a cloud that takes long to set up."""

    def _split_scope(self, nodeid):
        file = super()._split_scope(nodeid)
        folder = str(PurePath(file).parent)
        return folder if folder in SHARE_ONE_CLOUD else file


def pytest_xdist_make_scheduler(config, log):
    return ByCloud(config, log) if config.getoption("dist") == "loadfile" else None
