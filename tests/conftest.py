"""What every test may and may not do: read the files of who deploys, start processes."""

import gc
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.examples import register_profiles

OF_WHO_DEPLOYS = re.compile(re.escape(str(Path(__file__).parents[1])) + r"/(Pulumi\.[a-z-]+\.yaml|\.github/CODEOWNERS)")
"""What `release init` writes: somebody's account and people, on which no test may depend."""
STARTS_A_PROCESS = {"subprocess.Popen", "os.forkpty"}
# Under nohup or in a background job a process is born deaf to these, and so are all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
register_profiles()
_running = {"may read them": False, "may start processes": True}


def _guard(event, arguments):
    if event in STARTS_A_PROCESS and not _running["may start processes"] and arguments[:1] != ("git",):
        raise AssertionError(f"what starts a process is marked `slow` (git alone is quick enough): {arguments[:1]}")
    if event != "open" or _running["may read them"] or not isinstance(arguments[0], str):
        return
    path = arguments[0]
    if path.endswith((".yaml", "CODEOWNERS")) and OF_WHO_DEPLOYS.fullmatch(os.path.abspath(path)):  # noqa: PTH100
        raise AssertionError(f"{path} belongs to who deploys this; the settings of the tests are in tests/stacks.py")


sys.addaudithook(_guard)


def pytest_collection_finish():
    gc.freeze()  # modules and tests live as long as the session: the garbage collector need not look at them again


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    _running["may read them"] = item.get_closest_marker("stack_files") is not None
    quick = item.nodeid.startswith("tests/unit/") and item.get_closest_marker("slow") is None
    _running["may start processes"] = not quick


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown():
    _running["may start processes"] = True
