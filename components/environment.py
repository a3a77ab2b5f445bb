"""The environment that the program runs in, as whoever starts the engine has to ask for it.

The Python host of Pulumi runs `uv sync` before every run. Left alone it installs the default groups of dependencies,
builds the project itself, and fails in a folder that holds the program alone. uv reads its variables from the engine's
environment, so they have to be set for every command that runs the program.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

_LOCKED: Final = {
    "UV_FROZEN": "1",  # what the lock file says, which nothing may rewrite
    "UV_NO_INSTALL_PROJECT": "1",
    "UV_NO_BUILD": "1",  # wheels with locked hashes, and no code of theirs before the program itself runs
    "UV_NO_CONFIG": "1",  # a person's uv.toml changes nothing
}
SERVICE: Final = MappingProxyType(_LOCKED | {"UV_NO_DEFAULT_GROUPS": "1"})
"""For stacks that CI runs: the dependencies of the program and no group. The GitHub provider is not among them."""
FOUNDATION: Final = MappingProxyType(_LOCKED | {"UV_NO_DEV": "1"})
"""For stacks of an administrator: the group `foundation` too, which is a default one."""
