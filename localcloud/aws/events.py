"""Patch of moto's EventBridge, which takes any text for the role of a target."""

from typing import Any

from moto.events.exceptions import ValidationException
from moto.events.models import EventsBackend

from localcloud.aws.iam import trusts


def refuse_roles_that_events_cannot_assume() -> None:
    """PutTargets: AWS takes a state machine only with a role that is there and trusts EventBridge."""
    put_targets = EventsBackend.put_targets

    def put(self: EventsBackend, name: str, event_bus_arn: str | None, targets: list[dict[str, Any]]) -> None:
        for target in targets:
            role = target.get("RoleArn")
            if ":states:" in target["Arn"] and not role:
                raise ValidationException(f"RoleArn is required for target {target['Arn']}.")
            if role and not trusts(role, "events"):
                raise ValidationException(
                    f"Provided role '{role}' cannot be assumed by principal 'events.amazonaws.com'."
                )
        put_targets(self, name, event_bus_arn, targets)

    EventsBackend.put_targets = put  # type: ignore[method-assign]
