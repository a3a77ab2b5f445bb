"""Which permissions one S3 request needs: pure, from its method, path, query and headers."""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit


class Permission(NamedTuple):
    """An action on a bucket (`key` is None) or on an object."""

    action: str
    bucket: str
    key: str | None = None

    @property
    def resource(self) -> str:
        """ARN of the bucket or object."""
        return f"arn:aws:s3:::{self.bucket}" + ("" if self.key is None else f"/{self.key}")


# Subresources whose actions are named regularly: Get<name> and Put<name> (deleting one is a Put as well).
_BUCKET_SUBRESOURCES = {
    "accelerate": "AccelerateConfiguration",
    "acl": "BucketAcl",
    "cors": "BucketCORS",
    "encryption": "EncryptionConfiguration",
    "inventory": "InventoryConfiguration",
    "lifecycle": "LifecycleConfiguration",
    "logging": "BucketLogging",
    "notification": "BucketNotification",
    "object-lock": "BucketObjectLockConfiguration",
    "ownershipControls": "BucketOwnershipControls",
    "policy": "BucketPolicy",
    "publicAccessBlock": "BucketPublicAccessBlock",
    "replication": "ReplicationConfiguration",
    "requestPayment": "BucketRequestPayment",
    "tagging": "BucketTagging",
    "versioning": "BucketVersioning",
    "website": "BucketWebsite",
}
_BUCKET_READS = {
    "location": "GetBucketLocation",
    "policyStatus": "GetBucketPolicyStatus",
    "uploads": "ListBucketMultipartUploads",
    "versions": "ListBucketVersions",
}
_OBJECT_SUBRESOURCES = {
    "acl": "ObjectAcl",
    "legal-hold": "ObjectLegalHold",
    "retention": "ObjectRetention",
    "tagging": "ObjectTagging",
}
# These have a twin for requests that name a version: GetObjectVersion, PutObjectVersionTagging, ...
_VERSIONED = frozenset({"GetObject", "DeleteObject", "ObjectAcl", "ObjectTagging"})


def bucket_permission(method: str, bucket: str, query: Mapping[str, object]) -> Permission | None:
    """Return what a request to a bucket needs; None for those that are checked object by object."""
    for name, action in _BUCKET_READS.items():
        if method == "GET" and name in query:
            return Permission(f"s3:{action}", bucket)
    for name, thing in _BUCKET_SUBRESOURCES.items():
        if name in query:
            deletes = method == "DELETE" and name in ("policy", "website")
            verb = "Delete" if deletes else "Get" if method in ("GET", "HEAD") else "Put"
            return Permission(f"s3:{verb}{thing}", bucket)
    default = {"GET": "ListBucket", "HEAD": "ListBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}.get(method)
    return Permission(f"s3:{default}", bucket) if default else None


def object_permissions(
    method: str, bucket: str, key: str, query: Mapping[str, object], headers: Mapping[str, str]
) -> list[Permission]:
    """Return what a request to an object needs; a copy needs the source as well."""
    action = _object_action(method, query)
    if action is None:
        return []
    needed = [Permission(f"s3:{action}", bucket, key)]
    source = headers.get("x-amz-copy-source")
    if method == "PUT" and source:
        parts = urlsplit(source)
        source_bucket, _, source_key = unquote(parts.path).lstrip("/").partition("/")
        read = "GetObjectVersion" if "versionId" in parse_qs(parts.query) else "GetObject"
        needed.append(Permission(f"s3:{read}", source_bucket, source_key))
    return needed


def delete_permission(bucket: str, key: str, version_id: str | None) -> Permission:
    """Return what deleting one object needs."""
    return Permission("s3:DeleteObjectVersion" if version_id else "s3:DeleteObject", bucket, key)


def creates_object(method: str, query: Mapping[str, object]) -> bool:
    """Whether the request makes an object appear: starting an upload and sending its parts do not."""
    if method == "PUT":
        return not ({"uploadId", *_OBJECT_SUBRESOURCES} & query.keys())
    return method == "POST" and "uploadId" in query


def _object_action(method: str, query: Mapping[str, object]) -> str | None:
    verb = {"GET": "Get", "HEAD": "Get", "PUT": "Put", "DELETE": "Delete"}.get(method)
    for name, thing in _OBJECT_SUBRESOURCES.items():
        if verb and name in query:
            versioned = "versionId" in query and thing in _VERSIONED
            return f"{verb}{thing.replace('Object', 'ObjectVersion', 1) if versioned else thing}"
    if "uploadId" in query and method in ("GET", "DELETE"):
        return "ListMultipartUploadParts" if method == "GET" else "AbortMultipartUpload"
    if method == "POST":
        return "RestoreObject" if "restore" in query else "GetObject" if "select" in query else "PutObject"
    if verb is None:
        return None
    action = f"{verb}Object"
    return f"{action}Version" if "versionId" in query and action in _VERSIONED else action
