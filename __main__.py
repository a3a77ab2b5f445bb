"""Composition root: settings, what the stack's scope names, outputs."""

import pulumi

from components import settings as stack_settings
from components.arns import Arns
from components.foundation.foundation import Foundation, FoundationArgs
from components.naming import names
from components.service.functions import FUNCTIONS
from components.service.record import remember
from components.service.release import decide, parse_hand_over
from components.service.service import Service, ServiceArgs
from components.shared.shared import Shared, SharedArgs

settings = stack_settings.load(pulumi.Config(), pulumi.Config("aws"), pulumi.get_stack())
arns = Arns(account_id=settings.account_id, region=settings.region, names=names(settings.environment))

if settings.scope == "service":
    remembered = remember()
    plan = decide(
        parse_hand_over(settings.release),
        remembered.record,
        functions=[spec.key for spec in FUNCTIONS],
        functions_in_state=remembered.functions,
        bucket=arns.names.bucket,
    )
    outputs = Service("service", ServiceArgs(settings=settings, arns=arns, plan=plan)).outputs
else:
    if settings.owns_shared:
        Shared("shared", SharedArgs(settings=settings, arns=arns))
    outputs = Foundation("foundation", FoundationArgs(settings=settings, arns=arns)).outputs

for name, value in outputs.items():
    pulumi.export(name, value)
