"""What a reviewer should look at in a plan, derived from the document, most serious first. Pure.

The sentences are ours; names and values of the document stand in fields of their own, so that each renderer escapes
them its own way: the document may come from somebody who wants to write the comment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from release.preview.plan import REPLACED, UNKNOWN, PlanDocument, PropertyChange, ResourceChange, StatementChange
from release.preview.statements import counterparts
from release.pulumi.changes import Impact
from release.pulumi.checkpoint import DATA


class Level(StrEnum):
    """How serious a remark is."""

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
    """What to look at, most serious first."""
    found = [
        *_data(document),
        *_replacements(document),
        *_deletions(document),
        *_shared(document),
        *_github(document),
        *_statements(document),
        *_alarms(document),
        *_comparison(document),
        *_unknown(document),
        *_cost(document),
    ]
    return tuple(sorted(found, key=lambda remark: _SERIOUS.index(remark.level)))


def named(change: ResourceChange) -> str:
    """Type and name of a resource, as the document says them."""
    return f"{change.short_type} {change.name}"


def money(usd: float) -> str:
    """USD with a sign; `+0.00` stands for nothing."""
    return f"{usd:+.2f}" if abs(usd) < 1e6 else f"{usd:+.3g}"  # noqa: PLR2004 -- beyond it cents are noise


def counted(number: int, one: str, more: str) -> str:
    """A number with its noun: `1 alarm`, `2 alarms`."""
    return f"{number} {one if number == 1 else more}"


def _data(document: PlanDocument) -> Iterator[Remark]:
    if lost := document.data_loss:
        yield Remark(
            level=Level.DANGER,
            text=f"{counted(len(lost), 'resource', 'resources')} would lose data that no rollback brings back.",
            subjects=tuple(Subject(name=named(one), relation=f"holds {DATA[one.type]}") for one in lost),
        )


def _replacements(document: PlanDocument) -> Iterator[Remark]:
    if replaced := [one for one in document.changes if one.op in REPLACED]:
        yield Remark(
            level=Level.WARNING,
            text=f"{counted(len(replaced), 'resource is', 'resources are')} deleted and made again.",
            subjects=tuple(
                Subject(
                    name=named(one),
                    relation="forced by" if one.forced_by else "for a reason that the engine does not name",
                    values=one.forced_by,
                )
                for one in replaced
            ),
        )


def _deletions(document: PlanDocument) -> Iterator[Remark]:
    deleted = [one for one in document.changes if one.op == "delete"]
    if gone := [one for one in deleted if not one.retained]:
        yield Remark(
            level=Level.WARNING,
            text=f"{counted(len(gone), 'resource is', 'resources are')} deleted.",
            subjects=tuple(
                Subject(
                    name=named(one),
                    relation="is protected: the engine refuses"
                    if one.protected
                    else f"holds {DATA[one.type]}"
                    if one.type in DATA
                    else "",
                )
                for one in gone
            ),
        )
    if kept := [one for one in deleted if one.retained]:
        yield Remark(
            level=Level.NOTE,
            text=f"{counted(len(kept), 'resource leaves', 'resources leave')} the stack and stay where they are.",
            subjects=tuple(Subject(name=named(one)) for one in kept),
        )


def _shared(document: PlanDocument) -> Iterator[Remark]:
    if shared := [one for one in document.changes if one.change is Impact.SHARED]:
        yield Remark(
            level=Level.WARNING,
            text=f"{counted(len(shared), 'change takes', 'changes take')} effect at once"
            f"{'' if document.stack.endswith('-foundation') else ', for all traffic and past the canary'}.",
            subjects=tuple(Subject(name=named(one)) for one in shared),
        )


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
    if flagged:
        yield Remark(
            level=Level.WARNING,
            text=f"Policies gain {counted(len(flagged), 'broad statement', 'broad statements')}.",
            subjects=_holders(flagged, "gains"),
        )
    if plain:
        yield Remark(
            level=Level.NOTE,
            text=f"Policies gain {counted(len(plain), 'statement', 'statements')}.",
            subjects=_holders(plain, ""),
        )
    if changed:
        yield Remark(
            level=Level.NOTE,
            text=f"Policies change {counted(len(changed), 'statement', 'statements')}.",
            subjects=_holders(changed, "", flags=False),
        )
    if lost:
        yield Remark(
            level=Level.NOTE,
            text=f"Policies lose {counted(len(lost), 'statement', 'statements')}.",
            subjects=_holders(lost, ""),
        )


def _holders(
    found: Iterable[tuple[ResourceChange, StatementChange]], relation: str, *, flags: bool = True
) -> tuple[Subject, ...]:
    """Each resource once, with the flags of all its statements."""
    held: dict[str, dict[str, None]] = {}
    for change, one in found:
        held.setdefault(named(change), {}).update(dict.fromkeys(one.flags if flags else ()))
    return tuple(Subject(name=name, relation=relation, values=tuple(values)) for name, values in held.items())


def _alarms(document: PlanDocument) -> Iterator[Remark]:
    gone = [one for one in document.alarms if one.after is None]
    changed = [one for one in document.alarms if None not in {one.before, one.after}]
    new = [one for one in document.alarms if one.before is None and one.after is not None]
    for alarms, level, (one, more) in (
        (gone, Level.WARNING, ("alarm goes away", "alarms go away")),
        (changed, Level.WARNING, ("alarm changes its condition", "alarms change their condition")),
        (new, Level.NOTE, ("alarm is new", "alarms are new")),
    ):
        if alarms:
            yield Remark(
                level=level,
                text=f"{counted(len(alarms), one, more)}.",
                subjects=tuple(Subject(name=alarm.name) for alarm in alarms),
            )


def _github(document: PlanDocument) -> Iterator[Remark]:
    """What protects the deployments: reviewers of environments, checks of rulesets."""
    removed, added, changed = [], [], []
    for change in document.changes:
        if change.type in ENVIRONMENTS | RULES and change.op == "delete":
            removed.append(Subject(name=named(change), relation="goes away"))
        elif change.type in ENVIRONMENTS | RULES and change.op not in {"create", "import"}:
            for prop in change.properties:
                one = _protection(change, prop)
                gone, new = prop.new in _EMPTY, prop.old in _EMPTY
                (removed if gone else added if new else changed).append(one)
    for subjects, level, (one, more) in (
        (
            removed,
            Level.WARNING,
            ("protection of the repository is removed", "protections of the repository are removed"),
        ),
        (changed, Level.WARNING, ("protection of the repository changes", "protections of the repository change")),
        (added, Level.NOTE, ("protection of the repository is added", "protections of the repository are added")),
    ):
        if subjects:
            yield Remark(level=level, text=f"{counted(len(subjects), one, more)}.", subjects=tuple(subjects))


def _protection(change: ResourceChange, prop: PropertyChange) -> Subject:
    reviewer = prop.path.startswith("reviewers") and change.type in ENVIRONMENTS
    if prop.new in _EMPTY:
        return Subject(
            name=named(change), relation="loses the reviewer" if reviewer else "loses", values=_values(prop, prop.old)
        )
    if prop.old in _EMPTY:
        return Subject(
            name=named(change), relation="gains the reviewer" if reviewer else "gains", values=_values(prop, prop.new)
        )
    return Subject(name=named(change), relation="changes", values=(prop.path, f"{prop.old} -> {prop.new}"))


def _values(prop: PropertyChange, value: str | None) -> tuple[str, ...]:
    return (prop.path, value) if value else (prop.path,)


def _comparison(document: PlanDocument) -> Iterator[Remark]:
    against, head = document.against, document.head
    if against.kind == "empty":
        yield Remark(level=Level.WARNING, text="There is nothing to compare with: everything looks new.")
    if against.kind == "base":
        yield Remark(
            level=Level.NOTE,
            text="The comparison is with the program of the base, not with what is deployed.",
        )
    if against.behind:
        commits = counted(against.behind, "commit", "commits")
        yield Remark(
            level=Level.NOTE,
            text=f"The comparison is with an old copy: {commits} came later, and their changes are shown as well.",
        )
    if head.changed_files:
        files = counted(head.changed_files, "file", "files")
        yield Remark(level=Level.NOTE, text=f"The head has {files} that no commit holds.")


def _unknown(document: PlanDocument) -> Iterator[Remark]:
    found = [
        Subject(name=named(change), values=(prop.path,))
        for change in document.changes
        if not change.follows
        for prop in change.properties
        if prop.new == UNKNOWN
    ]
    if found:
        yield Remark(
            level=Level.NOTE,
            text=f"{counted(len(found), 'value is', 'values are')} known only after the update.",
            subjects=tuple(found),
        )


def _cost(document: PlanDocument) -> Iterator[Remark]:
    if usd := document.monthly_usd:
        than = "more" if usd > 0 else "less"
        yield Remark(level=Level.NOTE, text=f"A month costs {money(abs(usd))[1:]} USD {than} at list prices.")
