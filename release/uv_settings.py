"""Which variables reach a process that runs code of others: the installer, the engine with program and plugins.

A list of what is handed on: nobody knows the names of all secrets, and the token by which a job of CI gets its role
is a variable (`ACTIONS_ID_TOKEN_REQUEST_TOKEN`). Of uv's settings it is where packages are found, never which ones.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from uv import find_uv_bin

_ORDINARY: Final = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TERM|NO_COLOR|LANG|LANGUAGE|LC_.*|TZ|TMPDIR|TEMP|TMP|XDG_.*|LD_LIBRARY_PATH|NETRC|"
    r"SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|(HTTPS?|ALL|NO)_PROXY|(https?|all|no)_proxy|LOCALCLOUD_.*"
)
_ENGINE: Final = re.compile(r"AWS_.*|PULUMI_.*|PYTHONPATH")
_SOURCES: Final = re.compile(
    r"UV_(CACHE_DIR|DEFAULT_INDEX|INDEX.*|EXTRA_INDEX_URL|FIND_LINKS|OFFLINE|CONFIG_FILE|KEYRING_PROVIDER|NATIVE_TLS|"
    r"SYSTEM_CERTS|INSECURE_HOST|HTTP_.*|REQUEST_TIMEOUT|CONCURRENT_.*|NO_CACHE)"
)


def sources_only(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what an installer needs of `environment`, without what could change the packages that a lock file names.

    A person's own uv.toml is left out too (`exclude-newer` in it changes what a lock means); whoever needs a
    configuration file names it in UV_CONFIG_FILE. The lock's hashes hold whatever the source is.
    """
    kept = _only(environment, _ORDINARY, _SOURCES)
    return kept if "UV_CONFIG_FILE" in kept else kept | {"UV_NO_CONFIG": "1"}


def none_at_all(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` without any setting of uv: for what needs no source, and would blame a lock for another."""
    return _only(environment, _ORDINARY, re.compile("UV_CACHE_DIR")) | {"UV_NO_CONFIG": "1"}


def for_the_engine(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the engine needs of `environment`: the installer's, credentials of AWS, its own settings."""
    return sources_only(environment) | _only(environment, _ENGINE)


def _only(environment: Mapping[str, str], *allowed: re.Pattern[str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if any(one.fullmatch(name) for one in allowed)}


def path_with_uv(environment: Mapping[str, str]) -> str:
    """Return PATH with our uv at its end: the engine's Python host calls uv, which the caller need not have."""
    return os.pathsep.join([environment.get("PATH", os.defpath), str(Path(find_uv_bin()).parent)])


def in_the_way(environment: Mapping[str, str]) -> str:
    """Say which settings decided where packages were looked for; their values may hold a password."""
    named = sorted(name for name in environment if _SOURCES.fullmatch(name) and name != "UV_CACHE_DIR")
    place = f"where {', '.join(named)} of this shell says" if named else "at the index of the lock"
    return f"It looked {place}. A uv.toml is not read: whoever needs a mirror names it in UV_DEFAULT_INDEX."
