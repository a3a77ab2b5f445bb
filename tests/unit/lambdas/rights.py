"""The rights that a function's code needs, from the AWS calls that it makes, beside those of its execution role."""

import sys
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from botocore.client import BaseClient

from components.arns import Arns
from components.naming import names
from components.policies.documents import document
from components.service.functions import FUNCTIONS
from localcloud.iam.needs import needs
from tests.unit.program.evaluate import decision

LAMBDAS, TESTS = (f"{Path(__file__).parents[3]}/{folder}/" for folder in ("lambdas", "tests"))
ARNS = Arns(account_id="123456789012", region="us-east-1", names=names("preprod"))
STATEMENTS = {spec.key: spec.statements(ARNS) for spec in FUNCTIONS}
"""What the table of functions gives to each function's code; `test_rights_of_functions.py` names what comes besides."""


@contextmanager
def recorded():
    """The rights that each function's code needs from here on, by function. Calls of the tests do not count."""
    needed = defaultdict(set)
    call = BaseClient._make_api_call

    def recording(client, operation, parameters):
        function = _caller(sys._getframe(1))
        if function:
            needed[function].update(needs(client.meta.service_model.service_name, operation, parameters, ARNS))
        return call(client, operation, parameters)

    with patch.object(BaseClient, "_make_api_call", recording):
        yield needed


def missing(needed):
    """What is needed and not allowed."""
    return sorted(
        f"{function}: {need.action} on {need.resource}"
        for function, rights in needed.items()
        for need in rights
        if decision(document(*STATEMENTS[function]), need.action, need.resource) != "allowed"
    )


def _caller(frame):
    """Whose code asked: the name of a function, or None for a test."""
    while frame:
        file = frame.f_code.co_filename
        if file.startswith(LAMBDAS):
            return file.removeprefix(LAMBDAS).partition("/")[0]
        if file.startswith(TESTS) and file != __file__:
            return None
        frame = frame.f_back
    raise AssertionError("an AWS call of which nobody knows whether a function or a test made it")
