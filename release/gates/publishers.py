"""Whether an update was published by who published the version before, by the provenance of the index (PEP 740). Pure.

The index vouches for it: it has verified the attestation when the file was uploaded. What is compared here is who that
was, and that the attestation is about the very file that the lock names.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from release.gates.dependency_updates import NotProvableError
from release.text import one_line

_KINDS_SAID: Final = ("kind", "repository", "workflow", "workflow_filepath", "environment", "email")
_ANYTHING: Final = "claims"
"""Field of a publisher that holds whatever its token said: runs and commits, which differ each time."""


@dataclass(frozen=True, slots=True)
class Publisher:
    """Who publishes, in the index's words: kind, repository, workflow, environment."""

    fields: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        known = dict(self.fields)
        return one_line(" ".join(known[name] for name in _KINDS_SAID if name in known), 200)


NOBODY: Final[frozenset[Publisher]] = frozenset()
"""Of a file without provenance."""


def publishers_of(document: Mapping[str, Any] | None, sha256: str) -> frozenset[Publisher]:
    """Return who has attested the file with this digest; nobody where there is no provenance.

    Raises:
        NotProvableError: The provenance cannot be read, or is about another file.
    """
    if document is None:
        return NOBODY
    try:
        found = {_publisher(bundle, sha256) for bundle in document["attestation_bundles"]}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise NotProvableError("has provenance that cannot be read") from None
    if not found:
        raise NotProvableError("has provenance that names nobody")
    return frozenset(found)


def _publisher(bundle: Mapping[str, Any], sha256: str) -> Publisher:
    said = bundle["publisher"]
    fields = {name: value for name, value in said.items() if name != _ANYTHING and value is not None}
    if not isinstance(fields["kind"], str) or len(fields) == 1:
        raise ValueError("a publisher without a name")
    about = [
        subject["digest"]["sha256"]
        for attestation in bundle["attestations"]
        for subject in json.loads(b64decode(attestation["envelope"]["statement"], validate=True))["subject"]
    ]
    if not about or set(about) != {sha256}:
        raise NotProvableError("has the provenance of another file")
    texts = {
        name: value if isinstance(value, str) else json.dumps(value, sort_keys=True) for name, value in fields.items()
    }
    return Publisher(tuple(sorted(texts.items())))


def compared(told: str, before: Mapping[str, frozenset[Publisher]], after: Mapping[str, frozenset[Publisher]]) -> str:
    """Say that an update was published by who published the version before, or that neither has provenance.

    `told` names the update; `before` and `after` are the publishers of its files by their names.

    Raises:
        NotProvableError: There was provenance and there is none now, or it names somebody else.
    """
    known = frozenset().union(*before.values())
    if not after:
        raise NotProvableError(f"{told} has no wheel")
    if not known:
        now = frozenset().union(*after.values())
        return f"{told}: {'provenance for the first time, ' + _said(now) if now else 'without provenance, as before'}"
    for file, publishers in sorted(after.items()):
        if not publishers:
            raise NotProvableError(
                f"{told}: {file} has no provenance, and the version before had one of {_said(known)}"
            )
        if not publishers <= known:
            raise NotProvableError(
                f"{told}: {file} is published by {_said(publishers)}, the version before by {_said(known)}"
            )
    return f"{told}: published by {_said(known)}, as before"


def _said(publishers: frozenset[Publisher]) -> str:
    return " and ".join(sorted(map(str, publishers)))
