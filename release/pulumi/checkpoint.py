"""Surgery on a Pulumi checkpoint, so that the program of the confirmed release finds its resources again. Pure.

A checkpoint says which URN (the program's name of a resource) stands for which thing in AWS. A failed release may have
renamed, moved or replaced resources; run over that record, the confirmed program would delete and create what is
already there. `repair` gives resources their confirmed names back and takes out what must not be deleted. It never
changes an id and drops nothing without naming it: the cloud is put right by the `up --refresh` that follows, whose
refresh also drops every entry put back here for a thing that AWS does not have.

Format: `pulumi stack export`, version 3 (sdk/go/common/apitype/core.go of the engine).
"""

from __future__ import annotations

import copy
import graphlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from components.naming import CANDIDATE
from release.errors import ReleaseError

Document = dict[str, Any]
Resource = dict[str, Any]

DATA: Final[Mapping[str, str]] = {
    "aws:cloudwatch/logGroup:LogGroup": "log lines",
    "aws:dynamodb/table:Table": "items",
    "aws:kms/key:Key": "a key that data may be encrypted with",
    "aws:s3/bucket:Bucket": "objects",
    "aws:s3/bucketObject:BucketObject": "an object",
    "aws:s3/bucketObjectv2:BucketObjectv2": "an object",
    "aws:s3/bucketV2:BucketV2": "objects",
    "aws:secretsmanager/secret:Secret": "a secret",
    "aws:secretsmanager/secretVersion:SecretVersion": "a secret",
    "aws:sqs/queue:Queue": "messages",
}
"""Types that hold what cannot be made again from a program, and what that is."""

MADE_AGAIN: Final = frozenset({"aws:cloudwatch/logGroup:LogGroup", "aws:sqs/queue:Queue"})
"""Of these, the ones that may be made anew, empty, where they are missing: the service goes on without the old data."""

_HOLDS_NOTHING: Final = (
    "aws:cloudwatch/dashboard:",
    "aws:cloudwatch/eventRule:",
    "aws:cloudwatch/eventTarget:",
    "aws:cloudwatch/logMetricFilter:",
    "aws:cloudwatch/metricAlarm:",
    "aws:dynamodb/resourcePolicy:",
    "aws:iam/",
    "aws:kms/alias:",
    "aws:kms/keyPolicy:",
    "aws:lambda/",
    "aws:s3/bucketLifecycleConfiguration",
    "aws:s3/bucketOwnershipControls",
    "aws:s3/bucketPolicy:",
    "aws:s3/bucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration",
    "aws:s3/bucketVersioning",
    "aws:scheduler/",
    "aws:secretsmanager/secretPolicy:",
    "aws:sns/",
    "aws:sqs/queuePolicy:",
    "aws:sqs/redrive",
)
"""Beginnings of types that a program can make again at any time. What is in neither table is kept: nobody knows it."""

# The inputs that are the address of a thing whose id alone is not unique.
_ADDRESS: Final[Mapping[str, tuple[str, ...]]] = {
    "aws:lambda/permission:Permission": ("function", "qualifier"),
}
_PROVIDER: Final = "pulumi:providers:"
_REFERENCES: Final = ("parent", "dependencies", "propertyDependencies", "deletedWith", "replaceWith")
SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
"""The key by which the engine marks special values (sdk/go/common/resource, `SigKey`)."""
_SECRET_KIND: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 -- the value of that key that means "secret"


def holds(type_: str) -> str:
    """What a resource of this type holds that would be lost with it; empty when nothing."""
    if type_ in DATA:
        return DATA[type_]
    if type_.startswith(_HOLDS_NOTHING) or not type_.startswith("aws:"):
        return ""
    return "what this releaser does not know"


@dataclass(frozen=True, slots=True)
class ResourceNote:
    """A resource, and what was done about it or why."""

    urn: str
    type: str
    id: str
    why: str

    def __str__(self) -> str:
        return f"{self.type} {self.urn.rsplit('::', 1)[-1]}{f' ({self.id})' if self.id else ''}: {self.why}"


