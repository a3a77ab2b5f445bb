"""Which version users reach: the aliases `live`, read and moved without Pulumi. Seconds count here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from components.naming import LIVE, names
from release.canonical import canonical_json, sha256
from release.clients.aws import code_of
from release.errors import ReleaseError
from release.ledger.lifecycle import DeployedFunction

_TRIES: Final = 4
_MOVED_MEANWHILE: Final = frozenset({"PreconditionFailedException", "ResourceConflictException"})
# What a published version is, beside its code, as GetFunctionConfiguration tells it of each version: "only options that
# can vary between versions". (Environment values are kept as a digest: they may be confidential.)
_CONFIGURATION: Final = (
    *("Runtime", "Handler", "Role", "MemorySize", "Timeout", "Architectures", "PackageType", "DeadLetterConfig"),
)


@dataclass(frozen=True, slots=True)
class Alias:
    """One alias as it stands."""

    version: str
    weights: dict[str, float]
    revision: str

    def __str__(self) -> str:
        return " + ".join([self.version, *(f"{share:.0%} on {version}" for version, share in self.weights.items())])


@dataclass(frozen=True, slots=True)
class Astray:
    """A function whose `live` is not what the ledger says."""

    function: str
    live: Alias | None
    recorded: str | None
    """The version that it should serve alone; `None`: the ledger knows no such function."""

    @property
    def only_weights(self) -> bool:
        """Whether the stable version is there, and some traffic goes elsewhere."""
        return self.live is not None and self.live.version == self.recorded

    def __str__(self) -> str:
        if self.live is None:
            return f"{self.function} has no alias {LIVE}, the ledger says version {self.recorded}"
        told = [
            f"sends {weight:.0%} of its traffic to version {version}, which no run has put there"
            for version, weight in sorted(self.live.weights.items())
        ]
        if not self.only_weights:
            knows = f"the ledger says {self.recorded}" if self.recorded else "of which the ledger knows nothing"
            told.insert(0, f"serves version {self.live.version}, {knows}")
        return f"{self.function} {' and '.join(told)}"


def astray(there: Mapping[str, Alias | None], recorded: Mapping[str, str]) -> list[Astray]:
    """Return what is not as recorded, of the aliases `live` that are `there`. Nobody may be at work."""
    found = [Astray(function, live, recorded.get(function)) for function, live in there.items()]
    return [one for one in found if not _as_recorded(one)]


def _as_recorded(one: Astray) -> bool:
    if one.live is None:
        return one.recorded is None
    return one.only_weights and not one.live.weights


class Traffic:
    """The functions of one environment. `may_change` is called before each change, and raises where it is forbidden."""

    def __init__(self, environment: str, functions: Any, may_change: Callable[[], None] = lambda: None) -> None:
        self._names = names(environment)
        self._lambda = functions
        self._may_change = may_change

    def alias(self, function: str, alias: str = LIVE) -> Alias | None:
        """The alias of a function, or `None` where there is none (or no such function)."""
        try:
            answer = self._lambda.get_alias(FunctionName=self._names.function(function).function, Name=alias)
        except (ClientError, BotoCoreError) as error:
            if code_of(error) == "ResourceNotFoundException":
                return None
            raise self._explained(error, function) from error
        return Alias(answer["FunctionVersion"], _weights(answer), answer.get("RevisionId", ""))

    def moved(self, stable: Mapping[str, str]) -> list[str]:
        """Return, in words, each `live` that does not serve its version in `stable` alone."""
        found = {function: self.alias(function) for function in sorted(stable)}
        return [
            f"`live` of {function} is {alias}, not version {stable[function]} alone"
            for function, alias in found.items()
            if alias is None or alias.version != stable[function] or alias.weights
        ]

    def move(self, function: str, version: str) -> bool:
        """Put `live` of a function on `version` alone; `False` when it stood there already.

        Raises:
            ReleaseError: AWS did not do it.
        """
        for attempt in range(1, _TRIES + 1):
            now = self.alias(function)
            if now is None:
                raise ReleaseError(f"function {function} has no alias `{LIVE}` to move", why="somebody has deleted it")
            if now.version == version and not now.weights:
                return False
            # After the look: who takes over in between and moves the alias changes its revision. Users come first:
            # where nobody can see whether it is forbidden, traffic goes back.
            with contextlib.suppress(ReleaseError):
                self._may_change()
            try:
                self._lambda.update_alias(
                    FunctionName=self._names.function(function).function,
                    Name=LIVE,
                    FunctionVersion=version,
                    RoutingConfig={"AdditionalVersionWeights": {}},
                    **({"RevisionId": now.revision} if now.revision else {}),
                )
            except (ClientError, BotoCoreError) as error:
                # Moved meanwhile, or the answer may be lost although it was done: the next look tells.
                if attempt < _TRIES and (isinstance(error, BotoCoreError) or code_of(error) in _MOVED_MEANWHILE):
                    continue
                raise self._explained(error, function) from error
            return True
        raise ReleaseError(f"`{LIVE}` of {function} keeps being moved by somebody else")

    def prune(self, function: str, kept: Collection[str]) -> list[str]:
        """Delete published versions that are not in `kept`, are older than all of those, and that no alias serves.

        Raises:
            ReleaseError: Lambda did not answer, or this role may not delete.
        """
        name = self._names.function(function).function
        try:
            served = {
                version
                for page in self._lambda.get_paginator("list_aliases").paginate(FunctionName=name)
                for alias in page["Aliases"]
                for version in (alias["FunctionVersion"], *_weights(alias))
            }
            published = [
                entry["Version"]
                for page in self._lambda.get_paginator("list_versions_by_function").paginate(FunctionName=name)
                for entry in page["Versions"]
                if entry["Version"] != "$LATEST"
            ]
            oldest = min(map(int, kept), default=0)
            pruned = [version for version in published if int(version) < oldest and version not in served]
            for version in pruned:
                self._may_change()
                self._lambda.delete_function(FunctionName=name, Qualifier=version)
        except (ClientError, BotoCoreError) as error:
            raise self._explained(error, function) from error
        return pruned

    def deployed(self, function: str, qualifier: str = LIVE) -> DeployedFunction:
        """Return what an alias or version serves, read from AWS: version, digest of the code, configuration."""
        try:
            answer = self._lambda.get_function_configuration(
                FunctionName=self._names.function(function).function, Qualifier=qualifier
            )
        except (ClientError, BotoCoreError) as error:
            raise self._explained(error, function) from error
        configuration: dict[str, Any] = {key: answer[key] for key in _CONFIGURATION if answer.get(key)}
        variables = (answer.get("Environment") or {}).get("Variables") or {}
        configuration["Variables"] = {
            key: sha256(canonical_json(value))[:16] for key, value in sorted(variables.items())
        }
        return DeployedFunction(
            version=answer["Version"], code_sha256=answer["CodeSha256"], configuration=configuration
        )

    def _explained(self, error: Exception, function: str) -> ReleaseError:
        if code_of(error) == "AccessDeniedException":
            return ReleaseError(
                f"Lambda refuses this role to ask for, or to move, function {function}",
                why=str(error),
                next_step=f"release doctor --stack {self._names.environment} says which rights are missing",
            )
        return ReleaseError(f"Lambda did not answer for function {function}", why=str(error), next_step="try again")


def _weights(alias: dict[str, Any]) -> dict[str, float]:
    return dict((alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {})
