"""IAM: OIDC providers, roles with their inline policies, managed policies."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from localcloud.aws_provider.cloud import Call, as_map, given
from localcloud.aws_provider.resource_type import ResourceType, Tagging


def _document(document: Any) -> str:
    """Return a policy as text; boto3 decodes those that IAM sends URL-encoded."""
    return document if isinstance(document, str) else json.dumps(document, separators=(",", ":"))


# -- role


def _create_role(call: Call) -> str:
    inputs = call.inputs
    arguments = given(
        RoleName=inputs["name"],
        Path=inputs["path"],
        AssumeRolePolicyDocument=inputs["assumeRolePolicy"],
        MaxSessionDuration=inputs["maxSessionDuration"],
        Description=inputs.get("description"),
        PermissionsBoundary=inputs.get("permissionsBoundary"),
        Tags=call.tag_list,
    )
    call.aws.create_role(**arguments)
    return inputs["name"]


def _read_role(call: Call) -> dict[str, Any]:
    role = call.aws.get_role(RoleName=call.id)["Role"]
    return {
        "arn": role["Arn"],
        "name": role["RoleName"],
        "path": role["Path"],
        "assumeRolePolicy": _document(role["AssumeRolePolicyDocument"]),
        "description": role.get("Description") or None,
        "maxSessionDuration": role.get("MaxSessionDuration", 3600),
        "permissionsBoundary": (role.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn"),
    }


def _update_role(call: Call) -> None:
    iam, role, inputs = call.aws, {"RoleName": call.id}, call.inputs
    if "assumeRolePolicy" in call.changed:
        iam.update_assume_role_policy(**role, PolicyDocument=inputs["assumeRolePolicy"])
    if call.changed & {"description", "maxSessionDuration"}:
        description, longest = inputs.get("description", ""), inputs["maxSessionDuration"]
        iam.update_role(**role, Description=description, MaxSessionDuration=longest)
    if "permissionsBoundary" in call.changed and inputs.get("permissionsBoundary"):
        iam.put_role_permissions_boundary(**role, PermissionsBoundary=inputs["permissionsBoundary"])
    elif "permissionsBoundary" in call.changed:
        iam.delete_role_permissions_boundary(**role)


# -- inline policy of a role


def _put_role_policy(call: Call) -> str:
    role, name = call.inputs["role"], call.inputs["name"]
    call.aws.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=call.inputs["policy"])
    return f"{role}:{name}"


def _policy_address(call: Call) -> dict[str, str]:
    role, _, name = call.id.partition(":")
    return {"RoleName": role, "PolicyName": name}


def _read_role_policy(call: Call) -> dict[str, Any]:
    answer = call.aws.get_role_policy(**_policy_address(call))
    return {"role": answer["RoleName"], "name": answer["PolicyName"], "policy": _document(answer["PolicyDocument"])}


# -- managed policy

_MOST_VERSIONS = 5
"""AWS keeps at most so many versions of a managed policy."""


def _create_policy(call: Call) -> str:
    answer = call.aws.create_policy(
        PolicyName=call.inputs["name"],
        Path=call.inputs["path"],
        Description=call.inputs.get("description", ""),
        PolicyDocument=call.inputs["policy"],
        Tags=call.tag_list,
    )
    return answer["Policy"]["Arn"]


def _read_policy(call: Call) -> dict[str, Any]:
    policy = call.aws.get_policy(PolicyArn=call.id)["Policy"]
    version = call.aws.get_policy_version(PolicyArn=call.id, VersionId=policy["DefaultVersionId"])["PolicyVersion"]
    return {
        "arn": call.id,
        "name": policy["PolicyName"],
        "path": policy["Path"],
        "description": policy.get("Description") or None,
        "policy": _document(version["Document"]),
    }


def _other_versions(call: Call) -> list[dict[str, Any]]:
    """Return the versions that are not in force, oldest first."""
    versions = call.aws.list_policy_versions(PolicyArn=call.id)["Versions"]
    return sorted((one for one in versions if not one["IsDefaultVersion"]), key=lambda one: one["CreateDate"])


def _delete_versions(call: Call, versions: Sequence[Mapping[str, Any]]) -> None:
    for version in versions:
        call.aws.delete_policy_version(PolicyArn=call.id, VersionId=version["VersionId"])


def _update_policy(call: Call) -> None:
    others = _other_versions(call)
    if len(others) == _MOST_VERSIONS - 1:
        _delete_versions(call, others[:1])
    call.aws.create_policy_version(PolicyArn=call.id, PolicyDocument=call.inputs["policy"], SetAsDefault=True)


def _delete_policy(call: Call) -> None:
    _delete_versions(call, _other_versions(call))
    call.aws.delete_policy(PolicyArn=call.id)


# -- OIDC provider


def _create_oidc(call: Call) -> str:
    arguments = given(
        Url=call.inputs["url"],
        ClientIDList=call.inputs["clientIdLists"],
        ThumbprintList=call.inputs.get("thumbprintLists"),
        Tags=call.tag_list,
    )
    return call.aws.create_open_id_connect_provider(**arguments)["OpenIDConnectProviderArn"]


def _read_oidc(call: Call) -> dict[str, Any]:
    answer = call.aws.get_open_id_connect_provider(OpenIDConnectProviderArn=call.id)
    return {
        "arn": call.id,
        "url": f"https://{answer['Url'].removeprefix('https://')}",  # AWS answers it without the scheme
        "clientIdLists": answer.get("ClientIDList", []),
        "thumbprintLists": answer.get("ThumbprintList", []),
        "tagsAll": as_map(answer.get("Tags")),
    }


def _update_oidc(call: Call) -> None:
    iam, provider = call.aws, {"OpenIDConnectProviderArn": call.id}
    if "thumbprintLists" in call.changed and call.inputs.get("thumbprintLists"):
        iam.update_open_id_connect_provider_thumbprint(**provider, ThumbprintList=call.inputs["thumbprintLists"])
    had, wanted = set(call.state.get("clientIdLists", ())), set(call.inputs["clientIdLists"])
    for client in sorted(wanted - had):
        iam.add_client_id_to_open_id_connect_provider(**provider, ClientID=client)
    for client in sorted(had - wanted):
        iam.remove_client_id_from_open_id_connect_provider(**provider, ClientID=client)


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
        inputs=("assumeRolePolicy", "description", "maxSessionDuration", "name", "path", "permissionsBoundary", "tags"),
        defaults={"maxSessionDuration": 3600, "path": "/"},
        policies=("assumeRolePolicy",),
        verify=_verify_document("assumeRolePolicy"),
        tagging=Tagging(argument="RoleName", output="name", put="tag_role", remove="untag_role", list="list_role_tags"),
        create=_create_role,
        read=_read_role,
        update=_update_role,
        delete=lambda call: call.aws.delete_role(RoleName=call.id),
    ),
    ResourceType(
        type_name="aws:iam/rolePolicy:RolePolicy",
        identity=("role", "name"),
        inputs=("name", "policy", "role"),
        policies=("policy",),
        verify=_verify_document("policy"),
        create=_put_role_policy,
        read=_read_role_policy,
        update=_put_role_policy,
        delete=lambda call: call.aws.delete_role_policy(**_policy_address(call)),
    ),
    ResourceType(
        type_name="aws:iam/policy:Policy",
        identity=("name",),
        inputs=("description", "name", "path", "policy", "tags"),
        defaults={"path": "/"},
        policies=("policy",),
        verify=_verify_document("policy"),
        tagging=Tagging(argument="PolicyArn", put="tag_policy", remove="untag_policy", list="list_policy_tags"),
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
        tagging=Tagging(
            argument="OpenIDConnectProviderArn",
            put="tag_open_id_connect_provider",
            remove="untag_open_id_connect_provider",
        ),
        create=_create_oidc,
        read=_read_oidc,
        update=_update_oidc,
        delete=lambda call: call.aws.delete_open_id_connect_provider(OpenIDConnectProviderArn=call.id),
    ),
)