@dataclass(frozen=True, slots=True)
class Repair:
    """A checkpoint after surgery, and everything that was done to it."""

    document: Document
    renamed: tuple[ResourceNote, ...] = ()
    """Has the confirmed URN, parent or place again."""
    put_back: tuple[ResourceNote, ...] = ()
    """Was missing in today's record; the refresh asks AWS whether it is there."""
    added: tuple[ResourceNote, ...] = ()
    """Was added by the failed release and holds nothing: the update deletes it."""
    kept: tuple[ResourceNote, ...] = ()
    """Was added by the failed release and stays in AWS, but no longer in the record."""
    settled: tuple[ResourceNote, ...] = ()
    """Was in the hands of an update that died; the refresh finds out how far that got."""
    unsettled: tuple[ResourceNote, ...] = ()
    """Was being made when the update died, and only a person can look whether it is there."""

    @property
    def changed(self) -> bool:
        """Whether the record has to be written back."""
        return bool(self.renamed or self.put_back or self.kept or self.settled or self.unsettled)


def parse(body: bytes, what: str) -> Document:
    """A checkpoint as it was exported.

    Raises:
        ReleaseError: It is none that this releaser understands.
    """
    try:
        document = json.loads(body)
        version, deployment = document["version"], document["deployment"]
        resources = deployment.get("resources") or []
        readable = version == 3 and all({"urn", "type"} <= entry.keys() for entry in resources)  # noqa: PLR2004
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReleaseError(f"{what} is no checkpoint", why=f"{type(error).__name__}: {error}") from error
    if not readable:
        raise ReleaseError(f"{what} is a checkpoint of a version that is not known here", why=f"version {version}")
    return document


def resources_of(document: Document) -> list[Resource]:
    """The resources of a checkpoint."""
    return document["deployment"].get("resources") or []


def repair(today: Document, confirmed: Document | None) -> Repair:
    """Return today's checkpoint as the confirmed program can work with it; without one, only what died is settled.

    Raises:
        ReleaseError: The references would run in a circle.
    """
    surgery = _Surgery(today, confirmed)
    surgery.settle()
    if confirmed is not None:
        surgery.match()
        surgery.give_names_back()
        surgery.put_back()
        surgery.sort_out()
        surgery.restore_components()
    return Repair(surgery.finish(), **{what: tuple(found) for what, found in surgery.named.items()})


def with_resources(today: Document, added: Iterable[Resource]) -> Document:
    """Return today's checkpoint with entries of an earlier one, where neither name nor thing is in it by now."""
    surgery = _Surgery(today, None)
    for entry in added:
        if surgery.live(entry["urn"]) is None and not any(_same_thing(other, entry) for other in surgery.entries):
            surgery.insert(entry)
    return surgery.finish()


