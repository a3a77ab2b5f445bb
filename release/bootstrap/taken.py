"""Names that something else has already: looked at before the first `pulumi up`, which would end half-way at a bucket.

An alarm or a topic would even be taken over in silence: AWS answers "make it" with the one that is there, and
`pulumi destroy` would later take it from whoever made it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from botocore.exceptions import ClientError

from components.naming import PROJECT
from components.service.alarms import alarms
from release.bootstrap.step import Site
from release.clients.aws import code_of, unless_missing
from release.errors import ReleaseError

MISSING: Final = frozenset({"NoSuchBucket", "404"})
_TAKEN: Final = frozenset({"403", "AccessDenied", "BucketAlreadyExists"})


def refuse_taken_names(site: Site) -> None:
    """Look at everything whose name the stacks need and whose making would fail late, or take it over.

    Raises:
        ReleaseError: Something of that name is there and is not this project's.
    """
    look_at_bucket(site, site.names.bucket)  # at the other one, the steps begin with a look
    theirs = [*_topics_of_others(site), *_alarms_of_others(site)]
    if theirs:
        raise ReleaseError(
            f"not this project's, and in its way: {', '.join(theirs)}",
            why=f"the stacks would take over what has these names; ours carry the tag Project={PROJECT}",
            next_step="rename or delete them, or use another account or region for this environment",
        )


def look_at_bucket(site: Site, name: str) -> Mapping[str, Any] | None:
    """What S3 says of a bucket of the site's account; `None` where there is none of that name.

    Raises:
        ReleaseError: Somebody else has made it: they would be given what we put there.
    """
    try:
        return site.aws("s3").head_bucket(Bucket=name, ExpectedBucketOwner=site.foundation.account_id)
    except ClientError as error:
        code = code_of(error)
        if code in MISSING:
            return None
        if code in _TAKEN:
            raise bucket_is_taken(site, name) from None
        raise


def bucket_is_taken(site: Site, name: str) -> ReleaseError:
    """Return the error about a bucket's name that somebody else has."""
    return ReleaseError(
        f"the bucket name {name} is taken, and not by account {site.foundation.account_id}",
        why="names of buckets are shared by everybody on AWS (or these credentials may not look at it)",
        next_step="set nameSuffix to an end of your own in all four stack files (release init --name-suffix END), "
        "and begin again",
    )


def _topics_of_others(site: Site) -> Iterator[str]:
    for name in (site.names.new_items_topic, site.names.on_call_topic):
        ask = partial(site.aws("sns").list_tags_for_resource, ResourceArn=site.arns.of("topic", name))
        answer = unless_missing(ask, "NotFound", "ResourceNotFound", "ResourceNotFoundException")
        if answer is not None and not _ours(answer["Tags"]):
            yield f"topic {name}"


def _alarms_of_others(site: Site) -> Iterator[str]:
    watch = site.aws("cloudwatch")
    names = [row.name for row in alarms(site.service)]
    found = watch.describe_alarms(AlarmNames=names, AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    for alarm in (*found.get("MetricAlarms", ()), *found.get("CompositeAlarms", ())):
        if not _ours(watch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]):
            yield f"alarm {alarm['AlarmName']}"


def _ours(tags: list[dict[str, str]]) -> bool:
    return {"Key": "Project", "Value": PROJECT} in tags
