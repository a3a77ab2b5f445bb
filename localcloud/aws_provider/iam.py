"""IAM: OIDC providers, roles, their inline policies and attachments, managed policies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from localcloud.aws_provider.cloud import as_list, as_map, found, retried, sync_tags
from localcloud.aws_provider.resource_type import ResourceType, put_again

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from localcloud.aws_provider.cloud import Call

_MISSING = "NoSuchEntity"


def _document(document: Any) -> str:
    """A policy as text; boto3 decodes those that IAM sends URL-encoded."""
    return document if isinstance(document, str) else json.dumps(document, separators=(",", ":"))


def _principal_not_ready(code: str, message: str) -> bool:
    """A role made seconds ago is not a valid principal yet."""
    return code == "MalformedPolicyDocument" and "Invalid principal" in message


# -- role


def _create_role(call: Call, inputs: Mapping[str, Any]) -> str:
    arguments: dict[str, Any] = {
        "RoleName": inputs["name"],
        "Path": inputs["path"],
        "AssumeRolePolicyDocument": inputs["assumeRolePolicy"],
        "MaxSessionDuration": inputs["maxSessionDuration"],
        "Tags": as_list(call.tags(inputs)),
    }
    if inputs.get("description"):
        arguments["Description"] = inputs["description"]
    if inputs.get("permissionsBoundary"):
        arguments["PermissionsBoundary"] = inputs["permissionsBoundary"]
    retried(lambda: call.client("iam").create_role(**arguments), _principal_not_ready, seconds=20)
    return inputs["name"]


def _read_role(call: Call, name: str, state: Mapping[str, Any]) -> dict[str, Any] | None:  # noqa: ARG001
    iam = call.client("iam")
    answer = found(lambda: iam.get_role(RoleName=name), _MISSING)
    if answer is None:
        return None
    role = answer["Role"]
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    return {
        "arn": role["Arn"],
        "name": role["RoleName"],
        "path": role["Path"],
        "uniqueId": role["RoleId"],
        "createDate": role["CreateDate"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        "assumeRolePolicy": _document(role["AssumeRolePolicyDocument"]),
        "description": role.get("Description") or None,
        "maxSessionDuration": role.get("MaxSessionDuration", 3600),
        "permissionsBoundary": (role.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn"),
        "managedPolicyArns": [policy["PolicyArn"] for policy in attached],
        "tagsAll": as_map(iam.list_role_tags(RoleName=name)["Tags"]),
    }


def _update_role(
    call: Call, name: str, state: Mapping[str, Any], inputs: Mapping[str, Any], changed: frozenset[str]
) -> None:
    iam = call.client("iam")
    if "assumeRolePolicy" in changed:
        policy = inputs["assumeRolePolicy"]
        retried(
            lambda: iam.update_assume_role_policy(RoleName=name, PolicyDocument=policy),
            _principal_not_ready,
            seconds=20,
        )
    if changed & {"description", "maxSessionDuration"}:
        iam.update_role(
            RoleName=name,
            Description=inputs.get("description", ""),
            MaxSessionDuration=inputs["maxSessionDuration"],
        )
    if "permissionsBoundary" in changed and inputs.get("permissionsBoundary"):
        iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=inputs["permissionsBoundary"])
    elif "permissionsBoundary" in changed:
        iam.delete_role_permissions_boundary(RoleName=name)
    if changed & {"tags", "tagsAll"}:
        sync_tags(
            state.get("tagsAll", {}),
            call.tags(inputs),
            lambda tags: iam.tag_role(RoleName=name, Tags=as_list(tags)),
            lambda keys: iam.untag_role(RoleName=name, TagKeys=keys),
        )


def _delete_role(call: Call, name: str, state: Mapping[str, Any]) -> None:
    iam = call.client("iam")
    if state.get("forceDetachPolicies"):
        for policy in (found(lambda: iam.list_attached_role_policies(RoleName=name), _MISSING) or {}).get(
            "AttachedPolicies", ()
        ):
            iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
        for policy in (found(lambda: iam.list_role_policies(RoleName=name), _MISSING) or {}).get("PolicyNames", ()):
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
    found(lambda: iam.delete_role(RoleName=name), _MISSING)


# -- inline policy of a role


def _put_role_policy(call: Call, inputs: Mapping[str, Any]) -> str:
    call.client("iam").put_role_policy(
        RoleName=inputs["role"], PolicyName=inputs["name"], PolicyDocument=inputs["policy"]
    )
    return f"{inputs['role']}:{inputs['name']}"


def _read_role_policy(call: Call, resource_id: str, state: Mapping[str, Any]) -> dict[str, Any] | None:  # noqa: ARG001
    role, _, name = resource_id.partition(":")
    answer = found(lambda: call.client("iam").get_role_policy(RoleName=role, PolicyName=name), _MISSING)
    if answer is None:
        return None
    return {"role": role, "name": name, "policy": _document(answer["PolicyDocument"])}


def _delete_role_policy(call: Call, resource_id: str, state: Mapping[str, Any]) -> None:  # noqa: ARG001
    role, _, name = resource_id.partition(":")
    found(lambda: call.client("iam").delete_role_policy(RoleName=role, PolicyName=name), _MISSING)


# -- attachment


def _attach(call: Call, inputs: Mapping[str, Any]) -> str:
    call.client("iam").attach_role_policy(RoleName=inputs["role"], PolicyArn=inputs["policyArn"])
    return f"{inputs['role']}/{inputs['policyArn']}"


def _read_attachment(call: Call, resource_id: str, state: Mapping[str, Any]) -> dict[str, Any] | None:  # noqa: ARG001
    role, _, arn = resource_id.partition("/")
    iam = call.client("iam")
    answer = found(
        lambda: iam.get_paginator("list_attached_role_policies").paginate(RoleName=role).build_full_result(), _MISSING
    )
    attached = {policy["PolicyArn"] for policy in (answer or {}).get("AttachedPolicies", ())}
    return {"role": role, "policyArn": arn} if arn in attached else None


def _detach(call: Call, resource_id: str, state: Mapping[str, Any]) -> None:  # noqa: ARG001
    role, _, arn = resource_id.partition("/")
    found(lambda: call.client("iam").detach_role_policy(RoleName=role, PolicyArn=arn), _MISSING)


# -- managed policy

_VERSIONS = 5
"""AWS keeps at most so many versions of a managed policy."""


def _create_policy(call: Call, inputs: Mapping[str, Any]) -> str:
    answer = call.client("iam").create_policy(
        PolicyName=inputs["name"],
        Path=inputs["path"],
        Description=inputs.get("description", ""),
        PolicyDocument=inputs["policy"],
        Tags=as_list(call.tags(inputs)),
    )
    return answer["Policy"]["Arn"]


def _read_policy(call: Call, arn: str, state: Mapping[str, Any]) -> dict[str, Any] | None:  # noqa: ARG001
    iam = call.client("iam")
    answer = found(lambda: iam.get_policy(PolicyArn=arn), _MISSING)
    if answer is None:
        return None
    policy = answer["Policy"]
    version = iam.get_policy_version(PolicyArn=arn, VersionId=policy["DefaultVersionId"])["PolicyVersion"]
    return {
        "arn": arn,
        "name": policy["PolicyName"],
        "path": policy["Path"],
        "policyId": policy["PolicyId"],
        "attachmentCount": policy.get("AttachmentCount", 0),
        "description": policy.get("Description") or None,
        "policy": _document(version["Document"]),
        "tagsAll": as_map(iam.list_policy_tags(PolicyArn=arn)["Tags"]),
    }


def _update_policy(
    call: Call, arn: str, state: Mapping[str, Any], inputs: Mapping[str, Any], changed: frozenset[str]
) -> None:
    iam = call.client("iam")
    if "policy" in changed:
        versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
        if len(versions) >= _VERSIONS:
            oldest = min(
                (item for item in versions if not item["IsDefaultVersion"]), key=lambda item: item["CreateDate"]
            )
            iam.delete_policy_version(PolicyArn=arn, VersionId=oldest["VersionId"])
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=inputs["policy"], SetAsDefault=True)
    if changed & {"tags", "tagsAll"}:
        sync_tags(
            state.get("tagsAll", {}),
            call.tags(inputs),
            lambda tags: iam.tag_policy(PolicyArn=arn, Tags=as_list(tags)),
            lambda keys: iam.untag_policy(PolicyArn=arn, TagKeys=keys),
        )


def _delete_policy(call: Call, arn: str, state: Mapping[str, Any]) -> None:  # noqa: ARG001
    iam = call.client("iam")
    for version in (found(lambda: iam.list_policy_versions(PolicyArn=arn), _MISSING) or {}).get("Versions", ()):
        if not version["IsDefaultVersion"]:
            iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
    found(lambda: iam.delete_policy(PolicyArn=arn), _MISSING)


# -- OIDC provider


def _create_oidc(call: Call, inputs: Mapping[str, Any]) -> str:
    arguments: dict[str, Any] = {
        "Url": inputs["url"],
        "ClientIDList": inputs["clientIdLists"],
        "Tags": as_list(call.tags(inputs)),
    }
    if inputs.get("thumbprintLists"):
        arguments["ThumbprintList"] = inputs["thumbprintLists"]
    return call.client("iam").create_open_id_connect_provider(**arguments)["OpenIDConnectProviderArn"]


def _read_oidc(call: Call, arn: str, state: Mapping[str, Any]) -> dict[str, Any] | None:  # noqa: ARG001
    iam = call.client("iam")
    answer = found(lambda: iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn), _MISSING)
    if answer is None:
        return None
    return {
        "arn": arn,
        "url": f"https://{answer['Url'].removeprefix('https://')}",  # AWS answers it without the scheme
        "clientIdLists": answer.get("ClientIDList", []),
        "thumbprintLists": answer.get("ThumbprintList", []),
        "tagsAll": as_map(answer.get("Tags")),
    }


def _update_oidc(
    call: Call, arn: str, state: Mapping[str, Any], inputs: Mapping[str, Any], changed: frozenset[str]
) -> None:
    iam = call.client("iam")
    if "thumbprintLists" in changed and inputs.get("thumbprintLists"):
        iam.update_open_id_connect_provider_thumbprint(
            OpenIDConnectProviderArn=arn, ThumbprintList=inputs["thumbprintLists"]
        )
    if "clientIdLists" in changed:
        had, wanted = set(state.get("clientIdLists", ())), set(inputs["clientIdLists"])
        for client in sorted(wanted - had):
            iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID=client)
        for client in sorted(had - wanted):
            iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID=client)
    if changed & {"tags", "tagsAll"}:
        sync_tags(
            state.get("tagsAll", {}),
            call.tags(inputs),
            lambda tags: iam.tag_open_id_connect_provider(OpenIDConnectProviderArn=arn, Tags=as_list(tags)),
            lambda keys: iam.untag_open_id_connect_provider(OpenIDConnectProviderArn=arn, TagKeys=keys),
        )


def _delete_oidc(call: Call, arn: str, state: Mapping[str, Any]) -> None:  # noqa: ARG001
    found(lambda: call.client("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=arn), _MISSING)


def _verify_document(name: str) -> Any:
    def verify(values: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
        text = values.get(name)
        if not isinstance(text, str):
            return []
        try:
            document = json.loads(text)
        except ValueError as error:
            return [(name, f"`{name}` is not JSON: {error}")]
        return [] if isinstance(document, dict) else [(name, f"`{name}` must be a JSON object")]

    return verify


TYPES: Final = (
    ResourceType(
        type_name="aws:iam/role:Role",
        identity=("name",),
        inputs=(
            "assumeRolePolicy",
            "description",
            "forceDetachPolicies",
            "maxSessionDuration",
            "name",
            "path",
            "permissionsBoundary",
            "tags",
        ),
        defaults={"forceDetachPolicies": False, "maxSessionDuration": 3600, "path": "/"},
        policies=("assumeRolePolicy",),
        # The first steers the provider. The second lists other resources (RolePolicyAttachment, and drift of those is
        # found there); read anew, it would show a difference after every attachment.
        kept=("forceDetachPolicies", "managedPolicyArns"),
        autoname="name",
        verify=_verify_document("assumeRolePolicy"),
        create=_create_role,
        read=_read_role,
        update=_update_role,
        delete=_delete_role,
    ),
    ResourceType(
        type_name="aws:iam/rolePolicy:RolePolicy",
        identity=("role", "name"),
        inputs=("name", "policy", "role"),
        policies=("policy",),
        autoname="name",
        verify=_verify_document("policy"),
        create=_put_role_policy,
        read=_read_role_policy,
        update=put_again(_put_role_policy),
        delete=_delete_role_policy,
    ),
    ResourceType(
        type_name="aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        identity=("role", "policyArn"),
        inputs=("policyArn", "role"),
        create=_attach,
        read=_read_attachment,
        delete=_detach,
    ),
    ResourceType(
        type_name="aws:iam/policy:Policy",
        identity=("name",),
        inputs=("description", "name", "path", "policy", "tags"),
        defaults={"path": "/"},
        policies=("policy",),
        kept=("attachmentCount",),  # counts other resources, see Role
        autoname="name",
        verify=_verify_document("policy"),
        create=_create_policy,
        read=_read_policy,
        update=_update_policy,
        delete=_delete_policy,
    ),
    ResourceType(
        type_name="aws:iam/openIdConnectProvider:OpenIdConnectProvider",
        identity=("url",),
        inputs=("clientIdLists", "tags", "thumbprintLists", "url"),
        sets=("clientIdLists",),
        create=_create_oidc,
        read=_read_oidc,
        update=_update_oidc,
        delete=_delete_oidc,
    ),
)
