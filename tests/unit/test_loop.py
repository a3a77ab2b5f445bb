"""What keeps `make check` quick, and every test collected."""

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
NOTHING = (sys.executable, "-c", "")


def test_a_quick_test_that_starts_a_process_fails():
    with pytest.raises(AssertionError, match="marked `slow`"):
        subprocess.run(NOTHING, check=True)


@pytest.mark.slow
def test_a_slow_one_may_start_it():
    subprocess.run(NOTHING, check=True)


def test_git_is_quick_enough():
    subprocess.run(["git", "--version"], check=True, capture_output=True)


def test_every_folder_with_tests_is_a_package():
    folders = {file.parent for file in TESTS.rglob("test_*.py")}
    assert len(folders) > 10
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []
