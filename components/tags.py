"""The one place for tags: what every taggable resource carries."""

from __future__ import annotations

from typing import Final

from components import naming

REQUIRED: Final = ("Project", "Environment", "ManagedBy", "Part")


def tags(environment: str, part: str) -> dict[str, str]:
    """Tags of a resource of `environment`; `part` says which component it belongs to (`items`, `ingestion`, ...)."""
    return {"Project": naming.PROJECT, "Environment": environment, "ManagedBy": "pulumi", "Part": part}
