"""Patch of moto's IAM, which cannot change the audiences of an OIDC provider; and whom a role trusts."""

import re

from moto.core.responses import ActionResult, EmptyResult
from moto.iam.exceptions import NotFoundException
from moto.iam.models import iam_backends
from moto.iam.responses import IamResponse


def change_audiences_of_oidc_providers() -> None:
    """AddClientIDToOpenIDConnectProvider, RemoveClientIDFromOpenIDConnectProvider: moto answers 500."""

    def audiences(self: IamResponse) -> list[str]:
        return self.backend.get_open_id_connect_provider(self._get_param("OpenIDConnectProviderArn")).client_id_list

    def add(self: IamResponse) -> ActionResult:
        known, client_id = audiences(self), self._get_param("ClientID")
        if client_id not in known:
            known.append(client_id)
        return EmptyResult()

    def remove(self: IamResponse) -> ActionResult:
        known, client_id = audiences(self), self._get_param("ClientID")
        if client_id in known:
            known.remove(client_id)
        return EmptyResult()

    setattr(IamResponse, "add_client_id_to_open_id_connect_provider", add)  # noqa: B010 (new to the class)
    setattr(IamResponse, "remove_client_id_from_open_id_connect_provider", remove)  # noqa: B010 (new to the class)


def trusts(arn: str, service: str) -> bool:
    """Whether there is a role with this ARN, and it trusts an AWS service (`scheduler`)."""
    account = re.fullmatch(r"arn:aws:iam::(\d{12}):role/.+", arn)
    if account is None:
        return False
    try:
        role = iam_backends[account[1]]["aws"].get_role_by_arn(arn)
    except NotFoundException:
        return False
    return f"{service}.amazonaws.com" in role.assume_role_policy_document
