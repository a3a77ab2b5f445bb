"""One name stands for one thing: no two modules of the product define a public class of the same name."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_public_class_name_stands_in_one_module():
    modules = defaultdict(set)
    for package in ("release", "components", "localcloud", "guardrails"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    modules[node.name].add(str(file.relative_to(ROOT)))
    assert {name: sorted(files) for name, files in modules.items() if len(files) > 1} == {}
