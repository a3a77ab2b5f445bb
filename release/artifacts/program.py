"""The program of a release: what `pulumi up` runs, taken from the commit and kept for the way back.

An archive holds the project file, the stack file, `__main__.py`, `components/` and the lock as they are at the commit
of the release: never the working tree, so that the very same program runs in preprod, in prod and in a rollback much
later. It is unpacked beside an environment that holds exactly its locked dependencies.
"""

from __future__ import annotations

import fcntl
import gzip
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from uv import find_uv_bin

from components.environment import SERVICE
from release.artifacts.tools import PROGRAM, KeptTools
from release.canonical import sha256
from release.console import Console
from release.errors import ReleaseError, UsageError
from release.git.commit import find_commit
from release.git.plumbing import CommitError, try_git
from release.uv_settings import in_the_way, sources_only

_FILES: Final = ("Pulumi.yaml", "__main__.py", "pyproject.toml", "uv.lock")
_FOLDER: Final = "components"
_READY: Final = ".made"


def archive(repo: Path, sha: str, stack: str) -> bytes:
    """The program of `stack` at the commit `sha`, as a tar.gz whose bytes depend on nothing else.

    Raises:
        CommitError: No git, no such commit, or the commit lacks one of the files.
    """
    commit = find_commit(repo, sha)
    contents = {name: _blob(repo, commit.sha, name) for name in (*_FILES, f"Pulumi.{stack}.yaml")}
    contents.update({file.path: file.content for file in commit.files(_FOLDER)})
    return _packed(contents)


def working_tree(clone: Path, stack: str) -> bytes:
    """The program of `stack` as it lies in a clone now, packed as `archive` does.

    Raises:
        UsageError: One of the files is missing.
    """
    files = [clone / name for name in (*_FILES, f"Pulumi.{stack}.yaml")]
    files += sorted(file for file in (clone / _FOLDER).rglob("*.py") if file.is_file())
    try:
        return _packed({file.relative_to(clone).as_posix(): file.read_bytes() for file in files})
    except OSError as error:
        raise UsageError(
            f"{clone} holds no program", why=str(error), next_step="run this in a clone of the repository"
        ) from None


def _packed(contents: Mapping[str, bytes]) -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(contents):
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(contents[name]), 0o644, 0
            tar.addfile(member, io.BytesIO(contents[name]))
    return gzip.compress(plain.getvalue(), compresslevel=9, mtime=0)


def _blob(repo: Path, sha: str, path: str) -> bytes:
    done = try_git(repo, "cat-file", "blob", f"{sha}:{path}")
    if done.returncode:
        raise CommitError(
            f"commit {sha[:12]} holds no {path}",
            why="a release is rolled out by the program of its own commit",
            next_step=f"git show --stat {sha[:12]}",
        )
    return done.stdout


@contextmanager
def unpacked(
    packed: bytes, envs: Path, console: Console, ready: Path | None = None, kept: KeptTools | None = None
) -> Generator[Path]:
    """A folder that holds the program of an archive with its own `.venv`; gone afterwards.

    Environments are kept in `envs` by the digest of their lock; `ready` is used instead, where it is given. One that
    cannot be made is looked for among the `kept` ones.
    """
    with tempfile.TemporaryDirectory(prefix="program-") as name:
        folder = Path(name).resolve()
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
            tar.extractall(folder, filter="data")
        made = ready or _environment(folder, envs, console, kept)
        (folder / ".venv").symlink_to(made, target_is_directory=True)
        yield folder


def _environment(program: Path, envs: Path, console: Console, kept: KeptTools | None) -> Path:
    project = (program / "pyproject.toml").read_bytes()
    lock = (program / "uv.lock").read_bytes()
    home = envs.resolve() / sha256(project + b"\0" + lock)[:16]
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".lock").open("w") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)  # two runs at once: the second waits and finds it made
        if not (home / _READY).exists():
            (home / "pyproject.toml").write_bytes(project)
            (home / "uv.lock").write_bytes(lock)
            try:
                with console.step("making the environment of this release's program (kept for the next time)"):
                    _sync(home)
            except ReleaseError:
                if kept is None or not kept.bring(PROGRAM, home):
                    raise
            (home / _READY).touch()
    return home / ".venv"


def _sync(home: Path) -> None:
    done = subprocess.run(
        [find_uv_bin(), "sync", "--quiet", "--project", str(home), "--python", sys.executable],
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        env=sources_only(os.environ) | SERVICE,
    )
    if done.returncode:
        raise ReleaseError(
            "the environment of the release's program cannot be made",
            why="\n".join(done.stderr.strip().splitlines()[-6:]),
            next_step=f"check that the package registry answers, then try again. {in_the_way(os.environ)}",
        )
    _describe(home)


def _describe(home: Path) -> None:
    """Write the project's own metadata into its environment, where it is not installed.

    The Python host of Pulumi (3.274) lists the packages of the lock, the project itself among them, and asks the
    environment for the version of each that the lock gives none.
    """
    project = tomllib.loads((home / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (packages,) = (home / ".venv" / "lib").glob("python*/site-packages")
    folder = packages / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", encoding="utf-8"
    )
