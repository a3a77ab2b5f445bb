"""Corrections of moto's STS."""

from moto.sts.models import STSBackend


def name_unknown_callers_root() -> None:
    """GetCallerIdentity: moto calls an unknown key `user/moto`, an ARN that AWS never gives. S3's policies see root."""
    get_caller_identity = STSBackend.get_caller_identity

    def named(self: STSBackend, access_key_id: str, region: str) -> tuple[str, str, str]:
        user_id, arn, account_id = get_caller_identity(self, access_key_id, region)
        if arn.endswith(":user/moto"):
            return account_id, f"arn:aws:iam::{account_id}:root", account_id
        return user_id, arn, account_id

    STSBackend.get_caller_identity = named
