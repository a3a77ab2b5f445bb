"""`release`: the commands that people and workflows run. Progress goes to stderr, the result to stdout."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
from botocore.exceptions import BotoCoreError, ClientError

from components.naming import ENVIRONMENTS
from release.bootstrap import run as bootstrapping
from release.build.builder import build as build_packages
from release.clients.github import GitHub
from release.console import Console, result
from release.context import Context
from release.doctor.command import doctor as examine_readiness
from release.doctor.command import picture as readiness_picture
from release.errors import Refused, ReleaseError, RollbackIncomplete, RolledBack, UsageError
from release.gates.approval import route as choose_gate
from release.gates.preconditions import admit
from release.git.plumbing import CommitError, try_git
from release.ledger.lifecycle import ApprovalPath, Override, State
from release.pulumi import backend, stack_config
from release.reporting import workflow_summary
from release.reporting.explain import entry_picture, story_picture
from release.reporting.explain import explain as read_story
from release.reporting.status import follow as follow_status
from release.reporting.status import history as read_history
from release.reporting.status import history_table, of_release
from release.reporting.status import picture as status_picture
from release.reporting.status import status as read_status
from release.rollout import operations, preprod
from release.rollout.confirm import confirm as finish_confirmed
from release.rollout.promote import promote as promote_release
from release.rollout.promote import resume as resume_release
from release.rollout.rollback import next_step
from release.rollout.rollback import rollback as roll_back
from release.settings import ReleaseSettings
from release.validation.junit import JunitReport
from release.validation.runner import required

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Build once, promote the same bytes, roll back by itself.",
    epilog="Exit codes: 0 done, 2 usage, 3 refused by a rule, 4 failed and rolled back, 5 rollback not complete.",
)

_INTERRUPTED: Final = 130
StackOption = Annotated[str, typer.Option("--stack", help="preprod or prod")]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON document on stdout")]
ShaOption = Annotated[str | None, typer.Option("--sha", help="the commit, 40 hex digits")]
DigestOption = Annotated[str | None, typer.Option("--digest", help="the release: SHA-256 of its manifest")]
ReasonOption = Annotated[str, typer.Option("--reason", help="why; it is kept in the ledger")]
WantedArgument = Annotated[str, typer.Argument(help="a release: manifest digest or commit, or the start of one")]
ProgramOption = Annotated[
    Path, typer.Option("--program", help="clone whose history holds the release's program", file_okay=False)
]
HERE: Final = Path()


@app.command()
def build(
    sha: Annotated[str, typer.Option("--sha", help="the commit to build")],
    out: Annotated[Path, typer.Option("--out", help="folder for manifest and packages")],
    as_json: JsonOption = False,
) -> None:
    """Build the packages of a commit: once, the same bytes anywhere."""

    def work(console: Console) -> dict[str, Any]:
        manifest = build_packages(_clone(HERE), sha, out, console.line)
        return {"sha": manifest.sha, "manifest": manifest.digest, "folder": str(out), "state": State.BUILT}

    _run(work, as_json=as_json)


@app.command()
def deploy(
    build_folder: Annotated[Path, typer.Option("--build", help="folder that `release build` made", file_okay=False)],
    stack: StackOption = "preprod",
    sha: ShaOption = None,
    program: ProgramOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Publish a build and make preprod serve it."""
    _run(lambda console: preprod.deploy(_context(stack, console, program), build_folder, sha), as_json=as_json)


@app.command()
def validate(
    *,
    digest: Annotated[str, typer.Option("--digest", help="the release: SHA-256 of its manifest")],
    stack: StackOption = "preprod",
    tests: Annotated[Path, typer.Option("--tests", help="folder of the integration tests")] = Path("tests/integration"),
    junit: Annotated[
        Path | None, typer.Option("--junit", help="report of the tests: written with --no-record, else read")
    ] = None,
    record: Annotated[bool, typer.Option("--record/--no-record", help="whether to write the validation record")] = True,
    as_json: JsonOption = False,
) -> None:
    """Run the integration tests against preprod and record that they passed.

    In CI the halves run as two identities: the first with `--junit FILE --no-record`, the second with `--junit FILE`.
    """

    def work(console: Console) -> dict[str, Any]:
        context = _context(stack, console, HERE)
        if record and junit is not None:
            tested = JunitReport.read(junit)
        else:
            tested = preprod.test(context, digest, tests, junit)
        if not record:
            return {"stack": stack, "manifest": digest, "tests": tested.tests, "seconds": tested.duration_s}
        return preprod.validate(context, digest, tested, required(tests))

    _run(work, as_json=as_json)


