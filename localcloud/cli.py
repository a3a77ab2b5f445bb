"""The `localcloud` command."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from localcloud import administrator, paths
from localcloud.engine import build, install
from localcloud.environment import environment
from localcloud.errors import LocalCloudError
from localcloud.faults import commands as fault_commands
from localcloud.iam import jobs, switch
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
def start(
    enforce_identities: Annotated[
        bool, typer.Option("--enforce-identities", help="Decide each call for the role that makes it.")
    ] = False,
) -> None:
    """Start the local cloud in the background; do nothing when it runs."""
    if enforce_identities:
        os.environ[switch.VARIABLE] = "1"
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
    identities = ", identities enforced" if state.identities else ""
    _say(f"running as process {state.pid}, clock {state.clock}{identities}, habits of AWS: {state.habits or 'off'}")


@app.command(name="env")
def env_(json_: JsonFlag = False) -> None:
    """Print the variables that point a shell at the local cloud: eval "$(localcloud env)"."""
    ours = environment(running_cloud())
    new = {name: value for name, value in sorted(ours.items()) if value != os.environ.get(name)}
    _print_variables(new, json_)


@app.command(name="fill-secrets")
def fill_secrets() -> None:
    """Play the administrator: put a made-up value into every secret that the foundation stacks left empty."""
    filled = administrator.put_missing(running_cloud())
    _say("filled " + ", ".join(filled) if filled else "no secret is empty")


@app.command()
def job(
    *,
    environment: Annotated[str, typer.Option(help="GitHub environment of the job; empty for none.")] = "",
    workflow: Annotated[str, typer.Option(help="File that defines the job: of a called workflow, that one.")] = "",
    caller: Annotated[str, typer.Option(help="File of the workflow that was started, where it is another.")] = "",
    ref: Annotated[str, typer.Option(help="Ref that the run is for.")] = "refs/heads/main",
    sha: Annotated[str, typer.Option(help="Commit that the run is for.")] = "0" * 40,
    run_id: int = 1,
    run_attempt: int = 1,
    event: str = "push",
    actor: str = "local",
    json_: JsonFlag = False,
) -> None:
    """Play the runner: register a job, and print the variables by which it asks for its token."""
    given = {"environment": environment, "workflow": workflow, "caller": caller, "ref": ref, "sha": sha}
    given |= {"event_name": event, "actor": actor}
    github = running_cloud().url("github")
    _print_variables(jobs.register(github, run_id=run_id, run_attempt=run_attempt, **given), json_)


@app.command(name="assume-role")
def assume_role(
    role_arn: Annotated[str, typer.Option(help="ARN of the role.")],
    session_name: str = "localcloud",
    duration: Annotated[int, typer.Option(help="Seconds until the credentials expire.")] = 3600,
    audience: str = jobs.AUDIENCE,
    json_: JsonFlag = False,
) -> None:
    """Take a role by the token of the job that this runs in, as aws-actions/configure-aws-credentials does.

    The credentials go into the file of GITHUB_ENV where there is one, otherwise to standard output.
    """
    aws = running_cloud().url("aws")
    taken = jobs.assume(aws, role_arn, session_name, jobs.token_of(os.environ, audience), duration)
    file = os.environ.get("GITHUB_ENV")
    if file and not json_:
        with Path(file).open("a", encoding="utf-8") as lines:
            lines.writelines(f"{name}={value}\n" for name, value in taken.items())
        return
    _print_variables(taken, json_)


@app.command()
def denials(json_: JsonFlag = False) -> None:
    """Say what roles were denied since the start, in order."""
    known = jobs.denials(running_cloud().url("aws"))
    if json_:
        sys.stdout.write(json.dumps(known) + "\n")
        return
    if not known["enforced"]:
        raise LocalCloudError(
            "identities are not enforced", next_step="`localcloud stop`, then `localcloud start --enforce-identities`"
        )
    for one in known["denials"]:
        sys.stdout.write(f"{one['message']}\n")


def _print_variables(variables: dict[str, str], json_: bool) -> None:
    if json_:
        sys.stdout.write(json.dumps(variables) + "\n")
        return
    for name, value in variables.items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


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
