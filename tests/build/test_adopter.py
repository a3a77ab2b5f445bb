"""Who fills in an account, a repository and people of their own turns no test red."""

import subprocess
import sys

import pytest

from tests.cloud import BIN
from tests.stacks import repository_copy

INIT = (
    *("--account", "481516234299", "--preprod-account", "481516234298", "--region", "eu-central-1"),
    *("--repository", "Acme-Corp/news.pipeline", "--owner-id", "1234", "--repository-id", "99887766"),
    *("--reviewer", "ada-l", "--reviewer", "grace-h", "--team", "on-call"),
    *("--mail", "ops@acme.test", "--mail", "night@acme.test", "--yes"),
)


@pytest.mark.stack_files
def test_every_test_that_reads_the_settings_of_who_deploys_holds_for_an_adopters(tmp_path):
    """All others cannot read them (tests/conftest.py), so that running these is running all."""
    folder = repository_copy(tmp_path / "copy")

    def run(*command):
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    run("git", "init", "--quiet")
    run("git", "add", "--all")
    run(BIN / "release", "init", *INIT)

    run("git", "add", "--all")
    files = run("git", "grep", "--files-with-matches", "stack_files", "--", "tests/unit/*.py").split()
    ran = run(sys.executable, "-m", "pytest", *files, "-m", "stack_files", "-q", "-n", "0", "-p", "no:cacheprovider")
    assert " passed" in ran
    assert "skipped" not in ran