@app.command()
def check(
    stack: StackOption = "prod",
    digest: DigestOption = None,
    sha: ShaOption = None,
    program: ProgramOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Say whether a release would be let into production, and change nothing."""

    def work(console: Console) -> dict[str, Any]:
        context = _context(stack, console, program)
        admitted = admit(context, _digest(context, digest, sha))
        return {
            "stack": stack,
            "state": State.VALIDATED,
            "sha": admitted.release.sha,
            "manifest": admitted.release.digest,
            "validation": admitted.record.model_dump(mode="json", by_alias=True),
        }

    _run(work, as_json=as_json)


@app.command()
def route(
    stack: StackOption = "prod",
    digest: DigestOption = None,
    sha: ShaOption = None,
    program: ProgramOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Say through which GitHub environment a release goes to production, and why, commit by commit."""
    _run(lambda console: choose_gate(_context(stack, console, program), digest, sha), as_json=as_json)


@app.command()
def promote(
    *,
    stack: StackOption = "prod",
    digest: DigestOption = None,
    sha: ShaOption = None,
    program: ProgramOption = HERE,
    sample: Annotated[int | None, typer.Option("--sample", help="requests to the dark candidate")] = None,
    watch: Annotated[float | None, typer.Option("--watch", help="length of the watch window in seconds")] = None,
    path: Annotated[ApprovalPath, typer.Option("--path", help="automatic: no person has approved it")] = "reviewed",
    accept_inconclusive: Annotated[
        str, typer.Option(metavar="REASON", help="let pass what could not be measured")
    ] = "",
    despite_alarms: Annotated[str, typer.Option(metavar="REASON", help="set alarms aside that ring already")] = "",
    despite_freeze: Annotated[str, typer.Option(metavar="REASON", help="set a freeze aside")] = "",
    despite_rollbacks: Annotated[str, typer.Option(metavar="REASON", help="after too many rollbacks in a row")] = "",
    as_json: JsonOption = False,
) -> None:
    """Promote what preprod validated: dark, judged, a tenth, all, watched, confirmed; or back by itself."""
    despite = Override(
        alarms=despite_alarms, freeze=despite_freeze, rollbacks=despite_rollbacks, inconclusive=accept_inconclusive
    )

    def work(console: Console) -> dict[str, Any]:
        context = _context(stack, console, program, sample=sample, watch_s=watch)
        if stack == "preprod":
            raise UsageError("nothing is promoted to preprod", next_step="release deploy --stack preprod --build DIR")
        return promote_release(context, _digest(context, digest, sha), path=path, despite=despite)

    _run(work, as_json=as_json)


@app.command()
def resume(stack: StackOption = "prod", as_json: JsonOption = False) -> None:
    """Go on with a release whose run has died, at the step that the ledger names."""
    _run(lambda console: resume_release(_context(stack, console, HERE)), as_json=as_json)


@app.command()
def rollback(
    reason: ReasonOption,
    stack: StackOption = "prod",
    to: Annotated[str | None, typer.Option("--to", help="a confirmed release: digest, SHA or `previous`")] = None,
    as_json: JsonOption = False,
) -> None:
    """Finish what a dead run left, or go back to an earlier release. Does nothing when there is nothing to do."""

    def work(console: Console) -> dict[str, Any]:
        context = _context(stack, console, HERE)
        try:
            done = roll_back(context, to, reason)
        except KeyboardInterrupt:
            raise RollbackIncomplete(
                "interrupted in the middle of the rollback",
                why="the ledger says ROLLING_BACK, and nothing is released until it is finished",
                next_step=next_step(context),
            ) from None
        if done.get("problems") or done["state"] in {State.ROLLBACK_FAILED, State.ROLLED_BACK_TRAFFIC}:
            _require_complete(context, done)
        return done

    _run(work, as_json=as_json)


@app.command()
def reap(stack: StackOption = "prod", as_json: JsonOption = False) -> None:
    """Take back what a dead run left. Leaves a living run alone and never goes forward: for the watchdog."""

    def work(console: Console) -> dict[str, Any]:
        context = _context(stack, console, HERE)
        done = operations.reap(context)
        if done.get("problems") or done["state"] in {State.ROLLBACK_FAILED, State.ROLLED_BACK_TRAFFIC}:
            _require_complete(context, done)
        return done

    _run(work, as_json=as_json)


@app.command()
def confirm(stack: StackOption = "prod", as_json: JsonOption = False) -> None:
    """Do what follows a confirmation and was left undone: delete what only the release before needed."""
    _run(lambda console: finish_confirmed(_context(stack, console, HERE)), as_json=as_json)


@app.command()
def block(
    release: WantedArgument, reason: ReasonOption, stack: StackOption = "prod", as_json: JsonOption = False
) -> None:
    """Forbid a release."""

    def work(console: Console) -> dict[str, Any]:
        context = _context(stack, console, HERE)
        return operations.block(context, operations.named(context, release), reason)

    _run(work, as_json=as_json)


@app.command()
def unblock(
    release: WantedArgument, reason: ReasonOption, stack: StackOption = "prod", as_json: JsonOption = False
) -> None:
    """Let a blocked release be promoted again."""

    def work(console: Console) -> dict[str, Any]:
        context = _context(stack, console, HERE)
        return operations.unblock(context, operations.named(context, release), reason)

    _run(work, as_json=as_json)


@app.command()
def freeze(
    switch: Annotated[str, typer.Argument(metavar="on|off", help="stop promotions, or open them again")],
    reason: ReasonOption,
    stack: StackOption = "prod",
    as_json: JsonOption = False,
) -> None:
    """Stop promotions, or open them again. A rollback is never stopped."""

    def work(console: Console) -> dict[str, Any]:
        if switch not in {"on", "off"}:
            raise UsageError(f"freeze is `on` or `off`, not {switch!r}", next_step="release freeze on --reason ...")
        return operations.freeze(_context(stack, console, HERE), reason, frozen=switch == "on")

    _run(work, as_json=as_json)


@app.command()
def unlock(reason: ReasonOption, stack: StackOption = "prod", as_json: JsonOption = False) -> None:
    """Free the lease of a run that has died where nobody can see it. A run that still lives would go on: look first."""

    def work(console: Console) -> dict[str, Any]:
        done = operations.unlock(_context(stack, console, HERE), reason)
        console.line(f"{'freed' if done['freed'] else 'nobody held'} the lease of {stack} ({reason})")
        return done

    _run(work, as_json=as_json)


@app.command()
def status(
    stack: StackOption = "prod",
    follow: Annotated[bool, typer.Option("--follow", help="go on showing it until no run is at work")] = False,
    as_json: JsonOption = False,
) -> None:
    """What is confirmed, what is live, what is under way, and what to do now.

    With `--follow` a picture on a terminal, elsewhere a line for every change, until the run that is at work ends.
    """

    def work(console: Console) -> dict[str, Any]:
        context = _context(stack, console, HERE)
        if not follow:
            return read_status(context)
        return follow_status(context, result(), say=console.line if as_json else None)

    def show(document: dict[str, Any]) -> None:
        if not follow:  # who follows has seen it
            result().print(status_picture(document))

    _run(work, as_json=as_json, show=show)


@app.command()
def history(
    stack: StackOption = "prod",
    newest: Annotated[int, typer.Option("--newest", help="how many entries", min=1)] = 30,
    release: Annotated[str | None, typer.Option("--release", help="only this release: digest or commit")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="check the whole chain of entries")] = False,
    as_json: JsonOption = False,
) -> None:
    """What happened to which release, newest first; decisions of people among it, with who and why."""

    def work(console: Console) -> dict[str, Any]:
        of = of_release(release) if release else None
        document = read_history(_context(stack, console, HERE), newest, verify=verify, of=of)
        if document.get("problems"):
            raise ReleaseError(
                f"the ledger of {stack} was tampered with",
                why="; ".join(document["problems"]),
                next_step="read the versions of those objects and the trail (CloudTrail)",
            )
        return document

    def show(document: dict[str, Any]) -> None:
        out = result()
        out.print(history_table(document["entries"]))
        if verify:
            out.print("every entry is the one that was written")

    _run(work, as_json=as_json, show=show)


