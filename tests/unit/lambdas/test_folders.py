"""What the folders promise to the build."""

import ast
import tomllib
from pathlib import Path

import pytest

from components.service.functions import KEYS

LAMBDAS = Path(__file__).parents[3] / "lambdas"


def test_every_function_has_project_lock_and_handler():
    for name in ("pyproject.toml", "uv.lock", "handler.py"):
        assert tuple(sorted(path.parent.name for path in LAMBDAS.glob(f"*/{name}"))) == tuple(sorted(KEYS))


@pytest.mark.parametrize(("module", "copies"), [("logs", 3), ("text", 2)])
def test_the_copies_of_a_module_are_the_same_bytes(module, copies):
    found = list(LAMBDAS.glob(f"*/{module}.py"))
    assert len(found) == copies
    assert len({path.read_bytes() for path in found}) == 1


@pytest.mark.parametrize("function", KEYS)
def test_every_aws_service_that_the_code_asks_for_is_kept_by_the_build_and_no_other(function):
    asked = set()
    for path in (LAMBDAS / function).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"client", "resource"}
            ):
                assert isinstance(node.args[0], ast.Constant), f"{path}: the service's name must be written out"
                asked.add(node.args[0].value)
    settings = tomllib.loads((LAMBDAS / function / "pyproject.toml").read_text())
    assert set(settings["tool"]["release"]["aws-services"]) == asked
