"""Objects in one deployment bucket: written once, or moved by compare-and-swap. Nothing here overwrites blindly.

S3 answers 412 when a condition does not hold (somebody else was first: `AlreadyThereError`, `LostError`) and 409 when
two conditional writes met (try again). A write whose answer was lost is recognised by reading back what lies there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random_exponential

from release.clients.aws import code_of
from release.errors import ReleaseError

_MISSING: Final = frozenset({"NoSuchKey", "404", "NotFound"})
_DENIED: Final = frozenset({"AccessDenied", "403"})
_LOST: Final = frozenset({"PreconditionFailed", "412"})
_AGAIN: Final = frozenset({"ConditionalRequestConflict", "409", "OperationAborted"})


class AlreadyThereError(Exception):
    """Create-only key that exists with other content."""


class LostError(Exception):
    """Compare-and-swap that somebody else won."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One object as it was read."""

    body: bytes
    etag: str
    version_id: str


class ObjectStore:
    """A deployment bucket.

    `denied_is_missing`: AWS answers "access denied" about a missing object to a role that may not list objects.
    """

    def __init__(self, bucket: str, s3: Any, *, denied_is_missing: bool = False) -> None:
        self.bucket = bucket
        self._missing = _MISSING | (_DENIED if denied_is_missing else set())
        self._s3 = s3

    def get(self, key: str, version_id: str | None = None) -> Stored | None:
        """The object, or `None` where there is none."""
        wanted = {"VersionId": version_id} if version_id else {}
        try:
            answer = self._s3.get_object(Bucket=self.bucket, Key=key, **wanted)
            return Stored(answer["Body"].read(), answer["ETag"], answer.get("VersionId", "null"))
        except (ClientError, BotoCoreError) as error:
            if code_of(error) in self._missing:
                return None
            raise self._explained(error, f"reading {key}") from error

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key that begins with `prefix`."""
        more: dict[str, str] = {}
        while True:
            try:
                answer = self._s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix, **more)
            except (ClientError, BotoCoreError) as error:
                raise self._explained(error, f"listing {prefix}") from error
            yield from (item["Key"] for item in answer.get("Contents", ()))
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def create(self, key: str, body: bytes, content_type: str = "application/json") -> str:
        """Store `body` where nothing is, and return its version id; the same bytes there already are fine.

        Raises:
            AlreadyThereError: Other bytes lie at that key.
        """
        try:
            answer = self._put(key, body, content_type, IfNoneMatch="*")
            return answer.get("VersionId", "null")
        except ClientError as error:
            if code_of(error) not in _LOST:
                raise self._explained(error, f"writing {key}") from error
        there = self.get(key)
        if there is None or there.body != body:
            raise AlreadyThereError(key)
        return there.version_id

    def swap(self, key: str, body: bytes, etag: str | None) -> str:
        """Replace the object that has `etag` (`None`: there is none yet) and return the new etag.

        Raises:
            LostError: It has changed in between.
        """
        condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
        try:
            return self._put(key, body, "application/json", **condition)["ETag"]
        except ClientError as error:
            # If-Match on an object that is not there answers 404.
            if code_of(error) not in _LOST | _MISSING:
                raise self._explained(error, f"writing {key}") from error
        there = self.get(key)
        if there is not None and there.body == body and there.etag != etag:
            return there.etag  # our own write, whose answer was lost
        raise LostError(key)

    def delete(self, key: str) -> None:
        """Delete an object; one that is gone already is fine."""
        try:
            self._s3.delete_object(Bucket=self.bucket, Key=key)
        except (ClientError, BotoCoreError) as error:
            raise self._explained(error, f"deleting {key}") from error

    # Throttling, 5xx and broken connections are retried by botocore itself; a conflict of conditional writes is not.
    @retry(
        retry=retry_if_exception(lambda error: code_of(error) in _AGAIN),
        stop=stop_after_attempt(8),
        wait=wait_random_exponential(multiplier=0.05, max=2),
        reraise=True,
    )
    def _put(self, key: str, body: bytes, content_type: str, **condition: str) -> dict[str, Any]:
        try:
            return self._s3.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=content_type, **condition)
        except BotoCoreError as error:
            raise self._explained(error, f"writing {key}") from error

    def _explained(self, error: Exception, doing: str) -> ReleaseError:
        code = code_of(error)
        if code == "NoSuchBucket":
            environment = self.bucket.split("-", 1)[0]
            return ReleaseError(
                f"{doing} failed: there is no bucket {self.bucket}",
                why="the foundation of this environment was never made, or these are credentials of another account",
                next_step=f"pulumi up --stack {environment}-foundation (an administrator does this once)",
            )
        if code in _DENIED:
            return ReleaseError(
                f"{doing} in {self.bucket} was denied",
                why=str(error),
                next_step="check which role this run has assumed (aws sts get-caller-identity)",
            )
        return ReleaseError(
            f"{doing} in {self.bucket} failed", why=str(error), next_step="try again; nothing was half-written"
        )
