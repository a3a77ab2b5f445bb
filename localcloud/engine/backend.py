"""Where the state of each stack lies: in its environment's state bucket, foundation and service apart."""

from components.naming import ENVIRONMENTS, PhysicalNameError, state_place
from localcloud.errors import LocalCloudError


def place(stack: str) -> tuple[str, str]:
    """Return bucket and folder; raises `LocalCloudError` for a stack of an environment that has no state bucket."""
    try:
        return state_place(stack)
    except PhysicalNameError:
        raise LocalCloudError(
            f"stack {stack!r} belongs to no environment that the local cloud has",
            next_step=f"name a stack of {' or '.join(ENVIRONMENTS)}",
        ) from None
