"""The copy of a state that anybody may read: what a preview needs, and nothing that the repository does not say.

Secrets are taken out, the key that opens them is not named, and what AWS or a person has made up is replaced by the
same stand-in everywhere in the copy: numbers of other accounts, addresses, ids, host names of function URLs. So
references still fit each other, and a preview finds no difference where there is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from components.settings import Settings
from release.errors import ReleaseError
from release.preview.compare import ALWAYS_SECRET, SECRET
from release.preview.plan import Digest, Name, Sha
from release.pulumi.checkpoint import SIGNATURE

BRANCH: Final = "stack-previews"
"""The branch of the published copies, which holds nothing else."""
LARGEST: Final = 5_000_000
"""Bytes of a copy."""

_TRACES: Final = frozenset({"sourcePosition", "stackTrace", "created", "modified"})
"""Fields of a resource that say where and when it was registered."""
_ACCOUNT: Final = re.compile(r"(?<![0-9A-Za-z])[0-9]{12}(?![0-9A-Za-z])")
_MAIL: Final = re.compile(r"[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_UUID: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![0-9a-f])")
_UNIQUE_ID: Final = re.compile(
    r"(?<![A-Z0-9])(?:AROA|AIDA|AKIA|ASIA|AGPA|ANPA|AIPA|ABIA|ACCA|APKA|ASCA)[A-Z0-9]{12,28}"
)
_URL_HOST: Final = re.compile(r"[a-z0-9]{8,64}(?=\.lambda-url\.)")


class StateCopy(BaseModel):
    """A published copy: whose state it is, as of which release."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    stack: Literal["preprod", "prod"]
    sha: Sha
    manifest: Digest
    at: Name
    """The time at which the release was confirmed, or deployed to preprod (ISO 8601)."""
    deployment: dict[str, Any]

    def canonical(self) -> bytes:
        """The bytes that are published."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, indent=1).encode() + b"\n"


def read_copy(body: bytes, stack: str) -> StateCopy:
    """A copy as it was published.

    Raises:
        ReleaseError: It is none, is one of another stack, or has a format that this releaser does not know.
    """
    if len(body) > LARGEST:
        raise ReleaseError(f"the copy of the state of {stack} is too large", why=f"{len(body)} bytes")
    try:
        copy = StateCopy.model_validate_json(body)
    except ValidationError as error:
        where = ", ".join(sorted({".".join(map(str, one["loc"])) or "all of it" for one in error.errors()}))
        raise ReleaseError(
            f"the copy of the state of {stack} cannot be read",
            why=f"wrong or missing: {where[:200]}; another version of the releaser may have written it",
            next_step="compare with the base: --without-copy. The next release publishes a new copy; by hand: "
            f"release confirm --stack prod, then release publish --stack {stack}",
        ) from None
    if copy.stack != stack:
        raise ReleaseError(f"the copy of the state of {stack} is one of {copy.stack}")
    return copy


def copy_of(checkpoint: bytes, settings: Settings, *, sha: str, manifest: str, at: str) -> StateCopy:
    """The copy of a checkpoint (`pulumi stack export`) that may be published."""
    deployment = json.loads(checkpoint)["deployment"]
    kept = {
        "manifest": deployment.get("manifest") or {},
        "resources": [
            {key: value for key, value in resource.items() if key not in _TRACES}
            for resource in deployment.get("resources") or ()
        ],
    }
    said = {settings.account_id, settings.other_account_id, *settings.on_call_emails}
    return StateCopy(
        stack=settings.environment,  # ty: ignore[invalid-argument-type] -- pydantic checks which
        sha=sha,
        manifest=manifest,
        at=at,
        deployment=_Mask(said).masked(without_secrets(kept)),
    )


def without_secrets(value: Any) -> Any:
    """A deployment, or a part of one, without the values that the state seals and those that are always secret."""
    if isinstance(value, dict):
        if SIGNATURE in value and ("ciphertext" in value or "plaintext" in value):
            return SECRET
        hidden = {*ALWAYS_SECRET, *_names(value.get("additionalSecretOutputs"))}
        cleaned = {}
        for key, inner in value.items():
            if key == "outputs" and isinstance(inner, Mapping):
                inner = {name: SECRET if name in hidden else one for name, one in inner.items()}  # noqa: PLW2901
            cleaned[key] = SECRET if key in ALWAYS_SECRET else without_secrets(inner)
        return cleaned
    if isinstance(value, list):
        return [without_secrets(inner) for inner in value]
    if isinstance(value, str) and SIGNATURE in value:  # a document within a text
        return SECRET
    return value


def _names(value: Any) -> Collection[str]:
    return value if isinstance(value, list) else ()


@dataclass
class _Mask:
    """Replaces what the repository does not say, the same thing always by the same stand-in."""

    said: Collection[str]
    seen: dict[str, str] = field(default_factory=dict)

    def masked(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.masked(key): self.masked(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.masked(inner) for inner in value]
        if isinstance(value, int | float) and not isinstance(value, bool) and _ACCOUNT.fullmatch(str(value)):
            return int(self._text(str(value)))
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        # A number of an account can also be the end of a UUID, so those come first.
        text = _UUID.sub(self._with(lambda n: f"00000000-0000-4000-8000-{n:012d}"), text)
        text = _MAIL.sub(self._with(lambda n: f"somebody-{n}@example.invalid"), text)
        text = _UNIQUE_ID.sub(self._with(lambda n: f"AROA{n:017d}"), text)
        text = _URL_HOST.sub(self._with(lambda n: f"url{n:029d}"), text)
        return _ACCOUNT.sub(self._with(lambda n: f"{n:012d}"), text)

    def _with(self, stand_in: Callable[[int], str]) -> Callable[[re.Match[str]], str]:
        def replaced(found: re.Match[str]) -> str:
            text = found[0]
            if text in self.said or text in self.seen.values():
                return text
            if text not in self.seen:
                self.seen[text] = stand_in(len(self.seen) + 1)
            return self.seen[text]

        return replaced
