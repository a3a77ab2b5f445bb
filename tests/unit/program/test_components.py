"""Rules that every component keeps, read from the source: no reviewer has to remember them."""

import ast
import sys
from functools import cache

import pytest

from tests.unit.program.harness import ROOT

SOURCES = sorted((ROOT / "components").rglob("*.py"))


@cache
def _classes():
    return [
        (source.relative_to(ROOT), node)
        for source in SOURCES
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.ClassDef)
    ]


COMPONENTS = [
    pytest.param(node, id=f"{path}:{node.name}")
    for path, node in _classes()
    if any(ast.unparse(base) == "pulumi.ComponentResource" for base in node.bases)
]
ARGUMENTS = [pytest.param(node, id=f"{path}:{node.name}") for path, node in _classes() if node.name.endswith("Args")]


def _init(component):
    return next(node for node in component.body if isinstance(node, ast.FunctionDef) and node.name == "__init__")


def _calls(node, name):
    return [call for call in ast.walk(node) if isinstance(call, ast.Call) and ast.unparse(call.func) == name]


def test_there_are_components_to_check():
    assert len(COMPONENTS) >= 12
    assert len(ARGUMENTS) >= len(COMPONENTS)


@pytest.mark.parametrize("component", COMPONENTS)
def test_registers_its_outputs_exactly_once_and_last(component):
    last = _init(component).body[-1]
    assert len(_calls(component, "self.register_outputs")) == 1
    assert ast.unparse(last).startswith("self.register_outputs(")


@pytest.mark.parametrize("component", COMPONENTS)
def test_has_a_type_token_of_its_own_room(component):
    (call,) = _calls(component, "super().__init__")
    token = call.args[0].value if isinstance(call.args[0], ast.Constant) else "sentiment:service:Record"
    assert token.split(":")[0] == "sentiment"
    assert token.split(":")[1] in {"service", "foundation", "shared"}
    assert token.split(":")[2] == component.name


@pytest.mark.parametrize("component", COMPONENTS)
def test_hands_its_callers_options_to_nobody(component):
    uses = [node for node in ast.walk(_init(component)) if isinstance(node, ast.Name) and node.id == "opts"]
    assert len(uses) == 1, "only super().__init__ takes the caller's options"


@pytest.mark.parametrize("component", COMPONENTS)
def test_is_the_parent_of_every_child(component):
    options = _calls(component, "pulumi.ResourceOptions")
    for call in options:
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert given.pop("parent") == "self"
        assert set(given) <= {"protect", "depends_on", "aliases"}
    for call in ast.walk(component):
        if isinstance(call, ast.Call) and ast.unparse(call.func).startswith(("aws.", "github.")):
            made = ast.unparse(call.func).split(".")[-1]
            if made[0].isupper() and not made.endswith("Args"):
                opts = next(keyword.value for keyword in call.keywords if keyword.arg == "opts")
                assert ast.unparse(opts).startswith("pulumi.ResourceOptions(parent=self")


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_takes_frozen_keyword_only_arguments(arguments):
    (decorator,) = arguments.decorator_list
    given = {keyword.arg: keyword.value.value for keyword in decorator.keywords}
    assert given.get("frozen") is True
    assert given.get("kw_only") is True


@pytest.mark.parametrize("component", COMPONENTS)
def test_makes_no_resource_inside_apply(component):
    for call in ast.walk(component):
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(".apply"):
            inner = {ast.unparse(node.func) for node in ast.walk(call.args[0]) if isinstance(node, ast.Call)}
            assert not [name for name in inner if name.startswith(("aws.", "github."))]


def test_only_pulumi_and_the_standard_library_are_imported():
    allowed = {"pulumi", "pulumi_aws", "pulumi_github", "components", "__future__"}
    io = {"subprocess", "socket", "urllib.request", "http", "requests", "os", "pathlib"}
    for source in [*SOURCES, ROOT / "__main__.py"]:
        for node in ast.walk(ast.parse(source.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                root = module.split(".")[0]
                assert root in allowed or root in sys.stdlib_module_names, f"{source}: {module}"
                assert not {module, root} & io, f"{source}: {module}"


def test_naming_and_policies_and_decisions_know_nothing_of_pulumi():
    pure = ["naming.py", "arns.py", "tags.py", "schedules.py", "__init__.py"]
    pure += [f"service/{name}.py" for name in ("release", "functions", "alarms", "overview")]
    sources = [ROOT / "components" / name for name in pure] + sorted((ROOT / "components/policies").glob("*.py"))
    for source in sources:
        imports = [
            ast.unparse(node)
            for node in ast.walk(ast.parse(source.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        assert not [line for line in imports if "pulumi" in line], source


def test_the_composition_root_stays_short():
    assert len((ROOT / "__main__.py").read_text().splitlines()) < 60


def test_modules_stay_small():
    for source in SOURCES:
        assert len(source.read_text().splitlines()) < 400, source
