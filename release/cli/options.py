"""Options and arguments that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from components.naming import STACKS

StackOption = Annotated[str, typer.Option("--stack", help="preprod or prod")]
AnyStackOption = Annotated[str, typer.Option("--stack", help=", ".join(STACKS))]
ShaOption = Annotated[str | None, typer.Option("--sha", help="the commit, 40 hex digits")]
DigestOption = Annotated[str | None, typer.Option("--digest", help="the release: SHA-256 of its manifest")]
ReasonOption = Annotated[str, typer.Option("--reason", help="why; it is kept in the ledger")]
WantedArgument = Annotated[str, typer.Argument(help="a release: manifest digest or commit, or the start of one")]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON document on stdout")]
