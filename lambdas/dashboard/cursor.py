"""Where a walk through the items stands, as text that a caller hands back.

A cursor is a place in the order of all items and not a memory of the walk, so nothing has to be kept for it. A made-up
one shows its maker nothing that the API key does not open anyway: it needs no signature.
"""

from __future__ import annotations

import base64
from typing import NamedTuple

_LONGEST = 1000
"""Characters. Our own are far below; what decodes from this fits into a key condition of DynamoDB (1024 bytes)."""


class CursorError(ValueError):
    """The text is no cursor, or one of another question."""


class Position(NamedTuple):
    """A place in the order of items: by time, within a second by id. An empty id comes before all of that second."""

    timestamp: str
    source_id: str


def to_cursor(position: Position, *, tag: str, sentiment: str) -> str:
    """The position as URL-safe text. The question is part of it: the two only make sense together."""
    return ".".join(
        base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in (*position, tag, sentiment)
    )


def to_position(cursor: str, *, tag: str, sentiment: str) -> Position:
    """The position that `to_cursor` wrote for the same question.

    Raises:
        CursorError: it did not write this text. Going on with another tag or sentiment would look like a whole list and
            be a part of one.
    """
    if len(cursor) > _LONGEST:
        raise CursorError("the cursor is too long")
    try:
        timestamp, source_id = (_decoded(part) for part in cursor.split(".")[:2])
    except ValueError:
        raise CursorError("the cursor is not readable") from None
    position = Position(timestamp, source_id)
    # Writing it again finds whatever the decoder forgives, and the other question.
    if not timestamp or to_cursor(position, tag=tag, sentiment=sentiment) != cursor:
        raise CursorError("the cursor belongs to another question")
    return position


def _decoded(part: str) -> str:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()
