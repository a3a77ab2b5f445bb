"""Where the state of each stack lies: in its environment's state bucket, foundation and service apart."""

from components.naming import ENVIRONMENTS, names
from localcloud.errors import LocalCloudError


def place(stack: str) -> tuple[str, str]:
    """Return bucket and folder; raises `LocalCloudError` for a stack of an environment that has no state bucket."""
    environment, _, kind = stack.partition("-")
    if environment not in ENVIRONMENTS:
        raise LocalCloudError(
            f"stack {stack!r} belongs to no environment that the local cloud has",
            next_step=f"name a stack of {' or '.join(ENVIRONMENTS)}",
        )
    return names(environment).state_bucket, kind or "service"
