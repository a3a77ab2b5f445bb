"""Which settings of uv reach a command of ours: where packages are found, never which ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_SOURCES: Final = re.compile(
    r"UV_(CACHE_DIR|DEFAULT_INDEX|INDEX.*|EXTRA_INDEX_URL|FIND_LINKS|OFFLINE|CONFIG_FILE|KEYRING_PROVIDER|NATIVE_TLS|"
    r"SYSTEM_CERTS|INSECURE_HOST|HTTP_.*|REQUEST_TIMEOUT|CONCURRENT_.*|NO_CACHE)"
)


def sources_only(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` without what could change the packages that a lock file names.

    A person's own uv.toml is left out too (`exclude-newer` in it changes what a lock means); whoever needs a
    configuration file names it in UV_CONFIG_FILE. The lock's hashes hold whatever the source is.
    """
    kept = {
        name: value for name, value in environment.items() if not name.startswith("UV_") or _SOURCES.fullmatch(name)
    }
    kept.pop("VIRTUAL_ENV", None)
    return kept if "UV_CONFIG_FILE" in kept else kept | {"UV_NO_CONFIG": "1"}
