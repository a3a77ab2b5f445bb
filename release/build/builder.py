"""Builds the package of every function at one commit, once: the same commit gives the same bytes on every machine.

Sources come from git's objects, dependencies from each function's lock by hash, and every package is imported in a
clean process before it counts as built. The output folder appears whole or not at all.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from uv import find_uv_bin

from components.service.functions import ARCHITECTURE, RUNTIME
from release.artifacts.manifest import MANIFEST_FILE, Manifest, PackageEntry, base64_of
from release.build import package_checks, zipfiles
from release.build.distributions import installed
from release.build.sbom import BOM_FILE, bill_of_materials
from release.canonical import sha256
from release.errors import Refused, ReleaseError, UsageError
from release.git.commit import Commit, CommittedFile, find_commit
from release.processes import Children
from release.rules import RefusalRule
from release.uv_settings import in_the_way, none_at_all, sources_only

Progress = Callable[[str], None]

HANDLER: Final = "handler.handle"
LAMBDAS: Final = "lambdas"
_WORKERS = 2
_NOT_PACKED = frozenset({"pyproject.toml", "uv.lock", "README.md"})

_PLATFORM = f"{package_checks.PYTHON_PLATFORM}, {RUNTIME}"
_MAX_ERROR_LINES = 8


class BuildError(ReleaseError):
    """The commit could not be built."""


class _PackageSettings(BaseModel):
    """`[tool.release]` in a function's pyproject.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    aws_services: list[str] | None = Field(default=None, alias="aws-services")
    size_budget_mb: float = Field(default=5, alias="size-budget-mb", gt=0, le=package_checks.MAX_ZIPPED_MB)
    """The largest zip: a dependency that would slow every cold start is noticed when it comes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Function:
    """One function at a commit."""

    name: str
    project: bytes
    lock: bytes
    sources: list[CommittedFile]
    """Its own files, paths relative to its folder."""
    settings: _PackageSettings


def build(repo: Path, sha: str, out: Path, progress: Progress) -> Manifest:
    """Build the packages of the commit `sha` into the folder `out`: `manifest.json` and one zip per function.

    What lies uncommitted in the working tree is not part of it. The folder appears whole or not at all; building again
    into the same one is fine when the bytes are the same. `progress` is called with one line for people at each step.

    Raises:
        CommitError: no git, no repository, no such commit.
        BuildError: a lock is missing or out of date, or dependencies cannot be installed.
        PackageError: a package is too large, holds wheels or native modules of another platform or a licence that is
            not allowed, or cannot be imported.
        Refused: `out` already holds something else (rule `one-build-per-folder`).
    """
    children, lock = Children(), threading.Lock()

    def say(line: str) -> None:
        with lock:
            progress(line)

    _require_the_runtimes_python()
    commit = find_commit(repo, sha)
    functions = _functions(commit)
    names = ", ".join(function.name for function in functions)
    say(f"Building commit {commit.sha} of {commit.committed_at:%Y-%m-%d %H:%M:%S} UTC: {names}")
    uncommitted = commit.uncommitted(LAMBDAS)
    if uncommitted:
        say(
            f"Note: {uncommitted} uncommitted change(s) under {LAMBDAS}/ are not in it; a build is made from the commit"
        )
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="release-build-") as scratch,
        tempfile.TemporaryDirectory(prefix=f".{out.name}.building-", dir=out.parent) as beside,  # a rename is enough
    ):
        fresh = Path(beside)
        build_one = partial(_build_one, sha=commit.sha, scratch=Path(scratch), out=fresh, children=children, say=say)
        manifest = Manifest(
            sha=commit.sha,
            built_at=commit.committed_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            runtime=RUNTIME,
            architecture=ARCHITECTURE,
            functions=_build_all(functions, build_one, children),
        )
        (fresh / MANIFEST_FILE).write_bytes(manifest.canonical())
        _move_into_place(fresh, out, manifest)
    say(f"Built {manifest.digest} in {out}")
    return manifest


def verify(folder: Path) -> Manifest:
    """Check that `folder` holds exactly the packages that its manifest names, byte for byte.

    Raises:
        ManifestError: the manifest is not valid.
        Refused: rule `bytes-differ`; the message names each package that is missing, other or foreign.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise UsageError(
            f"{folder} holds no {MANIFEST_FILE}.",
            why="Without its manifest nobody can say which release these packages are.",
            next_step="release build --sha SHA --out DIR",
        )
    manifest = Manifest.load(path.read_bytes())
    wrong = [problem for entry in manifest.functions.values() if (problem := _what_differs(folder, entry))]
    named = {entry.package for entry in manifest.functions.values()}
    wrong += [
        f"{zipped.name} is not in the manifest" for zipped in sorted(folder.glob("*.zip")) if zipped.name not in named
    ]
    if wrong:
        raise Refused(
            RefusalRule.BYTES_DIFFER,
            f"The packages in {folder} are not those of its manifest.",
            why="; ".join(wrong),
            next_step="Fetch the build's artifact again, or build the commit again into a new folder.",
        )
    return manifest