class _Surgery:
    """One run of `repair`. Works on copies; entries are told apart by object, since a URN can stand twice."""

    def __init__(self, today: Document, confirmed: Document | None) -> None:
        self.document = copy.deepcopy(today)
        self.entries = resources_of(self.document)
        self.wanted = copy.deepcopy(resources_of(confirmed)) if confirmed is not None else []
        self.pending = self.document["deployment"].pop("pending_operations", None) or []
        self.mates: dict[int, Resource] = {}  # by id() of today's entry: the confirmed resource that it is
        self.missing: list[Resource] = []
        self.renames: dict[str, str] = {}
        self.parents_of_kept: dict[str, str] = {}
        self.named: dict[str, list[ResourceNote]] = defaultdict(list)

    def finish(self) -> Document:
        """Make the references fit, order the entries, and return the document."""
        self._repair_references()
        self._repair_providers()
        self._order()
        self.document["deployment"]["resources"] = self.entries
        return self.document

    def _note(self, what: str, entry: Resource, why: str, urn: str = "") -> None:
        self.named[what].append(ResourceNote(urn or entry["urn"], entry["type"], entry.get("id", ""), why))

    # -- what an update that died had in hand

    def settle(self) -> None:
        confirmed = {_identity(entry) for entry in self.wanted if _is_thing(entry)}
        for operation in self.pending:
            entry = operation["resource"]
            doing = operation.get("type", "changing")
            if doing != "creating":
                self._note("settled", entry, f"an update died while {doing} it; the refresh reads what it is now")
                continue
            # The engine had the id when it died between AWS's answer and its own record.
            identity = entry.get("id") or _id_of_made(entry, self.entries)
            if not identity:
                name = (entry.get("inputs") or {}).get("name") or "without a name of its own"
                self._note("unsettled", entry, f"an update died while creating it ({name}): look whether AWS has it")
                continue
            made = {**entry, "id": identity}
            if any(_same_thing(other, made) for other in self.entries):
                self._note("settled", entry, "an update died while creating it; the record has it")
            elif _identity(made) in confirmed:
                self._note("settled", entry, "an update died while creating it; it is put back as it was confirmed")
            else:
                self._suppose(entry, identity)

    def _suppose(self, entry: Resource, identity: str) -> None:
        """Put a resource whose creation was begun into the record: the refresh drops it again if AWS has none."""
        supposed = copy.deepcopy(entry) | {"id": identity, "outputs": copy.deepcopy(entry.get("inputs") or {})}
        # By its aliases the engine would give what it was to replace the same URN, and then find that twice (tried).
        for name in ("pendingReplacement", "initErrors", "delete", "aliases"):
            supposed.pop(name, None)
        if self.live(entry["urn"]):
            supposed["delete"] = True
        self.entries.append(supposed)
        self._note("settled", supposed, "an update died while creating it; the refresh asks AWS whether it is there")

    def live(self, urn: str) -> Resource | None:
        return next((entry for entry in self.entries if entry["urn"] == urn and not entry.get("delete")), None)

    # -- which of today's resources are the confirmed ones

    def match(self) -> None:
        today: dict[tuple[str, ...], list[Resource]] = defaultdict(list)
        for entry in filter(_is_thing, self.entries):
            today[_identity(entry)].append(entry)
        # First those that kept their name: with ids that are not unique nothing else may be taken for them.
        renamed: dict[tuple[str, ...], list[Resource]] = defaultdict(list)
        for confirmed in (entry for entry in self.wanted if _is_thing(entry) and not entry.get("delete")):
            same = [entry for entry in today[_identity(confirmed)] if entry["urn"] == confirmed["urn"]]
            if same:
                self.mates[id(min(same, key=lambda entry: bool(entry.get("delete"))))] = confirmed
            else:
                renamed[_identity(confirmed)].append(confirmed)
        for identity, rivals in renamed.items():
            free = [entry for entry in today[identity] if id(entry) not in self.mates]
            if len(free) == len(rivals) == 1:
                self.mates[id(free[0])] = rivals[0]
            elif not free:
                self.missing += rivals
            else:
                for confirmed in rivals:
                    self._note("unsettled", confirmed, f"{len(free)} resources of today could be it")

    def give_names_back(self) -> None:
        """Give the URNs and parents back that the resources were confirmed with."""
        for entry in self.entries:
            confirmed = self.mates.get(id(entry))
            if confirmed is None:
                continue
            before, entry["urn"] = entry["urn"], confirmed["urn"]
            was_leaving = entry.pop("delete", False)
            was_replaced = entry.pop("pendingReplacement", False)
            moved = entry.get("parent") != confirmed.get("parent")
            if before != entry["urn"]:
                if not was_leaving:
                    self.renames[before] = entry["urn"]
                self._note("renamed", entry, f"was {before}")
            elif was_leaving or was_replaced or moved:
                self._note("renamed", entry, "was about to be replaced" if not moved else "had another parent")

    def put_back(self) -> None:
        for confirmed in self.missing:
            occupant = self.live(confirmed["urn"])
            if occupant is not None and id(occupant) not in self.mates and not holds(confirmed["type"]):
                # Another thing of the same name that holds nothing: the program knows how to replace it.
                self.mates[id(occupant)] = confirmed
                continue
            self.insert(confirmed)
            self._note("put_back", confirmed, "the record has lost it; the refresh asks AWS whether it is there")

    def insert(self, confirmed: Resource) -> None:
        entry = copy.deepcopy(confirmed)
        for name in ("pendingReplacement", "delete", "aliases"):
            entry.pop(name, None)
        self.entries.append(entry)
        self.mates[id(entry)] = confirmed

    # -- what the failed release added

    def sort_out(self) -> None:
        owned = {entry["urn"] for entry in self.entries if id(entry) in self.mates}
        kept: list[Resource] = []
        for entry in self.entries:
            if id(entry) in self.mates or not _is_thing(entry):
                continue
            why = (
                "it is protected" if entry.get("protect") else holds(entry["type"]) and f"holds {holds(entry['type'])}"
            )
            if why:
                kept.append(entry)
                self._note("kept", entry, why)
            elif entry["urn"] in owned and not entry.get("delete"):
                entry["delete"] = True
                self._note("renamed", entry, "has taken the name of a confirmed resource: it is deleted")
        while settings := [entry for entry in self._added(kept) if _is_setting_of(entry, kept)]:
            for entry in settings:
                kept.append(entry)
                self._note("kept", entry, "is a setting of something that is kept")
        for entry in self._added(kept):
            self._note("added", entry, "the update deletes it")
        gone = {id(entry) for entry in kept}
        self.parents_of_kept = {entry["urn"]: entry.get("parent", "") for entry in kept}
        self.entries = [entry for entry in self.entries if id(entry) not in gone]

    def _added(self, kept: list[Resource]) -> list[Resource]:
        gone = {id(entry) for entry in kept}
        return [
            entry
            for entry in self.entries
            if _is_thing(entry) and id(entry) not in self.mates and id(entry) not in gone
        ]

    # -- references

    def restore_components(self) -> None:
        """Put components back that the confirmed resources hang on: they are nothing but records."""
        confirmed = {entry["urn"]: entry for entry in self.wanted if not entry.get("delete")}
        known = {entry["urn"] for entry in self.entries}
        for mate in list(self.mates.values()):
            parent = mate.get("parent")
            while parent and parent not in known and parent in confirmed:
                self.entries.append(copy.deepcopy(confirmed[parent]))
                known.add(parent)
                parent = confirmed[parent].get("parent")

    def _repair_references(self) -> None:
        known = {entry["urn"] for entry in self.entries}
        for entry in self.entries:
            renames: dict[str, str] = self.renames
            if confirmed := self.mates.get(id(entry)):
                # As they were confirmed: those run in no circle, whatever today's do.
                renames = {}
                for name in _REFERENCES:
                    entry.pop(name, None)
                    if name in confirmed:
                        entry[name] = copy.deepcopy(confirmed[name])
            elif entry.get("parent"):
                while entry["parent"] in self.parents_of_kept:
                    entry["parent"] = self.parents_of_kept[entry["parent"]]
            _rewrite(entry, known, renames)

    def _repair_providers(self) -> None:
        here = {_reference(entry): entry["type"] for entry in self.entries if entry["type"].startswith(_PROVIDER)}
        by_urn = {reference.rsplit("::", 1)[0]: reference for reference in sorted(here)}
        confirmed = {_reference(entry): entry for entry in self.wanted if entry["type"].startswith(_PROVIDER)}
        for entry in list(self.entries):
            reference = entry.get("provider", "")
            if not reference or reference in here:
                continue
            urn = reference.rsplit("::", 1)[0]
            if urn in by_urn:
                entry["provider"] = by_urn[urn]
            elif reference in confirmed:
                self.entries.append(copy.deepcopy(confirmed[reference]))
                here[reference], by_urn[urn] = confirmed[reference]["type"], reference
            else:
                # Another version of the provider; the program says with which one it goes on.
                kind = f"{_PROVIDER}{entry['type'].split(':', 1)[0]}"
                entry["provider"] = next((other for other, type_ in here.items() if type_ == kind), reference)

    def _order(self) -> None:
        """Everything after what it refers to, otherwise in the order that it had: the engine demands it."""
        try:
            self.entries = _ordered(self.entries)
        except graphlib.CycleError:
            # What is leaving can refer to a name that means something else by now; it needs its edges least.
            for entry in self.entries:
                if entry.get("delete"):
                    for name in ("dependencies", "propertyDependencies", "deletedWith", "replaceWith"):
                        entry.pop(name, None)
            try:
                self.entries = _ordered(self.entries)
            except graphlib.CycleError as error:
                circle = [self.entries[place]["urn"].rsplit("::", 1)[-1] for place in error.args[1]]
                raise ReleaseError(
                    "the checkpoint cannot be repaired: its references would run in a circle", why=" -> ".join(circle)
                ) from error


