"""`release preview`: which program is compared with which state, and the plan document of the difference."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import model_serializer

from components.naming import ENVIRONMENTS, PROJECT, names, service_stack
from release.artifacts.program import archive, unpacked, working_tree
from release.build.builder import LAMBDAS
from release.console import Console
from release.errors import Refused
from release.git.commit import find_commit
from release.git.plumbing import git, try_git
from release.preview import base as base_state
from release.preview import markdown, page, published
from release.preview.compare import plan_of
from release.preview.engine import Previewed, preview
from release.preview.plan import Against, Head, PlanDocument
from release.pulumi import stack_config
from release.pulumi.changes import RECORD_TYPE
from release.pulumi.stack import CONFIG_KEY, ReleaseInput
from release.reports import Report

SERVICE_STACKS: Final = tuple(service_stack(environment) for environment in ENVIRONMENTS)
_CHANGES: Final = 7
"""As the engine ends with `--expect-no-changes`."""
_MAIN: Final = ("refs/remotes/origin/main", "refs/heads/main")


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """The request for previews."""

    clone: Path
    """Top of the clone whose working tree is previewed."""
    base: str | None = None
    """Commit to compare with where no copy of the state is published; the common ancestor with main by default."""
    copy: Path | None = None
    """File with a copy of the state, instead of the published one."""
    without_copy: bool = False
    """Compare with the base even where a copy is published."""
    head: str | None = None
    """Commit that the working tree stands for, where GitHub has merged it with its base."""
    pull: int | None = None


def plan(question: Question, stack: str, environment: Mapping[str, str], console: Console) -> PlanDocument:
    """Preview one stack.

    Raises:
        UsageError: There is no such stack, settings cannot be used, or a commit is unknown.
        ReleaseError: A program cannot be previewed.
    """
    clone = question.clone
    stack_config.load(stack, clone, environment)  # a setting that is not allowed is refused in one sentence
    config = stack_config.stack_values(stack, clone, environment)
    head, base = _head(question), _base(question)
    work = _Work(clone, stack, environment, console)
    copy = None
    if stack in SERVICE_STACKS and not question.without_copy:
        copy = published.read(clone, stack, question.copy)
    if copy is not None:
        against = Against(kind="published", sha=copy.sha, at=copy.at, behind=_behind(clone, copy.sha))
        console.line(f"{stack}: compared with the published copy of its state (release {copy.sha[:7]}, {copy.at})")
        said = work.preview(config | work.from_copy(copy.deployment, config), copy.deployment)
    elif base is not None:
        against = Against(kind="base", sha=base)
        console.line(f"{stack}: no copy of its state is published; compared with the program of commit {base[:7]}")
        said = work.against_base(base, config)
    else:
        against = Against(kind="empty")
        console.line(f"{stack}: neither a copy of its state nor an earlier commit: everything is new")
        said = work.preview(config | work.made_up(_functions(clone), config), {})
    return plan_of(said.document, stack=stack, head=head, against=against, pull=question.pull, people=said.people)


class _Work(NamedTuple):
    """The previews that one plan needs."""

    clone: Path
    stack: str
    environment: Mapping[str, str]
    console: Console

    def preview(self, config: Mapping[str, Any], deployment: Mapping[str, Any]) -> Previewed:
        """Preview the working tree's program."""
        with self.program() as folder, self.console.step(f"previewing {self.stack}"):
            return preview(folder, self.stack, config, deployment)

    def against_base(self, base: str, config: Mapping[str, Any]) -> Previewed:
        """Preview the working tree's program against what the program of another commit would make."""
        with self.program(base) as folder:
            base_config = stack_config.stack_values(self.stack, folder, self.environment)
            handed = self.made_up(_functions_at(self.clone, base), base_config)
            with self.console.step(f"previewing {self.stack} as of {base[:7]}, from nothing"):
                before = preview(folder, self.stack, base_config | handed, {})
        state = base_state.state_of(before.document, base_config)
        after = self.preview({**config, **self.made_up(_functions(self.clone), config)}, state)
        return Previewed(base_state.without_noise(after.document), before.people | after.people)

    @contextmanager
    def program(self, sha: str | None = None) -> Generator[Path]:
        """Unpack the program of a commit, else of the working tree: nothing that a preview does reaches the clone.

        It runs in the clone's own environment where that fits: it holds what the lock says, and the project's own name,
        for which the engine's Python host asks (a job of CI installs the dependencies alone).
        """
        clone = self.clone
        packed = archive(clone, sha, self.stack) if sha else working_tree(clone, self.stack)
        lock = (clone / "uv.lock").read_bytes()
        fits = sha is None or git(clone, "cat-file", "blob", f"{sha}:uv.lock") == lock
        described = any((clone / ".venv").glob(f"lib/*/site-packages/{PROJECT.replace('-', '_')}-*.dist-info"))
        ready = clone / ".venv" if fits and described else None
        with unpacked(packed, clone / ".release" / "envs", self.console, ready) as folder:
            yield folder

    def bucket(self, config: Mapping[str, Any]) -> str:
        return names(self.stack, str(config.get(f"{PROJECT}:nameSuffix", ""))).bucket

    def from_copy(self, deployment: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, str]:
        """Hand over nothing, as by hand, unless the functions are others than those of the record."""
        records = [one.get("outputs") or {} for one in deployment.get("resources") or () if one["type"] == RECORD_TYPE]
        record = records[0] if records else {}
        functions = _functions(self.clone)
        if not record.get("release") or set(record["release"]["functions"]) == set(functions):
            return {}
        known, bucket = record["release"]["functions"], self.bucket(config)
        packages = {key: known.get(key) or base_state.made_up_package(key, bucket) for key in functions}
        stable = {key: version for key, version in record["stable"].items() if key in packages}
        return {CONFIG_KEY: ReleaseInput({**record["release"], "functions": packages}, stable, 0).as_config_value()}

    def made_up(self, functions: list[str], config: Mapping[str, Any]) -> dict[str, str]:
        """Hand over a made-up release that is live, so that everything which hangs on `live` is there to compare."""
        if self.stack not in SERVICE_STACKS:
            return {}
        release = base_state.made_up_release(functions, self.bucket(config))
        return {CONFIG_KEY: ReleaseInput(release, {}, 100, confirmed=True).as_config_value()}


