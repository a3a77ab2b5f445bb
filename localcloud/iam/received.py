"""A request as the parts of the local cloud hand it on to be decided."""

from typing import NamedTuple

from localcloud.faults.names import Headers


class Received(NamedTuple):
    """One HTTP request, as far as it says who wants what."""

    method: str
    target: str
    headers: Headers
    body: bytes = b""
