"""Puts the engine together: a Pulumi home of this clone with both providers in it, and the commands on PATH."""

import hashlib
import os
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

from localcloud import paths
from localcloud.engine import build
from localcloud.engine.commands import output_of
from localcloud.errors import LocalCloudError
from localcloud.process.locks import alone

PYTHON = (sys.executable, "-P")
"""Our interpreter, which then never takes a module from the folder that it runs in."""


def ensure(progress: build.Progress) -> Path:
    """Make the engine ready and return the real Pulumi CLI (not the wrapper that `localcloud run` puts on PATH)."""
    cli = build.official_pulumi()
    if cli is None:
        cli = build.built(build.PULUMI, progress)
        # Only beside the CLI that we built: the official one brings its own.
        host = build.built(build.LANGUAGE_HOST, progress)
        _script(paths.ENGINE / "pulumi-language-python", str(host), "-executor", str(build.language_executor(progress)))
    _script(paths.BIN / "pulumi", *PYTHON, "-m", build.WRAPPER_MODULE)
    _install_plugin(cli, "aws", version("pulumi-aws"), _aws_plugin(), progress)
    github = build.built(build.GITHUB_PROVIDER, progress)
    _install_plugin(cli, "github", version("pulumi-github"), github.parent, progress)
    return cli


def _aws_plugin() -> Path:
    """Return the folder of the AWS plugin: the one that `LOCALCLOUD_AWS_PLUGIN` names, otherwise our stand-in."""
    if paths.AWS_PLUGIN:
        folder = Path(paths.AWS_PLUGIN).resolve()
        if not os.access(folder / "pulumi-resource-aws", os.X_OK):
            raise LocalCloudError(
                f"{paths.AWS_PLUGIN_VARIABLE}={paths.AWS_PLUGIN} holds no executable named pulumi-resource-aws",
                next_step="name the folder of an unpacked AWS plugin, or unset the variable to use the stand-in",
            )
        return folder
    folder = paths.ENGINE / "aws-plugin"
    _script(folder / "pulumi-resource-aws", *PYTHON, "-m", "localcloud.aws_provider")
    return folder


def _script(path: Path, *command: str) -> None:
    """Write an executable that becomes `command`, from any folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n'
    if path.exists() and path.read_text() == content:
        return
    scratch = path.with_name(f"{path.name}.{os.getpid()}")  # another command may run the old one right now
    scratch.write_text(content)
    scratch.chmod(0o755)
    scratch.replace(path)


def _install_plugin(cli: Path, name: str, plugin_version: str, folder: Path, progress: build.Progress) -> None:
    """Install one plugin where it is missing or another one; installed twice at a time it could end half-copied."""
    stamp = paths.PULUMI_HOME / f"{name}.stamp"
    status = (folder / f"pulumi-resource-{name}").stat()
    wanted = hashlib.sha256(f"{folder} {plugin_version} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()
    installed = paths.PULUMI_HOME / "plugins" / f"resource-{name}-v{plugin_version}"
    with alone(paths.PULUMI_HOME / "plugins.lock"):
        if not (installed.exists() and stamp.exists() and stamp.read_text() == wanted):
            progress(f"installing the {name} plugin v{plugin_version}")
            place = ["--file", folder, "--reinstall"]
            output_of(
                [cli, "plugin", "install", "resource", name, f"v{plugin_version}", *place],
                f"the {name} plugin could not be installed from {folder}",
                next_step=f"remove the folder {paths.PULUMI_HOME} and run the same command again",
                env=os.environ | {"PULUMI_HOME": str(paths.PULUMI_HOME), "PULUMI_SKIP_UPDATE_CHECK": "true"},
            )
            stamp.write_text(wanted)
