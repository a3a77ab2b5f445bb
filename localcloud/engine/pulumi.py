"""`pulumi` inside `localcloud run`: the real engine, with the state and the settings of the local cloud.

The real CLI writes into the tracked stack file even on `preview`, and `stack init` replaces its key settings. So this
wrapper gives every command a stack file of its own: the values of the tracked file (or of the file that the caller
names with `--config-file`) without their encryption lines, with the local values laid over them. Commands that take no
`--config-file` run in a scratch folder that holds such a copy. No tracked file is ever opened for writing.
"""

import argparse
import hashlib
import os
import shutil
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from components.environment import FOUNDATION, SERVICE
from components.naming import PROJECT, PhysicalNameError, state_place
from localcloud import paths
from localcloud.engine import build
from localcloud.engine.commands import output_of
from localcloud.environment import configuration_values, people
from localcloud.errors import LocalCloudError
from localcloud.process.locks import alone
from localcloud.process.state import CloudState, running_cloud
from release import yaml_file

SIGNED_BY_ANYBODY = (
    "AWS4-HMAC-SHA256 Credential=localcloud/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
)
"""moto checks no signature, but it answers 403 to a request that has none."""
ENCRYPTION_KEYS = ("encryptionsalt", "secretsprovider", "encryptedkey")
TAKES_CONFIG_FILE = {
    *("up", "update", "preview", "pre", "refresh", "destroy", "down", "dn", "config", "import", "watch", "logs"),
}
NEEDS_NO_STACK = {
    *("version", "help", "plugin", "about", "whoami", "login", "logout", "schema", "install", "gen-completion"),
}
# Flags with a value that may stand before the command's name.
GLOBAL_VALUE_FLAGS = {"--color", "-v", "--verbose", "--memprofilerate", "--profiling", "--tracing"}
USAGE_EXIT_CODE = 2


@dataclass(frozen=True, kw_only=True)
class Command:
    """What the caller asked for, as far as the wrapper must know it."""

    words: tuple[str, ...]
    """All arguments but the four flags below."""
    stack: str
    directory: Path
    config_file: Path | None
    file: Path | None
    """What `stack export` writes and `stack import` reads."""

    @property
    def name(self) -> str:
        """The (sub)command, empty when there is none."""
        earlier = ""
        for word in self.words:
            if not word.startswith("-") and earlier not in GLOBAL_VALUE_FLAGS:
                return word
            earlier = word
        return ""


def parse(arguments: list[str]) -> Command:
    """Take what the wrapper must know out of the arguments; its files are relative to the directory that is named."""
    parser = argparse.ArgumentParser(prog="pulumi", add_help=False, allow_abbrev=False)
    parser.add_argument("-s", "--stack", default=os.environ.get("PULUMI_STACK", ""))
    parser.add_argument("-C", "--cwd", type=Path, default=Path())
    parser.add_argument("--config-file", type=Path)
    parser.add_argument("--file", type=Path)
    ours, words = parser.parse_known_args(arguments)
    directory = ours.cwd.resolve()
    return Command(
        words=tuple(words),
        stack=ours.stack,
        directory=directory,
        config_file=ours.config_file and directory / ours.config_file,
        file=ours.file and directory / ours.file,
    )


def overlay(tracked: dict[str, Any], encryption: dict[str, Any], local: dict[str, Any]) -> dict[str, Any]:
    """Return the stack file for the local cloud; pure. `local` holds configuration values that win.

    Settings of the AWS provider (a profile, tags for everything) are those of the real account: only `local` has some.
    """
    kept = {key: value for key, value in tracked.items() if key not in ENCRYPTION_KEYS}
    config = {key: value for key, value in (tracked.get("config") or {}).items() if not key.startswith("aws:")}
    return encryption | kept | {"config": config | local}


def main() -> None:
    """Become the real CLI, or say in one sentence why not."""
    try:
        command = parse(sys.argv[1:])
        cli = _cli()
        environment = os.environ | {"PATH": os.pathsep.join([str(cli.parent), os.environ.get("PATH", "")])}
        # A file backend is somebody's own: nothing in it is the local cloud's.
        foreign = os.environ.get("PULUMI_BACKEND_URL", "").startswith("file:")
        if command.name in NEEDS_NO_STACK or not command.name or foreign:
            _become(cli, sys.argv[1:], environment)
        _run(command, cli, environment)
    except (LocalCloudError, PhysicalNameError) as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(USAGE_EXIT_CODE)


def _cli() -> Path:
    cli = build.official_pulumi() or paths.ENGINE / build.PULUMI.executable
    if not cli.exists():
        raise LocalCloudError("the Pulumi engine of this clone is not built", next_step="run `make setup`")
    return cli


