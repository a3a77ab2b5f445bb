"""The plan document: what an update would do to one stack, as data that people and machines read alike.

It is one model for the terminal, the pull request's comment, the page, the artifact and the ledger. Each of them
derives from it what it shows: nothing here is a sentence that somebody else has written. Values are JSON texts (`"a"`,
`5`, `true`), secrets read `"[secret]"`, and what only the update itself finds out is `UNKNOWN`.
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from release.canonical import canonical_json, sha256
from release.pulumi.changes import REPLACED, Impact
from release.pulumi.checkpoint import DATA, MADE_AGAIN

UNKNOWN: Final = "(known after the update)"
"""Stands for a value, without quotes: no JSON text is equal to it."""

Sha = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Text = Annotated[str, StringConstraints(max_length=20_000)]
Count = Annotated[int, Field(ge=0, le=10_000_000)]
Stack = Literal["preprod", "prod", "preprod-foundation", "prod-foundation"]

GONE: Final = frozenset({"delete", *REPLACED})
SEVERITY: Final = (Impact.DESTRUCTIVE, Impact.SHARED, Impact.ADDITIVE, Impact.CANDIDATE_ONLY)
"""The order in which a reviewer wants to know."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PropertyChange(_Model):
    """One input that changes; `old` is absent for what is added, `new` for what is removed."""

    path: Name
    old: Text | None = None
    new: Text | None = None
    replaces: bool = False
    """Whether the resource has to be replaced for it."""


class StatementChange(_Model):
    """A statement that a policy document of the resource gains or loses."""

    path: Name
    added: bool
    statement: Text
    """Canonical JSON."""
    flags: tuple[Name, ...] = ()
    """Reasons for a second look: `wildcard action`, `wildcard resource`, `anybody`, `PassRole`."""


class ResourceChange(_Model):
    """The change of one resource."""

    op: Name
    """As the engine says: `create`, `update`, `delete`, `replace`, ..."""
    type: Name
    name: Name
    component: Annotated[str, StringConstraints(max_length=300)] = ""
    """Type and name of the component that it belongs to."""
    change: Impact
    properties: tuple[PropertyChange, ...] = ()
    statements: tuple[StatementChange, ...] = ()
    forced_by: tuple[Name, ...] = ()
    """Properties that force a replacement."""
    computed: tuple[Name, ...] = ()
    """Outputs that change with it, whose new value only the update knows."""
    protected: bool = False
    """Whether Pulumi refuses to delete or replace it."""
    retained: bool = False
    """Whether deleting it only takes it out of the stack."""

    @property
    def loses_data(self) -> bool:
        """Whether what it holds would be gone, and no rollback could bring it back."""
        holds = self.type in DATA and self.type not in MADE_AGAIN
        return holds and self.op in GONE and not (self.retained and self.op == "delete")

    @property
    def follows(self) -> bool:
        """Whether it changes only because something that it refers to does."""
        shown = [prop.new for prop in self.properties]
        return self.op == "update" and not self.statements and all(new == UNKNOWN for new in shown)

    @property
    def short_type(self) -> str:
        """The type as people say it: `lambda.Function`."""
        package, _, rest = self.type.partition(":")
        module, _, last = rest.rpartition(":")
        module = module.partition("/")[0]
        return f"{module}.{last}" if package == "aws" else f"{package}.{last}"


class Alarm(_Model):
    """An alarm that is new, gone or different: when it rings, before and after."""

    name: Name
    before: Text | None = None
    after: Text | None = None


class Cost(_Model):
    """A standing price that changes: how many of something there are, and USD a month for each."""

    what: Name
    before: float
    after: float
    usd: float

    @property
    def delta(self) -> float:
        """USD a month, more or less."""
        return (self.after - self.before) * self.usd


class Against(_Model):
    """The other side of the comparison."""

    kind: Literal["state", "published", "base", "empty"]
    """`state`: the stack's own. `published`: its secret-free copy. `base`: another commit's. `empty`: nothing."""
    sha: Sha | None = None
    """Commit of the release whose state it is, or of the base."""
    at: Name | None = None
    """The time at which the copy was made (ISO 8601)."""
    behind: Count | None = None
    """The number of commits of the head that the copy does not know; absent where the clone cannot say."""


class Head(_Model):
    """The commit that is previewed."""

    sha: Sha
    changed_files: Count = 0
    """Files of the working tree that no commit holds."""


class PlanDocument(_Model):
    """The changes that an update would make to one stack."""

    format: Literal[1] = 1
    stack: Stack
    head: Head
    against: Against
    pull: Count | None = None
    changes: tuple[ResourceChange, ...] = ()
    unchanged: Count = 0
    alarms: tuple[Alarm, ...] = ()
    costs: tuple[Cost, ...] = ()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what is to happen, whichever commit says so and when."""
        substance = self.model_dump(mode="json", exclude={"head", "against", "pull"})
        return sha256(canonical_json(substance))

    @property
    def counts(self) -> Counter[Impact]:
        """The number of resources that change, by class."""
        return Counter(change.change for change in self.changes)

    @property
    def data_loss(self) -> tuple[ResourceChange, ...]:
        """Resources that would be destroyed for good."""
        return tuple(change for change in self.changes if change.loses_data)

    @property
    def monthly_usd(self) -> float:
        """The difference of a month's cost, at list prices."""
        return round(sum(cost.delta for cost in self.costs), 4)

    @property
    def nothing(self) -> bool:
        """Whether the stack stays as it is."""
        return not self.changes
