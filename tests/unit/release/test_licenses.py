"""Which licence a distribution has, and which a package may hold."""

from email.message import Message

import pytest

from release.build.licenses import is_allowed, license_of


def metadata(**fields):
    message = Message()
    for name, values in fields.items():
        for value in [values] if isinstance(values, str) else values:
            message[name.replace("_", "-")] = value
    return message


APACHE = "License :: OSI Approved :: Apache Software License"
ISC = "License :: OSI Approved :: ISC License (ISCL)"
MIT = "License :: OSI Approved :: MIT License"


@pytest.mark.parametrize(
    ("fields", "expression"),
    [
        ({"License_Expression": "mit"}, "MIT"),
        ({"License_Expression": "MIT", "License": "something else"}, "MIT"),
        ({"License_Expression": "MIT", "License": "ISC"}, "MIT"),
        ({"License": "Apache License 2.0", "Classifier": APACHE}, "Apache-2.0"),
        ({"License": "MIT", "Classifier": ISC}, "MIT"),
        ({"License": "MIT License"}, "MIT"),
        ({"License": "the text of a licence\n  over many lines", "Classifier": MIT}, "MIT"),
        ({"License": "", "Classifier": ["Programming Language :: Python", MIT]}, "MIT"),
    ],
)
def test_the_most_exact_field_that_can_be_understood_says_the_licence(fields, expression):
    licence = license_of("x", metadata(**fields))
    assert (licence.expression, licence.concluded) == (expression, False)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"License": "UNKNOWN"},
        {"License": "Dual License", "Classifier": [MIT, ISC]},
        {"Classifier": "License :: OSI Approved :: BSD License"},
        {"License_Expression": "MIT OR"},
    ],
)
def test_a_licence_that_is_not_said_clearly_is_none(fields):
    assert license_of("x", metadata(**fields)) is None


def test_what_a_person_read_holds_for_that_package_and_that_statement_alone():
    licence = license_of("python-dateutil", metadata(License="Dual License"))
    assert licence.concluded
    assert is_allowed(licence.expression)
    assert license_of("python-dateutil", metadata(License="Triple License")) is None
    assert license_of("another", metadata(License="Dual License")) is None


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("LicenseRef-Proprietary", False),
        ("MIT AND GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("GPL-3.0-only OR MIT AND AGPL-3.0-only", False),
        ("(GPL-3.0-only OR MIT) AND ISC", True),
        ("(GPL-3.0-only OR MIT) AND (AGPL-3.0-only OR (MIT AND MPL-2.0))", False),
        ("MIT AND (AGPL-3.0-only OR (MIT AND BSD-3-Clause))", True),
        ("Apache-2.0 WITH LLVM-exception", False),
        ("MIT+", False),
    ],
)
def test_all_that_is_demanded_must_be_allowed_and_one_of_what_may_be_chosen(expression, allowed):
    assert is_allowed(expression) is allowed
