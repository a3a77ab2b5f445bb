"""The ways in which a call can fail."""

from enum import StrEnum


class Kind(StrEnum):
    """What happens to a call."""

    THROTTLE = "throttle"  # refused with the service's own throttling error
    ERROR = "error"  # refused with the service's own internal error, a 5xx
    TIMEOUT = "timeout"  # not carried out; after `seconds` the connection is closed without an answer
    LOST = "lost"  # carried out; the connection is closed without an answer
    SLOW = "slow"  # carried out; the correct answer comes `seconds` later
    EXPIRED = "expired"  # refused because the credentials have expired
