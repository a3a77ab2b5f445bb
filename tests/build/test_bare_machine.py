"""A machine with git, make and a Python, and nothing else, gets the rest by itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.stacks import repository_copy


@pytest.fixture
def bare(tmp_path):
    """A PATH of these only. `python3` is a newer one where the machine has it: uv then has to look for 3.11."""
    own = Path(sys.base_prefix) / "bin" / "python3.11"
    newer = subprocess.run(
        [find_uv_bin(), "python", "find", "--no-python-downloads", "--no-project", ">=3.12"],
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"},
    ).stdout.strip()
    folder = tmp_path / "path"
    folder.mkdir()
    for name in ("git", "make", "sh", "touch"):
        (folder / name).symlink_to(str(shutil.which(name)))
    (folder / "python3").symlink_to(newer or own)
    (folder / "python3.11").symlink_to(own)  # what uv would otherwise download from where no registry is
    return str(folder)


@pytest.mark.stack_files  # it copies them
def test_git_make_and_a_python_are_enough_to_build_with_the_locked_go(tmp_path, bare):
    clone = repository_copy(tmp_path / "clone")
    ours = {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}

    def run(*command):
        ran = subprocess.run(command, cwd=clone, env=kept | {"PATH": bare}, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    run("make", ".venv/.ready")
    assert run(clone / ".venv" / "bin" / "python", "--version").startswith("Python 3.11.")
    # The smallest program of `make setup`: nothing is in Go's cache of this Go's, and the engine would take minutes.
    said = run(
        clone / ".venv" / "bin" / "python",
        "-c",
        "from localcloud.engine import build; build.built(build.ACTIONLINT, print)",
    )
    assert "installing Go from the package registry" in said
    assert run(clone / ".localcloud" / "engine" / "actionlint", "--version")
