"""The declaration of a resource type: what it is called, what it takes, and its four AWS calls."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from localcloud.aws_provider.facts import SINCE_6, Property, TypeFacts, type_facts

if TYPE_CHECKING:
    from localcloud.aws_provider.cloud import Call

Values = Mapping[str, Any]


def put_again(put: Callable[[Call, Values], object]) -> Callable[[Call, str, Values, Values, frozenset[str]], None]:
    """Return the `update` of a type whose one AWS call both makes and replaces: `put` with the new inputs."""

    def update(call: Call, _id: str, _state: Values, inputs: Values, _changed: frozenset[str]) -> None:
        put(call, inputs)

    return update


@dataclass(frozen=True, kw_only=True)
class ResourceType:
    """One AWS resource type.

    Property names are Pulumi's. A path joins nested names with dots and leaves array positions out:
    `rules.filters.prefix`.
    """

    type_name: str
    inputs: tuple[str, ...]
    """The settable properties that the calls below put into effect; the other ones are refused, never ignored."""
    create: Callable[[Call, Values], str]
    """Makes it and returns its id. Calls `call.made(id)` as soon as it exists: a later failure then loses nothing."""
    read: Callable[[Call, str, Values], dict[str, Any] | None]
    """Its outputs as AWS has them now, or None when it does not exist. The state is given to find it by."""
    delete: Callable[[Call, str, Values], None]
    """Removes it and waits until it is gone. That it does not exist is not an error."""
    update: Callable[[Call, str, Values, Values, frozenset[str]], None] | None = None
    """Changes it in place: id, state, new inputs (with defaults), changed properties. None: every change replaces."""
    identity: tuple[str, ...] = ()
    """The properties that together are its address in AWS: a replacement with the same ones must delete first."""
    refuses: tuple[str, ...] = ()
    """Paths of nested properties that the calls do not put into effect."""
    defaults: Values = field(default_factory=dict)
    """By path: what the real provider or AWS puts where the program says nothing."""
    json_documents: tuple[str, ...] = ()
    """Properties that are JSON text: compared as documents."""
    policies: tuple[str, ...] = ()
    """JSON properties that are IAM policies: the order of lists, and a list of one, mean nothing."""
    sets: tuple[str, ...] = ()
    """Paths of arrays whose order means nothing."""
    kept: tuple[str, ...] = ()
    """Paths that no AWS call answers (or that moto drops): taken from the state when it is read."""
    chosen: tuple[str, ...] = ()
    """Paths of blocks that AWS fills in where the program leaves them out: leaving them out is no change."""
    autoname: str = ""
    """The property that gets a name made from the resource's when the program gives none."""
    fresh_after: Callable[[Values, frozenset[str]], Sequence[str]] | None = None
    """Outputs that an update with these inputs and changes makes anew: unknown in a preview."""
    verify: Callable[[Values], Sequence[tuple[str, str]]] | None = None
    """Rules across properties: pairs of property and what is wrong with it. Values may hold UNKNOWN."""

    @functools.cached_property
    def facts(self) -> TypeFacts:
        """What the real provider declares for this type."""
        return type_facts(self.type_name)

    @functools.cached_property
    def properties(self) -> Mapping[str, Property]:
        """All properties by name, with those of generation 6 that are put into effect here."""
        known = dict(self.facts.properties)
        for name in self.facts.since6:
            if name == "region" or name in self.inputs:
                known[name] = SINCE_6[name]
        if "region" in known:
            known["region"] = SINCE_6["region"]
        return known

    @property
    def regional(self) -> bool:
        """Whether it lives in a region (IAM and budgets do not)."""
        return "region" in self.properties

    @property
    def tagged(self) -> bool:
        """Whether it carries tags."""
        return "tags" in self.properties and "tags" in self.inputs
