"""Which run belongs to which pull request: decided without GitHub."""

import pytest

from release.clients.github import LabelledPull, WorkflowRun
from release.preview.pull_request import belongs

OURS, FORK = {"id": 1, "full_name": "O/r"}, {"id": 2, "full_name": "somebody/r"}
RUN = {
    "id": 5,
    "path": ".github/workflows/stack-preview.yml",
    "event": "pull_request",
    "status": "completed",
    "head_branch": "mine",
    "head_sha": "a" * 40,
    "head_repository": FORK,
    "html_url": "https://run.test",
    "created_at": "2026-11-01T00:00:00Z",
}
PULL = {
    "number": 7,
    "state": "open",
    "labels": [],
    "base": {"ref": "main", "sha": "b" * 40, "repo": OURS},
    "head": {"ref": "mine", "sha": "a" * 40, "repo": FORK},
}


def found(pull, run, repository="o/R"):
    return belongs(LabelledPull.model_validate(PULL | pull), WorkflowRun.model_validate(RUN | run), repository)


def test_a_run_belongs_to_the_pull_request_whose_head_it_ran():
    assert found({}, {}) is True


@pytest.mark.parametrize(
    ("pull", "run"),
    [
        ({"state": "closed"}, {}),
        ({"base": {**PULL["base"], "repo": FORK}}, {}),
        ({"base": {**PULL["base"], "repo": None}}, {}),
        ({"head": {**PULL["head"], "repo": OURS}}, {}),
        ({"head": {**PULL["head"], "repo": None}}, {}),
        ({"head": {**PULL["head"], "sha": "c" * 40}}, {}),
        ({}, {"head_sha": "c" * 40}),
        ({}, {"head_repository": None}),
        ({}, {"head_repository": OURS}),
    ],
)
def test_any_difference_takes_it_apart(pull, run):
    assert found(pull, run) is False


def test_a_fork_of_the_same_name_is_another_repository():
    assert found({"head": {**PULL["head"], "repo": FORK | {"id": 3}}}, {}) is False
