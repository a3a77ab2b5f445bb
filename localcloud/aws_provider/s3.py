"""S3: buckets, and what is set on a bucket by a resource of its own."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Final

from localcloud.aws_provider.cloud import CloudError, as_list, as_map, code_of, found
from localcloud.aws_provider.resource_type import ResourceType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from localcloud.aws_provider.cloud import Call

_NO_BUCKET: Final = ("NoSuchBucket", "404", "NotFound")
_FIRST_REGION = "us-east-1"
_HOSTED_ZONES: Final = {"us-east-1": "Z3AQBSTGFYJSTF", "us-west-2": "Z3BJ6K6RIION7M", "eu-west-1": "Z1BKCTXD74EZPE"}
_PAGE = 1000

# -- bucket


def _create_bucket(call: Call, inputs: Mapping[str, Any]) -> str:
    s3, bucket = call.client("s3"), inputs["bucket"]
    # In us-east-1 CreateBucket succeeds for a bucket that one has already, and would silently adopt it.
    if found(lambda: s3.head_bucket(Bucket=bucket), *_NO_BUCKET) is not None:
        raise CloudError(
            f"the bucket {bucket} exists already and is not in this stack's state. Take it over with `pulumi import "
            f"aws:s3/bucket:Bucket NAME {bucket}`, or delete it"
        )
    arguments: dict[str, Any] = {"Bucket": bucket}
    if call.region != _FIRST_REGION:
        arguments["CreateBucketConfiguration"] = {"LocationConstraint": call.region}
    if inputs.get("objectLockEnabled"):
        arguments["ObjectLockEnabledForBucket"] = True
    s3.create_bucket(**arguments)
    call.made(bucket)
    _put_tags(call, bucket, call.tags(inputs))
    return bucket


def _put_tags(call: Call, bucket: str, tags: dict[str, str]) -> None:
    if tags:
        call.client("s3").put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": as_list(tags)})
    else:
        call.client("s3").delete_bucket_tagging(Bucket=bucket)


def _read_bucket(call: Call, bucket: str, state: Mapping[str, Any]) -> dict[str, Any] | None:  # noqa: ARG001
    s3 = call.client("s3")
    if found(lambda: s3.head_bucket(Bucket=bucket), *_NO_BUCKET) is None:
        return None
    tags = found(lambda: s3.get_bucket_tagging(Bucket=bucket), "NoSuchTagSet")
    lock = found(
        lambda: s3.get_object_lock_configuration(Bucket=bucket), "ObjectLockConfigurationNotFoundError", *_NO_BUCKET
    )
    return {
        "bucket": bucket,
        "arn": f"arn:aws:s3:::{bucket}",
        "bucketDomainName": f"{bucket}.s3.amazonaws.com",
        "bucketRegionalDomainName": f"{bucket}.s3.{call.region}.amazonaws.com",
        "hostedZoneId": _HOSTED_ZONES.get(call.region),
        "grants": _grants(s3.get_bucket_acl(Bucket=bucket)),
        "objectLockEnabled": (lock or {}).get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled",
        "tagsAll": as_map((tags or {}).get("TagSet")),
    }


def _grants(acl: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Who has which permissions by the access list: of a bucket without one, the owner alone."""
    permissions: dict[tuple[str, str, str], list[str]] = {}
    for grant in acl["Grants"]:
        grantee = grant["Grantee"]
        key = grantee["Type"], grantee.get("ID", ""), grantee.get("URI", "")
        permissions.setdefault(key, []).append(grant["Permission"])
    return [
        {"type": kind, "id": owner, "uri": uri, "permissions": sorted(given)}
        for (kind, owner, uri), given in permissions.items()
    ]


def _update_bucket(
    call: Call,
    bucket: str,
    state: Mapping[str, Any],  # noqa: ARG001
    inputs: Mapping[str, Any],
    changed: frozenset[str],
) -> None:
    if changed & {"tags", "tagsAll"}:
        _put_tags(call, bucket, call.tags(inputs))


def _delete_bucket(call: Call, bucket: str, state: Mapping[str, Any]) -> None:
    from botocore.exceptions import ClientError  # noqa: PLC0415

    s3 = call.client("s3")
    if state.get("forceDestroy"):
        _empty(call, bucket)
    try:
        found(lambda: s3.delete_bucket(Bucket=bucket), *_NO_BUCKET)
    except ClientError as error:
        if code_of(error) != "BucketNotEmpty":
            raise
        raise CloudError(
            f"the bucket {bucket} is not empty, and AWS deletes only empty ones (versions count). Empty it, or set "
            "forceDestroy to true and run `up` first, then remove it"
        ) from error
    call.wait(
        f"the bucket {bucket} to be gone", lambda: found(lambda: s3.head_bucket(Bucket=bucket), *_NO_BUCKET) is None
    )


