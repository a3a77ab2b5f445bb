"""Whether the local cloud decides calls, and where its issuer of tokens is: said in the environment of its parts."""

import os
from collections.abc import Mapping
from typing import Final

VARIABLE: Final = "LOCALCLOUD_ENFORCE_IDENTITIES"
ISSUER_VARIABLE: Final = "LOCALCLOUD_ISSUER"
"""Address of the part that plays GitHub's issuer of tokens."""


def switched_on(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether calls are decided: LOCALCLOUD_ENFORCE_IDENTITIES=1."""
    return environment.get(VARIABLE, "") == "1"
