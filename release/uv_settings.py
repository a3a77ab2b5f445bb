"""Which settings of uv reach a command of ours: where packages are found, never which ones."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from uv import find_uv_bin

_SOURCES: Final = re.compile(
    r"UV_(CACHE_DIR|DEFAULT_INDEX|INDEX.*|EXTRA_INDEX_URL|FIND_LINKS|OFFLINE|CONFIG_FILE|KEYRING_PROVIDER|NATIVE_TLS|"
    r"SYSTEM_CERTS|INSECURE_HOST|HTTP_.*|REQUEST_TIMEOUT|CONCURRENT_.*|NO_CACHE)"
)


def sources_only(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` without what could change the packages that a lock file names.

    A person's own uv.toml is left out too (`exclude-newer` in it changes what a lock means); whoever needs a
    configuration file names it in UV_CONFIG_FILE. The lock's hashes hold whatever the source is.
    """
    kept = _only(_SOURCES, environment)
    return kept if "UV_CONFIG_FILE" in kept else kept | {"UV_NO_CONFIG": "1"}


def none_at_all(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` without any setting of uv: for what needs no source, and would blame a lock for another."""
    return _only(re.compile("UV_CACHE_DIR"), environment) | {"UV_NO_CONFIG": "1"}


def _only(settings: re.Pattern[str], environment: Mapping[str, str]) -> dict[str, str]:
    ours = {name: value for name, value in environment.items() if name != "VIRTUAL_ENV"}
    return {name: value for name, value in ours.items() if not name.startswith("UV_") or settings.fullmatch(name)}


def path_with_uv(environment: Mapping[str, str]) -> str:
    """Return PATH with our uv at its end: the engine's Python host calls uv, which the caller need not have."""
    return os.pathsep.join([environment.get("PATH", os.defpath), str(Path(find_uv_bin()).parent)])


def in_the_way(environment: Mapping[str, str]) -> str:
    """Say which settings decided where packages were looked for; their values may hold a password."""
    named = sorted(name for name in environment if _SOURCES.fullmatch(name) and name != "UV_CACHE_DIR")
    place = f"where {', '.join(named)} of this shell says" if named else "at the index of the lock"
    return f"It looked {place}. A uv.toml is not read: whoever needs a mirror names it in UV_DEFAULT_INDEX."
