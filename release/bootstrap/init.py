"""`release init`: an account, a repository and its people, written into every file that holds them.

Those files are the four stack files and CODEOWNERS, whose owners are the reviewers of production. The new texts are
made in memory and read back as the program would read them; only then are they shown, and written together. What the
command was not told stays as it is, and so do comments, key lines and settings that it does not know.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import typer
from rich.text import Text
from yaml import MappingNode, Node, SequenceNode, YAMLError, compose

from components.naming import ENVIRONMENTS, PROJECT, foundation_stack, service_stack
from components.settings import Settings
from release.bootstrap.step import Operator
from release.console import Console, result
from release.errors import ReleaseError, UsageError
from release.pulumi import stack_config

CODEOWNERS: Final = ".github/CODEOWNERS"
_PROD: Final = foundation_stack("prod")
_RULE: Final = re.compile(r"(?P<path>(?:\\.|[^\s\\#])+)(?P<gap>\s+)(?P<owners>[^#]*?)(?P<rest>\s*(?:#.*)?)")


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What the person says; `None` leaves what the files say."""

    account: str | None = None
    preprod_account: str | None = None
    region: str | None = None
    repository: str | None = None
    owner_id: str | None = None
    repository_id: str | None = None
    reviewers: tuple[str, ...] | None = None
    teams: tuple[str, ...] | None = None
    mails: tuple[str, ...] | None = None
    name_suffix: str | None = None

    @property
    def given(self) -> dict[str, str | tuple[str, ...]]:
        """What was said, by field."""
        return {one.name: value for one in fields(self) if (value := getattr(self, one.name)) is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class FileChange:
    """One file before and after."""

    file: Path
    name: str
    before: str
    after: str

    @property
    def diff(self) -> list[str]:
        """The difference as lines of a patch."""
        before, after = self.before.splitlines(), self.after.splitlines()
        return list(difflib.unified_diff(before, after, f"a/{self.name}", f"b/{self.name}", lineterm=""))


def init(folder: Path, answers: Answers, console: Console, *, only_plan: bool, agreed: bool, show: bool) -> dict:
    """Write the answers into the files; where none were given, ask for each of them.

    Args:
        folder: Top of the clone.
        answers: What the options say.
        console: Where questions and refusals go.
        only_plan: Change nothing.
        agreed: Do not ask anything.
        show: Whether the difference is printed.

    Returns:
        The document of the command: the difference of each file, and what to do next.

    Raises:
        UsageError: A value is not allowed, a file cannot be read, or nobody can be asked.
        ReleaseError: The person said no, or a file cannot be written. Nothing was changed.
    """
    asks = not answers.given and not agreed
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
        for change in changes:
            result().print(_picture(change))
    if changes and not only_plan:
        if not agreed and not Operator.agrees(f"Write these {len(changes)} files?"):
            raise ReleaseError("nothing was changed", why="the answer was no")
        _write(changes)
    return {
        "files": [{"file": change.name, "diff": change.diff} for change in changes],
        "written": bool(changes) and not only_plan,
        "next": [f"git add {' '.join(change.name for change in changes)}"] if changes and not only_plan else [],
    }


def plan(folder: Path, answers: Answers) -> list[FileChange]:
    """The files that the answers change; raises `UsageError` for what the program would refuse. Writes nothing."""
    answers = _with_both_accounts(folder, answers)
    before = {f"Pulumi.{stack}.yaml": _read(folder, f"Pulumi.{stack}.yaml") for stack in stack_config.STACKS}
    after = {
        f"Pulumi.{stack}.yaml": _stack_file(folder, stack, before[f"Pulumi.{stack}.yaml"], answers)
        for stack in stack_config.STACKS
    }
    before[CODEOWNERS] = _read(folder, CODEOWNERS)
    after[CODEOWNERS] = codeowners(before[CODEOWNERS], _settings(folder, after)[_PROD])
    return [
        FileChange(file=folder / name, name=name, before=text, after=after[name])
        for name, text in before.items()
        if after[name] != text
    ]


def codeowners(text: str, settings: Settings) -> str:
    """Make the reviewers of production the owners of all that who owns `*` owns; other lines stay as they are."""
    owners = [f"@{login}" for login in settings.reviewers]
    owners += [f"@{settings.github_owner}/{team}" for team in settings.reviewer_teams]
    lines = text.splitlines(keepends=True)
    rules = [_RULE.fullmatch(line.rstrip("\r\n")) for line in lines]
    ours = next((rule["owners"].split() for rule in rules if rule and rule["path"] == "*"), None)
    if ours is None:
        raise UsageError(
            f"{CODEOWNERS} has no line for `*`", next_step=f"add one: * {' '.join(owners)}   (then run this again)"
        )
    return "".join(
        line if not rule or rule["owners"].split() != ours else _with_owners(line, rule, owners)
        for line, rule in zip(lines, rules, strict=True)
    )


def _with_owners(line: str, rule: re.Match[str], owners: Sequence[str]) -> str:
    if rule["owners"].split() == list(owners):
        return line
    return f"{rule['path']}{rule['gap']}{' '.join(owners)}{rule['rest']}" + line[len(line.rstrip("\r\n")) :]


def _wanted(stack: str, answers: Answers) -> dict[str, str | tuple[str, ...]]:
    """The settings of one stack that the answers name, by their full key."""
    said = answers.given
    # What all stacks have stands first: so it lies in the files.
    rows = sorted(_SETTINGS.items(), key=lambda row: -len(row[1].stacks))
    wanted: dict[str, Any] = {one.key: said.get(name) for name, one in rows if stack in one.stacks}
    if answers.account is not None and answers.preprod_account is not None:
        own, other = answers.account, answers.preprod_account
        if stack in {service_stack("preprod"), foundation_stack("preprod")}:
            own, other = other, own
        wanted |= {
            "aws:allowedAccountIds": (own,),
            _ACCOUNT: own,
            f"{PROJECT}:otherAccountId": "" if own == other else other,
        }
    return {key: value for key, value in wanted.items() if value is not None}


def _stack_file(folder: Path, stack: str, text: str, answers: Answers) -> str:
    """Return the text of a stack file with what the answers name; the same text where it says so already."""
    values = stack_config.raw(stack, folder)
    wanted = {
        key: value
        for key, value in _wanted(stack, answers).items()
        if values.get(key, "") != (value if isinstance(value, str) else json.dumps(value))
    }
    for key, value in wanted.items():
        text = _with(text, f"Pulumi.{stack}.yaml", key, value)
    return text


def _with(text: str, name: str, key: str, value: str | tuple[str, ...]) -> str:
    """Put one setting into the text of a stack file, and touch nothing else of it."""
    config = _config(text, name)
    new = _plain(key, value)
    for known, old in config.value:
        if known.value == key:
            start, end = _span(text, known, old)
            return f"{text[:start]}{'' if text[start - 1].isspace() else ' '}{new}{text[end:]}"
    _, end = _span(text, *config.value[-1])
    end = text.find("\n", end - 1)
    head, tail = (text, "") if end < 0 else (text[:end], text[end + 1 :])
    return f"{head}\n{' ' * config.start_mark.column}{key}: {new}\n{tail}"


def _config(text: str, name: str) -> Any:
    """The node of the settings in the text of a stack file."""
    try:
        document = compose(text)
    except YAMLError as error:
        raise UsageError(f"{name} cannot be read", why=" ".join(str(error).split()), next_step="repair it") from None
    top = document.value if isinstance(document, MappingNode) else ()
    for known, node in top:
        if known.value == "config" and isinstance(node, MappingNode) and not node.flow_style and node.value:
            return node
    raise UsageError(
        f"{name} holds no settings that can be changed", next_step="write one line per setting below `config:`"
    )


def _span(text: str, key: Node, value: Node) -> tuple[int, int]:
    """Where a value begins and ends. Marks alone do not tell: a block ends for YAML where the next thing begins."""
    after_colon = text.index(":", key.end_mark.index) + 1
    if value.start_mark.index == value.end_mark.index:  # nothing, and the mark stands somewhere below
        return after_colon, after_colon
    if isinstance(value, SequenceNode) and not value.flow_style:
        last: Any = value
        while isinstance(last, SequenceNode) and not last.flow_style:
            last = last.value[-1]
        return after_colon, last.end_mark.index
    return value.start_mark.index, value.end_mark.index


def _plain(key: str, value: str | tuple[str, ...]) -> str:
    """A value as YAML: quoted, so that no reader takes an account for a number or a login for a yes."""
    never_anything_else = {"aws:region", f"{PROJECT}:githubRepository"}
    return value if isinstance(value, str) and key in never_anything_else else json.dumps(value, ensure_ascii=False)


def _with_both_accounts(folder: Path, answers: Answers) -> Answers:
    """Say both accounts where one is named: the files know the other one, and whether there is another one."""
    if answers.account is None and answers.preprod_account is None:
        return answers
    known = _known(folder)
    together = known.account == known.preprod_account
    account = answers.account or known.account
    preprod = answers.preprod_account or (account if together else known.preprod_account)
    return replace(answers, account=account, preprod_account=preprod)


def _known(folder: Path) -> Answers:
    """What the files say now, however wrong."""
    prod, preprod = (stack_config.raw(foundation_stack(environment), folder) for environment in ("prod", "preprod"))
    said: dict[str, Any] = {name: prod.get(one.key, "") for name, one in _SETTINGS.items()}
    for name in _LISTS:
        try:
            said[name] = tuple(map(str, json.loads(said[name] or "[]")))
        except (ValueError, TypeError):
            said[name] = ()
    said["preprod_account"] = preprod.get(_ACCOUNT, "")
    return Answers(**said)


def _asked(folder: Path, earlier: Answers) -> Answers:
    """Ask for each answer; Return keeps what was said before, or what the files say, and `-` makes it empty."""
    known = replace(_known(folder), **earlier.given)
    said: dict[str, Any] = {}
    for name, setting in _SETTINGS.items():
        together = known.account == known.preprod_account
        now = said["account"] if name == "preprod_account" and together else getattr(known, name)
        many = isinstance(now, tuple)
        shown = " ".join(now) if many else now
        try:
            typed = typer.prompt(setting.question, default=shown or "-", err=True).strip()
        except typer.Abort:
            raise KeyboardInterrupt from None
        typed = "" if typed == "-" else typed
        said[name] = tuple(typed.replace(",", " ").split()) if many else typed
    return Answers(**said)


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
                error.what, why=error.why, next_step="name another value (release init --help); nothing was written"
            ) from None


