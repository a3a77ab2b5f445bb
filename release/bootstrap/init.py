"""`release init`: an account, a repository and its people, written into every file that holds them.

Those files are the four stack files and CODEOWNERS, whose owners are the reviewers of production. The new texts are
made in memory and read back as the program would read them; only then are they shown, and written together. What the
command was not told stays as it is, and so do comments, key lines and settings that it does not know.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import typer

from components.naming import ENVIRONMENTS, PROJECT, foundation_stack, service_stack
from components.settings import Settings
from release.bootstrap.step import Operator
from release.console import Console, result
from release.errors import ReleaseError, UsageError
from release.pulumi import stack_config
from release.reports import FileChange, InitReport

CODEOWNERS: Final = ".github/CODEOWNERS"
_PROD: Final = foundation_stack("prod")
_RULE: Final = re.compile(r"(?P<path>(?:\\.|[^\s\\#])+\s+)(?P<owners>[^#\r\n]*[^#\s])")
"""A line of CODEOWNERS, up to its comment."""
_CONFIG: Final = re.compile(
    r"(?m)^config:[ \t]*(?:#.*)?\n(?:[ \t]*(?:#.*)?\n)*(?P<indent> +)[^\s#].*(?:(?:\n(?:[ #].*)?)*\n +[^\s#].*)?"
)
"""The settings of a stack file, up to the end of the last one."""
_VALUE: Final = r"(?:[^#\n]|(?<=\S)#)*?(?P<rest>[ \t\r]*(?:#.*)?)$(?:\n *- .*)*"
"""What stands behind the colon of a setting: a word or a flow list with a comment, or a list on the lines below."""
_COLOURS: Final = {"+": "green", "-": "red", "@": "cyan"}


class _Setting(NamedTuple):
    """An answer: the question for it, the setting that holds it, and the stacks whose files have that setting."""

    question: str
    key: str
    stacks: Collection[str] = stack_config.STACKS


_FOUNDATIONS: Final = tuple(foundation_stack(environment) for environment in ENVIRONMENTS)
_ACCOUNT: Final = f"{PROJECT}:accountId"
_SETTINGS: Final = {
    # Both accounts stand in every file, as the own one or as the other one.
    "account": _Setting("AWS account of production, 12 digits", _ACCOUNT, ()),
    "preprod_account": _Setting("AWS account of preprod, 12 digits", _ACCOUNT, ()),
    "region": _Setting("AWS region of both", "aws:region"),
    "repository": _Setting("GitHub repository, OWNER/REPO", f"{PROJECT}:githubRepository"),
    "owner_id": _Setting(
        "numeric id of its owner (none for repositories from before 2026-07-15)",
        f"{PROJECT}:githubOwnerId",
        _FOUNDATIONS,
    ),
    "repository_id": _Setting("numeric id of the repository", f"{PROJECT}:githubRepositoryId", _FOUNDATIONS),
    "reviewers": _Setting("logins of who approves a release", f"{PROJECT}:reviewers", (_PROD,)),
    "teams": _Setting("slugs of teams that approve as well", f"{PROJECT}:reviewerTeams", (_PROD,)),
    "mails": _Setting("mail addresses that alarms and the budget write to", f"{PROJECT}:onCallEmails"),
    "name_suffix": _Setting(
        "name suffix, where somebody has the names of the buckets already", f"{PROJECT}:nameSuffix"
    ),
}
_LISTS: Final = ("reviewers", "teams", "mails")

Answers = Mapping[str, str | tuple[str, ...]]
"""What the person said, by the names above; what is not named leaves the value of the files."""


def init(folder: Path, answers: Answers, console: Console, *, only_plan: bool, agreed: bool, show: bool) -> InitReport:
    """Write the answers of the options into the files of a clone; where none were given, ask for each of them.

    `only_plan` changes nothing, `agreed` asks nothing, `show` prints the difference.

    Raises:
        UsageError: A value is not allowed, a file cannot be read, or nobody can be asked.
        ReleaseError: The person said no, or a file cannot be written. Nothing was changed.
    """
    asks = not answers and not agreed
    if asks and not sys.stdin.isatty():
        raise UsageError(
            "nobody can be asked here",
            why="standard input is no terminal",
            next_step="say by options what is to be, with --yes (release init --help)",
        )
    while True:
        if asks:
            answers = _asked(folder, answers)
        try:
            changes = plan(folder, answers)
            break
        except UsageError as error:
            if not asks:
                raise
            console.error(error.what, error.why, "answer again; nothing was written")
    if show:
        for line in (line for change in changes for line in change.diff):
            result().print(line, style=_COLOURS.get(line[:1]), markup=False)
    writes = bool(changes) and not only_plan
    if writes:
        if not agreed and not Operator.agrees(f"Write these {len(changes)} files?"):
            raise ReleaseError("nothing was changed", why="the answer was no")
        _write(folder, changes)
    following = [f"git add {' '.join(change.file for change in changes)}"] if writes else []
    return InitReport(files=changes, written=writes, next=following)


def plan(folder: Path, answers: Answers) -> list[FileChange]:
    """The files that the answers change; raises `UsageError` for what the program would refuse. Writes nothing."""
    answers = _with_both_accounts(folder, answers)
    before = {CODEOWNERS: _read(folder, CODEOWNERS)}
    after = {}
    for stack in stack_config.STACKS:
        name, values = f"Pulumi.{stack}.yaml", stack_config.raw(stack, folder)
        before[name] = after[name] = _read(folder, name)
        for key, value in _wanted(stack, answers).items():
            if values.get(key, "") != (value if isinstance(value, str) else json.dumps(value)):
                after[name] = _with(after[name], name, key, value)
    after[CODEOWNERS] = codeowners(before[CODEOWNERS], _settings(folder, after)[_PROD])
    changed = {name: text for name, text in after.items() if before[name] != text}
    return [FileChange(file=name, before=before[name], after=text) for name, text in changed.items()]


def codeowners(text: str, settings: Settings) -> str:
    """Make the reviewers of production the owners of all that who owns `*` owns; other lines stay as they are."""
    owners = [f"@{login}" for login in settings.reviewers]
    owners += [f"@{settings.github_owner}/{team}" for team in settings.reviewer_teams]
    lines = text.splitlines(keepends=True)
    rules = [_RULE.match(line) for line in lines]
    ours = next((rule["owners"].split() for rule in rules if rule and rule["path"].strip() == "*"), None)
    if ours is None:
        raise UsageError(
            f"{CODEOWNERS} has no line for `*`", next_step=f"add one: * {' '.join(owners)}   (then run this again)"
        )
    return "".join(
        f"{rule['path']}{' '.join(owners)}{line[rule.end() :]}" if rule and rule["owners"].split() == ours else line
        for line, rule in zip(lines, rules, strict=True)
    )


def _wanted(stack: str, answers: Answers) -> dict[str, str | tuple[str, ...]]:
    """The settings of one stack that the answers name, by their full key."""
    # What all stacks have stands first: so it lies in the files.
    rows = sorted(_SETTINGS.items(), key=lambda row: -len(row[1].stacks))
    wanted = {one.key: answers[name] for name, one in rows if stack in one.stacks and name in answers}
    if "account" in answers:
        own, other = str(answers["account"]), str(answers["preprod_account"])
        if stack in {service_stack("preprod"), foundation_stack("preprod")}:
            own, other = other, own
        wanted |= {
            "aws:allowedAccountIds": (own,),
            _ACCOUNT: own,
            f"{PROJECT}:otherAccountId": "" if own == other else other,
        }
    return wanted


def _with(text: str, name: str, key: str, value: str | tuple[str, ...]) -> str:
    """Put one setting into the text of a stack file, and touch no other line of it.

    What stands there in a way that is not known here makes the file unreadable, so that nothing is written.
    """
    config = _CONFIG.search(text)
    if config is None:
        raise UsageError(
            f"{name} holds no settings that can be changed", next_step="write one line per setting below `config:`"
        )
    # Quoted, so that no reader takes an account for a number or a login for a yes.
    new = f"{config['indent']}{key}: {json.dumps(value, ensure_ascii=False)}"
    if old := re.compile(f"(?m)^{config['indent']}{re.escape(key)}:{_VALUE}").search(text):
        return f"{text[: old.start()]}{new}{old['rest']}{text[old.end() :]}"
    return f"{text[: config.end()]}\n{new}{text[config.end() :]}"


def _with_both_accounts(folder: Path, answers: Answers) -> Answers:
    """Say both accounts where one is named: the files know the other one, and whether there is another one."""
    if not answers.keys() & {"account", "preprod_account"}:
        return answers
    known = _known(folder)
    both = {"account": known["account"], "preprod_account": known["preprod_account"], **answers}
    if "preprod_account" not in answers and known["account"] == known["preprod_account"]:
        both["preprod_account"] = both["account"]
    return both


def _known(folder: Path) -> Answers:
    """Return the values that stand in the files now, however wrong."""
    prod, preprod = (stack_config.raw(foundation_stack(environment), folder) for environment in ("prod", "preprod"))
    said: dict[str, Any] = {name: prod.get(one.key, "") for name, one in _SETTINGS.items()}
    for name in _LISTS:
        try:
            said[name] = tuple(map(str, json.loads(said[name] or "[]")))
        except (ValueError, TypeError):
            said[name] = ()
    return said | {"preprod_account": preprod.get(_ACCOUNT, "")}


def _asked(folder: Path, earlier: Answers) -> Answers:
    """Ask for each answer; Return keeps what was said before, or what the files say, and `-` makes it empty."""
    known = {**_known(folder), **earlier}
    together = known["account"] == known["preprod_account"]
    said: dict[str, str | tuple[str, ...]] = {}
    for name, setting in _SETTINGS.items():
        now = said["account"] if name == "preprod_account" and together else known[name]
        shown = now if isinstance(now, str) else " ".join(now)
        try:
            typed = typer.prompt(setting.question, default=shown or "-", err=True).strip()
        except typer.Abort:
            raise KeyboardInterrupt from None
        typed = "" if typed == "-" else typed
        said[name] = typed if isinstance(now, str) else tuple(typed.replace(",", " ").split())
    return said


def _settings(folder: Path, texts: Mapping[str, str]) -> dict[str, Settings]:
    """The settings of every stack, if these texts stood in the files; raises `UsageError` where one is refused."""
    with tempfile.TemporaryDirectory(prefix="release-") as scratch:
        shutil.copy(folder / "Pulumi.yaml", scratch)
        for name, text in texts.items():
            (Path(scratch) / name).write_text(text, encoding="utf-8")
        try:
            return {stack: stack_config.load(stack, Path(scratch), {}) for stack in stack_config.STACKS}
        except UsageError as error:
            raise UsageError(
                error.what,
                why=error.why,
                next_step="name another value (release init --help), or one setting a line; nothing was written",
            ) from None


def _read(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_bytes().decode("utf-8")  # as it is: no line end is translated
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{name} is missing or cannot be read", why=str(error), next_step="run this in a clone of the repository"
        ) from None


def _write(folder: Path, changes: Sequence[FileChange]) -> None:
    """Write all files or none: each text lies beside its file before the first one is replaced."""
    files = [folder / change.file for change in changes]
    scratch = [file.with_name(f".{file.name}.{os.getpid()}") for file in files]
    try:
        for change, file, beside in zip(changes, files, scratch, strict=True):
            beside.write_bytes(change.after.encode("utf-8"))
            shutil.copymode(file, beside)
        for file, beside in zip(files, scratch, strict=True):
            beside.replace(file)
    except OSError as error:
        raise ReleaseError("the files cannot be written", why=str(error), next_step="git status shows them") from None
    finally:
        for beside in scratch:
            beside.unlink(missing_ok=True)