def _what_differs(folder: Path, entry: PackageEntry) -> str:
    path = folder / entry.package
    if not path.is_file():
        return f"{entry.package} is missing"
    digest = sha256(path.read_bytes())
    return "" if digest == entry.sha256 else f"{entry.package} has sha256 {digest}, the manifest says {entry.sha256}"


def _require_the_runtimes_python() -> None:
    running = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if running != RUNTIME:
        raise UsageError(
            f"`release build` runs on {running}, the packages are made for {RUNTIME}.",
            why="Each package is imported by the interpreter of its runtime before it counts as built.",
            next_step="make setup   (it makes .venv with the right interpreter)",
        )


def _functions(commit: Commit) -> list[_Function]:
    """The functions of a commit: each folder in `lambdas/` with a pyproject.toml."""
    by_folder: dict[str, dict[str, CommittedFile]] = {}
    for file in commit.files(LAMBDAS):
        folder, _, inner = file.path.removeprefix(f"{LAMBDAS}/").partition("/")
        if inner:
            by_folder.setdefault(folder, {})[inner] = file
    for folder, files in by_folder.items():
        if "pyproject.toml" not in files and "handler.py" in files:
            raise BuildError(
                f"{LAMBDAS}/{folder} at {commit.sha[:12]} has a handler.py but no pyproject.toml.",
                why="Only folders with a pyproject.toml are built: this function would silently be missing.",
                next_step=f"Add {LAMBDAS}/{folder}/pyproject.toml, then run `uv lock` there, commit both.",
            )
    functions = [_function(name, files) for name, files in sorted(by_folder.items()) if "pyproject.toml" in files]
    if not functions:
        raise BuildError(
            f"Commit {commit.sha[:12]} has no function: no folder under {LAMBDAS}/ holds a pyproject.toml.",
            why="It may be a commit from before the functions were added, or of another repository.",
            next_step=f"git ls-tree -r --name-only {commit.sha[:12]} {LAMBDAS}/",
        )
    return functions


def _function(name: str, files: dict[str, CommittedFile]) -> _Function:
    lock_it = f"cd {LAMBDAS}/{name} && uv lock   (then commit it)"
    for needed, why, how in (
        ("uv.lock", "The lock is the only list that dependencies are installed from.", lock_it),
        ("handler.py", f"Every function is entered at {HANDLER}.", "Add it."),
    ):
        if needed not in files:
            raise BuildError(f"{name}: {LAMBDAS}/{name}/{needed} is missing at this commit.", why=why, next_step=how)
    project = files["pyproject.toml"].content
    try:
        tool = tomllib.loads(project.decode()).get("tool", {})
        settings = _PackageSettings.model_validate(tool.get("release", {}))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise BuildError(f"{name}: {LAMBDAS}/{name}/pyproject.toml cannot be read.", why=str(error)) from error
    return _Function(
        name=name,
        project=project,
        lock=files["uv.lock"].content,
        sources=[
            CommittedFile(path=inner, executable=file.executable, content=file.content)
            for inner, file in files.items()
            if inner not in _NOT_PACKED and not inner.startswith(".")
        ],
        settings=settings,
    )


