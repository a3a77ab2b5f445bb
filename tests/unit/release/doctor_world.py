"""A place for the doctor where nobody answers, or everybody refuses."""

import io
from functools import cache
from pathlib import Path
from types import SimpleNamespace

from botocore.exceptions import ClientError, EndpointConnectionError
from rich.console import Console as RichConsole

from release.clock import Clock
from release.console import Console
from release.context import Context
from release.doctor.place import Place
from release.errors import ReleaseError
from release.pulumi import stack_config
from release.settings import ReleaseSettings
from tests.stacks import STACK_FILES

ROOT = Path(__file__).parents[3]
EMPTY_CLONE = ("tools.", "identity.settings", "state.provider")
"""What reads the clone before anything else: it cannot look where the files are missing."""


@cache
def settings(environment):
    return stack_config.load(f"{environment}-foundation", STACK_FILES, {})


def a_run(**changes):
    """A run of a workflow that waits, as GitHub answers."""
    return {
        "id": 9,
        "path": ".github/workflows/x.yml",
        "event": "push",
        "status": "waiting",
        "head_branch": "main",
        "head_sha": "a" * 40,
        "head_repository": {"id": 1, "full_name": "o/r"},
        "html_url": "https://github.com/r/9",
        "created_at": "2026-11-20T12:00:00Z",
        **changes,
    }


def denied(operation):
    raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, operation)


def nobody(operation):
    raise EndpointConnectionError(endpoint_url="https://nowhere.example")


class Clients:
    """A client of any service: operations that `answers` names, and an error for all others."""

    def __init__(self, fail, **answers):
        self._fail, self._answers = fail, answers

    def get_paginator(self, operation):
        return SimpleNamespace(paginate=lambda **arguments: iter([getattr(self, operation)(**arguments)]))

    def __getattr__(self, operation):
        answer = self._answers.get(operation, self._fail)
        return lambda **arguments: answer(operation) if answer is self._fail else answer(**arguments)


class Broken:
    """A ledger, a lease, GitHub: whatever is asked of it fails."""

    def __init__(self, fail):
        self._fail = fail

    def __getattr__(self, asked):
        def ask(*_, **__):
            try:
                self._fail(asked)
            except Exception as error:
                raise ReleaseError("it does not answer", why=str(error)) from error

        return ask


def a_place(repo, clients, github, *, arn="", test_page=False, environment="prod", broken=None):
    """A place whose AWS is `clients`, asked by `arn`."""
    own = settings(environment)
    context = Context(
        stack=environment,
        repo=repo,
        console=Console(RichConsole(file=io.StringIO())),
        settings=ReleaseSettings(),
        clock=Clock(),
    )
    if broken is not None:
        for part in ("ledger", "lease", "safety"):
            context.__dict__[part] = broken
    made = Place(settings=own, context=context, test_page=test_page)
    known = Clients(
        clients._fail,
        get_caller_identity=lambda: {
            "Account": own.account_id,
            "Arn": arn or f"arn:aws:iam::{own.account_id}:user/somebody",
        },
    )
    made.aws = lambda service: clients if service != "sts" or clients._answers.get("nobody_knows_me") else known
    made.__dict__["github"] = github
    return made


def place(name, fail, tmp_path, monkeypatch):
    """Where the check `name` cannot look."""
    monkeypatch.delenv("RELEASE_STACK_CONFIG", raising=False)
    repo = STACK_FILES
    if name.startswith(EMPTY_CLONE):
        repo = tmp_path
        for tool in ("git", "uv", "pulumi"):
            script = tmp_path / "bin" / tool
            script.parent.mkdir(exist_ok=True)
            script.write_text("#!/bin/sh\nexit 1\n")
            script.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    nameless = {"nobody_knows_me": True} if name.startswith("identity.") else {}
    return a_place(repo, Clients(fail, **nameless), Broken(fail), test_page=True, broken=Broken(fail))
