"""Builds what no package registry carries: the Pulumi CLI and the GitHub provider, from our pinned Go modules.

Built once per content of `tools/`; Go's own caches make a second clone quick. The official CLI is used instead when it
is on PATH.
"""

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from localcloud import paths
from localcloud.engine import go
from localcloud.engine.commands import output_of
from localcloud.errors import LocalCloudError
from localcloud.process.locks import alone

Progress = Callable[[str], None]
PROGRESS_SECONDS = 5.0
WRAPPER_MODULE = "localcloud.engine.pulumi"
_WRAPPER_MARK = b"-m localcloud."  # whatever the clone that wrote the wrapper calls its module


@dataclass(frozen=True, kw_only=True)
class GoProgram:
    """One executable made of one pinned Go module below `tools/`."""

    executable: str
    module: str
    package: str
    title: str
    folder: Path = paths.ENGINE

    @property
    def target(self) -> Path:
        """The executable that is built."""
        return self.folder / self.executable

    @property
    def source(self) -> Path:
        """Folder of the Go module."""
        return paths.ROOT / "tools" / self.module

    def stamp(self) -> str:
        """Digest of all that decides what is built."""
        digest = hashlib.sha256()
        for file in sorted(file for file in self.source.rglob("*") if file.is_file()):
            digest.update(str(file.relative_to(self.source)).encode() + b"\0" + file.read_bytes())
        return digest.hexdigest()


PULUMI = GoProgram(
    executable="pulumi",
    module="engine",
    package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    title="the Pulumi CLI",
)
LANGUAGE_HOST = GoProgram(
    executable="language-host", module="engine", package="./language-host", title="the language host for Python"
)
GITHUB_PROVIDER = GoProgram(
    executable="pulumi-resource-github",
    module="github-provider",
    package=".",
    title="the GitHub provider",
    folder=paths.ENGINE / "github-plugin",  # not beside the CLI, which would then warn that it found a plugin there
)
ACTIONLINT = GoProgram(
    executable="actionlint",
    module="workflows",
    package="github.com/rhysd/actionlint/cmd/actionlint",
    title="actionlint",
)
# Only the tests that execute the workflows need it, so that `setup` leaves it to them: it takes half a minute or more.
WORKFLOW_RUNNER = GoProgram(
    executable="workflow-runner", module="workflows", package="./runner", title="the runner of workflows (act)"
)


def official_pulumi() -> Path | None:
    """Return the first Pulumi CLI on PATH that is neither the one built here nor a wrapper (of whichever clone)."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        found = shutil.which("pulumi", path=folder or os.curdir)
        if found and Path(found).resolve().parent != paths.ENGINE and not _is_wrapper(Path(found)):
            return Path(found).absolute()
    return None


def _is_wrapper(script: Path) -> bool:
    try:
        with script.open("rb") as file:
            return _WRAPPER_MARK in file.read(4096)
    except OSError:  # executable and not readable: no script, then
        return False


def built(program: GoProgram, progress: Progress) -> Path:
    """Return the executable of `program`, building it when it is missing or made from other sources.

    Raises `LocalCloudError` when there is no Go to be had or the build fails.
    """
    return _made_once(program.target, program.stamp(), lambda: _build(program, program.target, progress))


def language_executor(progress: Progress) -> Path:
    """Return the genuine script that runs a Python program, copied out of the Go module that the engine is built from.

    Raises `LocalCloudError` when Go cannot name the module's folder.
    """
    target = paths.ENGINE / "pulumi-language-python-exec"

    def copy() -> None:
        folder = output_of(
            [go.executable(progress), "list", "-m", "-f", "{{.Dir}}", "github.com/pulumi/pulumi/sdk/v3"],
            "Go does not find the SDK that the engine is built from",
            next_step="run the same command again; Go then downloads the module anew",
            cwd=PULUMI.source,
            env=go.environment(),
        )
        target.write_bytes((Path(folder) / "python/cmd" / target.name).read_bytes())

    return _made_once(target, PULUMI.stamp(), copy)


def _made_once(target: Path, wanted: str, make: Callable[[], None]) -> Path:
    """Return `target`, made anew where it is missing or was made with another stamp than `wanted`."""
    stamp = paths.ENGINE / f"{target.name}.stamp"
    with alone(paths.ENGINE / f"{target.name}.lock"):
        if not (target.exists() and stamp.exists() and stamp.read_text() == wanted):
            make()
            stamp.write_text(wanted)
    return target


def _build(program: GoProgram, target: Path, progress: Progress) -> None:
    go_tool = go.executable(progress)
    progress(f"building {program.title} (once; some minutes when Go's cache is empty)")
    started = time.monotonic()
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_suffix(".new")
    try:
        exit_code, last = _go_build(go_tool, program, scratch, progress)
        if exit_code != 0:
            raise LocalCloudError(
                f"{program.title} did not build:\n    " + "\n    ".join(last),
                next_step="a time-out of the module proxy goes away when the same command is run again; "
                "anything else is a fault in tools/" + program.module,
            )
        scratch.replace(target)
    finally:  # also when Ctrl-C ended it
        scratch.unlink(missing_ok=True)
    progress(f"built {program.title} in {time.monotonic() - started:.0f} s")


def _go_build(go_tool: Path, program: GoProgram, target: Path, progress: Progress) -> tuple[int, list[str]]:
    """Build, telling from time to time how far it is; return Go's exit code and its last lines."""
    command = [str(go_tool), "build", "-v", "-trimpath", "-ldflags=-s -w", "-o", str(target), program.package]
    started = said = time.monotonic()
    downloaded = compiled = 0
    last: list[str] = []
    process = subprocess.Popen(
        command,
        cwd=program.source,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=go.environment(),
    )
    assert process.stderr is not None  # noqa: S101 (narrows the type)
    try:
        for raw in process.stderr:
            line = raw.rstrip()
            last = [*last[-20:], line]
            downloaded += line.startswith("go: downloading")
            compiled += not line.startswith("go: ")
            if time.monotonic() - said > PROGRESS_SECONDS:
                said = time.monotonic()
                progress(f"  {said - started:4.0f} s: {downloaded} modules downloaded, {compiled} packages compiled")
    except BaseException:  # Ctrl-C: nothing may go on writing behind our back
        process.kill()
        raise
    finally:
        process.stderr.close()
        exit_code = process.wait()
    return exit_code, last