def _run(command: Command, cli: Path, environment: dict[str, str]) -> None:
    state = running_cloud()
    stacks = sorted(file.name.split(".")[1] for file in command.directory.glob("Pulumi.*.yaml"))
    if command.stack not in stacks:
        asked = f"there is no stack {command.stack!r} here" if command.stack else "no stack is named"
        raise LocalCloudError(
            f"{asked}, and the local cloud keeps each stack's state apart, as the real one does",
            next_step="add --stack with one of: " + (", ".join(stacks) or "(no Pulumi.STACK.yaml in this folder)"),
        )
    environment["PULUMI_BACKEND_URL"] = backend_url(command.stack, state)
    environment |= FOUNDATION if command.stack.endswith("-foundation") else SERVICE
    encryption = _encryption(command, state, cli, environment)
    if command.words[:2] == ("stack", "init"):
        sys.stderr.write(f"the local cloud has made stack {command.stack} already\n")
        return
    tracked = command.directory / f"Pulumi.{command.stack}.yaml"
    local = configuration_values(state) | (people() if tracked.parent == paths.ROOT else {})
    values = overlay(_load(command.config_file or tracked), encryption, local)
    folder = paths.OVERLAYS / hashlib.sha256(f"{command.directory} {command.config_file}".encode()).hexdigest()[:16]
    file = folder / tracked.name
    _write(file, values)
    extra = ["--stack", command.stack]
    if command.name in TAKES_CONFIG_FILE:
        extra += ["--cwd", str(command.directory), "--config-file", str(file)]
    else:
        _write(folder / "Pulumi.yaml", _load(command.directory / "Pulumi.yaml"))
        extra += ["--cwd", str(folder)]
    if command.file:
        extra += ["--file", str(command.file)]
    end = command.words.index("--") if "--" in command.words else len(command.words)
    _become(cli, [*command.words[:end], *extra, *command.words[end:]], environment)


def backend_url(stack: str, state: CloudState) -> str:
    """Return where the state of `stack` lies: a prefix of its own, foundation and service apart."""
    bucket, folder = state_place(stack)
    return f"s3://{bucket}/{folder}?endpoint={state.url('aws')}&s3ForcePathStyle=true&region=us-east-1"


def _encryption(command: Command, state: CloudState, cli: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Return the encryption lines of the local stack, making the stack first when the backend does not have it."""
    kept = paths.STACKS / f"Pulumi.{command.stack}.yaml"
    with alone(kept.with_suffix(".lock")):
        if not (kept.exists() and stack_exists(command.stack, state)):
            _init_stack(kept, command.stack, cli, environment)
    return {key: value for key, value in _load(kept).items() if key in ENCRYPTION_KEYS}


def _init_stack(kept: Path, stack: str, cli: Path, environment: dict[str, str]) -> None:
    """Make the stack from a scratch folder and keep the stack file that the real CLI writes there."""
    scratch = paths.STACKS / f"init-{stack}"
    shutil.rmtree(scratch, ignore_errors=True)
    _write(scratch / "Pulumi.yaml", {"name": PROJECT, "runtime": "python"})
    _write(scratch / kept.name, {})
    try:
        output_of(
            [cli, "stack", "init", stack, "--cwd", scratch, "--non-interactive"],
            f"stack {stack} could not be made",
            next_step="look at `localcloud status`; `localcloud reset` begins again with an empty cloud",
            env=environment,
        )
        (scratch / kept.name).replace(kept)
    finally:
        shutil.rmtree(scratch)


def stack_exists(stack: str, state: CloudState) -> bool:
    """Whether the local cloud's S3 holds a state of `stack`."""
    bucket, folder = state_place(stack)
    key = f"{folder}/.pulumi/stacks/{PROJECT}/{stack}.json"
    request = urllib.request.Request(
        f"{state.url('aws')}/{bucket}/{key}",
        method="HEAD",
        # This question is the wrapper's own, so that no rehearsed fault may hit it: see `localcloud.faults.control`.
        headers={"Authorization": SIGNED_BY_ANYBODY, "User-Agent": "app/localcloud"},
    )
    try:
        urllib.request.urlopen(request, timeout=10).close()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != HTTPStatus.NOT_FOUND:
            raise LocalCloudError(
                f"the local cloud's S3 answers {error.code} for {key}", next_step="look at `localcloud logs aws`"
            ) from error
        return False
    except OSError as error:
        raise LocalCloudError(
            f"the local cloud's S3 does not answer: {error}", next_step="look at `localcloud status`"
        ) from error
    return True


def _load(file: Path) -> dict[str, Any]:
    try:
        content = yaml_file.read(file) or {}
    except FileNotFoundError:
        raise LocalCloudError(f"there is no file {file}", next_step="run pulumi in the project's folder") from None
    except yaml_file.YamlError as error:
        raise LocalCloudError(f"{file} is not valid YAML: {error}", next_step="correct that line") from error
    if not isinstance(content, dict) or not isinstance(content.get("config") or {}, dict):
        raise LocalCloudError(
            f"{file} is no stack file: it and its `config` hold `key: value` lines",
            next_step="write it like the Pulumi.STACK.yaml files of the project",
        )
    return content


def _write(file: Path, content: dict[str, Any]) -> None:
    """Write YAML in one step; two commands may do so at the same time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f"{file.name}.{os.getpid()}")
    scratch.write_text(yaml_file.write(content), encoding="utf-8")
    scratch.replace(file)


def _become(cli: Path, arguments: list[str], environment: dict[str, str]) -> None:
    """Replace this process, so that signals and the exit code are the real CLI's own."""
    os.execve(cli, [str(cli), *arguments], environment)


if __name__ == "__main__":
    main()
