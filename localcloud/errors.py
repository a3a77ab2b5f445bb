"""What the local cloud says when it cannot go on."""


class LocalCloudError(Exception):
    """Something that a person can put right; the message says what happened, why, and what to do next."""

    def __init__(self, what: str, *, next_step: str) -> None:
        super().__init__(f"{what}\n  -> {next_step}")
