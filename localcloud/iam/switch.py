"""Whether the local cloud decides calls, and where it is asked for decisions and its issuer: quick to import."""

import os
from collections.abc import Mapping
from typing import Final

VARIABLE: Final = "LOCALCLOUD_ENFORCE_IDENTITIES"
ISSUER_VARIABLE: Final = "LOCALCLOUD_ISSUER"
"""Address of the part that plays GitHub's issuer of tokens."""
DECIDE: Final = "/_localcloud/identities/decide"
DENIALS: Final = "/_localcloud/identities/denials"
"""Paths of the AWS part, which knows the roles."""


def switched_on(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether calls are decided: LOCALCLOUD_ENFORCE_IDENTITIES=1."""
    return environment.get(VARIABLE, "") == "1"
