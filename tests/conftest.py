"""How `pytest -n` hands out the tests, and which files no test reads unasked."""

import os
import re
import signal
import sys
from pathlib import Path, PurePath

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

SHARE_ONE_CLOUD = ("tests/rehearsal", "tests/engine")
OF_WHO_DEPLOYS = re.compile(re.escape(str(Path(__file__).parents[1])) + r"/(Pulumi\.[a-z-]+\.yaml|\.github/CODEOWNERS)")
"""What `release init` writes: somebody's account and people, on which no test may depend."""
# Under nohup or in a background job a process is born deaf to these, and so are all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
# How long an example takes says something of the machine: slow ones are no failure.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")
_running = {"may read them": False}


def _guard(event, arguments):
    if event != "open" or _running["may read them"] or not isinstance(arguments[0], str):
        return
    path = arguments[0]
    if path.endswith((".yaml", "CODEOWNERS")) and OF_WHO_DEPLOYS.fullmatch(os.path.abspath(path)):  # noqa: PTH100
        raise AssertionError(f"{path} belongs to who deploys this; the settings of the tests are in tests/stacks.py")


sys.addaudithook(_guard)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    _running["may read them"] = item.get_closest_marker("stack_files") is not None


class ByCloud(LoadFileScheduling):
    """One worker per file, or per folder where the whole folder shares a cloud that takes long to set up."""

    def _split_scope(self, nodeid):
        file = super()._split_scope(nodeid)
        folder = str(PurePath(file).parent)
        return folder if folder in SHARE_ONE_CLOUD else file


def pytest_xdist_make_scheduler(config, log):
    return ByCloud(config, log) if config.getoption("dist") == "loadfile" else None
