"""S3: buckets, and what is set on a bucket by a resource of its own."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from localcloud.aws_provider.cloud import Call, CloudError, as_map, explaining, found, from_aws, given, to_aws
from localcloud.aws_provider.resource_type import ResourceType

_FIRST_REGION = "us-east-1"

# -- bucket


def _create_bucket(call: Call) -> str:
    bucket = call.inputs["bucket"]
    # In us-east-1 CreateBucket succeeds for a bucket that one has already, and would silently adopt it.
    if found(lambda: call.aws.head_bucket(Bucket=bucket)) is not None:
        raise CloudError(
            f"the bucket {bucket} exists already and is not in this stack's state. Take it over with `pulumi import "
            f"aws:s3/bucket:Bucket NAME {bucket}`, or delete it"
        )
    place = None if call.region == _FIRST_REGION else {"LocationConstraint": call.region}
    call.aws.create_bucket(**given(Bucket=bucket, CreateBucketConfiguration=place))
    call.made(bucket)
    _update_bucket(call)
    return bucket


def _update_bucket(call: Call) -> None:
    bucket = call.inputs["bucket"]
    if call.tags:
        call.aws.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": call.tag_list})
    else:
        call.aws.delete_bucket_tagging(Bucket=bucket)


def _read_bucket(call: Call) -> dict[str, Any]:
    bucket = call.id
    call.aws.head_bucket(Bucket=bucket)
    tags = found(lambda: call.aws.get_bucket_tagging(Bucket=bucket), "NoSuchTagSet") or {}
    return {
        "bucket": bucket,
        "arn": f"arn:aws:s3:::{bucket}",
        "tagsAll": as_map(tags.get("TagSet")),
    }


def _delete_bucket(call: Call) -> None:
    with explaining(
        "BucketNotEmpty",
        f"the bucket {call.id} is not empty, and AWS deletes only empty ones (versions count). Empty it first",
    ):
        call.aws.delete_bucket(Bucket=call.id)


# -- settings of a bucket: each is put, read and removed as a whole


def _setting(
    name: str,
    get: Callable[[Call], dict[str, Any]],
    put: Callable[[Call], Any],
    remove: Callable[[Call], Any],
    **more: Any,
) -> ResourceType:
    """Return a resource type that is a setting of the bucket whose name is its id."""

    def create(call: Call) -> str:
        put(call)
        return call.inputs["bucket"]

    return ResourceType(
        type_name=f"aws:s3/{name[0].lower()}{name[1:]}:{name}",
        identity=("bucket",),
        create=create,
        read=lambda call: {"bucket": call.id, **get(call)},
        update=create,
        delete=remove,
        **more,
    )


def _put_versioning(call: Call) -> None:
    configuration = call.inputs["versioningConfiguration"]
    if configuration["status"] != "Disabled":  # AWS knows this state only as "never enabled"
        call.aws.put_bucket_versioning(Bucket=call.inputs["bucket"], VersioningConfiguration=to_aws(configuration))


def _get_versioning(call: Call) -> dict[str, Any]:
    answer = call.aws.get_bucket_versioning(Bucket=call.id)
    return {"versioningConfiguration": {"status": answer.get("Status", "Disabled")}}


def _suspend_versioning(call: Call) -> None:
    call.aws.put_bucket_versioning(Bucket=call.id, VersioningConfiguration={"Status": "Suspended"})


def _put_encryption(call: Call) -> None:
    rules = [
        {
            "BucketKeyEnabled": bool(rule.get("bucketKeyEnabled")),
            "ApplyServerSideEncryptionByDefault": given(
                SSEAlgorithm=rule["applyServerSideEncryptionByDefault"]["sseAlgorithm"],
                KMSMasterKeyID=rule["applyServerSideEncryptionByDefault"].get("kmsMasterKeyId"),
            ),
        }
        for rule in call.inputs["rules"]
    ]
    call.aws.put_bucket_encryption(Bucket=call.inputs["bucket"], ServerSideEncryptionConfiguration={"Rules": rules})


def _get_encryption(call: Call) -> dict[str, Any]:
    answer = call.aws.get_bucket_encryption(Bucket=call.id)["ServerSideEncryptionConfiguration"]
    return {
        "rules": [
            {
                "bucketKeyEnabled": rule.get("BucketKeyEnabled", False),
                "applyServerSideEncryptionByDefault": {
                    "sseAlgorithm": rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"],
                    "kmsMasterKeyId": rule["ApplyServerSideEncryptionByDefault"].get("KMSMasterKeyID", ""),
                },
            }
            for rule in answer["Rules"]
        ]
    }


def _verify_encryption(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    rules = values["rules"] if isinstance(values["rules"], list) else ()
    bare = [rule for rule in rules if isinstance(rule, dict) and not rule.get("applyServerSideEncryptionByDefault")]
    return [("rules", "a rule needs `applyServerSideEncryptionByDefault`")] if bare else []


_ACCESS_FLAGS: Final = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


def _put_access_block(call: Call) -> None:
    flags = to_aws({name: call.inputs[name] for name in _ACCESS_FLAGS})
    call.aws.put_public_access_block(Bucket=call.inputs["bucket"], PublicAccessBlockConfiguration=flags)


def _put_ownership(call: Call) -> None:
    rules = {"Rules": [to_aws(call.inputs["rule"])]}
    call.aws.put_bucket_ownership_controls(Bucket=call.inputs["bucket"], OwnershipControls=rules)


def _get_ownership(call: Call) -> dict[str, Any]:
    answer = call.aws.get_bucket_ownership_controls(Bucket=call.id)
    return {"rule": from_aws(answer["OwnershipControls"]["Rules"][0])}


def _put_lifecycle(call: Call) -> None:
    rules = [
        {**to_aws({**rule, "id": None}), "ID": rule["id"], "Filter": to_aws(rule.get("filter")) or {"Prefix": ""}}
        for rule in call.inputs["rules"]
    ]
    call.aws.put_bucket_lifecycle_configuration(Bucket=call.inputs["bucket"], LifecycleConfiguration={"Rules": rules})


def _get_lifecycle(call: Call) -> dict[str, Any]:
    answered = call.aws.get_bucket_lifecycle_configuration(Bucket=call.id)["Rules"]
    rules = [
        {**from_aws({**rule, "ID": None}), "id": rule["ID"], "filter": {"prefix": "", **from_aws(rule["Filter"])}}
        for rule in answered
    ]
    return {"rules": rules, "transitionDefaultMinimumObjectSize": "all_storage_classes_128K"}


TYPES: Final = (
    ResourceType(
        type_name="aws:s3/bucket:Bucket",
        identity=("bucket",),
        # All else on a bucket has a resource type of its own; the inline forms are deprecated in generation 6.
        inputs=("bucket", "tags"),
        create=_create_bucket,
        read=_read_bucket,
        update=_update_bucket,
        delete=_delete_bucket,
    ),
    _setting(
        "BucketVersioning",
        get=_get_versioning,
        put=_put_versioning,
        remove=_suspend_versioning,
        inputs=("bucket", "versioningConfiguration"),
        refuses=("versioningConfiguration.mfaDelete",),
    ),
    _setting(
        "BucketServerSideEncryptionConfiguration",
        get=_get_encryption,
        put=_put_encryption,
        remove=lambda call: call.aws.delete_bucket_encryption(Bucket=call.id),
        inputs=("bucket", "rules"),
        verify=_verify_encryption,
    ),
    _setting(
        "BucketPublicAccessBlock",
        get=lambda call: from_aws(call.aws.get_public_access_block(Bucket=call.id)["PublicAccessBlockConfiguration"]),
        put=_put_access_block,
        remove=lambda call: call.aws.delete_public_access_block(Bucket=call.id),
        inputs=("bucket", *_ACCESS_FLAGS),
        defaults=dict.fromkeys(_ACCESS_FLAGS, False),
    ),
    _setting(
        "BucketOwnershipControls",
        get=_get_ownership,
        put=_put_ownership,
        remove=lambda call: call.aws.delete_bucket_ownership_controls(Bucket=call.id),
        inputs=("bucket", "rule"),
    ),
    _setting(
        "BucketPolicy",
        get=lambda call: {"policy": call.aws.get_bucket_policy(Bucket=call.id)["Policy"]},
        put=lambda call: call.aws.put_bucket_policy(Bucket=call.inputs["bucket"], Policy=call.inputs["policy"]),
        remove=lambda call: call.aws.delete_bucket_policy(Bucket=call.id),
        inputs=("bucket", "policy"),
        policies=("policy",),
    ),
    _setting(
        "BucketLifecycleConfiguration",
        get=_get_lifecycle,
        put=_put_lifecycle,
        remove=lambda call: call.aws.delete_bucket_lifecycle(Bucket=call.id),
        inputs=("bucket", "rules"),
        refuses=(
            "rules.expiration.date",
            "rules.filter.and",
            "rules.filter.tag",
            "rules.noncurrentVersionExpiration.newerNoncurrentVersions",
            "rules.noncurrentVersionTransitions",
            "rules.prefix",
            "rules.transitions",
        ),
        chosen=("rules.filter",),
    ),
)