def _build_all(
    functions: list[_Function], build_one: Callable[[_Function], PackageEntry], children: Children
) -> dict[str, PackageEntry]:
    """Build the functions two at a time; when one fails, or Ctrl-C comes, the processes of the others are ended."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        running = {function.name: pool.submit(build_one, function) for function in functions}
        try:
            done, _ = wait(running.values(), return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            return {name: future.result() for name, future in running.items()}
        except BaseException:
            children.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _build_one(
    function: _Function, *, sha: str, scratch: Path, out: Path, children: Children, say: Progress
) -> PackageEntry:
    name = function.name
    project, tree, unpacked = (scratch / name / part for part in ("project", "tree", "unpacked"))
    for folder in (project, tree, unpacked):
        folder.mkdir(parents=True)
    (project / "pyproject.toml").write_bytes(function.project)
    (project / "uv.lock").write_bytes(function.lock)
    requirements = _requirements(name, project, children)
    pins = sorted(set(re.findall(rb"(?m)^[A-Za-z0-9._-]+==[^ \\\n]+(?= \\)", requirements)))
    say(f"{name}: installing {len(pins)} pinned package(s) for {_PLATFORM}")
    if pins:
        _install(name, project, tree, requirements, children)
    package_checks.clean(tree)
    if function.settings.aws_services is not None:
        package_checks.keep_aws_services(tree, name, function.settings.aws_services)
    distributions = installed(name, tree)
    (tree / BOM_FILE).write_bytes(bill_of_materials(name, distributions, function.lock))
    package_checks.check_no_shadowing(name, [source.path for source in function.sources], tree)
    for source in function.sources:
        path = tree / source.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.content)
        path.chmod(0o755 if source.executable else 0o644)

    files = zipfiles.files_of(tree)
    natives = package_checks.check_native_modules(name, tree, files)
    package = out / f"{name}-{sha}.zip"
    zipfiles.write_zip(tree, files, package)
    raw = package.read_bytes()
    package_checks.check_size(name, files, len(raw), function.settings.size_budget_mb)
    shutil.unpack_archive(package, unpacked)
    package_checks.check_import(name, unpacked, HANDLER, children)
    say(f"{name}: {len(raw) / 1e6:.2f} MB, {len(files)} files, {natives} native module(s), imported in a clean process")
    licences = Counter(one.license.expression for one in distributions)
    counted = ", ".join(f"{licence} {count}" for licence, count in sorted(licences.items()))
    say(f"{name}: {len(distributions)} packages, licences: {counted or 'none'}")
    digest = sha256(raw)
    return PackageEntry(
        package=package.name,
        sha256=digest,
        code_sha256=base64_of(digest),
        size=len(raw),
        content_sha256=zipfiles.content_digest(files),
        handler=HANDLER,
        lock_sha256=sha256(function.lock),
    )


def _requirements(name: str, project: Path, children: Children) -> bytes:
    """Pins with hashes, out of the lock; also proves, without network, that the lock fits pyproject.toml."""
    arguments = ["export", "--locked", "--offline", "--no-dev", "--no-emit-project", "--no-annotate", "--no-header"]
    arguments += ["--project", str(project), "--python", sys.executable]
    done = _uv(arguments, cwd=project, children=children, env=none_at_all(os.environ))
    if done.returncode == 0:
        return done.stdout
    raise BuildError(
        f"{name}: {LAMBDAS}/{name}/uv.lock does not fit its pyproject.toml: it is out of date or damaged.",
        why=_last_lines(done.stderr),
        next_step=f"cd {LAMBDAS}/{name} && uv lock   (then commit uv.lock)",
    )


def _install(name: str, project: Path, tree: Path, requirements: bytes, children: Children) -> None:
    listed = project / "requirements.txt"
    listed.write_bytes(requirements)
    arguments = ["pip", "install", "--quiet", "--target", str(tree), "--requirements", str(listed), "--no-deps"]
    # Links into uv's cache are four times faster than copies, and safe: nothing writes into an installed file, and the
    # zip reads contents and the owner's mode only. uv copies by itself where the cache is on another disk.
    arguments += ["--require-hashes", "--only-binary", ":all:", "--no-compile-bytecode", "--link-mode", "hardlink"]
    arguments += ["--python", sys.executable, "--python-version", RUNTIME.removeprefix("python")]
    arguments += ["--python-platform", package_checks.PYTHON_PLATFORM]
    done = _uv(arguments, cwd=project, children=children, env=sources_only(os.environ))
    if done.returncode != 0:
        raise BuildError(
            f"{name}: its locked dependencies cannot be installed for {_PLATFORM}.",
            why=_last_lines(done.stderr),
            next_step="No wheel for this platform: choose another version. No connection: run it again when the "
            f"package index can be reached. {in_the_way(os.environ)}",
        )


def _uv(
    arguments: list[str], *, cwd: Path, children: Children, env: Mapping[str, str]
) -> subprocess.CompletedProcess[bytes]:
    return children.run([find_uv_bin(), *arguments, "--color", "never", "--no-progress"], cwd=cwd, env=env)


def _move_into_place(fresh: Path, out: Path, manifest: Manifest) -> None:
    fresh.chmod(0o755)
    try:
        fresh.rename(out)  # replaces an empty folder; fails on anything else, also when another build was faster
    except OSError:
        if not out.exists():
            raise
    else:
        return
    try:
        there = verify(out)
    except ReleaseError as error:
        why = f"{error.what} {error.why}".strip()
    else:
        if there == manifest:
            return
        why = f"It holds {there.digest[:12]} of commit {there.sha[:12]}, "
        why += f"this is {manifest.digest[:12]} of commit {manifest.sha[:12]}."
    raise Refused(
        RefusalRule.ONE_BUILD_PER_FOLDER,
        f"{out} holds something else already; nothing in it was changed.",
        why=why,
        next_step="Name a new folder with --out, or remove this one.",
    )


def _last_lines(output: bytes) -> str:
    lines = [line.rstrip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    return "\n".join(lines[-_MAX_ERROR_LINES:])