def _ordered(entries: list[Resource]) -> list[Resource]:
    places: dict[tuple[str, bool], list[int]] = defaultdict(list)
    for place, entry in enumerate(entries):
        places[entry["urn"], bool(entry.get("delete"))].append(place)
    sorter: graphlib.TopologicalSorter[int] = graphlib.TopologicalSorter()
    for place, entry in enumerate(entries):
        leaving = bool(entry.get("delete"))
        sorter.add(place)
        for urn in _references(entry):
            # What is leaving can refer to another that is leaving, and to nothing newer where both stand.
            there = places.get((urn, leaving)) or places.get((urn, not leaving)) or []
            sorter.add(place, *(other for other in there if other != place))
    sorter.prepare()
    ordered: list[int] = []
    ready: list[int] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()])
        place = ready.pop(0)
        ordered.append(place)
        sorter.done(place)
    return [entries[place] for place in ordered]


def _rewrite(entry: Resource, known: set[str], renames: Mapping[str, str]) -> None:
    """Let references follow renames, and take those out that lead nowhere any more."""

    def now(urns: Iterable[str] | None) -> list[str]:
        renamed = (renames.get(urn, urn) for urn in urns or ())
        return list(dict.fromkeys(urn for urn in renamed if urn in known and urn != entry["urn"]))

    for name in ("parent", "deletedWith"):
        if name in entry:
            found = now([entry.pop(name)])
            if found:
                entry[name] = found[0]
    for name in ("dependencies", "replaceWith"):
        if name in entry:
            entry[name] = now(entry[name])
    if entry.get("propertyDependencies"):
        entry["propertyDependencies"] = {name: now(urns) for name, urns in entry["propertyDependencies"].items()}


