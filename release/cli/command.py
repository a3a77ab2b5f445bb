"""What all commands share: progress on stderr, the result on stdout (`--json`: one document), the exit codes."""

from __future__ import annotations

import functools
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import typer

from release.cli.options import JsonOption
from release.errors import Refused, ReleaseError, RollbackIncomplete, RolledBack

_INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command has found."""

    document: Mapping[str, Any]
    show: Callable[[], object] | None = None
    """Shows it to people; without it they get the lines of `release.reporting.workflow_summary`."""
    exit_code: int = 0


def command(work: Callable[..., Answer | dict[str, Any]]) -> Callable[..., None]:
    """Make a command of a function that returns its document: with `--json`, and an exit code for every end.

    The function is given `as_json` when it asks for it.
    """
    signature = inspect.signature(work, eval_str=True)
    parameters = dict(signature.parameters)
    asks = "as_json" in parameters
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters["as_json"] = inspect.Parameter("as_json", kind, default=False, annotation=JsonOption)

    @functools.wraps(work)
    def run(*, as_json: bool, **options: Any) -> None:
        found = _attempt(functools.partial(work, **options, **({"as_json": as_json} if asks else {})), as_json=as_json)
        answer = found if isinstance(found, Answer) else Answer(found)
        from release.reporting import workflow_summary

        workflow_summary.tell_workflow(answer.document)
        if as_json:
            _print_json(answer.document)
        elif answer.show is not None:
            answer.show()
        else:
            sys.stdout.writelines(f"{line}\n" for line in workflow_summary.lines(answer.document))
        raise typer.Exit(answer.exit_code)

    run.__signature__ = signature.replace(parameters=list(parameters.values()))  # ty: ignore[missing-attribute] -- typer reads it
    run.__annotations__ = {}  # where no name has to be looked up
    return run


def _attempt(work: Callable[[], Answer | dict[str, Any]], *, as_json: bool) -> Answer | dict[str, Any]:
    """Do the work of a command; leave with the exit code of its error."""
    try:
        return work()
    except ReleaseError as error:
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
    traceback.print_exc()
    return ReleaseError("this is a bug in `release`", why="see the traceback above")


def _fail(error: ReleaseError, *, as_json: bool) -> NoReturn:
    from release.console import Console
    from release.ledger.lifecycle import State
    from release.reporting import workflow_summary

    console = Console()
    ended = error.report if isinstance(error, RolledBack | RollbackIncomplete) else {}
    state = ended.get("state") or (State.REFUSED if isinstance(error, Refused) else None)
    document = {**({"state": state} if state else {}), **error.as_dict()}
    workflow_summary.tell_workflow({**ended, **document})
    for line in workflow_summary.lines(ended):
        console.line(line)
    rule = f"refused by rule {error.rule}: " if isinstance(error, Refused) else ""
    console.error(f"{rule}{error.what}", error.why, error.next_step)
    if as_json:
        _print_json(document)
    raise typer.Exit(error.exit_code)


def _print_json(document: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, indent=1, default=str) + "\n")
