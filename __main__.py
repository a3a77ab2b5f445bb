"""Composition root: settings, what the stack's scope names, outputs.

Each scope imports its own half: what CI deploys never loads the SDK of the GitHub provider.
"""

from collections.abc import Mapping
from typing import Any

import pulumi

from components.configuration import load
from components.service.release import ReleaseInputError, decide, parse_hand_over
from components.settings import SettingError, Settings


def service(settings: Settings) -> Mapping[str, Any]:
    """What CI deploys."""
    from components.service.functions import KEYS, WITH_URL
    from components.service.record import remember
    from components.service.service import Service, ServiceArgs

    remembered = remember()
    plan = decide(
        parse_hand_over(settings.release),
        remembered.record,
        functions=KEYS,
        with_url=WITH_URL,
        functions_in_state=remembered.functions,
        bucket=settings.arns.names.bucket,
    )
    return Service("service", ServiceArgs(settings=settings, arns=settings.arns, plan=plan)).outputs


def foundation(settings: Settings) -> Mapping[str, Any]:
    """What an administrator sets up."""
    from components.foundation.foundation import Foundation, FoundationArgs
    from components.shared.shared import Shared, SharedArgs

    owns = settings.owns_shared or settings.arns.two_accounts
    trusted = Shared("shared", SharedArgs(settings=settings)).github_provider if owns else None
    return Foundation("foundation", FoundationArgs(settings=settings, github_provider=trusted)).outputs


try:
    stack = load(pulumi.get_stack())
    scope = service if stack.scope == "service" else foundation
    outputs = scope(stack)
except (SettingError, ReleaseInputError) as refusal:
    # The engine shows this as one message, without a traceback.
    raise pulumi.RunError(str(refusal)) from refusal

for name, value in outputs.items():
    pulumi.export(name, value)
