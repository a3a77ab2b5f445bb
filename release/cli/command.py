"""What all commands share: progress on stderr, the result on stdout (`--json`: one document), the exit codes."""

from __future__ import annotations

import errno
import functools
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

import typer

from release.cli.options import JsonOption
from release.errors import ReadableError, Refused, ReleaseError, Reported
from release.rules import RefusalRule

if TYPE_CHECKING:
    from rich.console import RenderableType

_INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command has found: a report of `release.reports`, or variables by name."""

    found: Reported | Mapping[str, str]
    pictures: Callable[[], Iterable[RenderableType] | None] | None = None
    """What people see, as far as it is not printed already; without it they get the lines of the report."""
    exit_code: int = 0


def command(work: Callable[..., CommandResult | Reported]) -> Callable[..., None]:
    """Make a command of a function that returns its report: with `--json`, and an exit code for every end.

    The function is given `as_json` when it asks for it.
    """
    signature = inspect.signature(work, eval_str=True)
    parameters = dict(signature.parameters)
    asks = "as_json" in parameters
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters["as_json"] = inspect.Parameter("as_json", kind, default=False, annotation=JsonOption)

    @functools.wraps(work)
    def run(*, as_json: bool, **options: Any) -> None:
        done = _attempt(functools.partial(work, **options, **({"as_json": as_json} if asks else {})), as_json=as_json)
        answer = done if isinstance(done, CommandResult) else CommandResult(done)
        from release.console import result
        from release.reporting import workflow_summary
        from release.reports import Report

        found = answer.found
        lines = workflow_summary.lines(found) if isinstance(found, Report) else []
        document = found if isinstance(found, Mapping) else found.as_dict()
        workflow_summary.tell_workflow(document, lines)
        if as_json:
            _print_json(document)
        elif answer.pictures is not None:
            for picture in answer.pictures() or ():
                result().print(picture, markup=False)
        else:
            _write("".join(f"{line}\n" for line in lines))
        raise typer.Exit(answer.exit_code)

    run.__signature__ = signature.replace(parameters=list(parameters.values()))  # ty: ignore[missing-attribute] -- typer reads it
    run.__annotations__ = {}  # where no name has to be looked up
    return run


def _attempt(work: Callable[[], CommandResult | Reported], *, as_json: bool) -> CommandResult | Reported:
    """Do the work of a command; leave with the exit code of its error."""
    try:
        return work()
    except ReadableError as error:
        _fail(error, as_json=as_json)
    except KeyboardInterrupt:
        from release.console import Console

        Console().error("interrupted", "nothing was left half-written", "run the command again")
        raise typer.Exit(_INTERRUPTED) from None
    except Exception as error:
        _fail(_explained(error), as_json=as_json)


def _explained(error: Exception) -> ReleaseError:
    import traceback

    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(error, ClientError | BotoCoreError):
        return ReleaseError(
            "AWS did not answer as expected",
            why=str(error),
            next_step="check credentials and endpoint (inside the local cloud: localcloud status), then try again",
        )
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return ReleaseError(
            "the disk is full", why=str(error), next_step="make room (df -h), then run the command again"
        )
    traceback.print_exc()
    return ReleaseError("this is a bug in `release`", why="see the traceback above")


def _fail(error: ReadableError, *, as_json: bool) -> NoReturn:
    from release.console import Console
    from release.ledger.lifecycle import State
    from release.reporting import workflow_summary
    from release.reports import Report

    console = Console()
    report = getattr(error, "report", None)
    if not isinstance(report, Report):
        report = Report()  # it ended before there was anything to report
    state = report.state or (State.REFUSED if isinstance(error, Refused) else None)
    if isinstance(error, Refused) and error.rule == RefusalRule.ROLLBACK_FAILED.label:
        state = State.ROLLBACK_FAILED  # the workflow's way back begins unless a state says that there is nothing to do
    document = {**({"state": state} if state else {}), **error.as_dict()}
    lines = workflow_summary.lines(report)
    workflow_summary.tell_workflow({**report.as_dict(), **document}, lines)
    for line in lines:
        console.line(line)
    rule = f"refused by rule {error.rule}: " if isinstance(error, Refused) else ""
    console.error(f"{rule}{error.what}", error.why, error.next_step)
    if as_json:
        _print_json(document)
    raise typer.Exit(error.exit_code)


def _print_json(document: Mapping[str, Any]) -> None:
    _write(json.dumps(document, indent=1, default=str) + "\n")


def _write(text: str) -> None:
    from release.console import drop

    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:  # nobody reads it; the exit code still says how the command ended
        drop(sys.stdout)