def _is_thing(entry: Resource) -> bool:
    """Whether it stands for something in AWS that this stack manages."""
    managed = bool(entry.get("custom")) and bool(entry.get("id")) and not entry.get("external")
    return managed and not entry["type"].startswith(_PROVIDER)


def _identity(entry: Resource) -> tuple[str, ...]:
    inputs = entry.get("inputs") or {}
    return (entry["type"], entry["id"], *(str(inputs.get(name, "")) for name in _ADDRESS.get(entry["type"], ())))


def _same_thing(one: Resource, other: Resource) -> bool:
    return _is_thing(one) and _is_thing(other) and _identity(one) == _identity(other)


def _is_setting_of(entry: Resource, kept: list[Resource]) -> bool:
    """A policy, lifecycle or the like: same service, and it hangs on something that is kept."""
    refers = set(_references(entry))
    service = entry["type"].split("/", 1)[0]
    return any(other["urn"] in refers and other["type"].split("/", 1)[0] == service for other in kept)


def _references(entry: Resource) -> Iterator[str]:
    yield from filter(None, (entry.get("parent"), entry.get("deletedWith")))
    yield from entry.get("dependencies") or ()
    yield from entry.get("replaceWith") or ()
    for urns in (entry.get("propertyDependencies") or {}).values():
        yield from urns or ()
    if entry.get("provider"):
        yield entry["provider"].rsplit("::", 1)[0]


def _reference(provider: Resource) -> str:
    return f"{provider['urn']}::{provider.get('id', '')}"


# -- the id of something whose creation nobody saw the end of


def _id_of_made(entry: Resource, entries: list[Resource]) -> str | None:
    """The id that AWS gives it, where that follows from its inputs; `None` where nobody can know it."""
    inputs = entry.get("inputs") or {}
    find = _IDS.get(entry["type"])
    try:
        identity = find(inputs, entries) if find else None
    except KeyError:
        return None
    return identity if isinstance(identity, str) and identity else None