def _read(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_bytes().decode("utf-8")  # as it is: no line end is translated
    except FileNotFoundError:
        raise UsageError(
            f"{name} is missing", why=f"looked in {folder}", next_step="run this in a clone of the repository"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{name} cannot be read", why=str(error), next_step="repair the file") from None


def _write(changes: Sequence[FileChange]) -> None:
    """Write all files or none: each text lies beside its file before the first one is replaced."""
    scratch = [change.file.with_name(f".{change.file.name}.{os.getpid()}") for change in changes]
    try:
        for change, beside in zip(changes, scratch, strict=True):
            beside.write_bytes(change.after.encode("utf-8"))
            shutil.copymode(change.file, beside)
        with _uninterrupted():
            for change, beside in zip(changes, scratch, strict=True):
                beside.replace(change.file)
    except OSError as error:
        raise ReleaseError("the files cannot be written", why=str(error), next_step="git status shows them") from None
    finally:
        for beside in scratch:
            beside.unlink(missing_ok=True)


@contextmanager
def _uninterrupted() -> Generator[None]:
    """Let Ctrl-C wait until all files are in place."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _picture(change: FileChange) -> Text:
    styles = {"+": "green", "-": "red", "@": "cyan"}
    shown = Text()
    for line in change.diff:
        shown.append(f"{line}\n", style=styles.get(line[:1], ""))
    return shown
