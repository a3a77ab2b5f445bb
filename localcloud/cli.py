"""The `localcloud` command."""

import json
import os
import shlex
import subprocess
import sys
from typing import Annotated

import typer
from rich.console import Console

from localcloud import administrator, paths
from localcloud.engine import build, install
from localcloud.environment import environment
from localcloud.errors import LocalCloudError
from localcloud.faults import commands as fault_commands
from localcloud.process import control
from localcloud.process.state import CloudState, running_cloud
from localcloud.process.supervisor import PARTS

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(fault_commands.app, name="fault")
console = Console(stderr=True, highlight=False, soft_wrap=True)

NOT_POSSIBLE = 2
"""Exit code of everything that a person can put right."""

JsonFlag = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


def _say(line: str) -> None:
    console.print(line, markup=False)


@app.command()
def start() -> None:
    """Start the local cloud in the background; do nothing when it runs."""
    _show(control.start(_say))


@app.command()
def stop() -> None:
    """End the local cloud. It keeps everything in memory, so all of it is gone then."""
    _say("stopped" if control.stop() else "it was not running")


@app.command()
def reset() -> None:
    """Begin again with an empty local cloud."""
    control.stop()
    start()


@app.command()
def status(json_: JsonFlag = False) -> None:
    """Say whether the local cloud runs, and where its parts answer. Exit code 2 when it does not run."""
    if json_:
        state = CloudState.load()
        if state is not None and state.running:
            document = {"running": True, "why": "", "parts": {part: state.url(part) for part in PARTS}}
        else:
            document = {"running": False, "why": state.end if state else "it was not started", "parts": {}}
        sys.stdout.write(json.dumps(document) + "\n")
        raise typer.Exit(0 if document["running"] else NOT_POSSIBLE)
    _show(running_cloud())


def _show(state: CloudState) -> None:
    for part in PARTS:
        _say(f"{part:<9} {state.url(part):<24} {paths.LOGS / part}.log")
    _say(f"running as process {state.pid}, clock {state.clock}, habits of AWS: {state.habits or 'off'}")


@app.command(name="env")
def env_(json_: JsonFlag = False) -> None:
    """Print the variables that point a shell at the local cloud: eval "$(localcloud env)"."""
    ours = environment(running_cloud())
    new = {name: value for name, value in sorted(ours.items()) if value != os.environ.get(name)}
    if json_:
        sys.stdout.write(json.dumps(new) + "\n")
        return
    for name, value in new.items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


@app.command(name="fill-secrets")
def fill_secrets() -> None:
    """Play the administrator: put a made-up value into every secret that the foundation stacks left empty."""
    filled = administrator.put_missing(running_cloud())
    _say("filled " + ", ".join(filled) if filled else "no secret is empty")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(context: typer.Context) -> None:
    """Run a command against the local cloud, starting it when needed: localcloud run -- pulumi preview --stack prod."""
    if not context.args:
        raise LocalCloudError("no command was given", next_step="localcloud run -- COMMAND [ARGUMENTS]")
    install.ensure(_say)
    ours = environment(control.start(_say))
    try:
        os.execvpe(context.args[0], context.args, ours)
    except FileNotFoundError:
        raise LocalCloudError(
            f"there is no command {context.args[0]!r}", next_step="check its spelling; `make setup` installs `release`"
        ) from None
    except OSError as error:
        raise LocalCloudError(
            f"{context.args[0]!r} cannot be run: {error.strerror}", next_step="name a program that is executable"
        ) from None


@app.command()
def setup() -> None:
    """Build and install the Pulumi engine and its plugins; quick when they are there."""
    cli = install.ensure(_say)
    build.built(build.ACTIONLINT, _say)
    _say(f"engine: {cli}")


@app.command()
def logs(
    part: Annotated[str, typer.Argument(help="aws, lambdas, alarms, schedules, github, news or supervisor")],
) -> None:
    """Show the log of one part, and go on showing what is added to it."""
    file = paths.LOGS / f"{part}.log"
    if not file.exists():
        known = ", ".join(sorted(log.stem for log in paths.LOGS.glob("*.log"))) or "none yet"
        raise LocalCloudError(f"there is no log of {part!r}", next_step=f"logs that exist: {known}")
    raise typer.Exit(subprocess.call(["tail", "-n", "100", "-f", str(file)]))


def main() -> None:
    """Run the command; a person's mistake is a sentence and exit code 2, never a stack trace."""
    try:
        app()
    except LocalCloudError as error:
        _say(f"error: {error}")
        sys.exit(NOT_POSSIBLE)
