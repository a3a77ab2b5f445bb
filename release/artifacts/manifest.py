"""What one build made. The digest of its bytes is the identity of a release; the commit is its human name."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from release.canonical import canonical_json, sha256
from release.errors import UsageError

MANIFEST_FILE: Final = "manifest.json"

# These patterns run in Rust's regex engine, where `$` is the very end: no line end slips in behind it.
_SHA256 = r"^[0-9a-f]{64}$"
_Sha256 = Annotated[str, Field(pattern=_SHA256)]
_FunctionKey = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}[a-z0-9]$")]


class ManifestError(UsageError):
    """A manifest that cannot be believed: not JSON, not canonical, or not consistent with itself."""


def base64_of(sha256_hex: str) -> str:
    """A hex digest the way Lambda writes it in `CodeSha256`."""
    return base64.b64encode(bytes.fromhex(sha256_hex)).decode()


def _real_utc_second(value: str) -> str:
    parsed = datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    # strptime also takes "2026-1-2T..."; a digest needs one spelling.
    if parsed.isoformat().replace("+00:00", "Z") != value:
        raise ValueError(f"{value!r} is not spelled YYYY-MM-DDThh:mm:ssZ")
    return value


class PackageEntry(BaseModel):
    """One function's package: its zip, and what is known about the bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    package: str = Field(min_length=1)
    """Name of the zip beside the manifest: `{function}-{sha}.zip`."""
    sha256: _Sha256
    code_sha256: str
    """The digest of the zip in base64: what Lambda answers as `CodeSha256`."""
    size: int = Field(gt=0)
    content_sha256: _Sha256
    """Digest over the sorted (name, digest, mode) of the zip's files: the same whatever zlib packed them."""
    handler: str = Field(pattern=r"^[a-z_][a-z0-9_.]*\.[a-z_][a-z0-9_]*$")
    lock_sha256: _Sha256
    """Digest of the function's `uv.lock`."""

    @model_validator(mode="after")
    def _one_digest_in_two_spellings(self) -> Self:
        if self.code_sha256 != base64_of(self.sha256):
            raise ValueError(f"code_sha256 {self.code_sha256!r} is not the base64 of sha256 {self.sha256!r}")
        return self


class Manifest(BaseModel):
    """Everything that one build made from one commit. Immutable; `load` is the only way in from bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)

    # `schema` is a method of pydantic's BaseModel, so the attribute has the longer name.
    schema_number: Literal[1] = Field(default=1, alias="schema")
    sha: str = Field(pattern=r"^[0-9a-f]{40}$")
    built_at: Annotated[str, AfterValidator(_real_utc_second)]
    """Time of the commit, UTC: a clock in the manifest would give one commit two identities."""
    runtime: str = Field(pattern=r"^python3\.[0-9]{1,2}$")
    architecture: Literal["x86_64", "arm64"]
    functions: Annotated[
        Mapping[_FunctionKey, PackageEntry], Field(min_length=1), AfterValidator(lambda m: MappingProxyType(dict(m)))
    ]

    @model_validator(mode="after")
    def _packages_are_named_after_function_and_commit(self) -> Self:
        for function, entry in self.functions.items():
            expected = f"{function}-{self.sha}.zip"
            if entry.package != expected:
                raise ValueError(f"package of {function} is {entry.package!r}, expected {expected!r}")
        return self

    def canonical(self) -> bytes:
        """Return the bytes of `manifest.json`."""
        functions = {name: entry.model_dump() for name, entry in self.functions.items()}
        return canonical_json(self.model_dump(by_alias=True, exclude={"functions"}) | {"functions": functions})

    @property
    def digest(self) -> str:
        """Identity of the release: SHA-256 of the canonical bytes, hex."""
        return sha256(self.canonical())

    @classmethod
    def load(cls, raw: bytes) -> Manifest:
        """Read a manifest from the bytes of its file.

        Only canonical bytes are taken: with a second spelling of the same manifest, "the digest of the file" and "the
        digest of the manifest" could differ, and a record bound to one would not hold for the other.

        Raises:
            ManifestError: the bytes are no manifest, an entry is wrong, or the spelling is not canonical.
        """
        restore = "Take manifest.json again from the build's artifact or from the bucket; never edit or reformat it."
        try:
            document = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise ManifestError("The manifest is not JSON.", why=str(error), next_step=restore) from error
        try:
            manifest = cls.model_validate(document, by_alias=True, by_name=False)
        except ValidationError as error:
            raise ManifestError("The manifest is not valid.", why=_reasons(error), next_step=restore) from error
        if manifest.canonical() != raw:
            raise ManifestError(
                "The manifest is not in canonical form, so its digest would not be the release's identity.",
                why="Canonical are sorted keys, no spaces and no line end.",
                next_step=restore,
            )
        return manifest


def _reasons(error: ValidationError) -> str:
    """Each complaint with the path of its field, the input left out (it may be long)."""
    return "; ".join(
        f"{'.'.join(str(part) for part in issue['loc']) or 'manifest'}: {re.sub('^Value error, ', '', issue['msg'])}"
        for issue in error.errors(include_url=False, include_context=False, include_input=False)
    )