def _alias_id(inputs: Mapping[str, Any], entries: list[Resource]) -> str | None:
    for entry in entries:
        if entry["type"] == "aws:lambda/function:Function" and entry.get("id") == inputs["functionName"]:
            return f"{entry['outputs']['arn']}:{inputs['name']}"
    return None


# How the AWS provider forms ids ("Import" section of each resource in its documentation, and its source).
_IDS: Final[Mapping[str, Callable[[Mapping[str, Any], list[Resource]], str | None]]] = {
    "aws:cloudwatch/dashboard:Dashboard": lambda inputs, _: inputs["dashboardName"],
    "aws:cloudwatch/logGroup:LogGroup": lambda inputs, _: inputs["name"],
    "aws:cloudwatch/metricAlarm:MetricAlarm": lambda inputs, _: inputs["name"],
    "aws:dynamodb/table:Table": lambda inputs, _: inputs["name"],
    "aws:iam/role:Role": lambda inputs, _: inputs["name"],
    "aws:iam/rolePolicy:RolePolicy": lambda inputs, _: f"{inputs['role']}:{inputs['name']}",
    "aws:kms/alias:Alias": lambda inputs, _: inputs["name"],
    "aws:lambda/alias:Alias": _alias_id,
    "aws:lambda/function:Function": lambda inputs, _: inputs["name"],
    "aws:lambda/functionUrl:FunctionUrl": lambda inputs, _: "/".join(
        filter(None, (inputs["functionName"], inputs.get("qualifier")))
    ),
    "aws:lambda/permission:Permission": lambda inputs, _: inputs["statementId"],
    "aws:s3/bucket:Bucket": lambda inputs, _: inputs["bucket"],
    "aws:scheduler/schedule:Schedule": lambda inputs, _: f"{inputs.get('groupName', 'default')}/{inputs['name']}",
}


# -- the proof


def differences(today: Document, confirmed: Document) -> list[str]:
    """In what today's checkpoint, just refreshed, is not the confirmed one: resources and their inputs.

    Not compared are what a rollback changes for good reason: the version of `candidate` (the same code is published
    again), providers and outputs. Values are never shown. A secret counts as equal to a secret: every update encrypts
    anew, and that the values are equal is what the engine's own preview without changes has proven just before.
    """
    found, expected = _by_urn(today), _by_urn(confirmed)
    problems = [f"missing in the stack: {_short(urn, expected)}" for urn in sorted(expected.keys() - found.keys())]
    problems += [
        f"not of the confirmed release: {_short(urn, found)}" for urn in sorted(found.keys() - expected.keys())
    ]
    for urn in sorted(found.keys() & expected.keys()):
        one, other = (_comparable(entry) for entry in (found[urn], expected[urn]))
        different = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
        if different:
            problems.append(f"other inputs than confirmed: {_short(urn, found)} ({', '.join(different)})")
    for entry in resources_of(today):
        if entry.get("delete") or entry.get("pendingReplacement") or entry.get("initErrors"):
            problems.append(f"left unfinished: {entry['type']} {entry['urn'].rsplit('::', 1)[-1]}")
    for operation in today["deployment"].get("pending_operations") or ():
        problems.append(f"an operation is still pending: {operation.get('type')} {operation['resource']['urn']}")
    return problems


def _by_urn(document: Document) -> dict[str, Resource]:
    return {
        entry["urn"]: entry
        for entry in resources_of(document)
        if not entry.get("delete") and not entry["type"].startswith((_PROVIDER, "pulumi:pulumi:Stack"))
    }


def _comparable(entry: Resource) -> dict[str, Any]:
    inputs = {name: _without_secrets(value) for name, value in (entry.get("inputs") or {}).items()}
    if entry["type"] == "aws:lambda/alias:Alias" and inputs.get("name") == CANDIDATE:
        inputs.pop("functionVersion", None)
    return inputs


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get(SIGNATURE) == _SECRET_KIND:
            return {SIGNATURE: _SECRET_KIND}
        return {name: _without_secrets(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_secrets(inner) for inner in value]
    return value


def _short(urn: str, entries: Mapping[str, Resource]) -> str:
    return f"{entries[urn]['type']} {urn.rsplit('::', 1)[-1]}"
