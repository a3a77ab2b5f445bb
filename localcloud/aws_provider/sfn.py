"""Step Functions: state machines."""

from typing import Any, Final

from localcloud.aws_provider.cloud import Call, as_list, as_map, found, given
from localcloud.aws_provider.resource_type import ResourceType


def _create(call: Call) -> str:
    # The real provider repeats this while IAM does not know the role yet; here roles are there at once.
    made = call.aws.create_state_machine(
        **given(
            name=call.inputs["name"],
            definition=call.inputs["definition"],
            roleArn=call.inputs["roleArn"],
            type=call.inputs["type"],
            tags=as_list(call.tags, "key", "value"),
        )
    )
    return made["stateMachineArn"]


def _read(call: Call) -> dict[str, Any]:
    answer = call.aws.describe_state_machine(stateMachineArn=call.id)
    return {
        "arn": call.id,
        "creationDate": answer["creationDate"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        "definition": answer["definition"],
        "name": answer["name"],
        "roleArn": answer["roleArn"],
        "status": answer["status"],
        "tagsAll": as_map(call.aws.list_tags_for_resource(resourceArn=call.id)["tags"], "key", "value"),
        "type": answer["type"],
    }


def _update(call: Call) -> None:
    if call.changed - {"tags"}:
        call.aws.update_state_machine(
            stateMachineArn=call.id, definition=call.inputs["definition"], roleArn=call.inputs["roleArn"]
        )
    gone = sorted(set(call.state.get("tagsAll", {})) - set(call.tags))
    if gone:
        call.aws.untag_resource(resourceArn=call.id, tagKeys=gone)
    if call.tags:
        call.aws.tag_resource(resourceArn=call.id, tags=as_list(call.tags, "key", "value"))


TYPES: Final = (
    ResourceType(
        type_name="aws:sfn/stateMachine:StateMachine",
        service="stepfunctions",
        identity=("name",),
        inputs=("definition", "name", "roleArn", "tags", "type"),
        defaults={"type": "STANDARD"},
        create=_create,
        read=_read,
        update=_update,
        delete=lambda call: found(lambda: call.aws.delete_state_machine(stateMachineArn=call.id)),
    ),
)
