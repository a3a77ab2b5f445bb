"""The licences that a package may hold, and the licence that a dependency's metadata states. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import Message
from typing import Final

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

ALLOWED: Final = frozenset({"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "PSF-2.0"})
"""SPDX names that a package may hold: they ask for their text and nothing more. Another one is a person's decision."""

# Spellings that say one licence clearly. "BSD License" is none: it does not say which.
_SPELLINGS: Final = {
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "python software foundation license": "PSF-2.0",
}
# What a person found in the licence text where the metadata does not say it. It holds for this statement alone.
_READ_BY_A_PERSON: Final = {
    # BSD covers all of it; Apache also, but for old contributions whose authors were not found again.
    ("python-dateutil", "Dual License"): "(Apache-2.0 AND BSD-3-Clause) OR BSD-3-Clause",
}
_CLASSIFIER = re.compile(r"License :: (?:OSI Approved :: )?(.+)")
_YES, _NO = "yes", "no"


@dataclass(frozen=True, kw_only=True, slots=True)
class License:
    """The licence of one dependency."""

    expression: str
    """SPDX expression, in SPDX's own spelling."""
    concluded: bool
    """Whether a person read the licence text because the metadata alone do not say it."""


def license_of(name: str, metadata: Message) -> License | None:
    """The licence that core metadata states, or None when they leave it open.

    The most exact field that can be understood counts; `name` is the canonical one.
    """
    stated = metadata.get("License", "")
    if (name, stated) in _READ_BY_A_PERSON:
        return License(expression=_READ_BY_A_PERSON[name, stated], concluded=True)
    classified = [found[1] for line in metadata.get_all("Classifier", []) if (found := _CLASSIFIER.fullmatch(line))]
    # Several classifiers do not say whether one may choose among them or has to keep them all.
    one = classified[0] if len(classified) == 1 else ""
    for value in (metadata.get("License-Expression", ""), stated, one):
        try:
            expression = canonicalize_license_expression(_SPELLINGS.get(value.strip().lower(), value))
        except InvalidLicenseExpression:
            continue
        return License(expression=expression, concluded=False)
    return None


def is_allowed(expression: str) -> bool:
    """Whether all that a canonical SPDX expression demands is on the list; of alternatives one is enough."""
    while "(" in expression:
        expression = re.sub(r"\(([^()]*)\)", lambda inner: _YES if is_allowed(inner[1]) else _NO, expression)
    choices = [choice.split(" AND ") for choice in expression.split(" OR ")]
    return any(all(term in ALLOWED or term == _YES for term in choice) for choice in choices)
