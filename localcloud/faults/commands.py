"""`localcloud fault`: make calls fail on purpose, and count them."""

import json
import sys
from collections import Counter
from typing import Annotated, Any
from urllib.parse import urlencode

import typer
from rich.console import Console
from rich.table import Table

from localcloud.errors import LocalCloudError
from localcloud.faults.kind import Kind
from localcloud.process.state import CloudState, running_cloud

app = typer.Typer(no_args_is_help=True, help=__doc__)

_PARTS = ("aws", "lambdas", "github", "news")
_PART_OF = {"lambda": "lambdas", "github": "github", "news": "news"}  # every other service is moto's

JsonFlag = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
CallerOption = Annotated[
    str, typer.Option(help="Only calls whose user agent contains this: app/release is the releaser.")
]


@app.command()
def add(
    target: Annotated[
        str,
        typer.Argument(
            metavar="SERVICE[:OPERATION]",
            help="s3:PutObject, lambda, 'github:GET /repos/*/pulls', '*' (a repository is one `*`)",
        ),
    ],
    *,
    kind: Annotated[Kind, typer.Option(help="What happens to the call.")],
    nth: Annotated[
        int | None, typer.Option(min=1, help="From the n-th matching call on; once, unless --times says more.")
    ] = None,
    ratio: Annotated[
        float | None, typer.Option(min=0, max=1, help="This part of the matching calls, by chance.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The chance of --ratio; the same seed hits the same calls.")] = None,
    times: Annotated[int | None, typer.Option(min=1, help="How often at most.")] = None,
    seconds: Annotated[float | None, typer.Option(help="How long timeout and slow take; 5 when not given.")] = None,
    caller: CallerOption = "",
    json_: JsonFlag = False,
) -> None:
    """Make matching calls fail, from now on."""
    from localcloud.faults.rules import FaultRule, FaultRuleError  # noqa: PLC0415 - 0.1 s that no other command should wait for

    service, _, operation = target.partition(":")
    wanted: dict[str, Any] = {"service": service, "operation": operation, "kind": kind, "caller": caller}
    wanted |= {"nth": nth, "ratio": ratio, "seed": seed, "times": times, "seconds": seconds}
    try:
        rule = FaultRule.read({name: value for name, value in wanted.items() if value not in (None, "")})
    except FaultRuleError as error:
        raise LocalCloudError(
            f"no such fault: {error}",
            next_step="see `localcloud fault add --help`; `localcloud fault calls` names calls",
        ) from None
    state = running_cloud()
    for part in _PARTS if service == "*" else [_PART_OF.get(service, "aws")]:
        _ask(state, part, "PUT", "faults", rule.model_dump(mode="json", exclude_defaults=True))
    _print_rules(_rules(state), json_=json_)


@app.command(name="list")
def list_(json_: JsonFlag = False) -> None:
    """Show the rules, how many calls matched each, and how many of them it hit."""
    _print_rules(_rules(running_cloud()), json_=json_)


@app.command()
def clear(json_: JsonFlag = False) -> None:
    """Remove all rules and begin to count from nothing."""
    state = running_cloud()
    cleared = sum(_ask(state, part, "DELETE", "faults")["cleared"] for part in _PARTS)
    _print({"cleared": cleared}, f"removed {cleared} rules; calls are counted from nothing", json_=json_)


@app.command()
def calls(caller: CallerOption = "", json_: JsonFlag = False) -> None:
    """Count the calls since the start or the last clear, per service and operation."""
    state, total = running_cloud(), Counter()
    for part in _PARTS:
        total.update(_ask(state, part, "GET", f"calls?{urlencode({'caller': caller})}")["calls"])
    table = Table("calls", "operation", box=None)
    for name, number in sorted(total.items()):
        table.add_row(str(number), name)
    _print({"calls": dict(sorted(total.items()))}, table if total else "no calls yet", json_=json_)


def _rules(state: CloudState) -> list[dict[str, Any]]:
    return [{"part": part, **one} for part in _PARTS for one in _ask(state, part, "GET", "faults")["faults"]]


def _ask(state: CloudState, part: str, method: str, what: str, body: Any = None) -> Any:
    import httpx  # noqa: PLC0415 - the same

    try:
        with httpx.Client(trust_env=False, timeout=10) as http:  # past the machine's proxy
            answer = http.request(method, f"{state.url(part)}/_localcloud/{what}", json=body)
    except httpx.HTTPError as error:
        raise LocalCloudError(
            f"the local cloud's part {part!r} does not answer: {error}", next_step=f"see `localcloud logs {part}`"
        ) from None
    if answer.is_error:
        raise LocalCloudError(
            f"the local cloud's part {part!r} refuses: {answer.status_code} {answer.text}",
            next_step="it may run older code: `localcloud reset` starts it anew, and empty",
        )
    return answer.json()


def _print_rules(rules: list[dict[str, Any]], *, json_: bool) -> None:
    table = Table("part", "call", "kind", "which", "matched", "hit", box=None)
    for one in rules:
        which = ", ".join(
            f"{name} {one[name]}" for name in ("nth", "ratio", "seed", "times", "seconds", "caller") if name in one
        )
        call = f"{one['service']}:{one.get('operation', '*')}"
        table.add_row(one["part"], call, one["kind"], which or "every call", str(one["seen"]), str(one["struck"]))
    _print({"faults": rules}, table if rules else "no faults", json_=json_)


def _print(document: dict[str, Any], shown: Any, *, json_: bool) -> None:
    if json_:
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        Console(highlight=False, markup=False).print(shown)