@app.command()
def explain(
    wanted: Annotated[
        str | None,
        typer.Argument(metavar="[DIGEST|SHA|SEQ]", help="a release, or the number of an entry; else the newest"),
    ] = None,
    stack: StackOption = "prod",
    as_json: JsonOption = False,
) -> None:
    """The whole story of one release: who, when, why, every verdict with its numbers, and what to do now."""

    def show(document: dict[str, Any]) -> None:
        result().print(entry_picture(document) if "entry" in document else story_picture(document))

    _run(lambda console: read_story(_context(stack, console, HERE), wanted), as_json=as_json, show=show)


@app.command()
def preview(
    *,
    stack: Annotated[str, typer.Option("--stack", help=", ".join(stack_config.STACKS))] = "prod",
    every: Annotated[bool, typer.Option("--all", help="all four stacks")] = False,
    base: Annotated[
        str | None, typer.Option("--base", metavar="REF", help="commit to compare with where no state is published")
    ] = None,
    copy: Annotated[
        Path | None, typer.Option("--copy", help="copy of the state, instead of the published one", dir_okay=False)
    ] = None,
    without_copy: Annotated[bool, typer.Option("--without-copy", help="compare with the base in any case")] = False,
    head: Annotated[
        str | None, typer.Option("--head", metavar="REF", help="commit to name, where GitHub has merged it")
    ] = None,
    pull: Annotated[int | None, typer.Option("--pull", help="number of the pull request to name")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="folder for STACK.json, .md and .html", file_okay=False)
    ] = None,
    expect_no_changes: Annotated[
        bool, typer.Option("--expect-no-changes", help="exit with 7 when something would change")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what the working tree would change in a stack: without credentials, and without asking any cloud.

    Exit code 3: data would be destroyed. With --out the documents say so, and the command ends with 0.
    """
    from release.preview import command  # noqa: PLC0415 -- only this command needs them
    from release.preview.table import picture  # noqa: PLC0415

    question = command.Question(
        clone=_clone(HERE), base=base, copy=copy, without_copy=without_copy, head=head, pull=pull
    )
    stacks = stack_config.STACKS if every else (stack,)
    found: list[command.Found] = []

    def work(console: Console) -> dict[str, Any]:
        found.append(command.run(question, stacks, out, os.environ, console))
        return found[0].as_reported()

    def show(_: dict[str, Any]) -> None:
        for document in found[0].plans:
            result().print(picture(document))

    _run(work, as_json=as_json, show=show)
    raise typer.Exit(command.exit_code(found[0], expect_no_changes=expect_no_changes, documents=out is not None))


@app.command()
def comment(
    *,
    run: Annotated[int | None, typer.Option("--run", help="run of stack-preview.yml that made the previews")] = None,
    pull: Annotated[int | None, typer.Option("--pull", help="pull request whose labels have changed")] = None,
    as_json: JsonOption = False,
) -> None:
    """Comment on a pull request with the previews that its run has made, and set its status. Needs GITHUB_TOKEN.

    It runs from the default branch and checks whatever the run has left: that is made by code of strangers.
    """
    from release.preview import pull_request  # noqa: PLC0415 -- only this command needs it

    def work(console: Console) -> dict[str, Any]:
        if (run is None) == (pull is None):
            raise UsageError(
                "name what to comment on", why="it needs exactly one of --run and --pull", next_step="--run ID"
            )
        return pull_request.comment(_clone(HERE), os.environ, console, run_id=run, number=pull)

    _run(work, as_json=as_json, show=lambda found: result().print(found["description"], markup=False))


@app.command()
def publish(
    stack: StackOption = "prod",
    copy: Annotated[
        Path | None, typer.Option("--copy", help="the copy; else the one that the last command here has made")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Publish the secret-free copy of a state, which previews without credentials start from. Needs GITHUB_TOKEN."""
    from release.preview import published  # noqa: PLC0415 -- only this command needs it

    def work(console: Console) -> dict[str, Any]:
        clone = _clone(HERE)
        github = GitHub.from_environment(os.environ)
        if github is None:
            raise UsageError(
                "there is no GitHub to publish to",
                why="GITHUB_TOKEN or GITHUB_REPOSITORY is not set",
                next_step="set both; the token needs the right to write contents",
            )
        done = published.publish(github, stack, copy or published.place(clone, stack))
        console.line(f"branch {done['branch']} holds the copy of {stack} as of {done['sha'][:12]}")
        return done

    _run(work, as_json=as_json)


@app.command()
def init(
    *,
    account: Annotated[str | None, typer.Option("--account", help="AWS account, of prod where there are two")] = None,
    preprod_account: Annotated[
        str | None, typer.Option("--preprod-account", help="AWS account of preprod, where it has its own")
    ] = None,
    region: Annotated[str | None, typer.Option("--region", help="AWS region of both environments")] = None,
    repository: Annotated[str | None, typer.Option("--repository", metavar="OWNER/REPO", help="on GitHub")] = None,
    owner_id: Annotated[
        str | None, typer.Option("--owner-id", help="numeric id of the repository's owner; empty for none")
    ] = None,
    repository_id: Annotated[
        str | None, typer.Option("--repository-id", help="numeric id of the repository; empty for none")
    ] = None,
    reviewer: Annotated[
        list[str] | None, typer.Option("--reviewer", help="login of who may approve a release; repeatable")
    ] = None,
    team: Annotated[list[str] | None, typer.Option("--team", help="slug of such a team; repeatable")] = None,
    mail: Annotated[list[str] | None, typer.Option("--mail", help="address of who is on call; repeatable")] = None,
    name_suffix: Annotated[
        str | None, typer.Option("--name-suffix", help="what tells your buckets from everybody else's; empty for none")
    ] = None,
    only_plan: Annotated[bool, typer.Option("--plan", help="only show what would change")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask anything")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write your account, repository and people into the stack files and CODEOWNERS.

    Without options it asks for each value. With options it changes these alone, after it has shown the difference.
    """
    from release.bootstrap import init as settling  # noqa: PLC0415 -- no other command reads YAML by its positions

    def listed(values: list[str] | None) -> tuple[str, ...] | None:
        """An empty word makes the list empty."""
        return None if values is None else tuple(filter(None, values))

    answers = settling.Answers(
        account=account,
        preprod_account=preprod_account,
        region=region,
        repository=repository,
        owner_id=owner_id,
        repository_id=repository_id,
        reviewers=listed(reviewer or None),
        teams=listed(team or None),
        mails=listed(mail or None),
        name_suffix=name_suffix,
    )

    def show(document: dict[str, Any]) -> None:
        files = ", ".join(change["file"] for change in document["files"])
        said = f"{'written' if document['written'] else 'would change'}: {files}" if files else "nothing to change"
        for line in (said, *(f"next: {step}" for step in document["next"])):
            result().print(line, markup=False)

    _run(
        lambda console: settling.init(
            _clone(HERE), answers, console, only_plan=only_plan, agreed=yes, show=not as_json
        ),
        as_json=as_json,
        show=show,
    )


@app.command()
def bootstrap(
    *,
    stack: StackOption = "preprod",
    only_plan: Annotated[bool, typer.Option("--plan", help="only say what would be done")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask whether to do it")] = False,
    rotate: Annotated[
        list[str] | None, typer.Option("--rotate", help="replace newsapi, dashboard or access-keys; repeatable")
    ] = None,
    access_keys: Annotated[
        bool, typer.Option("--access-keys", help="jobs log in with keys of users (docs/examples/access-keys)")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make what an environment needs before its first `pulumi up`, and after it fill in its secrets.

    An administrator runs it, as often as it takes: it does only what is missing. The key of the news service is asked
    for, or read as a line from standard input.
    """

    def work(console: Console) -> dict[str, Any]:
        site = bootstrapping.site_of(stack, _clone(HERE), rotate or (), with_access_keys=access_keys)
        return bootstrapping.bootstrap(site, console, only_plan=only_plan, agreed=yes, show=not as_json)

    def show(document: dict[str, Any]) -> None:
        for step in document["next"]:
            result().print(f"next: {step}", markup=False)

    _run(work, as_json=as_json, show=show)


@app.command()
def env(
    stack: Annotated[str, typer.Option("--stack", help=", ".join(stack_config.STACKS))] = "preprod",
    as_json: JsonOption = False,
) -> None:
    """Print what `pulumi` needs to know to work on a stack: eval "$(release env --stack prod-foundation)"."""

    def show(document: dict[str, Any]) -> None:
        for name, value in document.items():
            sys.stdout.write(f"export {name}={shlex.quote(value)}\n")

    _run(
        lambda _: backend.shell_variables(stack_config.load(stack, _clone(HERE), os.environ)),
        as_json=as_json,
        show=show,
    )


@app.command()
def doctor(
    stack: Annotated[
        list[str] | None, typer.Option("--stack", help="preprod or prod; both where none is named")
    ] = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="a check or an area; repeatable")] = None,
    test_page: Annotated[bool, typer.Option("--test-page", help="really send a message to who is on call")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check every line of docs/reference/readiness.md. Exit code 3: one failed, 1: one is unknown."""

    def work(console: Console) -> dict[str, Any]:
        contexts = [_context(one, console, HERE) for one in stack or reversed(ENVIRONMENTS)]
        return examine_readiness(contexts, only or [], test_page=test_page)

    document = _run(work, as_json=as_json, show=lambda found: result().print(readiness_picture(found)))
    raise typer.Exit(document["exit_code"])


def main() -> None:
    """Entry point. SIGTERM is taken like Ctrl-C: a release that has begun goes back by itself."""
    signal.signal(signal.SIGTERM, _interrupt)
    app()


def _interrupt(_signal: int, _frame: Any) -> NoReturn:
    raise KeyboardInterrupt


def _run(
    work: Callable[[Console], dict[str, Any]],
    *,
    as_json: bool,
    show: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Do the work of a command, print its end, and return what it found; leave with the exit code of its error."""
    console = Console()
    try:
        document = work(console)
    except ReleaseError as error:
        _fail(error, console, as_json=as_json)
    except (ClientError, BotoCoreError) as error:
        _fail(
            ReleaseError(
                "AWS did not answer as expected",
                why=str(error),
                next_step="check credentials and endpoint (inside the local cloud: localcloud status), then try again",
            ),
            console,
            as_json=as_json,
        )
    except KeyboardInterrupt:
        console.error("interrupted", "nothing was left half-written", "run the command again")
        raise typer.Exit(_INTERRUPTED) from None
    except Exception:
        traceback.print_exc()
        _fail(ReleaseError("this is a bug in `release`", why="see the traceback above"), console, as_json=as_json)
    workflow_summary.tell_workflow(document)
    if as_json:
        sys.stdout.write(json.dumps(document, indent=1, default=str) + "\n")
    elif show is not None:
        show(document)
    else:
        for line in workflow_summary.lines(document):
            sys.stdout.write(f"{line}\n")
    return document


def _fail(error: ReleaseError, console: Console, *, as_json: bool) -> NoReturn:
    ended = error.report if isinstance(error, RolledBack | RollbackIncomplete) else {}
    state = ended.get("state") or (State.REFUSED if isinstance(error, Refused) else None)
    document = {**({"state": state} if state else {}), **error.as_dict()}
    workflow_summary.tell_workflow({**ended, **document})
    for line in workflow_summary.lines(ended):
        console.line(line)
    rule = f"refused by rule {error.rule}: " if isinstance(error, Refused) else ""
    console.error(f"{rule}{error.what}", error.why, error.next_step)
    if as_json:
        sys.stdout.write(json.dumps(document, indent=1, default=str) + "\n")
    raise typer.Exit(error.exit_code)


def _require_complete(context: Context, done: dict[str, Any]) -> None:
    raise RollbackIncomplete(
        f"the rollback of {context.stack} is not complete: {done['state']}",
        why="; ".join(done.get("problems", ())) or "no release was ever confirmed to go back to",
        next_step=next_step(context),
        report=done,
    )


def _context(stack: str, console: Console, program: Path, **options: float | None) -> Context:
    settings = ReleaseSettings.load(os.environ, **options)
    repo = _clone(program)
    suffix = stack_config.name_suffix(repo, os.environ)
    return Context(stack=stack, repo=repo, console=console, settings=settings, suffix=suffix)


def _clone(folder: Path) -> Path:
    """Top of the clone that holds `folder`; `folder` itself where there is no git (whoever needs git says so then)."""
    try:
        asked = try_git(folder, "rev-parse", "--show-toplevel")
    except CommitError:
        return folder.absolute()
    return Path(os.fsdecode(asked.stdout.rstrip(b"\n"))) if asked.returncode == 0 else folder.absolute()


def _digest(context: Context, digest: str | None, sha: str | None) -> str:
    if (digest is None) == (sha is None):
        raise UsageError(
            "name one release", why="it needs exactly one of --digest and --sha", next_step="--digest DIGEST"
        )
    return digest if digest is not None else context.promotions.digest_of(sha or "")


if __name__ == "__main__":
    main()
