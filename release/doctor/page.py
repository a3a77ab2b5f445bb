"""The page of the checks: `python -m release.doctor.page > docs/reference/readiness.md`."""

from __future__ import annotations

import sys
from itertools import groupby

from components.naming import foundation_stack
from release.doctor.buckets import PROBE
from release.doctor.check import Check, Readiness
from release.doctor.examine import EXIT_CODES
from release.doctor.table import CHECKS


def document() -> str:
    """The page: how to ask, what the verdicts mean, and a table per area."""
    return "\n".join(
        [
            "# The readiness checklist",
            "",
            "`python -m release.doctor.page` makes this page from `release/doctor/`; a test compares them.",
            "",
            "```sh",
            "release doctor                            # both environments",
            "release doctor --stack prod --json        # one, for machines",
            "release doctor --only roles --only alarms # areas, or single checks by name",
            "release doctor --only alarms --test-page  # sends a message to the person on call",
            "```",
            "",
            "Run it as an administrator of the account, with the `GITHUB_TOKEN` of an administrator of the repository.",
            "A role of CI sees a part; what it may not see is `unknown`. With two accounts, run it in each: `--stack`.",
            "",
            "| verdict | means | exit code |",
            "| --- | --- | --- |",
            *[f"| `{verdict}` | {_MEANINGS[verdict]} | {EXIT_CODES[verdict]} |" for verdict in Readiness],
            "",
            "The worst verdict gives the exit code (2 is a mistake in the command).",
            "",
            "The command changes nothing, with two exceptions. It creates one object in the deployment bucket,",
            f"`{PROBE}`, and tries to overwrite it, which must be denied; as a role of CI it also tries",
            "to write that object in the other environment, which must be denied too. `--test-page` sends a message.",
            "",
            "## The checklist",
            *[line for area, checks in groupby(CHECKS, lambda check: check.area) for line in _area(area, list(checks))],
            "",
            "## Strangers",
            "",
            "A role, policy or environment that differs from the table was changed outside of the program. Before you",
            "restore it, find out in the audit trail who changed it. For a role:",
            "",
            "```sh",
            "aws cloudtrail lookup-events --lookup-attributes AttributeKey=ResourceName,AttributeValue=ROLE",
            "```",
            "",
            "Then `pulumi up --refresh` puts it back. What the engine does not know (one more policy, one more role,",
            "reviewers that were taken away) it does not see: fix that by hand, and ask `release doctor` again.",
            "",
            "## What the local cloud cannot show",
            "",
            "These are never `ok` there:",
            "",
            *[f"- `{check.name}`: {check.not_local}." for check in CHECKS if check.not_local],
            "",
        ]
    )


_MEANINGS = {
    Readiness.OK: "it was looked at, and is as it should be",
    Readiness.WARNING: "it works, and somebody should know",
    Readiness.UNKNOWN: "it could not be looked at: never taken for `ok`",
    Readiness.FAILED: "it was looked at, and is not as it should be",
}


def _area(area: str, checks: list[Check]) -> list[str]:
    return [
        "",
        f"### {area}",
        "",
        "| check | about | asks | is `ok` when | else |",
        "| --- | --- | --- | --- | --- |",
        *[
            " | ".join((f"| `{check.name}`", _about(check), *map(_cell, (check.asks, check.expected, _fix(check)))))
            + " |"
            for check in checks
        ],
    ]


def _about(check: Check) -> str:
    return check.environments[0] if len(check.environments) == 1 else check.scope


def _fix(check: Check) -> str:
    return check.fix.format(stack="STACK", foundation=foundation_stack("prod").replace("prod", "STACK"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(document())