def _empty(call: Call, bucket: str) -> None:
    """Deletes every version and every delete marker."""
    s3 = call.client("s3")
    while True:
        page = found(lambda: s3.list_object_versions(Bucket=bucket, MaxKeys=_PAGE), *_NO_BUCKET) or {}
        entries = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        if not entries:
            return
        objects = [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        if answer.get("Errors"):
            first = answer["Errors"][0]
            raise CloudError(
                f"cannot delete {first['Key']} of the bucket {bucket}: {first.get('Message', first['Code'])}"
            )


# -- settings of a bucket: each is put, read and removed as a whole


def _owner(values: Mapping[str, Any]) -> dict[str, str]:
    owner = values.get("expectedBucketOwner")
    return {"ExpectedBucketOwner": owner} if owner else {}


def _address(resource_id: str) -> dict[str, str]:
    bucket, _, owner = resource_id.partition(",")
    return {"bucket": bucket, **({"expectedBucketOwner": owner} if owner else {})}


def _setting(
    *,
    put: Callable[[Call, Mapping[str, Any]], Any],
    get: Callable[[Call, Mapping[str, str], Mapping[str, Any]], dict[str, Any] | None],
    remove: Callable[[Call, Mapping[str, str]], Any],
    absent: tuple[str, ...],
    **declared: Any,
) -> ResourceType:
    """A resource type whose four calls are one put, one get and one removal on a bucket."""

    def create(call: Call, inputs: Mapping[str, Any]) -> str:
        put(call, inputs)
        owner = inputs.get("expectedBucketOwner")
        return f"{inputs['bucket']},{owner}" if owner else inputs["bucket"]

    def read(call: Call, resource_id: str, state: Mapping[str, Any]) -> dict[str, Any] | None:
        address = _address(resource_id)
        outputs = found(lambda: get(call, address, state), *absent, *_NO_BUCKET)
        return None if outputs is None else {**address, **outputs}

    def update(
        call: Call,
        resource_id: str,  # noqa: ARG001
        state: Mapping[str, Any],  # noqa: ARG001
        inputs: Mapping[str, Any],
        changed: frozenset[str],  # noqa: ARG001
    ) -> None:
        put(call, inputs)

    def delete(call: Call, resource_id: str, state: Mapping[str, Any]) -> None:  # noqa: ARG001
        found(lambda: remove(call, _address(resource_id)), *absent, *_NO_BUCKET)

    return ResourceType(identity=("bucket",), create=create, read=read, update=update, delete=delete, **declared)


def _put_versioning(call: Call, inputs: Mapping[str, Any]) -> None:
    wanted = inputs["versioningConfiguration"]
    if wanted["status"] == "Disabled":
        return  # AWS knows this state only as "never enabled"
    configuration = {"Status": wanted["status"]}
    if wanted.get("mfaDelete"):
        configuration["MFADelete"] = wanted["mfaDelete"]
    call.client("s3").put_bucket_versioning(
        Bucket=inputs["bucket"], VersioningConfiguration=configuration, **_owner(inputs)
    )


def _get_versioning(call: Call, address: Mapping[str, str], state: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    answer = call.client("s3").get_bucket_versioning(Bucket=address["bucket"])
    configuration = {"status": answer.get("Status", "Disabled"), "mfaDelete": answer.get("MFADelete", "")}
    return {"versioningConfiguration": configuration}


def _suspend_versioning(call: Call, address: Mapping[str, str]) -> None:
    call.client("s3").put_bucket_versioning(Bucket=address["bucket"], VersioningConfiguration={"Status": "Suspended"})


def _put_encryption(call: Call, inputs: Mapping[str, Any]) -> None:
    rules = []
    for rule in inputs["rules"]:
        made: dict[str, Any] = {"BucketKeyEnabled": bool(rule.get("bucketKeyEnabled"))}
        default = rule.get("applyServerSideEncryptionByDefault")
        if default:
            made["ApplyServerSideEncryptionByDefault"] = {"SSEAlgorithm": default["sseAlgorithm"]}
            if default.get("kmsMasterKeyId"):
                made["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] = default["kmsMasterKeyId"]
        rules.append(made)
    call.client("s3").put_bucket_encryption(
        Bucket=inputs["bucket"], ServerSideEncryptionConfiguration={"Rules": rules}, **_owner(inputs)
    )


def _get_encryption(call: Call, address: Mapping[str, str], state: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    answer = call.client("s3").get_bucket_encryption(Bucket=address["bucket"])
    rules = []
    for rule in answer["ServerSideEncryptionConfiguration"]["Rules"]:
        outputs: dict[str, Any] = {"bucketKeyEnabled": rule.get("BucketKeyEnabled", False)}
        default = rule.get("ApplyServerSideEncryptionByDefault")
        if default:
            outputs["applyServerSideEncryptionByDefault"] = {
                "sseAlgorithm": default["SSEAlgorithm"],
                "kmsMasterKeyId": default.get("KMSMasterKeyID", ""),
            }
        rules.append(outputs)
    return {"rules": rules}


_ACCESS_FLAGS: Final = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


def _aws_name(name: str) -> str:
    return f"{name[0].upper()}{name[1:]}"


def _put_access_block(call: Call, inputs: Mapping[str, Any]) -> None:
    flags = {_aws_name(name): bool(inputs[name]) for name in _ACCESS_FLAGS}
    call.client("s3").put_public_access_block(Bucket=inputs["bucket"], PublicAccessBlockConfiguration=flags)


def _get_access_block(call: Call, address: Mapping[str, str], state: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    answer = call.client("s3").get_public_access_block(Bucket=address["bucket"])["PublicAccessBlockConfiguration"]
    return {name: bool(answer.get(_aws_name(name))) for name in _ACCESS_FLAGS}


def _put_ownership(call: Call, inputs: Mapping[str, Any]) -> None:
    rules = [{"ObjectOwnership": inputs["rule"]["objectOwnership"]}]
    call.client("s3").put_bucket_ownership_controls(Bucket=inputs["bucket"], OwnershipControls={"Rules": rules})


def _get_ownership(call: Call, address: Mapping[str, str], state: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    answer = call.client("s3").get_bucket_ownership_controls(Bucket=address["bucket"])
    return {"rule": {"objectOwnership": answer["OwnershipControls"]["Rules"][0]["ObjectOwnership"]}}


def _get_policy(call: Call, address: Mapping[str, str], state: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    return {"policy": call.client("s3").get_bucket_policy(Bucket=address["bucket"])["Policy"]}


# -- lifecycle rules: our names and AWS's, per block

_BLOCKS: Final = {
    "abortIncompleteMultipartUpload": (
        "AbortIncompleteMultipartUpload",
        {"daysAfterInitiation": "DaysAfterInitiation"},
    ),
    "expiration": (
        "Expiration",
        {"date": "Date", "days": "Days", "expiredObjectDeleteMarker": "ExpiredObjectDeleteMarker"},
    ),
    "noncurrentVersionExpiration": (
        "NoncurrentVersionExpiration",
        {"newerNoncurrentVersions": "NewerNoncurrentVersions", "noncurrentDays": "NoncurrentDays"},
    ),
}
_LISTS: Final = {
    "transitions": ("Transitions", {"date": "Date", "days": "Days", "storageClass": "StorageClass"}),
    "noncurrentVersionTransitions": (
        "NoncurrentVersionTransitions",
        {
            "newerNoncurrentVersions": "NewerNoncurrentVersions",
            "noncurrentDays": "NoncurrentDays",
            "storageClass": "StorageClass",
        },
    ),
}
_SIZES: Final = {
    "objectSizeGreaterThan": "ObjectSizeGreaterThan",
    "objectSizeLessThan": "ObjectSizeLessThan",
    "prefix": "Prefix",
}


def _to_aws(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {aws: values[name] for name, aws in names.items() if values.get(name) not in (None, "", 0)}


def _from_aws(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    outputs = {name: values[aws] for name, aws in names.items() if values.get(aws) is not None}
    if isinstance(outputs.get("date"), datetime.datetime):
        outputs["date"] = outputs["date"].strftime("%Y-%m-%dT%H:%M:%SZ")
    return outputs


def _filter_to_aws(values: Mapping[str, Any]) -> dict[str, Any]:
    if values.get("and"):
        both = values["and"]
        made = _to_aws(both, _SIZES)
        if both.get("tags"):
            made["Tags"] = as_list(both["tags"])
        return {"And": made}
    if values.get("tag"):
        return {"Tag": {"Key": values["tag"]["key"], "Value": values["tag"]["value"]}}
    return _to_aws(values, _SIZES) or {"Prefix": ""}


def _filter_from_aws(values: Mapping[str, Any]) -> dict[str, Any]:
    if values.get("And"):
        both = _from_aws(values["And"], _SIZES)
        if values["And"].get("Tags"):
            both["tags"] = as_map(values["And"]["Tags"])
        return {"and": both}
    if values.get("Tag"):
        return {"tag": {"key": values["Tag"]["Key"], "value": values["Tag"]["Value"]}}
    return {"prefix": "", **_from_aws(values, _SIZES)}


def _put_lifecycle(call: Call, inputs: Mapping[str, Any]) -> None:
    rules = []
    for rule in inputs["rules"]:
        made: dict[str, Any] = {
            "ID": rule["id"],
            "Status": rule["status"],
            "Filter": _filter_to_aws(rule.get("filter") or {}),
        }
        for name, (aws, names) in _BLOCKS.items():
            if rule.get(name):
                made[aws] = _to_aws(rule[name], names)
        for name, (aws, names) in _LISTS.items():
            if rule.get(name):
                made[aws] = [_to_aws(item, names) for item in rule[name]]
        rules.append(made)
    call.client("s3").put_bucket_lifecycle_configuration(
        Bucket=inputs["bucket"], LifecycleConfiguration={"Rules": rules}, **_owner(inputs)
    )


def _get_lifecycle(call: Call, address: Mapping[str, str], state: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    rules = []
    for rule in call.client("s3").get_bucket_lifecycle_configuration(Bucket=address["bucket"])["Rules"]:
        outputs: dict[str, Any] = {
            "id": rule["ID"],
            "status": rule["Status"],
            "filter": _filter_from_aws(rule.get("Filter") or {}),
        }
        for name, (aws, names) in _BLOCKS.items():
            if rule.get(aws):
                outputs[name] = _from_aws(rule[aws], names)
        for name, (aws, names) in _LISTS.items():
            if rule.get(aws):
                outputs[name] = [_from_aws(item, names) for item in rule[aws]]
        rules.append(outputs)
    return {"rules": rules, "transitionDefaultMinimumObjectSize": "all_storage_classes_128K"}


TYPES: Final = (
    ResourceType(
        type_name="aws:s3/bucket:Bucket",
        identity=("bucket",),
        # All else on a bucket has a resource type of its own; the inline forms are deprecated in generation 6.
        inputs=("bucket", "forceDestroy", "objectLockEnabled", "tags"),
        defaults={"forceDestroy": False},
        kept=("forceDestroy",),  # steers the provider, AWS never sees it
        autoname="bucket",
        create=_create_bucket,
        read=_read_bucket,
        update=_update_bucket,
        delete=_delete_bucket,
    ),
    _setting(
        type_name="aws:s3/bucketVersioning:BucketVersioning",
        inputs=("bucket", "expectedBucketOwner", "versioningConfiguration"),
        put=_put_versioning,
        get=_get_versioning,
        remove=_suspend_versioning,
        absent=(),
    ),
    _setting(
        type_name="aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        inputs=("bucket", "expectedBucketOwner", "rules"),
        put=_put_encryption,
        get=_get_encryption,
        remove=lambda call, address: call.client("s3").delete_bucket_encryption(Bucket=address["bucket"]),
        absent=("ServerSideEncryptionConfigurationNotFoundError",),
    ),
    _setting(
        type_name="aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        inputs=("bucket", *_ACCESS_FLAGS),
        defaults=dict.fromkeys(_ACCESS_FLAGS, False),
        put=_put_access_block,
        get=_get_access_block,
        remove=lambda call, address: call.client("s3").delete_public_access_block(Bucket=address["bucket"]),
        absent=("NoSuchPublicAccessBlockConfiguration",),
    ),
    _setting(
        type_name="aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        inputs=("bucket", "rule"),
        put=_put_ownership,
        get=_get_ownership,
        remove=lambda call, address: call.client("s3").delete_bucket_ownership_controls(Bucket=address["bucket"]),
        absent=("OwnershipControlsNotFoundError",),
    ),
    _setting(
        type_name="aws:s3/bucketPolicy:BucketPolicy",
        inputs=("bucket", "policy"),
        policies=("policy",),
        put=lambda call, inputs: call.client("s3").put_bucket_policy(Bucket=inputs["bucket"], Policy=inputs["policy"]),
        get=_get_policy,
        remove=lambda call, address: call.client("s3").delete_bucket_policy(Bucket=address["bucket"]),
        absent=("NoSuchBucketPolicy",),
    ),
    _setting(
        type_name="aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        inputs=("bucket", "expectedBucketOwner", "rules"),
        refuses=("rules.prefix",),
        kept=("rules.noncurrentVersionExpiration.newerNoncurrentVersions",),  # moto drops it when it stores a rule
        sets=("rules.transitions", "rules.noncurrentVersionTransitions"),
        chosen=("rules.filter",),
        put=_put_lifecycle,
        get=_get_lifecycle,
        remove=lambda call, address: call.client("s3").delete_bucket_lifecycle(Bucket=address["bucket"]),
        absent=("NoSuchLifecycleConfiguration",),
    ),
)
