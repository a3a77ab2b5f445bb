"""What a reviewer should look at in a plan, derived from the document, most serious first. Pure.

The sentences are ours; names and values of the document stand in fields of their own, so that each renderer escapes
them its own way: the document may come from somebody who wants to write the comment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from release.preview.plan import PlanDocument, PropertyChange, ResourceChange, StatementChange
from release.preview.statements import counterparts
from release.pulumi.changes import REPLACED, Impact
from release.pulumi.checkpoint import DATA


class Level(StrEnum):
    """Levels of remarks."""

    DANGER = "danger"
    """Data would be gone for good."""
    WARNING = "warning"
    """Somebody should look at it before the merge."""
    NOTE = "note"
    """Good to know."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A thing that a remark is about."""

    name: str
    """Data of the document."""
    relation: str = ""
    """Words of ours between the name and the values: `forced by`."""
    values: tuple[str, ...] = ()
    """Data of the document."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """One thing to look at."""

    level: Level
    text: str
    """A sentence of ours, in which nothing comes from the document but numbers."""
    subjects: tuple[Subject, ...] = ()


ENVIRONMENTS: Final = frozenset({"github:index/repositoryEnvironment:RepositoryEnvironment"})
RULES: Final = frozenset(
    {
        "github:index/actionsRepositoryPermissions:ActionsRepositoryPermissions",
        "github:index/branchProtection:BranchProtection",
        "github:index/branchProtectionV3:BranchProtectionV3",
        "github:index/organizationRuleset:OrganizationRuleset",
        "github:index/repositoryEnvironmentDeploymentPolicy:RepositoryEnvironmentDeploymentPolicy",
        "github:index/repositoryRuleset:RepositoryRuleset",
    }
)
"""Types that say what has to hold before something is merged or deployed."""
_EMPTY: Final = frozenset({None, "[]", "{}", "null", '""'})
_SERIOUS: Final = tuple(Level)


def remarks(document: PlanDocument) -> tuple[Remark, ...]:
    """Return the remarks on a plan, most serious first."""
    parts = (_resources, _github, _statements, _alarms, _comparison)
    found = [remark for part in parts for remark in part(document)]
    return tuple(sorted(found, key=lambda remark: _SERIOUS.index(remark.level)))


def named(change: ResourceChange) -> str:
    """Type and name of a resource, as the document says them."""
    return f"{change.short_type} {change.name}"


def money(usd: float) -> str:
    """USD with a sign; `+0.00` stands for nothing."""
    return f"{usd:+.2f}" if abs(usd) < 1e6 else f"{usd:+.3g}"  # noqa: PLR2004 -- beyond it cents are noise


def counted(number: int, one: str, more: str = "") -> str:
    """A number with its noun: `1 alarm`, `2 alarms`."""
    return f"{number} {one if number == 1 else more or f'{one}s'}"


def _about(level: Level, subjects: Iterable[Subject], one: str, more: str) -> Iterator[Remark]:
    """A remark that counts the things that it is about, where there are any."""
    if listed := tuple(subjects):
        yield Remark(level=level, text=f"{counted(len(listed), one, more)}.", subjects=listed)


def _subjects(
    changes: Iterable[ResourceChange], relation: Callable[[ResourceChange], str] = lambda _: ""
) -> Iterator[Subject]:
    return (Subject(name=named(one), relation=relation(one)) for one in changes)


def _resources(document: PlanDocument) -> Iterator[Remark]:
    """Yield remarks on resources that are lost, replaced, deleted, or take effect at once."""
    lost, fate = document.data_loss, "would lose data that no rollback brings back"
    holds = _subjects(lost, lambda one: f"holds {DATA[one.type]}")
    yield from _about(Level.DANGER, holds, f"resource {fate}", f"resources {fate}")

    replaced = [one for one in document.changes if one.op in REPLACED]
    forced = (
        Subject(
            name=named(one),
            relation="forced by" if one.forced_by else "for a reason that the engine does not name",
            values=one.forced_by,
        )
        for one in replaced
    )
    fate = "deleted and made again"
    yield from _about(Level.WARNING, forced, f"resource is {fate}", f"resources are {fate}")

    def of_deleted(one: ResourceChange) -> str:
        if one.protected:
            return "is protected: the engine refuses"
        return f"holds {DATA[one.type]}" if one.type in DATA else ""

    deleted = [one for one in document.changes if one.op == "delete"]
    gone = _subjects((one for one in deleted if not one.retained), of_deleted)
    yield from _about(Level.WARNING, gone, "resource is deleted", "resources are deleted")
    kept, fate = _subjects(one for one in deleted if one.retained), "the stack and stay where they are"
    yield from _about(Level.NOTE, kept, f"resource leaves {fate}", f"resources leave {fate}")

    shared = _subjects(one for one in document.changes if one.change is Impact.SHARED)
    past = "" if document.stack.endswith("-foundation") else ", for all traffic and past the canary"
    yield from _about(Level.WARNING, shared, f"change takes effect at once{past}", f"changes take effect at once{past}")


def _statements(document: PlanDocument) -> Iterator[Remark]:
    flagged, plain, changed, lost = [], [], [], []
    for change in document.changes:
        others = counterparts(change.statements)
        for place, one in enumerate(change.statements):
            other = others.get(place)
            if one.added and set(one.flags) - set(other.flags if other else ()):
                flagged.append((change, one))
            elif one.added:
                (changed if other else plain).append((change, one))
            elif other is None:
                lost.append((change, one))
    for found, level, verb, noun in (
        (flagged, Level.WARNING, "gain", "broad statement"),
        (plain, Level.NOTE, "gain", "statement"),
        (changed, Level.NOTE, "change", "statement"),
        (lost, Level.NOTE, "lose", "statement"),
    ):
        if found:
            yield Remark(
                level=level,
                text=f"Policies {verb} {counted(len(found), noun)}.",
                subjects=_holders(found, "gains" if found is flagged else "", flags=found is not changed),
            )


def _holders(
    found: Iterable[tuple[ResourceChange, StatementChange]], relation: str, *, flags: bool
) -> tuple[Subject, ...]:
    """Each resource once, with the flags of all its statements."""
    held: dict[str, dict[str, None]] = {}
    for change, one in found:
        held.setdefault(named(change), {}).update(dict.fromkeys(one.flags if flags else ()))
    return tuple(Subject(name=name, relation=relation, values=tuple(values)) for name, values in held.items())


def _alarms(document: PlanDocument) -> Iterator[Remark]:
    gone, changed, new = [], [], []
    for one in document.alarms:
        (gone if one.after is None else new if one.before is None else changed).append(Subject(name=one.name))
    yield from _about(Level.WARNING, gone, "alarm goes away", "alarms go away")
    yield from _about(Level.WARNING, changed, "alarm changes its condition", "alarms change their condition")
    yield from _about(Level.NOTE, new, "alarm is new", "alarms are new")


def _github(document: PlanDocument) -> Iterator[Remark]:
    """Yield remarks on the protection of deployments: reviewers of environments, checks of rulesets."""
    removed, added, changed = [], [], []
    for change in document.changes:
        if change.type in ENVIRONMENTS | RULES and change.op == "delete":
            removed.append(Subject(name=named(change), relation="goes away"))
        elif change.type in ENVIRONMENTS | RULES and change.op not in {"create", "import"}:
            for prop in change.properties:
                one = _protection(change, prop)
                gone, new = prop.new in _EMPTY, prop.old in _EMPTY
                (removed if gone else added if new else changed).append(one)
    for subjects, level, one, more in (
        (removed, Level.WARNING, "is removed", "are removed"),
        (changed, Level.WARNING, "changes", "change"),
        (added, Level.NOTE, "is added", "are added"),
    ):
        yield from _about(
            level, subjects, f"protection of the repository {one}", f"protections of the repository {more}"
        )


def _protection(change: ResourceChange, prop: PropertyChange) -> Subject:
    whom = " the reviewer" if prop.path.startswith("reviewers") and change.type in ENVIRONMENTS else ""
    for verb, empty, value in (("loses", prop.new, prop.old), ("gains", prop.old, prop.new)):
        if empty in _EMPTY:
            values = (prop.path, value) if value else (prop.path,)
            return Subject(name=named(change), relation=f"{verb}{whom}", values=values)
    return Subject(name=named(change), relation="changes", values=(prop.path, f"{prop.old} -> {prop.new}"))


def _comparison(document: PlanDocument) -> Iterator[Remark]:
    against, head = document.against, document.head
    if against.kind == "empty":
        yield Remark(level=Level.WARNING, text="There is nothing to compare with: everything looks new.")
    if against.kind == "base":
        text = "The comparison is with the program of the base, not with what is deployed."
        yield Remark(level=Level.NOTE, text=text)
    if against.behind:
        text = f"The comparison is with an old copy: {counted(against.behind, 'commit')} came later"
        yield Remark(level=Level.NOTE, text=f"{text}, and their changes are shown as well.")
    if head.changed_files:
        yield Remark(level=Level.NOTE, text=f"The head has {counted(head.changed_files, 'file')} that no commit holds.")
