"""The packages of the releaser stand on floors: a package imports only packages of lower floors."""

import ast
from pathlib import Path

import pytest

RELEASE = Path(__file__).parents[3] / "release"
FLOORS = (
    {"rules"},
    {"canonical", "errors", "text", "console"},
    {"clock", "processes", "settings", "uv_settings", "yaml_file"},
    {"git", "clients"},
    {"ledger"},
    {"analysis", "artifacts", "pulumi", "traffic", "validation"},
    {"attestation", "context", "build", "reports"},
    {"bootstrap", "gates", "oncall", "preview"},
    {"reporting", "rollout"},
    {"doctor"},
    {"lookout"},
    {"cli"},
    {"__main__"},
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
ROOMS = sorted(path.stem for path in RELEASE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists())


def imported_rooms(room):
    """The modules and packages at the top of `release/` that one of them imports, wherever the import stands."""
    folder = RELEASE / room
    for file in sorted(folder.rglob("*.py")) if folder.is_dir() else [RELEASE / f"{room}.py"]:
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.ImportFrom(module="release", names=names):
                    yield from (name.name for name in names)
                case ast.ImportFrom(module=str(module)) if module.startswith("release."):
                    yield module.split(".")[1]
                case ast.Import(names=names):
                    yield from (name.name.split(".")[1] for name in names if name.name.startswith("release."))
                case ast.ImportFrom(level=level) if level:
                    raise AssertionError(f"{file}: a relative import hides which package it comes from")


def test_every_room_has_its_floor():
    assert sorted(FLOOR_OF) == [room for room in ROOMS if room != "__init__"]


@pytest.mark.parametrize("room", sorted(FLOOR_OF))
def test_a_room_imports_only_rooms_of_lower_floors(room):
    above = {other for other in imported_rooms(room) if other != room and FLOOR_OF[other] >= FLOOR_OF[room]}
    assert above == set()
