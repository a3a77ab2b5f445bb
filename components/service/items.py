"""The items table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from components.naming import BY_SENTIMENT, BY_STATUS, BY_TAG
from components.tags import tags

PARTITION_KEY: Final = "source_id"
SORT_KEY: Final = "timestamp"
EXPIRES_AT: Final = "expires_at"
"""Attribute with the time (seconds since 1970) after which DynamoDB removes an item."""
INDEXES: Final = ((BY_SENTIMENT, "sentiment"), (BY_TAG, "tag"), (BY_STATUS, "status"))
"""Global secondary indexes by their partition key; each is sorted by `SORT_KEY`."""


@dataclass(frozen=True, kw_only=True)
class ItemsArgs:
    """Name of the table, and whether deleting it is refused (by AWS and by Pulumi)."""

    environment: str
    table: str
    protect: bool


class Items(pulumi.ComponentResource):
    """News items, by source and time, and by sentiment, tag and status."""

    table: aws.dynamodb.Table

    def __init__(self, name: str, args: ItemsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:service:Items", name, None, opts)
        keys = [PARTITION_KEY, SORT_KEY, *(attribute for _, attribute in INDEXES)]
        self.table = aws.dynamodb.Table(
            name,
            name=args.table,
            billing_mode="PAY_PER_REQUEST",
            hash_key=PARTITION_KEY,
            range_key=SORT_KEY,
            attributes=[{"name": key, "type": "S"} for key in sorted(keys)],
            # ALL: the API returns whole items, and a list of attributes can only be changed by building the index anew.
            global_secondary_indexes=[
                {"name": index, "hash_key": attribute, "range_key": SORT_KEY, "projection_type": "ALL"}
                for index, attribute in INDEXES
            ],
            ttl={"attribute_name": EXPIRES_AT, "enabled": True},
            point_in_time_recovery={"enabled": True},
            server_side_encryption={"enabled": True},
            deletion_protection_enabled=args.protect,
            tags=tags(args.environment, "items"),
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        self.register_outputs({"table": self.table.name})