def _functions_at(clone: Path, sha: str) -> list[str]:
    held = [file.path.split("/") for file in find_commit(clone, sha).files(LAMBDAS)]
    return sorted(path[1] for path in held if path[2:] == ["pyproject.toml"])


def _functions(clone: Path) -> list[str]:
    return sorted(folder.parent.name for folder in (clone / LAMBDAS).glob("*/pyproject.toml"))


def _base(question: Question) -> str | None:
    if question.base is not None:
        return find_commit(question.clone, question.base).sha
    for main in _MAIN:
        found = try_git(question.clone, "merge-base", "HEAD", main)
        if found.returncode == 0:
            return found.stdout.decode().strip()
    return None


def _head(question: Question) -> Head:
    clone = question.clone
    sha = find_commit(clone, question.head or "HEAD").sha
    changed = git(clone, "status", "--porcelain", "-z", "--untracked-files=no").split(b"\0")
    return Head(sha=sha, changed_files=len([line for line in changed if line]))


def _behind(clone: Path, sha: str) -> int | None:
    done = try_git(clone, "rev-list", "--count", f"{sha}..HEAD")
    return int(done.stdout) if done.returncode == 0 else None


class PreviewReport(Report):
    """The plans of the stacks that were previewed."""

    plans: tuple[PlanDocument, ...]

    @model_serializer
    def _flat(self) -> dict[str, Any]:
        """One plan as it is, several in a list."""
        documents = [document.model_dump(mode="json") | {"digest": document.digest} for document in self.plans]
        return documents[0] if len(documents) == 1 else {"plans": documents}

    def exit_code(self, *, expect_no_changes: bool, documents: bool) -> int:
        """Return the exit code of the command; where documents were asked for, they tell the changes."""
        if documents:
            return 0
        if any(document.data_loss for document in self.plans):
            return Refused.exit_code
        return _CHANGES if expect_no_changes and not all(document.nothing for document in self.plans) else 0


def run(
    question: Question, stacks: Sequence[str], out: Path | None, environment: Mapping[str, str], console: Console
) -> PreviewReport:
    """Preview stacks, and write `STACK.json`, `STACK.md` and `previews.html` of what was found into the folder `out`.

    Raises:
        ReleaseError: A stack cannot be previewed.
    """
    plans = [plan(question, stack, environment, console) for stack in stacks]
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for document in plans:
            (out / f"{document.stack}.json").write_text(document.model_dump_json(indent=1) + "\n", encoding="utf-8")
            (out / f"{document.stack}.md").write_text(markdown.full(document), encoding="utf-8")
        (out / "previews.html").write_text(page.page(plans), encoding="utf-8")
    return PreviewReport(plans=tuple(plans))
