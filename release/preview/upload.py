"""The archive of plan documents that a run of strangers' code uploads: read in memory, within limits, and checked.

Whoever opens a pull request decides over every byte of it. Only the names of the four stacks are looked for, nothing is
written to disk, and each thing that is wrong has one fixed sentence: no word of the archive is repeated.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from io import BytesIO
from typing import Final, get_args

from pydantic import ValidationError

from release.preview.plan import PlanDocument, Stack

STACKS: Final[tuple[str, ...]] = get_args(Stack)
LONGEST_ARCHIVE: Final = 5_000_000
"""Bytes of an archive; four plans of 300 resources have less than a tenth."""
_LONGEST_FILE: Final = 1_000_000
_PACKED_AS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
# All that `zipfile` raises for bytes that are no good archive.
_BROKEN: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    RuntimeError,
)

UNREADABLE: Final = "its archive cannot be read"
MISSING: Final = "the archive holds no file of this stack"
TWICE: Final = "the archive holds the file of this stack more than once"
TOO_LONG: Final = "the file of this stack is too long"
BROKEN: Final = "the file of this stack cannot be read"
NO_PLAN: Final = "the file of this stack is no plan document"
OTHER_STACK: Final = "the plan is about another stack"
OTHER_COMMIT: Final = "the plan is about another commit"
OTHER_PULL: Final = "the plan is about another pull request"


class _RefusedError(Exception):
    """A check that the file of a stack does not pass."""


def read(archive: bytes, head_sha: str, pull: int) -> Mapping[str, PlanDocument | str]:
    """Return for each stack its plan, or the sentence of the check that refuses it.

    Which commit and which pull request it must be about is GitHub's word: the only thing that is believed.
    """
    try:
        with zipfile.ZipFile(BytesIO(archive)) as opened:
            times = Counter(one.filename for one in opened.infolist())
            return {stack: _read_one(opened, times, stack, head_sha, pull) for stack in STACKS}
    except _BROKEN:
        return dict.fromkeys(STACKS, UNREADABLE)


def _read_one(opened: zipfile.ZipFile, times: Counter[str], stack: str, head_sha: str, pull: int) -> PlanDocument | str:
    name = f"{stack}.json"
    if times[name] != 1:
        return TWICE if times[name] else MISSING
    try:
        return _checked(_unpacked(opened, opened.getinfo(name)), stack, head_sha, pull)
    except _RefusedError as refused:
        return str(refused)


def _unpacked(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Return the bytes of a file: headers may lie, so that the limit holds for what really comes out."""
    if entry.file_size > _LONGEST_FILE:
        raise _RefusedError(TOO_LONG)
    if entry.compress_type not in _PACKED_AS:
        raise _RefusedError(BROKEN)
    try:
        with opened.open(entry) as stream:
            body = stream.read(_LONGEST_FILE)
    except _BROKEN:
        raise _RefusedError(BROKEN) from None
    if len(body) != entry.file_size:
        raise _RefusedError(BROKEN)
    return body


def _checked(body: bytes, stack: str, head_sha: str, pull: int) -> PlanDocument:
    try:
        document = PlanDocument.model_validate_json(body, strict=True)
    except (ValidationError, ValueError, OverflowError, RecursionError):
        raise _RefusedError(NO_PLAN) from None
    if document.stack != stack:
        raise _RefusedError(OTHER_STACK)
    if document.head.sha != head_sha:
        raise _RefusedError(OTHER_COMMIT)
    if document.pull != pull:
        raise _RefusedError(OTHER_PULL)
    return document
