"""What is asked of the evaluator: every action that a policy speaks of, on everything that takes it."""

from collections.abc import Iterable, Mapping
from functools import cache

from components.policies.documents import Document
from localcloud.iam.evaluator import actions_on_all, matching
from tests.isolation.world import World, world


def statements(documents: Iterable[Document]) -> list[dict]:
    return [statement for document in documents for statement in document["Statement"]]


def documents(world: World) -> list[Document]:
    """Every document that says what somebody may do."""
    found = [document for principal in world.principals for document in principal.policies]
    found += [principal.boundary for principal in world.principals if principal.boundary]
    return found + [thing.policy for thing in world.things if thing.policy]


@cache
def mentioned() -> frozenset[str]:
    """Every action that a policy names, wildcards written out; `s3:*` and the like say nothing of single actions."""
    patterns = {
        pattern
        for statement in statements(documents(world(0)))
        for key in ("Action", "NotAction")
        for pattern in statement.get(key, [])
        if pattern.partition(":")[2] not in ("", "*")
    }
    return frozenset(action for found in matching(sorted(patterns)) for action in found)


@cache
def _taken() -> dict[str, Mapping[str, str]]:
    """Per kind of thing, every action of AWS that takes it, with its access levels."""
    examples = {thing.kind: thing.arn for thing in world(0).things}
    return dict(zip(examples, actions_on_all(list(examples.values())), strict=True))


@cache
def by_kind() -> dict[str, list[str]]:
    """Per kind of thing: the mentioned actions that it takes, and one more of each access level."""
    chosen = {}
    for kind, levels in _taken().items():
        first = {level: action for action, level in sorted(levels.items(), reverse=True) if action not in mentioned()}
        chosen[kind] = sorted((set(levels) & mentioned()) | set(first.values()))
    return chosen


@cache
def by_kind_in_short() -> dict[str, list[str]]:
    """The same with only one action that reads, for questions about somebody who may do everything or nothing."""
    short = {}
    for kind, actions in by_kind().items():
        reading = [action for action in actions if _taken()[kind][action] in ("Read", "List")]
        short[kind] = [action for action in actions if action not in reading[1:]]
    return short
