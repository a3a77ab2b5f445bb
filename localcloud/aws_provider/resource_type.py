"""The declaration of a resource type: what it is called, what it takes, and its four AWS calls."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from localcloud.aws_provider.cloud import Call, as_list, as_map
from localcloud.aws_provider.facts import Property, declared

Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Tagging:
    """The AWS calls that list and change the tags of a type, and the names of their arguments."""

    argument: str
    """The argument that says which resource is meant."""
    output: str = "arn"
    """The output that stands in it."""
    put: str = "tag_resource"
    remove: str = "untag_resource"
    tags: str = "Tags"
    keys: str = "TagKeys"
    list: str = ""
    """The call that lists them; empty where `read` answers `tagsAll`."""
    as_map: bool = False
    """Whether tags are a map, not a list of keys and values."""

    def listed(self, call: Call, outputs: Values) -> dict[str, str]:
        """Return the tags that the resource has now."""
        tags = getattr(call.aws, self.list)(**{self.argument: outputs[self.output]}).get(self.tags)
        return tags or {} if self.as_map else as_map(tags)

    def sync(self, call: Call) -> None:
        """Bring the tags to those that the program wants, by the least calls."""
        had, wanted = call.state.get("tagsAll", {}), call.tags
        resource = {self.argument: call.state[self.output]}
        gone = sorted(set(had) - set(wanted))
        changed = {key: value for key, value in wanted.items() if had.get(key) != value}
        if gone:
            getattr(call.aws, self.remove)(**resource, **{self.keys: gone})
        if changed:
            getattr(call.aws, self.put)(**resource, **{self.tags: changed if self.as_map else as_list(changed)})


@dataclass(frozen=True, kw_only=True)
class ResourceType:
    """One AWS resource type.

    Property names are Pulumi's. A path joins nested names with dots and leaves array positions out:
    `rules.filters.prefix`.
    """

    type_name: str
    identity: tuple[str, ...]
    """The properties that together are its address in AWS: a replacement with the same ones must delete first.

    The last one must be given. (The real provider makes up names; the program's are all deterministic.)
    """
    inputs: tuple[str, ...]
    """The settable properties that the calls below put into effect; the other ones are refused, never ignored."""
    create: Callable[[Call], str]
    """Makes it and returns its id. Calls `call.made(id)` as soon as it exists: a later failure then loses nothing."""
    read: Callable[[Call], dict[str, Any] | None]
    """Its outputs as AWS has them now, or None when it does not exist; AWS's own refusal says so as well."""
    delete: Callable[[Call], object]
    """Removes it. That it does not exist is not an error."""
    update: Callable[[Call], object] | None = None
    """Changes it in place; its tags only where `tagging` is None. None: every change replaces."""
    service: str = ""
    """The boto3 client of its calls; empty for the service in its name."""
    tagging: Tagging | None = None
    """How its tags are listed and changed; None where it has none, or `read` and `update` do it."""
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
    """Properties that no AWS call answers: taken from the state when it is read."""
    chosen: tuple[str, ...] = ()
    """Paths of blocks that AWS fills in where the program leaves them out: leaving them out is no change."""
    fresh_after: Callable[[Values, frozenset[str]], Sequence[str]] | None = None
    """Outputs that an update with these inputs and changes makes anew: unknown in a preview."""
    verify: Callable[[Values], Sequence[tuple[str, str]]] | None = None
    """Rules across properties: pairs of property and what is wrong with it. Values may hold UNKNOWN."""

    @functools.cached_property
    def properties(self) -> Mapping[str, Property]:
        """What the real provider declares for this type, by name."""
        return declared(self.type_name)

    @property
    def tagged(self) -> bool:
        """Whether it carries tags."""
        return "tags" in self.inputs
