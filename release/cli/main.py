"""`release`: the commands that people and workflows run."""

from __future__ import annotations

import signal
from typing import Any, Final, NoReturn

import typer
from typer.core import TyperGroup, TyperOption

from release.cli import builds, decisions, previews, promotions, reports, setup

COMMANDS: Final = (
    *(builds.build, builds.deploy, builds.validate),
    *(promotions.check, promotions.route, promotions.plan, promotions.keep, promotions.promote, promotions.resume),
    *(promotions.rollback, promotions.reap, promotions.confirm),
    *(decisions.block, decisions.unblock, decisions.freeze, decisions.unlock),
    *(reports.status, reports.history, reports.explain, reports.audit, reports.notify, reports.watch),
    *(previews.preview, previews.comment, previews.publish),
    *(setup.init, setup.bootstrap, setup.env, setup.doctor),
)


class _Commands(TyperGroup):
    def get_help_option(self, ctx: Any) -> TyperOption | None:
        """The group's `--help`; without a default typer would load pydantic to understand that it was not given."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.default = False
        return option


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"max_content_width": 120},
    rich_markup_mode=None,  # `--help` would wait for rich otherwise
    help="Build once, promote the same bytes, roll back automatically.",
    epilog="Exit codes: 0 done, 2 usage, 3 refused by a rule, 4 failed and rolled back, 5 rollback not complete, "
    "6 another run has taken over.",
)
for _command in COMMANDS:
    app.command()(_command)


def main() -> None:
    """Entry point. SIGTERM and SIGHUP are taken like Ctrl-C: a release that has begun rolls back automatically."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup` wants it so
            signal.signal(number, _interrupt)
    app()


def _interrupt(_signal: int, _frame: Any) -> NoReturn:
    raise KeyboardInterrupt
